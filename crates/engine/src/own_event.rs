//! What Annals itself does, recorded like everyone's events: Annals is its own first customer.

use serde_json::{Map, Value, json};
use tracing::error;

use crate::Engine;
use crate::access::Origin;
use crate::ingest::{OWN_SOURCE, PartialBatch};
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

    /// Where the request came from.
    #[must_use]
    pub fn origin(mut self, origin: &Origin) -> OwnEvent {
        if let Some(ip) = origin.ip {
            self.set("ip", ip.to_string());
        }
        let user_agent: String = origin.user_agent.chars().take(512).collect();
        self.set("user_agent", user_agent);
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

    fn into_json(mut self, principal: &Principal) -> String {
        match (principal.person(), principal.token()) {
            (Some(person), _) => {
                self.set("user", json!({
                    "id": person.id.0, "username": person.username, "email": person.email, "name": person.name,
                    "roles": [person.role.name()],
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
        let text = event.into_json(principal);
        let result = self
            .append_texts(&Principal::system(), &[&text], PartialBatch::Refuse)
            .and_then(crate::ingest::Pending::wait_blocking);
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
}
