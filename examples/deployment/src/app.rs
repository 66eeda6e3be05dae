//! What all handlers share.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
    pub(crate) outbox: Mutex<Vec<Letter>>,
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
        owner: Option<&User>,
    ) -> Background<T> {
        let mut audit = self.auditor.background::<T>(subsystem, action);
        if let Some(time) = self.clock.set() {
            audit = audit.with("time", time.to_string());
        }
        for (name, value) in &asked.0 {
            audit = audit.with(name, value.clone());
        }
        match owner.filter(|_| !asked.is_by_somebody()) {
            Some(owner) => audit.with("on_behalf_of", actor(owner)),
            None => audit,
        }
    }

    /// Notes what a server with a way to send mail would send. Only so much is kept: nobody may have asked for it.
    pub(crate) fn send(&self, to: String, text: String) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if outbox.len() < OUTBOX_MAX {
            outbox.push(Letter { to, text });
        }
    }
}

/// Letters that are kept.
const OUTBOX_MAX: usize = 100;

/// A letter that a deployment with a mail server would send.
pub struct Letter {
    /// To which address.
    pub to: String,
    /// What it says.
    pub text: String,
}

/// Without the text, which opens an account.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("to", &self.to).finish_non_exhaustive()
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
