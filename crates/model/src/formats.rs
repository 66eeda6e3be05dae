//! Events as other programs expect them: one line each.
//!
//! The forms are the ones that collectors know already: the line of Coder's own logger, of its predecessor, of Google Cloud's, for people, and the two
//! schemas of SIEM systems. All are made from the [`AuditLog`] that the API shows; what a form has no place for is left out, or stands under `annals`.

mod coder;
mod ecs;
mod human;
mod ocsf;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::audit_log::{AuditActor, AuditLog};

/// The form of an event on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventFormat {
    /// As the API of Annals shows it.
    Native,
    /// The line of today's Coder: `{"ts", "level", "msg": "audit_log", …, "fields": {"ID", "Time", …, "actor"}}`.
    Coder,
    /// The line of Coder before version 2: `{"message": {"fields": {"audit_log": {…}}}}`.
    Classic,
    /// The line that Google Cloud Logging takes apart, with the fields of [`EventFormat::Coder`].
    Stackdriver,
    /// A line for people: time, level, name, then `key=value`.
    Human,
    /// Open Cybersecurity Schema Framework 1.4.
    Ocsf,
    /// Elastic Common Schema 8.17.
    Ecs,
}

impl EventFormat {
    /// Every form.
    pub const ALL: [EventFormat; 7] = [
        EventFormat::Native,
        EventFormat::Coder,
        EventFormat::Classic,
        EventFormat::Stackdriver,
        EventFormat::Human,
        EventFormat::Ocsf,
        EventFormat::Ecs,
    ];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            EventFormat::Native => "native",
            EventFormat::Coder => "coder",
            EventFormat::Classic => "classic",
            EventFormat::Stackdriver => "stackdriver",
            EventFormat::Human => "human",
            EventFormat::Ocsf => "ocsf",
            EventFormat::Ecs => "ecs",
        }
    }

    /// Whether a line is a JSON object.
    pub const fn is_json(self) -> bool {
        !matches!(self, EventFormat::Human)
    }

    /// Appends the event, without a line end.
    pub fn push(self, out: &mut Vec<u8>, event: &AuditLog<'_>) {
        match self {
            EventFormat::Native => push_json(out, event),
            EventFormat::Coder => push_json(out, &coder::line(event)),
            EventFormat::Classic => push_json(out, &classic(event)),
            EventFormat::Stackdriver => push_json(out, &coder::stackdriver(event)),
            EventFormat::Human => human::push(out, event),
            EventFormat::Ocsf => push_json(out, &ocsf::event(event)),
            EventFormat::Ecs => push_json(out, &ecs::event(event)),
        }
    }
}

impl fmt::Display for EventFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no form of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no format; there are `native`, `coder`, `classic`, `stackdriver`, `human`, `ocsf` and `ecs`")]
pub struct EventFormatError;

impl FromStr for EventFormat {
    type Err = EventFormatError;

    fn from_str(text: &str) -> Result<EventFormat, EventFormatError> {
        EventFormat::ALL.into_iter().find(|format| format.name() == text).ok_or(EventFormatError)
    }
}

/// The event under the path that documents of the predecessor name: `message.fields.audit_log.action`. No whole line of it is published, so the members
/// inside are those of the native form.
fn classic<'e>(event: &'e AuditLog<'e>) -> impl Serialize + 'e {
    #[derive(Serialize)]
    struct Line<'e> {
        ts: String,
        level: &'static str,
        message: Message<'e>,
    }
    #[derive(Serialize)]
    struct Message<'e> {
        msg: &'static str,
        fields: Fields<'e>,
    }
    #[derive(Serialize)]
    struct Fields<'e> {
        audit_log: &'e AuditLog<'e>,
    }
    let message = Message { msg: coder::MESSAGE, fields: Fields { audit_log: event } };
    Line { ts: event.received.to_string(), level: "INFO", message }
}

fn push_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("what was read as JSON is written into memory");
}

/// What neither schema of SIEM systems has a place for, with its exact values. Empty members are left out.
#[derive(Serialize)]
struct Rest<'e> {
    seq: u64,
    outcome: &'static str,
    diff: &'e RawValue,
    additional_fields: &'e RawValue,
    #[serde(skip_serializing_if = "str::is_empty")]
    actor_type: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    build_reason: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonator: Option<&'e AuditActor<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'e AuditActor<'e>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_seq: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    erased: &'e [&'static str],
}

fn rest<'e>(event: &'e AuditLog<'e>) -> Rest<'e> {
    Rest {
        seq: event.seq,
        outcome: event.outcome,
        diff: &event.diff,
        additional_fields: event.additional_fields,
        actor_type: event.actor_type,
        build_reason: event.build_reason,
        impersonator: event.impersonator.as_ref(),
        on_behalf_of: event.on_behalf_of.as_ref(),
        source: event.source,
        source_seq: event.source_seq,
        erased: &event.erased,
    }
}

/// The sentence with its names in place.
fn sentence(event: &AuditLog<'_>) -> String {
    let user = match (&event.user, event.actor_type) {
        (Some(user), _) if !user.username.is_empty() => user.username,
        (_, "system") => "the system",
        _ => "somebody unknown",
    };
    let mut sentence = String::with_capacity(event.description.len() + 64);
    let mut left = event.description.as_str();
    // In one pass, so that a name with braces stays a name.
    while let Some(at) = left.find('{') {
        sentence.push_str(&left[..at]);
        let (name, after) = match &left[at..] {
            text if text.starts_with("{user}") => (user, "{user}".len()),
            text if text.starts_with("{target}") => (event.resource_target, "{target}".len()),
            _ => ("{", 1),
        };
        sentence.push_str(name);
        left = &left[at + after..];
    }
    sentence.push_str(left);
    sentence
}
