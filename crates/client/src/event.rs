//! Building an event.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use annals_model::auditable::Auditable;
use annals_model::limits::TEXT_BYTES_MAX;
use annals_model::registry::Policy;
use annals_model::time::Time;
use serde_json::{Map, Value, json};

/// An event to send.
#[derive(Debug, Clone)]
pub struct Event {
    members: Map<String, Value>,
    /// The members `before` and `after`, as text; or nothing.
    states: String,
}

/// Why an event cannot be built from two states of a resource.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Neither a state before nor one after.
    #[error("an event needs a state before or after the action")]
    NoState,
    /// A field's value cannot be written as JSON.
    #[error("a field cannot be written as JSON")]
    Field(#[from] annals_model::auditable::AuditFieldError),
}

impl Event {
    /// An action on a resource that is named by type and target.
    ///
    /// The event gets its id here: sent again after a lost answer, it is recorded once.
    pub fn new(action: &str, resource_type: &str, resource_target: &str) -> Event {
        let mut event = Event { members: Map::new(), states: String::new() };
        event.set("id", new_id());
        event.set("action", action);
        event.set("resource_type", resource_type);
        event.set("resource_target", resource_target);
        event
    }

    /// An action on a resource of a type that is named otherwise.
    pub(crate) fn of_type(action: &str, resource_type: &str) -> Event {
        let mut event = Event::new(action, resource_type, "");
        event.members.remove("resource_target");
        event
    }

    /// An action that changed a resource: `before` is absent for a creation, `after` for a deletion.
    ///
    /// The comparison happens here. Of a secret field only that it changed leaves the process.
    ///
    /// # Errors
    /// [`EventError`] if both states are absent or a field is no JSON.
    pub fn change<T: Auditable>(
        action: &str,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<Event, EventError> {
        let named = after.or(before).ok_or(EventError::NoState)?;
        let target = named.resource_target().unwrap_or_default();
        let mut event = Event::new(action, T::resource_type(), &target);
        if let Some(id) = named.resource_id() {
            event.set("resource_id", id);
        }
        event.states = states(before, after)?;
        Ok(event)
    }

    /// Who acted.
    #[must_use]
    pub fn user(mut self, id: &str, username: &str) -> Event {
        self.set("user", json!({"id": id, "username": username}));
        self
    }

    /// The outcome as an HTTP status.
    #[must_use]
    pub fn status(mut self, status_code: u16) -> Event {
        self.set("status_code", status_code);
        self
    }

    /// Any other member of the wire form, such as `ip`, `user_agent`, `request_id`, `organization`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Event {
        self.set(name, value);
        self
    }

    /// Returns the wire form.
    pub fn to_json(&self) -> String {
        String::from_utf8(self.text(None)).unwrap_or_default()
    }

    /// The wire form with a time, if it has none: when it happened, not when it arrived.
    pub(crate) fn to_wire(&self) -> Vec<u8> {
        self.text(self.members.get("time").is_none().then(now))
    }

    fn text(&self, time: Option<Time>) -> Vec<u8> {
        let mut text = Vec::with_capacity(512 + self.states.len());
        // Neither values nor a buffer fail.
        let _ = serde_json::to_writer(&mut text, &self.members);
        text.pop();
        if !self.states.is_empty() {
            text.push(b',');
            text.extend_from_slice(self.states.as_bytes());
        }
        if let Some(time) = time {
            let _ = write!(text, r#","time":"{time}""#);
        }
        text.push(b'}');
        text
    }

    /// A member that the event has not said itself.
    #[cfg(feature = "axum")]
    pub(crate) fn set_if_absent(&mut self, name: &str, value: &Value) {
        if !self.members.contains_key(name) {
            self.set(name, value.clone());
        }
    }

    /// What may stand in a log: no name, address or value.
    #[cfg(feature = "axum")]
    pub(crate) fn outline(&self) -> String {
        let text = |name| self.members.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{} {} {}", text("action"), text("resource_type"), text("id"))
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        if matches!(name, "before" | "after" | "diff") {
            // The caller's own say stands in place of ours.
            self.states.clear();
        }
        let mut value = value.into();
        if let (true, Value::String(text)) = (SHORTENED.contains(&name), &mut value) {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self.members.insert(name.to_owned(), value);
    }
}

/// Texts that strangers can make as long as they like, of which the server takes [`TEXT_BYTES_MAX`] bytes: a log-in under a name that is too long is an
/// attempt all the same.
const SHORTENED: [&str; 3] = ["resource_target", "resource_icon", "user_agent"];

/// The members `before` and `after`, with the fields that may be sent. What is the same on both sides is left out: it is no change. A changed secret stands
/// as a placeholder that differs between the sides, so that the server sees a change and no value.
fn states<T: Auditable>(before: Option<&T>, after: Option<&T>) -> Result<String, EventError> {
    let side = |state| (state, String::with_capacity(256), Vec::with_capacity(128));
    let mut sides = [side(before), side(after)];
    let placeholders = ["\"value before, withheld\"", "\"value after, withheld\""];
    for (position, field) in T::definition().fields.iter().enumerate() {
        if field.policy == Policy::Ignore {
            continue;
        }
        for (state, _, value) in &mut sides {
            value.clear();
            if let Some(state) = state {
                state.write_field(position, value)?;
            }
        }
        let [(old, _, old_value), (new, _, new_value)] = &sides;
        let is_sent = match (old, new) {
            (Some(_), Some(_)) => old_value != new_value,
            // On the missing side it counts as the zero of its type, so that a secret that is none changed nothing.
            (Some(_), None) => field.policy != Policy::Secret || !is_zero(old_value),
            (None, _) => field.policy != Policy::Secret || !is_zero(new_value),
        };
        if !is_sent {
            continue;
        }
        for ((state, text, value), placeholder) in sides.iter_mut().zip(placeholders) {
            if state.is_none() {
                continue;
            }
            let value = match field.policy {
                Policy::Secret => placeholder,
                _ => std::str::from_utf8(value).unwrap_or("null"),
            };
            text.push(if text.is_empty() { '{' } else { ',' });
            push_name(text, field.name);
            text.push_str(value);
        }
    }
    let mut members = String::with_capacity(sides[0].1.len() + sides[1].1.len() + 24);
    for ((state, text, _), name) in sides.iter().zip(["before", "after"]) {
        if state.is_some() {
            if !members.is_empty() {
                members.push(',');
            }
            push_name(&mut members, name);
            members.push_str(if text.is_empty() { "{" } else { text });
            members.push('}');
        }
    }
    Ok(members)
}

/// The time of the application's clock.
#[expect(clippy::disallowed_methods, reason = "the SDK runs in an application, without an engine")]
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros_saturating(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// An id of version 7. Made without asking the system for random bytes each time, which would cost as much as all the rest.
fn new_id() -> String {
    thread_local! {
        static RANDOM: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    // A keyed hash of a counter: the keys are random, and others in each thread.
    let words = RANDOM.with(|(keys, counter)| {
        counter.set(counter.get() + 1);
        [keys.hash_one((counter.get(), 0_u8)), keys.hash_one((counter.get(), 1_u8))]
    });
    let mut random = [0; 10];
    random[..8].copy_from_slice(&words[0].to_le_bytes());
    random[8..].copy_from_slice(&words[1].to_le_bytes()[..2]);
    let millis = u64::try_from(now().as_micros() / 1_000).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

fn push_name(text: &mut String, name: &str) {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        text.push('"');
        text.push_str(name);
        text.push('"');
    } else {
        text.push_str(&Value::from(name).to_string());
    }
    text.push(':');
}

fn is_zero(json: &[u8]) -> bool {
    match serde_json::from_slice(json) {
        Ok(Value::Null) => true,
        Ok(Value::Bool(value)) => !value,
        Ok(Value::Number(number)) => number.as_f64() == Some(0.0),
        Ok(Value::String(text)) => text.is_empty(),
        Ok(Value::Array(_) | Value::Object(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_differ() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..5_000).map(|_| new_id()).collect::<Vec<_>>())).collect();
        let ids: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), 20_000);
        let id: uuid::Uuid = ids[0].parse().unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        let now = uuid::Uuid::now_v7().get_timestamp().unwrap().to_unix().0;
        assert!(now.abs_diff(id.get_timestamp().unwrap().to_unix().0) < 60);
    }
}
