//! What may be recorded: resource types, their fields and policies, actions, admin settings.
//!
//! A [`Registry`] is data. The built-in one is four TOML documents compiled into this crate; the operator's file and
//! applications extend it with documents of the same form ([`Registry::extend`]). Everything that differs between
//! two resource types is in those documents: how a sentence about it reads ([`Registry::describe`]), where its page is
//! ([`Registry::resource_link`]), which of its fields are shown, withheld or not recorded at all.
//!
//! It deliberately holds no events and computes no diff: `diff` asks [`ResourceType::field`] and does the rest.
//!
//! Read [`ResourceType`] first.
//!
//! # The form of a document
//!
//! ```
//! use annals_model::registry::{Authority, Policy, Registry};
//!
//! let mut registry = Registry::built_in();
//! let extension = registry
//!     .extend(
//!         r#"
//!         [[resource]]
//!         type = "invoice"                  # what events carry as `resource_type`
//!         name = "Invoice"                  # optional: the type in CamelCase
//!         noun = "invoice"                  # optional: the type with spaces
//!         link = "/invoices/{id}"           # optional: see `Linked`
//!         personal_target = false           # optional: the target names a person
//!         actions = ["create", "approve"]   # optional: for the documentation
//!         sentences.default = "{user} {verb} invoice no. {target}"
//!
//!         [resource.fields]
//!         amount = "track"
//!         card = { policy = "secret", mask = "******" }
//!         email = { policy = "track", personal = true }
//!
//!         [[action]]
//!         name = "approve"
//!         description = "Someone with the right to spend said yes."
//!         done = "approved"
//!         attempt = "give approval for"     # optional: the name; see below
//!         "#,
//!         Authority::Operator,
//!     )
//!     .expect("the document is sound");
//! assert_eq!(extension.to_string(), "added resource type `invoice` with 3 fields\nadded action `approve`");
//!
//! let invoice = registry.resource("invoice").expect("just added");
//! assert_eq!(invoice.field("card").expect("declared").policy, Policy::Secret);
//! ```
//!
//! `[resource.later_fields]` holds fields that came after a type's published table; `shared_id = true` says that
//! `resource_id` names something else, such as the owner; `deleted_with = { type = "workspace", additional =
//! "workspace_id" }` says whose deletion counts; `[[resource.sentence_when]]` refines a sentence by what changed.
//! `[[setting]]` documents an admin setting. An unknown key is an error.
//!
//! `done` is the verb of an event that succeeded. `attempt` is the verb, in the infinitive, of one that failed or was
//! redirected: "unsuccessfully attempted to give approval for", "was redirected attempting to give approval for".
//! Without it the name of the action stands there, as in Coder's sentences.

mod describe;
mod document;
mod errors;
mod extend;
mod link;
mod markdown;
mod nearest;
mod placeholder;
mod print;
pub(crate) mod toml_text;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

pub use describe::Described;
pub use errors::{RegistryError, RegistryErrors, RegistryFault};
pub use extend::{Authority, Change, Extension};
pub use link::Linked;
pub use nearest::nearest;

use serde::{Deserialize, Serialize};

/// Bytes of the name of a resource type or action: `AWS` service and event names joined by a colon fit.
pub const KIND_BYTES_MAX: usize = 100;

/// The registry that a type declared by an operator or an application belongs to.
pub const CUSTOM: &str = "custom";

/// The built-in documents, in the order in which types are displayed.
const BUILT_IN: [(&str, &str); 4] = [
    ("coder", include_str!("registry/builtin/coder.toml")),
    ("coder-classic", include_str!("registry/builtin/coder-classic.toml")),
    ("coder-admin", include_str!("registry/builtin/coder-admin.toml")),
    ("annals", include_str!("registry/builtin/annals.toml")),
];

/// What becomes of a field's value in a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Old and new value are recorded.
    Track,
    /// That it changed is recorded, never a value.
    Secret,
    /// The values are recorded shortened: `0fb2...7a4a`.
    Abbreviate,
    /// A change of it is not recorded.
    Ignore,
}

impl Policy {
    /// Every policy, in the order in which help texts list them.
    pub const ALL: [Policy; 4] = [Policy::Track, Policy::Secret, Policy::Abbreviate, Policy::Ignore];

    /// The name in documents: `track`, `secret`, `abbreviate`, `ignore`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::Track => "track",
            Policy::Secret => "secret",
            Policy::Abbreviate => "abbreviate",
            Policy::Ignore => "ignore",
        }
    }

    /// Whether a change of the field appears in a diff at all: the column "Tracked" of the documentation.
    pub const fn is_tracked(self) -> bool {
        !matches!(self, Policy::Ignore)
    }

    /// Whether going from this policy to `other` shows at most as much as before and records at least as much.
    ///
    /// `ignore` shows nothing and records nothing, so from it only `secret` is no loosening, and nothing but
    /// `ignore` itself may become it.
    pub const fn may_tighten_to(self, other: Policy) -> bool {
        matches!(
            (self, other),
            (Policy::Track, Policy::Track | Policy::Abbreviate | Policy::Secret)
                | (Policy::Abbreviate, Policy::Abbreviate | Policy::Secret)
                | (Policy::Secret, Policy::Secret)
                | (Policy::Ignore, Policy::Ignore | Policy::Secret)
        )
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is none of the four policies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown policy `{0}`; expected `track`, `secret`, `abbreviate` or `ignore`")]
pub struct UnknownPolicy(pub String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        Policy::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| UnknownPolicy(text.to_owned()))
    }
}

/// One field of a resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key in snapshots and diffs.
    pub name: String,
    /// What becomes of its value.
    pub policy: Policy,
    /// Whether the value is about a person, and so erasable.
    pub personal: bool,
    /// What is displayed in place of a secret, such as `******`. Only secrets have one.
    pub mask: Option<String>,
}

/// A kind of thing that events are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// The name in the documentation: `AuditableGroup`.
    pub name: String,
    /// What events carry as `resource_type`: `group`. The key in TOML and JSON is `type`.
    pub kind: String,
    /// The document it came from: `coder`, `coder-classic`, `coder-admin`, `annals`, or [`CUSTOM`].
    pub registry: String,
    /// The word in a sentence: `workspace` for a `workspace_build`.
    pub noun: String,
    /// The fields of the published table, in its order.
    pub fields: Vec<Field>,
    /// The fields that came after it. Policies cover both lists alike.
    pub later_fields: Vec<Field>,
    /// The documented actions. Informational: an event with another known action is accepted.
    pub actions: Vec<String>,
    /// Where the resource's page is, below the deployment's address; for the placeholders see [`Linked`].
    pub link: Option<String>,
    /// Whether `resource_target` names a person, and so is erasable.
    pub personal_target: bool,
    /// Whether `resource_id` names something else, such as the user whose key it is.
    ///
    /// Deleting one such resource says nothing about the others with the same id; see [`ResourceType::deletion`].
    pub shared_id: bool,
    /// The resource whose deletion deletes this one too.
    pub deleted_with: Option<DeletedWith>,
    /// Sentence templates by action; the key `default` stands for every other action.
    pub sentences: BTreeMap<String, String>,
    /// Sentences of successful events that depend on what changed; the first that fits is taken.
    pub sentence_when: Vec<SentenceWhen>,
    /// Field name to position in `fields` followed by `later_fields`.
    positions: HashMap<String, usize>,
}

impl ResourceType {
    /// The field of this name, from the published table or a later one, in constant time.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let position = *self.positions.get(name)?;
        self.fields.get(position).or_else(|| self.later_fields.get(position - self.fields.len()))
    }

    /// Every field: those of the published table, then the later ones.
    pub fn all_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().chain(&self.later_fields)
    }

    /// Which later event says that a resource of this type is gone.
    pub fn deletion(&self) -> Deletion<'_> {
        match &self.deleted_with {
            Some(with) => Deletion::With(with),
            None if self.shared_id => Deletion::Unknown,
            None => Deletion::Own,
        }
    }

    /// Whether an application may not redefine what this type is.
    pub fn is_built_in(&self) -> bool {
        self.registry != CUSTOM
    }

    fn index(&mut self) {
        self.positions = self.all_fields().enumerate().map(|(i, field)| (field.name.clone(), i)).collect();
    }
}

/// Which later event says that a resource is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion<'a> {
    /// A successful `delete` of the same type and id.
    Own,
    /// A successful `delete` of another resource, named by the event's `additional_fields`.
    With(&'a DeletedWith),
    /// None: the id does not single out this resource.
    Unknown,
}

/// The resource whose deletion deletes another: a build goes with its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedWith {
    /// Its resource type.
    pub kind: String,
    /// The key of `additional_fields` that holds its id.
    pub additional_field: String,
}

/// A sentence for successful events of one action that changed certain fields only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentenceWhen {
    /// The action.
    pub action: String,
    /// At least one field changed, and no field besides these.
    pub only_changed: Vec<String>,
    /// What the new value of each changed field must be, if that matters.
    pub new: Option<serde_json::Value>,
    /// The template.
    pub sentence: String,
}

/// Something that is done to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What events carry as `action`: `write`.
    pub name: String,
    /// What it means, in a sentence or two.
    pub description: String,
    /// The verb of a successful event: `updated`.
    pub done: String,
    /// The verb after "attempted to", for an event that failed or was redirected: `call DeleteBucket on`.
    ///
    /// Without it the name is the verb.
    pub attempt: Option<String>,
    /// The sentence template, where the usual order of words does not do.
    pub sentence: Option<String>,
    /// The document it came from.
    pub registry: String,
}

/// One documented setting of an admin panel and the event that changing it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The panel: `Git OAuth`.
    pub section: String,
    /// The label: `Client ID`.
    pub setting: String,
    /// The action of the event.
    pub action: String,
    /// The `resource_target` of the event.
    pub target: String,
    /// The key of the diff; empty if the change has no diff.
    pub field: String,
    /// Example values.
    pub diff: String,
    /// What a reader should know about the row.
    pub note: Option<String>,
}

/// Resource types, actions, settings and build reasons. The default is empty; see [`Registry::built_in`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    resources: Vec<ResourceType>,
    resource_positions: HashMap<String, usize>,
    actions: Vec<Action>,
    action_positions: HashMap<String, usize>,
    settings: Vec<Setting>,
    build_reasons: Vec<String>,
}

impl Registry {
    /// The registry that is compiled in.
    pub fn built_in() -> Registry {
        static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
            let mut registry = Registry::default();
            for (name, text) in BUILT_IN {
                if let Err(errors) = registry.extend_as(name, text, Authority::Operator) {
                    unreachable!("the built-in document `{name}` has passed the tests, and yet:\n{errors}");
                }
            }
            registry
        });
        REGISTRY.clone()
    }

    /// The resource type that events call `kind`.
    pub fn resource(&self, kind: &str) -> Option<&ResourceType> {
        self.resource_positions.get(kind).map(|&position| &self.resources[position])
    }

    /// The action that events call `name`.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.action_positions.get(name).map(|&position| &self.actions[position])
    }

    /// Every resource type in display order: built-in ones first, those of the published tables before all others.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceType> {
        self.resources.iter()
    }

    /// Every action in display order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter()
    }

    /// Every documented admin setting, in the order of the panels.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    /// What may have caused a workspace build, in display order.
    pub fn build_reasons(&self) -> &[String] {
        &self.build_reasons
    }

    /// The resource type that `text` was probably meant to be.
    pub fn nearest_resource(&self, text: &str) -> Option<&str> {
        let spellings = self.resources.iter().flat_map(|r| [(&*r.kind, &*r.kind), (&*r.name, &*r.kind)]);
        nearest::nearest_of(text, spellings)
    }

    /// The action that `text` was probably meant to be: `updated` is near to `write`, whose past tense it is.
    pub fn nearest_action(&self, text: &str) -> Option<&str> {
        let spellings = self.actions.iter().flat_map(|a| [(&*a.name, &*a.name), (&*a.done, &*a.name)]);
        nearest::nearest_of(text, spellings)
    }
}
