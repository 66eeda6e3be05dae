//! What all handlers share.

use std::path::Path;
use std::sync::Mutex;

use annals_client::{Audit, Auditable, Auditor, Background};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::database::{Database, Transaction};
use crate::fault::Fault;
use crate::resources::{Asked, Organization, User, Workspace};

/// The deployment as handlers see it.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) auditor: Auditor,
    pub(crate) clock: Clock,
    pub(crate) database: Database,
    /// Mail that a deployment with a mail server would send: to whom, and what.
    pub(crate) outbox: Mutex<Vec<(String, String)>>,
}

impl App {
    pub(crate) fn open(database: Option<&Path>, auditor: Auditor) -> Result<App, rusqlite::Error> {
        Ok(App {
            auditor,
            clock: Clock::new(),
            database: Database::open(database)?,
            outbox: Mutex::default(),
        })
    }

    pub(crate) fn begin(&self) -> Result<Transaction<'_>, Fault> {
        self.database.begin()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins to audit work that no request waits for. Whoever asked for it is its actor; else the system is, for `owner`.
    pub(crate) fn background<T: Auditable>(
        &self,
        (subsystem, action): (&str, &str),
        asked: &Asked,
        people: &People,
    ) -> Background<T> {
        let mut audit = self.auditor.background::<T>(subsystem, action);
        if let Some(time) = self.clock.set() {
            audit = audit.with("time", time.to_string());
        }
        if let Some(user) = &people.asker {
            audit = audit.with("user", actor(user)).with("actor_type", actor_type(user));
            if let Some(impersonator) = &people.impersonator {
                audit = audit.with("impersonator", actor(impersonator));
            }
        } else if let Some(owner) = &people.owner {
            audit = audit.with("on_behalf_of", actor(owner));
        }
        for (name, value) in [("request_id", &asked.request_id), ("ip", &asked.ip)] {
            if let Some(value) = value {
                audit = audit.with(name, value.clone());
            }
        }
        audit
    }
}

/// Who stands behind background work.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub(crate) asker: Option<User>,
    pub(crate) impersonator: Option<User>,
    pub(crate) owner: Option<User>,
}

impl People {
    /// Who asked, and in whose name the system acts otherwise.
    pub(crate) fn find(rows: &Transaction<'_>, asked: &Asked, owner_id: &str) -> Result<People, Fault> {
        let find = |id: &Option<String>| id.as_deref().map_or(Ok(None), |id| rows.find::<User>(id));
        Ok(People {
            asker: find(&asked.by)?,
            impersonator: find(&asked.impersonator)?,
            owner: rows.find(owner_id)?,
        })
    }
}

/// A new id.
pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A user as events name them.
pub(crate) fn actor(user: &User) -> Value {
    json!({"id": user.id, "username": user.username, "email": user.email, "name": user.name, "roles": user.rbac_roles})
}

pub(crate) fn actor_type(user: &User) -> &'static str {
    if user.is_service_account { "service" } else { "user" }
}

/// Says in which organization a request works, for its events, and returns it.
pub(crate) fn within<T: Auditable>(
    audit: &Audit<T>,
    rows: &Transaction<'_>,
    organization_id: &str,
) -> Result<Organization, Fault> {
    let organization: Organization = rows.get(organization_id)?;
    audit.context().with("organization", organization_member(&organization));
    Ok(organization)
}

/// An organization as events name it.
pub(crate) fn organization_member(organization: &Organization) -> Value {
    json!({"id": organization.id, "name": organization.name, "display_name": organization.display_name})
}

/// What events about a workspace's parts say of it, so that the log links them.
pub(crate) fn workspace_fields(workspace: &Workspace, owner: &str) -> Value {
    json!({"workspace_id": workspace.id, "workspace_name": workspace.name, "workspace_owner": owner})
}
