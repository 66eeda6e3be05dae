//! What an event is: values and rules, without I/O and without a clock.
//!
//! `model` knows the wire form of an event ([`event::NewEvent`]), the registry of resource types, actions and
//! field policies ([`registry::Registry`]), how two snapshots become a diff ([`diff`]), the stored form whose
//! bytes the log commits to ([`record::Record`]), and the read form that the API returns ([`audit_log::AuditLog`]).
//!
//! It deliberately knows no database, no network, no time of day and no tree: [`record::Record::leaf_bytes`] gives
//! the bytes of a leaf, hashing them into a tree is the business of `annals-tlog`.
//!
//! Read [`event::NewEvent`] first, then [`record::Record`].
//!
//! ```
//! use annals_model::registry::Registry;
//!
//! let registry = Registry::built_in();
//! let template = registry.resource("template").expect("templates are built in");
//! assert_eq!(template.fields.len(), 18);
//! assert!(template.field("no_such_field").is_none());
//! ```

pub mod audit_log;
pub mod auditable;
pub mod client_address;
pub mod diff;
pub mod event;
pub mod formats;
pub mod id;
pub mod json;
pub mod limits;
pub mod prepare;
pub mod record;
pub mod record_json;
pub mod registry;
pub mod time;

pub use annals_macros::Auditable;
