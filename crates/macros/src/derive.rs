//! From a struct to its `impl Auditable`.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, FieldsNamed, Generics, LitStr, Path};

use crate::attributes::{FieldAttributes, Mistakes, Policy, StructAttributes};

/// Returns the `impl`, or every mistake of the struct.
pub(crate) fn expand(input: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let mut mistakes = Mistakes::default();
    let attributes = StructAttributes::parse(&input.attrs, &mut mistakes);
    if attributes.kind.is_none() && has_named_fields(&input) {
        mistakes.at(
            &input.ident,
            format_args!(
                "the resource type has no name; add `#[audit(type = \"{}\")]`",
                snake_case(&input.ident.unraw().to_string())
            ),
        );
    }
    let fields =
        named_fields(&input, &mut mistakes).map_or_else(Vec::new, |fields| recorded(fields, &mut mistakes));
    mistakes.into_result()?;
    Ok(implementation(&input, &attributes, &fields))
}

/// A field and what its attributes say.
struct Recorded<'a> {
    ident: &'a syn::Ident,
    ty: &'a syn::Type,
    attributes: FieldAttributes,
}

fn named_fields<'a>(input: &'a DeriveInput, mistakes: &mut Mistakes) -> Option<&'a FieldsNamed> {
    let what = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields),
            Fields::Unnamed(_) => "a tuple struct, whose fields have no names",
            Fields::Unit => "a unit struct, which has no fields",
        },
        Data::Enum(_) => "an enum; put it into a field of a struct",
        Data::Union(_) => "a union",
    };
    mistakes.at(
        &input.ident,
        format_args!(
            "`Auditable` is derived for structs with named fields; `{}` is {what}",
            input.ident.unraw()
        ),
    );
    None
}

fn recorded<'a>(fields: &'a FieldsNamed, mistakes: &mut Mistakes) -> Vec<Recorded<'a>> {
    let mut found: Vec<Recorded<'a>> = Vec::new();
    let (mut has_id, mut has_target) = (false, false);
    for field in &fields.named {
        let Some(ident) = &field.ident else { continue };
        let Some(attributes) = FieldAttributes::parse(field, ident, mistakes) else { continue };
        for (mark, is_taken) in [(&attributes.id, &mut has_id), (&attributes.target, &mut has_target)] {
            if let Some(mark) = mark {
                if *is_taken {
                    let mark_name = mark.to_token_stream();
                    mistakes.at(mark, format_args!("another field is the `{mark_name}` already"));
                }
                *is_taken = true;
            }
        }
        if found.iter().any(|other| other.attributes.name == attributes.name) {
            mistakes.at(ident, format_args!("another field is called `{}` already", attributes.name));
        }
        found.push(Recorded { ident, ty: &field.ty, attributes });
    }
    found
}

fn implementation(
    input: &DeriveInput,
    attributes: &StructAttributes,
    fields: &[Recorded<'_>],
) -> TokenStream {
    let model = attributes.model.as_ref().map_or_else(|| quote!(::annals_model), Path::to_token_stream);
    let auditable = quote!(#model::auditable);
    let ident = &input.ident;
    let generics = with_bounds(&input.generics, &auditable, fields);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();

    let kind = &attributes.kind;
    let [name, noun, link] =
        [&attributes.name, &attributes.noun, &attributes.link].map(|text| option(text.as_ref()));
    let is_target_personal = fields.iter().any(|f| f.attributes.target.is_some() && f.attributes.personal);
    let definitions = fields.iter().map(|field| {
        let FieldAttributes { name, policy, personal, mask, .. } = &field.attributes;
        let (policy, mask) = (policy.variant(), option(mask.as_ref()));
        quote! {
            #auditable::FieldDefinition {
                name: #name,
                policy: #model::registry::Policy::#policy,
                personal: #personal,
                mask: #mask,
            }
        }
    });
    let values = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.attributes.policy != Policy::Ignore)
        .map(|(position, Recorded { ident, ty, .. })| {
            // A missing `Serialize` is then reported at the field's type.
            quote_spanned! {ty.span()=> #auditable::__private::field(__definition, #position, &self.#ident)? }
        });
    let writes =
        fields.iter().enumerate().filter(|(_, field)| field.attributes.policy != Policy::Ignore).map(
            |(position, Recorded { ident, ty, .. })| {
                quote_spanned! {ty.span()=>
                    #position => #auditable::__private::write(__definition, #position, &self.#ident, __out),
                }
            },
        );
    let resource_id = word(&auditable, fields, |attributes| attributes.id.as_ref());
    let resource_target = word(&auditable, fields, |attributes| attributes.target.as_ref());

    quote! {
        #[automatically_derived]
        impl #impl_generics #auditable::Auditable for #ident #type_generics #where_clause {
            fn definition() -> &'static #auditable::Definition {
                static DEFINITION: #auditable::Definition = #auditable::Definition {
                    kind: #kind,
                    name: #name,
                    noun: #noun,
                    link: #link,
                    personal_target: #is_target_personal,
                    fields: &[#(#definitions),*],
                };
                &DEFINITION
            }

            fn audit_fields(
                &self,
            ) -> ::core::result::Result<::std::vec::Vec<#auditable::AuditField>, #auditable::AuditFieldError> {
                let __definition = <Self as #auditable::Auditable>::definition();
                ::core::result::Result::Ok(::std::vec![#(#values),*])
            }

            fn write_field(
                &self,
                __position: usize,
                __out: &mut ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<(), #auditable::AuditFieldError> {
                let __definition = <Self as #auditable::Auditable>::definition();
                match __position {
                    #(#writes)*
                    _ => ::core::result::Result::Ok(()),
                }
            }

            fn resource_id(&self) -> ::core::option::Option<::std::string::String> {
                #resource_id
            }

            fn resource_target(&self) -> ::core::option::Option<::std::string::String> {
                #resource_target
            }
        }
    }
}

/// The expression that names the resource by the field that `mark` selects.
fn word(
    auditable: &TokenStream,
    fields: &[Recorded<'_>],
    mark: fn(&FieldAttributes) -> Option<&Path>,
) -> TokenStream {
    match fields.iter().find(|field| mark(&field.attributes).is_some()) {
        Some(Recorded { ident, ty, .. }) => {
            quote_spanned! {ty.span()=> #auditable::__private::word(&self.#ident) }
        }
        None => quote!(::core::option::Option::None),
    }
}

fn option(text: Option<&LitStr>) -> TokenStream {
    match text {
        Some(text) => quote!(::core::option::Option::Some(#text)),
        None => quote!(::core::option::Option::None),
    }
}

/// Adds what recorded fields of generic types need.
///
/// As serde does it: a parameter that occurs in a recorded field must be serialisable itself, which also serves types
/// that contain themselves; where only something of the parameter occurs (`T::Id`), the field's type must be.
fn with_bounds(generics: &Generics, auditable: &TokenStream, fields: &[Recorded<'_>]) -> Generics {
    let parameters: Vec<_> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let mut bounded: Vec<TokenStream> = Vec::new();
    for field in fields.iter().filter(|field| field.attributes.is_recorded()) {
        for parameter in &parameters {
            let needed = match occurrence(parameter, field.ty.to_token_stream()) {
                Occurrence::None => continue,
                Occurrence::Whole => parameter.to_token_stream(),
                Occurrence::Projected => field.ty.to_token_stream(),
            };
            if !bounded.iter().any(|present| present.to_string() == needed.to_string()) {
                bounded.push(needed);
            }
        }
    }
    let mut generics = generics.clone();
    if !bounded.is_empty() {
        let where_clause = generics.make_where_clause();
        for needed in bounded {
            where_clause.predicates.push(syn::parse_quote!(#needed: #auditable::__private::Serialize));
        }
    }
    generics
}

/// How a type parameter occurs in a type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Occurrence {
    None,
    Whole,
    /// As `T::Id` or `<T as Trait>::Id`, at least once.
    Projected,
}

fn occurrence(parameter: &syn::Ident, ty: TokenStream) -> Occurrence {
    let mut found = Occurrence::None;
    let mut tokens = ty.into_iter().peekable();
    let mut is_path_tail = false;
    while let Some(token) = tokens.next() {
        let here = match &token {
            TokenTree::Group(group) => occurrence(parameter, group.stream()),
            TokenTree::Ident(ident) if ident == parameter && !is_path_tail => match tokens.peek() {
                Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => Occurrence::Projected,
                Some(TokenTree::Ident(next)) if next == "as" => Occurrence::Projected,
                _ => Occurrence::Whole,
            },
            _ => Occurrence::None,
        };
        // In `other::T` the name is not the parameter's.
        is_path_tail = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':');
        found = found.max(here);
    }
    found
}

/// Whether the missing name is worth a message of its own, which it is not on something that is no struct.
fn has_named_fields(input: &DeriveInput) -> bool {
    matches!(&input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)))
}

/// `GitSSHKey` becomes `git_ssh_key`.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let is_after_lower = i > 0 && !letters[i - 1].is_uppercase();
        let is_before_lower = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && i > 0 && letters[i - 1] != '_' && (is_after_lower || is_before_lower) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[track_caller]
    fn mistakes(source: &str) -> Vec<String> {
        let tokens: TokenStream = source.parse().unwrap();
        expand(tokens).unwrap_err().into_iter().map(|error| error.to_string()).collect()
    }

    #[track_caller]
    fn expansion(source: &str) -> String {
        let tokens = expand(source.parse().unwrap()).unwrap();
        tokens.to_string().split_whitespace().collect()
    }

    #[test]
    fn reports_all_mistakes_of_a_struct_at_once() {
        let found = mistakes(
            r#"
            #[audit(kind = "Invoice", noun = "")]
            struct Invoice {
                amount: u64,
                #[audit(track, secret)]
                card: String,
                #[audit(trak)]
                note: String,
                #[audit(track, mask = "*")]
                email: String,
            }
            "#,
        );
        let starts = [
            "unknown key `kind`",
            "expected words without braces",
            "the resource type has no name; add `#[audit(type = \"invoice\")]`",
            "field `amount` has no audit policy; add one of",
            "a field has one policy",
            "unknown key `trak`",
            "only a secret has a mask",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (message, start) in found.iter().zip(starts) {
            assert!(message.starts_with(start), "{message:?} should start with {start:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_struct_with_named_fields_with_one_message() {
        for (source, what) in [
            ("enum E { A }", "an enum"),
            ("union U { a: u8 }", "a union"),
            ("struct T(u8);", "a tuple struct"),
            ("struct N;", "a unit struct"),
        ] {
            let found = mistakes(source);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(what), "{found:?}");
        }
    }

    #[test]
    fn refuses_two_names_for_one_resource() {
        let found = mistakes(
            r#"
            #[audit(type = "a")]
            struct A {
                #[audit(track, id)] one: u8,
                #[audit(track, id)] two: u8,
                #[audit(track, rename = "one")] three: u8,
                #[audit(secret, target)] four: u8,
            }
            "#,
        );
        assert_eq!(
            found,
            [
                "another field is the `id` already",
                "another field is called `one` already",
                "a secret cannot name the resource: ids and targets are recorded in clear",
            ]
        );
    }

    #[test]
    fn bounds_the_parameters_of_recorded_fields_only() {
        let expanded = expansion(
            r#"
            #[audit(type = "a", crate = "annals_client::model")]
            struct A<'a, T, U, V: Own, W, const N: usize> {
                #[audit(track)] one: Option<&'a [T; N]>,
                #[audit(ignore)] two: U,
                #[audit(track)] three: V::Id,
                #[audit(ignore, id)] four: W,
            }
            "#,
        );
        let header = "impl<'a,T,U,V:Own,W,constN:usize>annals_client::model::auditable::Auditableforfor";
        assert!(expanded.contains(&header.replace("forfor", "forA<'a,T,U,V,W,N>where")), "{expanded}");
        let serialize = "annals_client::model::auditable::__private::Serialize";
        assert!(
            expanded.contains(&format!("whereT:{serialize},V::Id:{serialize},W:{serialize}{{")),
            "{expanded}"
        );
        assert!(!expanded.contains("self.two"), "an ignored field is never looked at: {expanded}");
    }

    #[test]
    fn proposes_the_usual_spelling_of_a_type_name() {
        for (name, expect) in
            [("GitSSHKey", "git_ssh_key"), ("Invoice", "invoice"), ("OAuth2App", "o_auth2_app")]
        {
            assert_eq!(snake_case(name), expect);
        }
    }

    #[test]
    fn tells_a_parameter_from_what_is_called_like_it() {
        let parameter = syn::Ident::new("T", Span::call_site());
        for (ty, expect) in [
            ("Vec<T>", Occurrence::Whole),
            ("other::T", Occurrence::None),
            ("<T as Own>::Id", Occurrence::Projected),
            ("(T, T::Id)", Occurrence::Projected),
            ("Vec<u8>", Occurrence::None),
        ] {
            assert_eq!(occurrence(&parameter, ty.parse().unwrap()), expect, "{ty}");
        }
    }
}
