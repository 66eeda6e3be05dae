//! The read form: a stored record put together again, and the shape of Coder's API.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::diff::FieldChange;
use crate::json::{self, Text};
use crate::record::{Group, Opening, Record};
use crate::time::Time;

/// A record read back into its parts; texts borrow from the record.
///
/// Erased groups leave their parts empty and are listed in `erased`.
#[derive(Debug, Clone)]
pub struct StoredEvent<'a> {
    /// Identity, kind and times.
    pub id: crate::id::EventId,
    /// When it happened.
    pub time: Time,
    /// When the server took it.
    pub received: Time,
    /// The members of the body.
    pub body: Body<'a>,
    /// Personal parts of the people.
    pub who: Who<'a>,
    /// Personal parts of the connection.
    pub origin: Origin<'a>,
    /// Name of the resource, personal or not.
    pub target: Cow<'a, str>,
    /// Changed fields.
    pub changes: Vec<FieldChange<'a>>,
    /// JSON text of the additional fields, `{}` if there are none.
    pub additional_fields: &'a str,
    /// Groups that were erased.
    pub erased: Vec<Group>,
}

/// The members of a body, version 1, besides the markers of personal groups.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Body<'a> {
    /// Action.
    #[serde(borrow, default)]
    pub action: Text<'a>,
    /// Resource type.
    #[serde(borrow, default)]
    pub resource_type: Text<'a>,
    /// Resource id, empty for none.
    #[serde(borrow, default)]
    pub resource_id: Text<'a>,
    #[serde(borrow, default)]
    resource_target: Text<'a>,
    /// Icon of the resource.
    #[serde(borrow, default)]
    pub resource_icon: Text<'a>,
    /// HTTP status.
    #[serde(default)]
    pub status_code: u16,
    /// `user`, `service`, `system` or `anonymous`.
    #[serde(borrow, default)]
    pub actor_type: Text<'a>,
    /// Id and roles of the actor.
    #[serde(borrow, default)]
    pub user: Option<PlainActor<'a>>,
    /// Id and roles of the impersonator.
    #[serde(borrow, default)]
    pub impersonator: Option<PlainActor<'a>>,
    /// Id and roles of the one acted for.
    #[serde(borrow, default)]
    pub on_behalf_of: Option<PlainActor<'a>>,
    /// Organization.
    #[serde(borrow, default)]
    pub organization: Option<Organization<'a>>,
    /// UUID of the request.
    #[serde(borrow, default)]
    pub request_id: Text<'a>,
    /// Why a build ran.
    #[serde(borrow, default)]
    pub build_reason: Text<'a>,
    #[serde(borrow, default)]
    diff: Option<&'a RawValue>,
    /// Producer.
    #[serde(borrow, default)]
    pub source: Text<'a>,
    /// Running number at the producer.
    #[serde(default)]
    pub source_seq: Option<u64>,
}

impl Body<'_> {
    /// The members of a body that are the same under every policy; nothing if it is no body.
    pub(crate) fn untouched_by_policy(text: &str) -> Option<[String; 8]> {
        let body: Body<'_> = serde_json::from_str(text).ok()?;
        let user = body.user.as_ref().map_or("", |user| user.id.as_str());
        Some([
            body.action.as_str().to_owned(),
            body.resource_type.as_str().to_owned(),
            body.resource_id.as_str().to_owned(),
            body.status_code.to_string(),
            body.request_id.as_str().to_owned(),
            user.to_owned(),
            body.source.as_str().to_owned(),
            body.source_seq.map(|seq| seq.to_string()).unwrap_or_default(),
        ])
    }
}

/// What of a person is not personal data by default.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PlainActor<'a> {
    /// Identity.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// Roles at that moment.
    #[serde(borrow, default)]
    pub roles: Vec<Text<'a>>,
}

/// An organization, as it was.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Organization<'a> {
    /// Identity.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// Short name.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// Name for people.
    #[serde(borrow, default)]
    pub display_name: Text<'a>,
    /// Icon.
    #[serde(borrow, default)]
    pub icon: Text<'a>,
}

/// Personal parts of the people of an event.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Who<'a> {
    /// The actor.
    #[serde(borrow, default)]
    pub user: PersonalActor<'a>,
    /// Who really acted.
    #[serde(borrow, default)]
    pub impersonator: PersonalActor<'a>,
    /// For whom.
    #[serde(borrow, default)]
    pub on_behalf_of: PersonalActor<'a>,
}

/// What of a person is personal data.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PersonalActor<'a> {
    /// Log-in name.
    #[serde(borrow, default)]
    pub username: Text<'a>,
    /// E-mail address.
    #[serde(borrow, default)]
    pub email: Text<'a>,
    /// Name for people.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// Picture.
    #[serde(borrow, default)]
    pub avatar_url: Text<'a>,
}

/// Where the action came from.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Origin<'a> {
    /// Address.
    #[serde(borrow, default)]
    pub ip: Text<'a>,
    /// User agent.
    #[serde(borrow, default)]
    pub user_agent: Text<'a>,
}

#[derive(Deserialize)]
struct StoredChange<'a> {
    #[serde(borrow, default)]
    old: Option<&'a RawValue>,
    #[serde(borrow, default)]
    new: Option<&'a RawValue>,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    personal: bool,
}

/// The body or a group is not the JSON that [`crate::prepare`] writes: the record is damaged.
#[derive(Debug, thiserror::Error)]
#[error("the stored event {id} cannot be read: {source}")]
pub struct StoredEventError {
    /// Which event.
    pub id: crate::id::EventId,
    /// What the reader met.
    #[source]
    pub source: serde_json::Error,
}

impl<'a> StoredEvent<'a> {
    /// Puts a record together again.
    ///
    /// # Errors
    /// [`StoredEventError`] if the record does not hold what version 1 writes.
    pub fn read(record: &Record<'a>) -> Result<StoredEvent<'a>, StoredEventError> {
        Self::read_inner(record).map_err(|source| StoredEventError { id: record.id, source })
    }

    fn read_inner(record: &Record<'a>) -> Result<StoredEvent<'a>, serde_json::Error> {
        // Of a dropped event nothing is left to show; no search finds it.
        let text = if record.dropped.is_some() { "{}" } else { record.body };
        let body: Body<'a> = serde_json::from_str(text)?;
        let value = |group: Group| match record.opening(group) {
            Some(Opening::Present { value, .. }) => Some(*value),
            _ => None,
        };
        let who = value(Group::Who).map(serde_json::from_str).transpose()?.unwrap_or_default();
        let origin = value(Group::Origin).map(serde_json::from_str).transpose()?.unwrap_or_default();
        let target: Option<Text<'a>> = value(Group::Target).map(serde_json::from_str).transpose()?;
        let target = target.map_or_else(|| body.resource_target.clone().into_cow(), Text::into_cow);
        let changes = match body.diff {
            Some(diff) => changes(diff, value(Group::DiffOld), value(Group::DiffNew))?,
            None => Vec::new(),
        };
        let additional_fields = value(Group::Details).unwrap_or("{}");
        let erased = Group::ALL.into_iter();
        let erased =
            erased.filter(|group| matches!(record.opening(*group), Some(Opening::Erased { .. }))).collect();
        Ok(StoredEvent {
            id: record.id,
            time: record.time,
            received: record.received,
            body,
            who,
            origin,
            target,
            changes,
            additional_fields,
            erased,
        })
    }

    /// Returns a top-level text or number of the additional fields.
    pub fn additional(&self, name: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(self.additional_fields).ok()?;
        let members = json::members(raw).ok()?;
        let (_, value) = members.into_iter().find(|(key, _)| key == name)?;
        match json::kind(value) {
            json::Kind::String => json::text(value).map(Cow::into_owned),
            json::Kind::Number => Some(value.get().to_owned()),
            _ => None,
        }
    }
}

fn changes<'a>(
    diff: &'a RawValue,
    old: Option<&'a str>,
    new: Option<&'a str>,
) -> Result<Vec<FieldChange<'a>>, serde_json::Error> {
    let side = |text: Option<&'a str>| -> Result<Vec<(Cow<'a, str>, &'a RawValue)>, serde_json::Error> {
        let Some(text) = text else { return Ok(Vec::new()) };
        let raw: &'a RawValue = serde_json::from_str(text)?;
        json::members(raw).map_err(|fault| serde::de::Error::custom(fault.detail))
    };
    let (old, new) = (side(old)?, side(new)?);
    let personal_value = |side: &[(Cow<'a, str>, &'a RawValue)], field: &str| {
        side.iter().find(|(name, _)| name == field).map(|(_, value)| Cow::Borrowed(value.get()))
    };
    let members = json::members(diff).map_err(|fault| serde::de::Error::custom(fault.detail))?;
    members
        .into_iter()
        .map(|(field, entry)| {
            let change: StoredChange<'a> = serde_json::from_str(entry.get())?;
            let (old, new) = if change.personal {
                (personal_value(&old, &field), personal_value(&new, &field))
            } else {
                (
                    change.old.map(|raw| Cow::Borrowed(raw.get())),
                    change.new.map(|raw| Cow::Borrowed(raw.get())),
                )
            };
            Ok(FieldChange { field, old, new, secret: change.secret, personal: change.personal })
        })
        .collect()
}

/// One event as `GET /api/v2/audit` returns it: every key of Coder's `AuditLog`, then those of Annals.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the API's; docs/API.md describes them")]
pub struct AuditLog<'a> {
    pub id: String,
    pub request_id: &'a str,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date-time"))]
    pub time: Time,
    pub ip: &'a str,
    pub user_agent: &'a str,
    pub resource_type: &'a str,
    pub resource_id: &'a str,
    pub resource_target: &'a str,
    pub resource_icon: &'a str,
    pub action: &'a str,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub diff: Box<RawValue>,
    pub status_code: u16,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub additional_fields: &'a RawValue,
    pub description: String,
    pub resource_link: String,
    pub is_deleted: bool,
    pub organization_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<AuditOrganization<'a>>,
    pub user: Option<AuditUser<'a>>,
    pub seq: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date-time"))]
    pub received: Time,
    pub outcome: &'static str,
    pub actor_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub build_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonator: Option<AuditActor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<AuditActor<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_seq: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub erased: Vec<&'static str>,
}

/// The organization of an [`AuditLog`].
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the API's; docs/API.md describes them")]
pub struct AuditOrganization<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub display_name: &'a str,
    pub icon: &'a str,
}

/// The actor of an [`AuditLog`], with every key of Coder's user. What Annals does not know of a person (such as the
/// last time they were seen) has the value Coder shows for "never" or "none".
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the API's; docs/API.md describes them")]
pub struct AuditUser<'a> {
    pub id: &'a str,
    pub username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub avatar_url: &'a str,
    pub email: &'a str,
    pub created_at: &'static str,
    pub updated_at: &'static str,
    pub last_seen_at: &'static str,
    pub status: &'static str,
    pub login_type: &'static str,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub organization_ids: [&'static str; 0],
    pub roles: Vec<AuditRole<'a>>,
    pub has_ai_seat: bool,
}

/// A role of an [`AuditUser`].
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the API's; docs/API.md describes them")]
pub struct AuditRole<'a> {
    pub name: &'a str,
    pub display_name: &'a str,
}

/// Impersonator or the one acted for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the API's; docs/API.md describes them")]
pub struct AuditActor<'a> {
    pub id: &'a str,
    pub username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    pub email: &'a str,
}

/// The zero time of Coder's API, shown where a time is not known.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
/// Coder's "no UUID".
pub const NIL_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// What is added on reading: looked up or computed, not stored.
#[derive(Debug, Clone, Default)]
pub struct Added {
    /// Position in the log.
    pub seq: u64,
    /// The sentence, with the placeholders `{user}` and `{target}`.
    pub description: String,
    /// Address of the resource in the deployment, empty if there is none.
    pub resource_link: String,
    /// A later successful delete of the same resource is in the log.
    pub is_deleted: bool,
}

/// `success`, `denied` or `failure`, by HTTP status.
pub const fn outcome(status_code: u16) -> &'static str {
    match status_code {
        401 | 403 => "denied",
        ..=399 => "success",
        _ => "failure",
    }
}

impl<'a> AuditLog<'a> {
    /// Gives a stored event the shape of the API.
    ///
    /// # Errors
    /// [`StoredEventError`] if the stored diff or additional fields are not JSON.
    pub fn new(event: &'a StoredEvent<'a>, added: Added) -> Result<AuditLog<'a>, StoredEventError> {
        let damaged = |source| StoredEventError { id: event.id, source };
        let mut diff = Vec::with_capacity(64);
        crate::diff::push_json(&mut diff, event.changes.iter());
        let diff = String::from_utf8(diff).expect("JSON built from texts is a text");
        let body = &event.body;
        let or_nil = |text: &'a Text<'a>| if text.as_str().is_empty() { NIL_UUID } else { text.as_str() };
        let organization = body.organization.as_ref();
        Ok(AuditLog {
            id: event.id.to_string(),
            request_id: or_nil(&body.request_id),
            time: event.time,
            ip: event.origin.ip.as_str(),
            user_agent: event.origin.user_agent.as_str(),
            resource_type: body.resource_type.as_str(),
            resource_id: or_nil(&body.resource_id),
            resource_target: &event.target,
            resource_icon: body.resource_icon.as_str(),
            action: body.action.as_str(),
            diff: RawValue::from_string(diff).map_err(damaged)?,
            status_code: body.status_code,
            additional_fields: serde_json::from_str(event.additional_fields).map_err(damaged)?,
            description: added.description,
            resource_link: added.resource_link,
            is_deleted: added.is_deleted,
            organization_id: organization.map_or(NIL_UUID, |organization| or_nil(&organization.id)),
            organization: organization.map(|organization| AuditOrganization {
                id: or_nil(&organization.id),
                name: organization.name.as_str(),
                display_name: organization.display_name.as_str(),
                icon: organization.icon.as_str(),
            }),
            user: audit_user(event),
            seq: added.seq,
            received: event.received,
            outcome: outcome(body.status_code),
            actor_type: body.actor_type.as_str(),
            build_reason: body.build_reason.as_str(),
            impersonator: audit_actor(body.impersonator.as_ref(), &event.who.impersonator),
            on_behalf_of: audit_actor(body.on_behalf_of.as_ref(), &event.who.on_behalf_of),
            source: body.source.as_str(),
            source_seq: body.source_seq,
            erased: event.erased.iter().map(|group| &group.path()[1..]).collect(),
        })
    }
}

fn audit_user<'a>(event: &'a StoredEvent<'a>) -> Option<AuditUser<'a>> {
    let plain = event.body.user.as_ref();
    let personal = &event.who.user;
    let id = plain.map_or("", |plain| plain.id.as_str());
    if id.is_empty() && personal.username.as_str().is_empty() && personal.email.as_str().is_empty() {
        return None;
    }
    let roles = plain.map(|plain| plain.roles.as_slice()).unwrap_or_default();
    Some(AuditUser {
        id: if id.is_empty() { NIL_UUID } else { id },
        username: personal.username.as_str(),
        name: personal.name.as_str(),
        avatar_url: personal.avatar_url.as_str(),
        email: personal.email.as_str(),
        created_at: ZERO_TIME,
        updated_at: ZERO_TIME,
        last_seen_at: ZERO_TIME,
        status: "active",
        login_type: "",
        organization_ids: [],
        roles: roles.iter().map(|role| AuditRole { name: role.as_str(), display_name: "" }).collect(),
        has_ai_seat: false,
    })
}

fn audit_actor<'a>(
    plain: Option<&'a PlainActor<'a>>,
    personal: &'a PersonalActor<'a>,
) -> Option<AuditActor<'a>> {
    let id = plain.map_or("", |plain| plain.id.as_str());
    let (username, email) = (personal.username.as_str(), personal.email.as_str());
    let known = !id.is_empty() || !username.is_empty() || !email.is_empty();
    known.then(|| AuditActor { id, username, name: personal.name.as_str(), email })
}
