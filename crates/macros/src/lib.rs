//! The derive macro `#[derive(Auditable)]`.
//!
//! It only reads attributes and writes an `impl`; the trait, its meaning and its examples are in
//! `annals_model::auditable`, which re-exports the macro. It knows nothing of registries.
//!
//! Read `attributes` for what may be written, `derive` for what is generated. All mistakes of a struct are reported at
//! once, each where it is, with what to write instead.

mod attributes;
mod derive;

use proc_macro::TokenStream;

/// Derives `annals_model::auditable::Auditable`, where the attributes are described.
#[proc_macro_derive(Auditable, attributes(audit))]
pub fn derive_auditable(input: TokenStream) -> TokenStream {
    derive::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
