//! What `#[audit(...)]` says, and every way in which it can be wrong.

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parse;
use syn::spanned::Spanned;
use syn::{Attribute, LitStr, Path};

/// Bytes of a type's name, as the registry has it.
const KIND_BYTES_MAX: usize = 100;
/// Bytes of a field's name, as the registry has it.
const FIELD_BYTES_MAX: usize = 256;

const STRUCT_KEYS: &str = "`type`, `name`, `noun`, `link` or `crate`";
const FIELD_KEYS: &str =
    "`track`, `secret`, `abbreviate`, `ignore`, `personal`, `mask`, `rename`, `id` or `target`";

/// Mistakes found so far.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn at(&mut self, place: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(place, message));
    }

    pub(crate) fn into_result(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// The attributes of the struct.
#[derive(Default)]
pub(crate) struct StructAttributes {
    pub(crate) kind: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) noun: Option<LitStr>,
    pub(crate) link: Option<LitStr>,
    pub(crate) model: Option<Path>,
}

impl StructAttributes {
    pub(crate) fn parse(attributes: &[Attribute], mistakes: &mut Mistakes) -> StructAttributes {
        let mut found = StructAttributes::default();
        each_meta(attributes, mistakes, |meta, mistakes| {
            match key(meta).as_str() {
                "type" => set(&mut found.kind, meta, text(meta)?, mistakes),
                "name" => set(&mut found.name, meta, text(meta)?, mistakes),
                "noun" => set(&mut found.noun, meta, text(meta)?, mistakes),
                "link" => set(&mut found.link, meta, text(meta)?, mistakes),
                "crate" => {
                    let path = meta.value()?.parse::<LitStr>()?.parse_with(Path::parse_mod_style)?;
                    set(&mut found.model, meta, path, mistakes);
                }
                other => unknown(meta, other, STRUCT_KEYS, mistakes)?,
            }
            Ok(())
        });
        if let Some(kind) = &found.kind
            && !is_kind(&kind.value())
        {
            mistakes.at(
                kind,
                format_args!(
                    "a type name has lower-case letters, digits, `_`, `.`, `:` and `-`, begins with a letter and is at \
                     most {KIND_BYTES_MAX} bytes long, such as \"invoice\""
                ),
            );
        }
        for words in [&found.name, &found.noun].into_iter().flatten() {
            if words.value().is_empty() || words.value().contains(['{', '}']) {
                mistakes.at(words, "expected words without braces");
            }
        }
        if let Some(link) = &found.link
            && (!link.value().starts_with('/') || link.value().starts_with("//"))
        {
            mistakes.at(link, "a link is a path that begins with one `/`, such as \"/invoices/{id}\"");
        }
        found
    }
}

/// One of the four policies, as written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Track,
    Secret,
    Abbreviate,
    Ignore,
}

impl Policy {
    fn named(name: &str) -> Option<Policy> {
        Some(match name {
            "track" => Policy::Track,
            "secret" => Policy::Secret,
            "abbreviate" => Policy::Abbreviate,
            "ignore" => Policy::Ignore,
            _ => return None,
        })
    }

    /// The variant of the model's enum.
    pub(crate) fn variant(self) -> syn::Ident {
        let name = match self {
            Policy::Track => "Track",
            Policy::Secret => "Secret",
            Policy::Abbreviate => "Abbreviate",
            Policy::Ignore => "Ignore",
        };
        syn::Ident::new(name, Span::call_site())
    }
}

/// The attributes of a field that is classified.
pub(crate) struct FieldAttributes {
    pub(crate) name: String,
    pub(crate) policy: Policy,
    pub(crate) personal: bool,
    pub(crate) mask: Option<LitStr>,
    pub(crate) id: Option<Path>,
    pub(crate) target: Option<Path>,
}

impl FieldAttributes {
    /// Whether the field is looked at, in diffs or as a name of the resource.
    pub(crate) fn is_recorded(&self) -> bool {
        self.policy != Policy::Ignore || self.id.is_some() || self.target.is_some()
    }

    /// Returns what the attributes of a field say, or `None` if it has no policy, which is then among the mistakes.
    pub(crate) fn parse(
        field: &syn::Field,
        ident: &syn::Ident,
        mistakes: &mut Mistakes,
    ) -> Option<FieldAttributes> {
        let (mut policy, mut personal, mut mask, mut rename) = (None, None, None, None);
        let (mut id, mut target) = (None, None);
        let mut is_readable = true;
        each_meta(&field.attrs, mistakes, |meta, mistakes| {
            let key = key(meta);
            match key.as_str() {
                "personal" => set(&mut personal, meta, meta.path.clone(), mistakes),
                "id" => set(&mut id, meta, meta.path.clone(), mistakes),
                "target" => set(&mut target, meta, meta.path.clone(), mistakes),
                "mask" => set(&mut mask, meta, text(meta)?, mistakes),
                "rename" => set(&mut rename, meta, text(meta)?, mistakes),
                other => match Policy::named(other) {
                    Some(named) => match policy {
                        None => policy = Some(named),
                        Some(_) => mistakes.at(&meta.path, "a field has one policy; this is the second"),
                    },
                    None => {
                        is_readable = false;
                        unknown(meta, other, FIELD_KEYS, mistakes)?;
                    }
                },
            }
            Ok(())
        });
        let Some(policy) = policy else {
            // A misspelt policy has been reported already; that it is missing would be the same thing twice.
            if is_readable {
                mistakes.at(ident, unclassified(ident));
            }
            return None;
        };
        if let Some(mask) = &mask {
            if policy != Policy::Secret {
                mistakes.at(
                    mask,
                    "only a secret has a mask; write `#[audit(secret, mask = ...)]` or leave it out",
                );
            } else if mask.value().is_empty() || mask.value().contains(char::is_control) {
                mistakes.at(mask, "a mask is a printable text such as \"******\"");
            }
        }
        // It may name the resource all the same, as the id of a build does that no diff shows.
        if policy == Policy::Ignore
            && target.is_none()
            && let Some(path) = &personal
        {
            mistakes.at(path, "an ignored field stands in no diff, so only as a target it can be personal");
        }
        if policy == Policy::Secret {
            for path in [&id, &target].into_iter().flatten() {
                mistakes.at(path, "a secret cannot name the resource: ids and targets are recorded in clear");
            }
        }
        if let Some(rename) = &rename {
            let name = rename.value();
            if name.is_empty() || name.len() > FIELD_BYTES_MAX || name.contains(char::is_control) {
                mistakes.at(
                    rename,
                    format_args!("a field name is printable text of 1 to {FIELD_BYTES_MAX} bytes"),
                );
            }
        }
        let name = rename.map_or_else(|| ident.unraw().to_string(), |rename| rename.value());
        Some(FieldAttributes { name, policy, personal: personal.is_some(), mask, id, target })
    }
}

fn unclassified(ident: &syn::Ident) -> String {
    format!(
        "field `{}` has no audit policy; add one of\n\
         `#[audit(track)]`: old and new value are recorded\n\
         `#[audit(secret)]`: that it changed is recorded, never a value\n\
         `#[audit(abbreviate)]`: the values are recorded shortened\n\
         `#[audit(ignore)]`: a change of it is not recorded",
        ident.unraw()
    )
}

/// Calls `read` for each item of each `#[audit(...)]`.
fn each_meta(
    attributes: &[Attribute],
    mistakes: &mut Mistakes,
    mut read: impl FnMut(&ParseNestedMeta<'_>, &mut Mistakes) -> syn::Result<()>,
) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("audit")) {
        if let Err(error) = attribute.parse_nested_meta(|meta| read(&meta, mistakes)) {
            mistakes.push(error);
        }
    }
}

/// The key of an item; empty if it is a path.
fn key(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(|ident| ident.unraw().to_string()).unwrap_or_default()
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    meta.value()?.parse()
}

fn set<T>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, value: T, mistakes: &mut Mistakes) {
    if slot.is_some() {
        mistakes.at(&meta.path, "said twice");
    }
    *slot = Some(value);
}

/// Reports an unknown key and skips its value, so that what follows is read too.
fn unknown(meta: &ParseNestedMeta<'_>, key: &str, known: &str, mistakes: &mut Mistakes) -> syn::Result<()> {
    let path = meta.path.to_token_stream();
    let shown = if key.is_empty() { path.to_string() } else { key.to_owned() };
    mistakes.push(syn::Error::new(meta.path.span(), format_args!("unknown key `{shown}`; expected {known}")));
    while !meta.input.is_empty() && !meta.input.peek(syn::Token![,]) {
        proc_macro2::TokenTree::parse(meta.input)?;
    }
    Ok(())
}

fn is_kind(name: &str) -> bool {
    let is_inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'-');
    name.len() <= KIND_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(is_inner)
}
