//! What Annals itself does, recorded like everyone's events: Annals is its own first customer.

use annals_store::Organization;
use serde_json::{Map, Value, json};
use tracing::error;

use crate::Engine;
use crate::error::ForbiddenError;
use crate::ingest::{IngestError, OWN_SOURCE, PartialBatch, Pending};
use crate::principal::Principal;

/// An operation of Annals to record.
#[derive(Debug, Clone)]
pub struct OwnEvent {
    members: Map<String, Value>,
    additional: Map<String, Value>,
}

impl OwnEvent {
    /// An action of the registry on something of Annals' own types, named for people.
    pub fn new(action: &str, resource_type: &str, target: &str) -> OwnEvent {
        let mut event = OwnEvent { members: Map::new(), additional: Map::new() };
        event.set("action", action);
        event.set("resource_type", resource_type);
        event.set("resource_target", target);
        event
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Names the resource by its identity.
    #[must_use]
    pub fn resource_id(mut self, id: &str) -> OwnEvent {
        self.set("resource_id", id);
        self
    }

    /// The outcome as an HTTP status; 200 if not given.
    #[must_use]
    pub fn status(mut self, status_code: u16) -> OwnEvent {
        self.set("status_code", status_code);
        self
    }

    /// The new state of the resource.
    #[must_use]
    pub fn after(mut self, after: Value) -> OwnEvent {
        self.set("after", after);
        self
    }

    /// The old state of the resource.
    #[must_use]
    pub fn before(mut self, before: Value) -> OwnEvent {
        self.set("before", before);
        self
    }

    /// The organization in whose scope it lies: its auditors see the event.
    #[must_use]
    pub fn organization(mut self, organization: &Organization) -> OwnEvent {
        let Organization { id, name, display_name, icon, .. } = organization;
        self.set(
            "organization",
            json!({"id": id.0, "name": name, "display_name": display_name, "icon": icon}),
        );
        self
    }

    /// Nobody known acted: a log-in that failed.
    #[must_use]
    pub fn by_nobody(mut self) -> OwnEvent {
        self.set("actor_type", "anonymous");
        self
    }

    /// Anything else worth keeping.
    #[must_use]
    pub fn additional(mut self, name: &str, value: impl Into<Value>) -> OwnEvent {
        self.additional.insert(name.to_owned(), value.into());
        self
    }

    /// The same event without what changed.
    fn without_states(&self) -> OwnEvent {
        let mut event = self.clone();
        for name in ["before", "after"] {
            event.members.remove(name);
        }
        event.additional("not_recorded", "what changed was too large for an event")
    }

    fn into_json(mut self, principal: &Principal) -> String {
        let origin = principal.origin();
        if let Some(ip) = origin.ip {
            self.set("ip", ip.to_string());
        }
        if !origin.user_agent.is_empty() {
            self.set("user_agent", origin.short_user_agent());
        }
        if let Some(token) = principal.token() {
            self.additional.insert("token_id".to_owned(), token.id.0.clone().into());
            self.additional.insert("token_name".to_owned(), token.name.clone().into());
        }
        match (principal.person(), principal.token()) {
            (Some(person), _) => {
                self.set("user", json!({
                    "id": person.id.0, "username": person.username, "email": person.email, "name": person.name,
                    "avatar_url": person.avatar_url, "roles": [person.role.name()],
                }));
            }
            (None, Some(token)) => {
                self.set("actor_type", "service");
                self.set("user", json!({"id": token.id.0, "username": token.name}));
            }
            (None, None) if self.members.contains_key("actor_type") => {}
            (None, None) if principal.is_system() => self.set("actor_type", "system"),
            (None, None) => {
                self.set("actor_type", "service");
                self.set("user", json!({"username": "operator"}));
            }
        }
        self.set("source", OWN_SOURCE);
        if !self.additional.is_empty() {
            let additional = std::mem::take(&mut self.additional);
            self.set("additional_fields", additional);
        }
        Value::Object(self.members).to_string()
    }
}

impl Engine {
    /// Records an operation of Annals. The operation has happened and stays; if its event cannot be written, that is
    /// said in the operator's log.
    pub(crate) fn record_own(&self, principal: &Principal, event: OwnEvent) {
        self.record_all_own(principal, vec![event]);
    }

    /// Records what happened at once, in this order.
    pub(crate) fn record_all_own(&self, principal: &Principal, events: Vec<OwnEvent>) {
        if events.is_empty() {
            return;
        }
        let bare: Vec<OwnEvent> = events.iter().map(OwnEvent::without_states).collect();
        let result = match self.submit_own(principal, events).and_then(Pending::wait_blocking) {
            // States that are too large for an event: that it happened is recorded all the same.
            Err(IngestError::Faults { .. }) => {
                self.submit_own(principal, bare).and_then(Pending::wait_blocking)
            }
            result => result,
        };
        match result {
            Ok(appended) => {
                debug_assert!(
                    appended.warnings.is_empty(),
                    "our own types have a policy: {:?}",
                    appended.warnings
                );
            }
            Err(cause) => error!(error = %cause, "an operation of annals could not be recorded"),
        }
    }

    /// Records an operation without waiting for its commit, so that the time of the answer does not tell that there was
    /// something to record.
    pub(crate) fn record_own_later(&self, principal: &Principal, event: OwnEvent) {
        if let Err(cause) = self.submit_own(principal, vec![event]) {
            error!(error = %cause, "an operation of annals could not be recorded");
        }
    }

    /// Records an operation before it happens, and waits until that is durable: without its event it does not happen.
    ///
    /// # Errors
    /// [`IngestError`] if it cannot be recorded.
    pub(crate) fn record_first(&self, principal: &Principal, event: OwnEvent) -> Result<(), IngestError> {
        self.submit_own(principal, vec![event]).and_then(Pending::wait_blocking).map(drop)
    }

    fn submit_own(&self, principal: &Principal, events: Vec<OwnEvent>) -> Result<Pending, IngestError> {
        let texts: Vec<String> = events.into_iter().map(|event| event.into_json(principal)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.append_texts(&Principal::system(), &texts, PartialBatch::Refuse)
    }

    /// Lets a site manager go on; anybody else's attempt is recorded as the event that it would have been, refused.
    pub(crate) fn manage(
        &self,
        principal: &Principal,
        attempt: impl FnOnce() -> OwnEvent,
    ) -> Result<(), ForbiddenError> {
        if self.refusal().is_some() {
            // What cannot be recorded does not happen.
            return Err(ForbiddenError {
                who: principal.label(),
                what: "change anything while the log takes no events",
                hint: "`annals epoch list` says why",
            });
        }
        principal.may_manage().inspect_err(|_| self.record_refusal(principal, attempt()))
    }

    /// Records that the caller was refused what the event says.
    pub(crate) fn record_refusal(&self, principal: &Principal, attempt: OwnEvent) {
        self.record_own(principal, attempt.status(403));
    }
}
