//! The event that a converter makes of a foreign record.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// An event in the wire form; what is empty is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct ImportedEvent<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) id: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) time: Cow<'r, str>,
    #[serde(skip_serializing_if = "ImportedActor::is_empty")]
    pub(super) user: ImportedActor<'r>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) actor_type: Cow<'r, str>,
    #[serde(skip_serializing_if = "ImportedActor::is_empty")]
    pub(super) impersonator: ImportedActor<'r>,
    #[serde(skip_serializing_if = "ImportedActor::is_empty")]
    pub(super) on_behalf_of: ImportedActor<'r>,
    #[serde(skip_serializing_if = "ImportedOrganization::is_empty")]
    pub(super) organization: ImportedOrganization<'r>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) ip: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) user_agent: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) request_id: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) action: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) resource_type: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) resource_id: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) resource_target: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) resource_icon: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_code: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) build_reason: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diff: Option<Cow<'r, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) additional_fields: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) source: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_seq: Option<u64>,
}

/// A person or service of an [`ImportedEvent`].
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ImportedActor<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) id: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) username: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) email: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) name: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) avatar_url: Cow<'r, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<String>,
}

impl ImportedActor<'_> {
    fn is_empty(&self) -> bool {
        *self == ImportedActor::default()
    }
}

/// The organization of an [`ImportedEvent`].
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ImportedOrganization<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) id: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) name: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) display_name: Cow<'r, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) icon: Cow<'r, str>,
}

impl ImportedOrganization<'_> {
    fn is_empty(&self) -> bool {
        *self == ImportedOrganization::default()
    }
}

/// The text of a member, empty if it is absent or no text.
pub(super) fn text<'v>(object: &'v Map<String, Value>, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The beginning of a text, at most `bytes_max` bytes, cut between two characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
