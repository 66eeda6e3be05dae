//! What changed: two snapshots, or a ready diff, under the policy of a resource type.
//!
//! Whole fields, top level only, typed by JSON. Absent counts as null; on a missing side (create, delete) a field
//! counts as the zero of the other side's type: `""`, `0`, `false`, and null for lists and objects. An explicit null
//! against `0` or `false` is no change, against `""` it is one. Secrets appear only when changed, as zero values.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, JsonFault, Kind};
use crate::limits::{DIFF_FIELDS_MAX, NAME_BYTES_MAX, SNAPSHOT_FIELDS_MAX};
use crate::registry::{Field, Policy, ResourceType};

/// One changed field. Values are JSON texts; absent means null and is left out on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange<'a> {
    /// Name of the field.
    pub field: Cow<'a, str>,
    /// Value before.
    pub old: Option<Cow<'a, str>>,
    /// Value after.
    pub new: Option<Cow<'a, str>>,
    /// The field changed; its values are withheld.
    pub secret: bool,
    /// The values are personal data.
    pub personal: bool,
}

/// A diff and what the producer should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff<'a> {
    /// Changed fields, in the order of `before`, then those that only `after` has.
    pub changes: Vec<FieldChange<'a>>,
    /// Fields without a policy that changed: recorded as secret.
    pub unclassified: Vec<Cow<'a, str>>,
}

/// Why a snapshot or diff cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// `before`, `after` or `diff` holds JSON that is not acceptable.
    #[error("{}", .0.detail)]
    Json(JsonFault),
    /// A snapshot of more fields than [`SNAPSHOT_FIELDS_MAX`].
    #[error("a snapshot of {count} fields, more than the limit of {SNAPSHOT_FIELDS_MAX}")]
    SnapshotTooWide {
        /// How many.
        count: usize,
    },
    /// A field whose name is longer than [`NAME_BYTES_MAX`].
    #[error("a field name of {bytes} bytes, more than the limit of {NAME_BYTES_MAX}")]
    LongName {
        /// Its length.
        bytes: usize,
    },
    /// More changed fields than [`DIFF_FIELDS_MAX`].
    #[error("{count} fields changed, more than the limit of {DIFF_FIELDS_MAX}")]
    TooManyFields {
        /// How many.
        count: usize,
    },
}

/// The values of one field on both sides.
struct Sides<'a> {
    field: Cow<'a, str>,
    old: Option<&'a RawValue>,
    new: Option<&'a RawValue>,
}

/// Compares two snapshots; a side that is absent or null is missing.
///
/// # Errors
/// [`DiffError`] if a side is no object, holds a key twice or a value that JSON text cannot carry.
pub fn between<'a>(
    resource: Option<&ResourceType>,
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
) -> Result<Diff<'a>, DiffError> {
    let before = snapshot(before)?;
    let after = snapshot(after)?;
    let missing_side = before.is_none() || after.is_none();
    let mut sides: Vec<Sides<'a>> = Vec::new();
    let mut after = after.unwrap_or_default();
    for (field, old) in before.unwrap_or_default() {
        // Producers write both sides from one type, so the same field is nearly always the first one left.
        let found = after.iter().position(|(name, _)| *name == field);
        let new = found.map(|at| after.remove(at).1);
        sides.push(Sides { field, old: Some(old), new });
    }
    sides.extend(after.into_iter().map(|(field, new)| Sides { field, old: None, new: Some(new) }));
    under_policy(resource, sides, missing_side)
}

/// A ready diff as producers send it: `{field: {old, new, secret}}`; Coder's stored form with capital keys is read too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyChange<'a> {
    #[serde(borrow, default, alias = "Old")]
    old: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "New")]
    new: Option<&'a RawValue>,
    #[serde(default, alias = "Secret")]
    secret: bool,
}

/// Passes a ready diff through the same policy as snapshots.
///
/// # Errors
/// [`DiffError`] if it is not an object of `{old, new, secret}`.
pub fn from_ready<'a>(resource: Option<&ResourceType>, diff: &'a RawValue) -> Result<Diff<'a>, DiffError> {
    json::check(diff).map_err(DiffError::Json)?;
    let mut sides = Vec::new();
    let mut secrets = Vec::new();
    for (field, entry) in json::members(diff).map_err(DiffError::Json)? {
        let change: ReadyChange<'a> = serde_json::from_str(entry.get()).map_err(|error| {
            let pointer = format!("/{}", json::escape_pointer(&field));
            DiffError::Json(JsonFault { pointer, detail: json::plain_message(&error) })
        })?;
        if field.len() > NAME_BYTES_MAX {
            return Err(DiffError::LongName { bytes: field.len() });
        }
        if change.secret {
            secrets.push(field);
        } else {
            let present = |value: &&RawValue| json::kind(value) != Kind::Null;
            sides.push(Sides { field, old: change.old.filter(present), new: change.new.filter(present) });
        }
    }
    let mut diff = under_policy(resource, sides, false)?;
    // What the producer already withheld stays withheld; what the policy ignores stays out.
    for field in secrets {
        let policy = resource.and_then(|resource| resource.field(&field));
        if policy.is_none_or(|field| field.policy != Policy::Ignore) {
            diff.changes.push(withheld(field, policy, None, None));
        }
    }
    if diff.changes.len() > DIFF_FIELDS_MAX {
        return Err(DiffError::TooManyFields { count: diff.changes.len() });
    }
    Ok(diff)
}

type Snapshot<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

fn snapshot<'a>(side: Option<&'a RawValue>) -> Result<Option<Snapshot<'a>>, DiffError> {
    let Some(raw) = side.filter(|raw| json::kind(raw) != Kind::Null) else { return Ok(None) };
    json::check(raw).map_err(DiffError::Json)?;
    let members = json::members(raw).map_err(DiffError::Json)?;
    if members.len() > SNAPSHOT_FIELDS_MAX {
        return Err(DiffError::SnapshotTooWide { count: members.len() });
    }
    Ok(Some(members))
}

fn under_policy<'a>(
    resource: Option<&ResourceType>,
    sides: Vec<Sides<'a>>,
    missing_side: bool,
) -> Result<Diff<'a>, DiffError> {
    if let Some(long) = sides.iter().find(|side| side.field.len() > NAME_BYTES_MAX) {
        return Err(DiffError::LongName { bytes: long.field.len() });
    }
    let personal_type = resource.is_some_and(|resource| resource.personal_target);
    let mut diff = Diff::default();
    for Sides { field, old, new } in sides {
        let rule = resource.and_then(|resource| resource.field(&field));
        if rule.is_some_and(|rule| rule.policy == Policy::Ignore) || !has_changed(old, new, missing_side) {
            continue;
        }
        let personal = personal_type || rule.is_some_and(|rule| rule.personal);
        let change = match rule.map(|rule| rule.policy) {
            Some(Policy::Track) => FieldChange {
                old: shown(old, new, missing_side),
                new: shown(new, old, missing_side),
                secret: false,
                personal,
                field,
            },
            Some(Policy::Abbreviate) => FieldChange {
                old: abbreviated_side(old, new, missing_side),
                new: abbreviated_side(new, old, missing_side),
                secret: false,
                personal,
                field,
            },
            Some(Policy::Secret) => withheld(field, rule, old, new),
            Some(Policy::Ignore) => continue,
            None => {
                diff.unclassified.push(field.clone());
                withheld(field, None, old, new)
            }
        };
        diff.changes.push(change);
    }
    if diff.changes.len() > DIFF_FIELDS_MAX {
        return Err(DiffError::TooManyFields { count: diff.changes.len() });
    }
    Ok(diff)
}

fn has_changed(old: Option<&RawValue>, new: Option<&RawValue>, missing_side: bool) -> bool {
    match (old.filter(is_set), new.filter(is_set)) {
        (None, None) => false,
        (Some(old), Some(new)) => !json::equal(old, new),
        (Some(only), None) | (None, Some(only)) => match json::kind(only) {
            Kind::Null => false,
            Kind::Bool => only.get() != "false",
            Kind::Number => !is_zero(only),
            // Null against "" is a change, unless the whole side is missing: then "" is the zero it counts as.
            Kind::String => !(missing_side && only.get() == "\"\""),
            Kind::Array | Kind::Object => true,
        },
    }
}

fn is_set(value: &&RawValue) -> bool {
    json::kind(value) != Kind::Null
}

fn is_zero(number: &RawValue) -> bool {
    let mantissa = number.get().split(['e', 'E']).next().unwrap_or_default();
    !mantissa.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0')
}

/// The JSON text of one side; on a missing side the zero of the other's type, and nothing for null.
fn shown<'a>(
    value: Option<&'a RawValue>,
    other: Option<&'a RawValue>,
    missing_side: bool,
) -> Option<Cow<'a, str>> {
    match value.filter(is_set) {
        Some(value) if value.get().bytes().any(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r')) => {
            let mut compact = Vec::with_capacity(value.get().len());
            json::push_compact(&mut compact, value);
            Some(Cow::Owned(String::from_utf8(compact).expect("white space is cut at character boundaries")))
        }
        Some(value) => Some(Cow::Borrowed(value.get())),
        None if missing_side => other.and_then(zero_of).map(Cow::Borrowed),
        None => None,
    }
}

fn zero_of(value: &RawValue) -> Option<&'static str> {
    match json::kind(value) {
        Kind::String => Some("\"\""),
        Kind::Number => Some("0"),
        Kind::Bool => Some("false"),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

fn withheld<'a>(
    field: Cow<'a, str>,
    rule: Option<&Field>,
    old: Option<&RawValue>,
    new: Option<&RawValue>,
) -> FieldChange<'a> {
    let mask = rule.and_then(|rule| rule.mask.as_deref());
    let zero = old.filter(is_set).or(new.filter(is_set)).map_or(Some("\"\""), zero_of);
    let side = |value: Option<&RawValue>| match (mask, value.filter(is_set)) {
        (Some(mask), Some(value)) if value.get() != "\"\"" => {
            Some(Cow::Owned(serde_json::to_string(mask).expect("a text always serialises")))
        }
        _ => zero.map(Cow::Borrowed),
    };
    FieldChange { field, old: side(old), new: side(new), secret: true, personal: false }
}

/// Shortens a side that is set; the zero that stands for a missing one hides nothing.
fn abbreviated_side<'a>(
    value: Option<&'a RawValue>,
    other: Option<&'a RawValue>,
    missing_side: bool,
) -> Option<Cow<'a, str>> {
    let shown = shown(value, other, missing_side)?;
    Some(if value.filter(is_set).is_some() { abbreviated(shown) } else { shown })
}

/// Characters from which a value is abbreviated rather than hidden: four at each end must leave at least half unseen.
const ABBREVIATE_CHARS_MIN: usize = 16;

/// Shortens a value to its first and last four characters; a short one becomes six stars.
fn abbreviated(value: Cow<'_, str>) -> Cow<'static, str> {
    let plain = serde_json::from_str::<String>(&value).unwrap_or_else(|_| value.into_owned());
    if plain.is_empty() {
        return Cow::Borrowed("\"\"");
    }
    let characters: Vec<char> = plain.chars().collect();
    if characters.len() < ABBREVIATE_CHARS_MIN {
        return Cow::Borrowed("\"******\"");
    }
    let head: String = characters[..4].iter().collect();
    let tail: String = characters[characters.len() - 4..].iter().collect();
    Cow::Owned(serde_json::to_string(&format!("{head}...{tail}")).expect("a text always serialises"))
}

/// Writes the changes as Coder's API has them: `{field: {old, new, secret}}`.
pub fn push_json<'c>(out: &mut Vec<u8>, changes: impl Iterator<Item = &'c FieldChange<'c>>) {
    out.push(b'{');
    for (index, change) in changes.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_text(out, &change.field);
        out.extend_from_slice(b":{");
        for (name, value) in [("old", &change.old), ("new", &change.new)] {
            if let Some(value) = value {
                json::push_text(out, name);
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
                out.push(b',');
            }
        }
        out.extend_from_slice(if change.secret { b"\"secret\":true}" } else { b"\"secret\":false}" });
    }
    out.push(b'}');
}
