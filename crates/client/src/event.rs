//! Building an event.

use annals_model::auditable::{AuditField, Auditable};
use annals_model::registry::Policy;
use annals_model::time::Time;
use serde_json::{Map, Value, json};

/// An event to send.
#[derive(Debug, Clone)]
pub struct Event {
    members: Map<String, Value>,
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
        let mut event = Event { members: Map::new() };
        event.set("id", uuid::Uuid::now_v7().to_string());
        event.set("action", action);
        event.set("resource_type", resource_type);
        event.set("resource_target", resource_target);
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
        let fields = |state: Option<&T>| state.map(Auditable::audit_fields).transpose();
        let (old, new) = (fields(before)?, fields(after)?);
        let secrets = changed_secrets(old.as_deref(), new.as_deref());
        if let Some(old) = old {
            event.set("before", snapshot(old, &secrets, "value before, withheld"));
        }
        if let Some(new) = new {
            event.set("after", snapshot(new, &secrets, "value after, withheld"));
        }
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
        serde_json::to_string(&self.members).unwrap_or_default()
    }

    /// The wire form with a time, if it has none: when it happened, not when it arrived.
    pub(crate) fn to_wire(&self, now: Time) -> Vec<u8> {
        let mut text = Vec::with_capacity(1_024);
        // Values are JSON already, and a buffer takes all.
        let _ = serde_json::to_writer(&mut text, &self.members);
        if !self.members.contains_key("time") && text.ends_with(b"}") {
            text.pop();
            text.extend_from_slice(format!(r#","time":"{now}"}}"#).as_bytes());
        }
        text
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }
}

/// Names of the secret fields whose values differ; on a missing side a field counts as the zero of its type.
fn changed_secrets(old: Option<&[AuditField]>, new: Option<&[AuditField]>) -> Vec<&'static str> {
    let value = |side: Option<&[AuditField]>, name: &str| {
        side.and_then(|fields| fields.iter().find(|field| field.name == name))
            .map(|field| field.value.clone())
    };
    let names = new.or(old).into_iter().flatten().filter(|field| field.policy == Policy::Secret);
    names
        .map(|field| field.name)
        .filter(|name| match (value(old, name), value(new, name)) {
            (Some(old), Some(new)) => old != new,
            (Some(only), None) | (None, Some(only)) => !is_zero(&only),
            (None, None) => false,
        })
        .collect()
}

/// The fields to send. A changed secret is sent as a placeholder that differs between the sides, so that the server
/// sees a change and no value; an unchanged one is not sent.
fn snapshot(fields: Vec<AuditField>, changed_secrets: &[&str], placeholder: &str) -> Map<String, Value> {
    let mut snapshot = Map::new();
    for field in fields {
        match field.policy {
            Policy::Track | Policy::Abbreviate => snapshot.insert(field.name.to_owned(), field.value),
            Policy::Secret if changed_secrets.contains(&field.name) => {
                snapshot.insert(field.name.to_owned(), Value::from(placeholder))
            }
            Policy::Secret | Policy::Ignore => None,
        };
    }
    snapshot
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}
