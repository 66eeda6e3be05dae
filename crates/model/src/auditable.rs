//! Rust types whose values are audited.
//!
//! `#[derive(Auditable)]` makes a struct a resource type: it declares the type to the registry
//! ([`Auditable::document`]) and takes snapshots of its values ([`Auditable::snapshot`]). A field without a policy
//! does not compile, so that a field added next year is classified by whoever adds it.
//!
//! What must not leave the process does not: ignored fields are never serialised, unless one names the resource, and the values of secrets are in
//! [`Auditable::audit_fields`] alone, for a comparison in place, never in a snapshot.
//!
//! # Attributes
//!
//! On the struct: `type = "invoice"` is required, because events keep that name for good while the struct's own may
//! change. Optional are `name` (in the documentation), `noun` (in sentences), `link` (see
//! [`Linked`](crate::registry::Linked)) and `crate` (the path of this crate, where it is re-exported).
//!
//! On each field: one of the policies `track`, `secret`, `abbreviate` and `ignore`; beside it, if it applies,
//! `personal` (the value is about a person, and so erasable), `mask = "******"` (what is displayed for a secret),
//! `rename = "other_name"`, `id` and `target` (the field is the `resource_id` or the `resource_target`, also where
//! diffs ignore it). A target that is personal makes the targets of the type personal.
//!
//! # Examples
//! ```
//! use annals_model::auditable::Auditable;
//! use annals_model::registry::{Authority, Registry};
//! use serde_json::json;
//!
//! #[derive(Auditable)]
//! #[audit(type = "invoice", link = "/invoices/{id}")]
//! struct Invoice {
//!     #[audit(track, id)]
//!     id: u64,
//!     #[audit(track, target)]
//!     number: String,
//!     #[audit(secret, mask = "******")]
//!     card: String,
//!     #[audit(track, personal, rename = "email")]
//!     customer: Option<String>,
//!     #[audit(ignore)]
//!     printed_at: std::time::Instant, // needs no `Serialize`: it is never looked at
//! }
//!
//! let mut registry = Registry::built_in();
//! registry.extend(&Invoice::document(), Authority::Application).expect("the derived document is sound");
//! assert!(registry.resource("invoice").expect("just registered").field("email").expect("renamed").personal);
//!
//! let invoice = Invoice {
//!     id: 7,
//!     number: "2026-0007".into(),
//!     card: "4111 1111 1111 1111".into(),
//!     customer: None,
//!     printed_at: std::time::Instant::now(),
//! };
//! assert_eq!(invoice.resource_id().as_deref(), Some("7"));
//! assert_eq!(
//!     invoice.snapshot()?,
//!     [("id", json!(7)), ("number", json!("2026-0007")), ("email", json!(null))]
//! );
//! # Ok::<(), annals_model::auditable::AuditFieldError>(())
//! ```

use std::fmt;

use serde_json::Value;

pub use annals_macros::Auditable;

use crate::registry::{Policy, toml_text};

/// A type whose values are audited. Derive it; see the [module](self) for the attributes.
pub trait Auditable {
    /// What the registry is told about the type.
    fn definition() -> &'static Definition;

    /// The fields that are not ignored, in the order of the struct, with the values of secrets **in clear**.
    ///
    /// This is for comparing two values inside the process. What is sent elsewhere is [`Auditable::snapshot`].
    ///
    /// # Errors
    /// The first field whose value is not representable as JSON, such as a map with keys that are not strings.
    fn audit_fields(&self) -> Result<Vec<AuditField>, AuditFieldError>;

    /// Writes the value of the field at a position of [`Definition::fields`] as JSON, a secret **in clear**; nothing of an ignored one. For comparing two
    /// values without making a [`Value`] of each.
    ///
    /// # Errors
    /// As for [`Auditable::audit_fields`].
    fn write_field(&self, position: usize, out: &mut Vec<u8>) -> Result<(), AuditFieldError> {
        let Some(definition) = Self::definition().fields.get(position) else { return Ok(()) };
        let fields = self.audit_fields()?;
        if let Some(field) = fields.iter().find(|field| field.name == definition.name) {
            __private::write(Self::definition(), position, &field.value, out)?;
        }
        Ok(())
    }

    /// The value of the field marked `id`, if one is and it has one.
    fn resource_id(&self) -> Option<String>;

    /// The value of the field marked `target`, if one is and it has one.
    fn resource_target(&self) -> Option<String>;

    /// The `resource_type` of events about such a value.
    fn resource_type() -> &'static str {
        Self::definition().kind
    }

    /// The document that registers the type; see [`Registry::extend`](crate::registry::Registry::extend).
    fn document() -> String {
        Self::definition().to_toml()
    }

    /// The fields that may be sent: those with the policies `track` and `abbreviate`.
    ///
    /// # Errors
    /// As for [`Auditable::audit_fields`].
    fn snapshot(&self) -> Result<Vec<(&'static str, Value)>, AuditFieldError> {
        let fields = self.audit_fields()?;
        let is_sent = |field: &AuditField| matches!(field.policy, Policy::Track | Policy::Abbreviate);
        Ok(fields.into_iter().filter(is_sent).map(|field| (field.name, field.value)).collect())
    }
}

/// What a derived type tells the registry about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The `resource_type` of its events.
    pub kind: &'static str,
    /// The name in the documentation, if it is not the type in CamelCase.
    pub name: Option<&'static str>,
    /// The word in sentences, if it is not the type with spaces.
    pub noun: Option<&'static str>,
    /// The path of a value's page.
    pub link: Option<&'static str>,
    /// Whether the target names a person.
    pub personal_target: bool,
    /// Every field, ignored ones too, in the order of the struct.
    pub fields: &'static [FieldDefinition],
}

/// What a derived type tells the registry about one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldDefinition {
    /// The key in snapshots and diffs.
    pub name: &'static str,
    /// What becomes of its value.
    pub policy: Policy,
    /// Whether the value is about a person.
    pub personal: bool,
    /// What is displayed in place of a secret.
    pub mask: Option<&'static str>,
}

impl Definition {
    /// Returns the document that registers the type. It mentions only what the type says itself, so that an
    /// application can derive a built-in type without redefining it.
    pub fn to_toml(&self) -> String {
        let mut document = format!("[[resource]]\ntype = {}\n", toml_text::text(self.kind));
        for (key, value) in [("name", self.name), ("noun", self.noun), ("link", self.link)] {
            if let Some(value) = value {
                document += &format!("{key} = {}\n", toml_text::text(value));
            }
        }
        if self.personal_target {
            document += "personal_target = true\n";
        }
        document += "\n[resource.fields]\n";
        document.extend(self.fields.iter().map(|f| toml_text::field(f.name, f.policy, f.personal, f.mask)));
        document
    }
}

/// One field of one value. Its `Debug` form does not show secrets.
#[derive(Clone, PartialEq)]
pub struct AuditField {
    /// The key in snapshots and diffs.
    pub name: &'static str,
    /// What becomes of the value; never [`Policy::Ignore`].
    pub policy: Policy,
    /// Whether the value is about a person.
    pub personal: bool,
    /// The value, in clear even if it is a secret.
    pub value: Value,
}

impl fmt::Debug for AuditField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value: &dyn fmt::Debug = match self.policy {
            Policy::Track => &self.value,
            Policy::Secret | Policy::Abbreviate | Policy::Ignore => &"******",
        };
        f.debug_struct("AuditField")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("personal", &self.personal)
            .field("value", value)
            .finish()
    }
}

/// A value cannot be audited because one of its fields is not representable as JSON.
#[derive(Debug, thiserror::Error)]
#[error("field `{field}` of resource type `{kind}` is not representable as JSON")]
pub struct AuditFieldError {
    /// The type.
    pub kind: &'static str,
    /// The field.
    pub field: &'static str,
    /// Why.
    #[source]
    pub source: serde_json::Error,
}

/// What derived code calls. Not a public interface.
#[doc(hidden)]
pub mod __private {
    use serde_json::Value;

    use super::{AuditField, AuditFieldError, Definition};

    pub use serde::Serialize;

    pub fn field<T: Serialize + ?Sized>(
        definition: &Definition,
        position: usize,
        value: &T,
    ) -> Result<AuditField, AuditFieldError> {
        let field = definition.fields[position];
        match serde_json::to_value(value) {
            Ok(value) => {
                Ok(AuditField { name: field.name, policy: field.policy, personal: field.personal, value })
            }
            Err(source) => Err(AuditFieldError { kind: definition.kind, field: field.name, source }),
        }
    }

    pub fn write<T: Serialize + ?Sized>(
        definition: &Definition,
        position: usize,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), AuditFieldError> {
        let field = definition.fields[position].name;
        serde_json::to_writer(out, value).map_err(|source| AuditFieldError {
            kind: definition.kind,
            field,
            source,
        })
    }

    /// A text, number or truth value as text; nothing else names a resource.
    pub fn word<T: Serialize + ?Sized>(value: &T) -> Option<String> {
        match serde_json::to_value(value).ok()? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}
