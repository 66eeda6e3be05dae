//! A change in the making: what a handler or a background task knows of it, until its outcome is known.

use std::fmt;

use annals_model::auditable::Auditable;
use serde_json::Value;

use crate::event::{Event, EventError};

/// The state before and after, and what else is to be recorded.
pub(crate) struct Change<T> {
    action: String,
    before: Option<T>,
    after: Option<T>,
    members: Vec<(String, Value)>,
    is_cancelled: bool,
}

/// Without the values, which may be secret.
impl<T> fmt::Debug for Change<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("action", &self.action).finish_non_exhaustive()
    }
}

impl<T: Auditable> Change<T> {
    pub(crate) fn new(action: &str) -> Change<T> {
        Change {
            action: action.to_owned(),
            before: None,
            after: None,
            members: Vec::new(),
            is_cancelled: false,
        }
    }

    #[cfg(feature = "axum")]
    pub(crate) fn action(&mut self, action: &str) {
        action.clone_into(&mut self.action);
    }

    pub(crate) fn before(&mut self, state: T) {
        self.before = Some(state);
    }

    pub(crate) fn after(&mut self, state: T) {
        self.after = Some(state);
    }

    pub(crate) fn with(&mut self, name: &str, value: Value) {
        self.members.push((name.to_owned(), value));
    }

    pub(crate) fn cancel(&mut self) {
        self.is_cancelled = true;
    }

    /// The event, once; none if nothing is known of the resource.
    pub(crate) fn take(&mut self) -> Option<Result<Event, EventError>> {
        let (before, after) = (self.before.take(), self.after.take());
        if self.is_cancelled {
            return None;
        }
        self.is_cancelled = true;
        let named =
            |name: &str| self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value);
        let event = match (&before, &after, named("resource_target").or_else(|| named("resource_id"))) {
            (None, None, None) => return None,
            (None, None, Some(_)) => Ok(Event::of_type(&self.action, T::resource_type())),
            _ => Event::change(&self.action, before.as_ref(), after.as_ref()),
        };
        Some(
            event.map(|event| {
                self.members.drain(..).fold(event, |event, (name, value)| event.with(&name, value))
            }),
        )
    }
}
