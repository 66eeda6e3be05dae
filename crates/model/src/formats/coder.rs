//! The line of Coder's logger, as its JSON sink and its sink for Google Cloud write it.
//!
//! Names, order and capitals are what collectors of Coder's logs look for. Two things are ours: `caller` and `func` name this program, and `ts` is when the
//! log took the event, so that the same event is the same line whenever it is written.

use serde::Serialize;
use serde::ser::SerializeMap as _;
use serde_json::value::RawValue;

use crate::audit_log::AuditLog;
use crate::json;
use crate::time::Time;

/// What the lines are about, in Coder's words.
pub(super) const MESSAGE: &str = "audit_log";
/// What Coder writes for an address that is not known.
const NO_ADDRESS: &str = "<nil>";
/// The name of the logger whose lines collectors expect.
pub(super) const LOGGER: &str = "coderd";

/// The fields of an event, in the order of Coder.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Fields<'e> {
    #[serde(rename = "ID")]
    pub(super) id: &'e str,
    pub(super) time: Time,
    #[serde(rename = "UserID")]
    pub(super) user_id: &'e str,
    #[serde(rename = "OrganizationID")]
    pub(super) organization_id: &'e str,
    pub(super) ip: &'e str,
    pub(super) user_agent: &'e str,
    pub(super) resource_type: &'e str,
    #[serde(rename = "ResourceID")]
    pub(super) resource_id: &'e str,
    pub(super) resource_target: &'e str,
    pub(super) action: &'e str,
    pub(super) diff: Diff<'e>,
    pub(super) status_code: u16,
    pub(super) additional_fields: &'e RawValue,
    #[serde(rename = "RequestID")]
    pub(super) request_id: &'e str,
    pub(super) resource_icon: &'e str,
    #[serde(rename = "actor")]
    pub(super) actor: Actor<'e>,
}

#[derive(Serialize)]
pub(super) struct Actor<'e> {
    pub(super) id: &'e str,
    pub(super) email: &'e str,
    pub(super) username: &'e str,
}

/// The diff with capital keys, absent values as null.
pub(super) struct Diff<'e>(pub(super) &'e RawValue);

impl Serialize for Diff<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Change<'e> {
            old: Option<&'e RawValue>,
            new: Option<&'e RawValue>,
            secret: bool,
        }
        let fields = json::members(self.0).unwrap_or_default();
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (field, change) in &fields {
            let sides = json::members(change).unwrap_or_default();
            let side = |name: &str| sides.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
            let secret = side("secret").is_some_and(|value| value.get() == "true");
            map.serialize_entry(field, &Change { old: side("old"), new: side("new"), secret })?;
        }
        map.end()
    }
}

pub(super) fn fields<'e>(event: &'e AuditLog<'e>) -> Fields<'e> {
    let nil = crate::audit_log::NIL_UUID;
    let user = event.user.as_ref();
    Fields {
        id: &event.id,
        time: event.time,
        user_id: user.map_or(nil, |user| user.id),
        organization_id: event.organization_id,
        ip: if event.ip.is_empty() { NO_ADDRESS } else { event.ip },
        user_agent: event.user_agent,
        resource_type: event.resource_type,
        resource_id: event.resource_id,
        resource_target: event.resource_target,
        action: event.action,
        diff: Diff(&event.diff),
        status_code: event.status_code,
        additional_fields: event.additional_fields,
        request_id: event.request_id,
        resource_icon: event.resource_icon,
        actor: Actor {
            id: user.map_or(nil, |user| user.id),
            email: user.map_or("", |user| user.email),
            username: user.map_or("", |user| user.username),
        },
    }
}

/// The line of the JSON sink.
pub(super) fn line<'e>(event: &'e AuditLog<'e>) -> impl Serialize + 'e {
    #[derive(Serialize)]
    struct Line<'e> {
        ts: String,
        level: &'static str,
        msg: &'static str,
        caller: &'static str,
        func: &'static str,
        logger_names: [&'static str; 1],
        fields: Fields<'e>,
    }
    Line {
        ts: event.received.to_string(),
        level: "INFO",
        msg: MESSAGE,
        caller: "annals",
        func: "annals",
        logger_names: [LOGGER],
        fields: fields(event),
    }
}

/// The line of the sink for Google Cloud, whose fields stand beside the members that it knows.
///
/// # Source
/// Cloud Logging, "Structured logging": special fields of the JSON payload.
pub(super) fn stackdriver<'e>(event: &'e AuditLog<'e>) -> impl Serialize + 'e {
    #[derive(Serialize)]
    struct Line<'e> {
        #[serde(rename = "logging.googleapis.com/severity")]
        named_severity: &'static str,
        severity: &'static str,
        message: &'static str,
        #[serde(rename = "timestampSeconds")]
        seconds: i64,
        #[serde(rename = "timestampNanos")]
        nanos: i64,
        #[serde(rename = "logging.googleapis.com/operation")]
        operation: Operation,
        #[serde(flatten)]
        fields: Fields<'e>,
    }
    #[derive(Serialize)]
    struct Operation {
        producer: &'static str,
    }
    let micros = event.received.as_micros();
    Line {
        named_severity: "INFO",
        severity: "INFO",
        message: MESSAGE,
        seconds: micros.div_euclid(1_000_000),
        nanos: micros.rem_euclid(1_000_000) * 1_000,
        operation: Operation { producer: LOGGER },
        fields: fields(event),
    }
}
