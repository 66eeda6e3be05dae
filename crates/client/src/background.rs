//! Work without a request: jobs, timers, reactions to something outside.

use annals_model::auditable::Auditable;
use serde_json::{Value, json};

use crate::auditor::{Auditor, EmitError};
use crate::change::Change;

/// The audit of one piece of background work. Recorded by [`Background::finish`]; if it is dropped before, as when the work panics or is given up, as a
/// failure (500).
#[derive(Debug)]
#[must_use = "dropped at once it records a failure"]
pub struct Background<T: Auditable> {
    auditor: Auditor,
    change: Change<T>,
}

impl Auditor {
    /// Begins to audit background work of a part of the application, such as `autostop`. The actor is the system itself; [`Background::with`] says in whose
    /// name it acts.
    pub fn background<T: Auditable>(&self, subsystem: &str, action: &str) -> Background<T> {
        let mut change = Change::new(action);
        change.with("actor_type", json!("system"));
        change.with(
            "additional_fields",
            json!({"automatic_actor": "system", "automatic_subsystem": subsystem}),
        );
        Background { auditor: self.clone(), change }
    }
}

impl<T: Auditable> Background<T> {
    /// The state before; absent for a creation.
    pub fn before(mut self, state: T) -> Background<T> {
        self.change.before(state);
        self
    }

    /// The state after; absent for a deletion.
    pub fn after(mut self, state: T) -> Background<T> {
        self.change.after(state);
        self
    }

    /// Any other member of the wire form, such as `on_behalf_of`, `organization`, `build_reason`, `request_id`.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Background<T> {
        self.change.with(name, value.into());
        self
    }

    /// Records it with its outcome, as an HTTP status: 200 for success, 500 for failure.
    ///
    /// # Errors
    /// [`EmitError`] if it was not taken.
    pub fn finish(mut self, status: u16) -> Result<(), EmitError> {
        self.record(status)
    }

    /// Records nothing: there was nothing to do.
    pub fn cancel(mut self) {
        self.change.cancel();
    }

    fn record(&mut self, status: u16) -> Result<(), EmitError> {
        match self.change.take() {
            None => Ok(()),
            Some(event) => self.auditor.emit(&event.map_err(EmitError::Event)?.status(status)),
        }
    }
}

impl<T: Auditable> Drop for Background<T> {
    fn drop(&mut self) {
        if let Err(error) = self.record(500) {
            tracing::error!(%error, resource_type = T::resource_type(), "an audit event was not taken");
        }
    }
}
