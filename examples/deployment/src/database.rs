//! SQLite: resources as JSON documents, found by id, or by name within a scope.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;
use crate::resources::{
    ApiKey, DevUrl, GitSshKey, Group, Job, Organization, OrganizationMember, Secret, Template,
    TemplateVersion, User, Workspace, WorkspaceBuild, WorkspaceProvider,
};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS resource (
        kind TEXT NOT NULL, id TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE, body TEXT NOT NULL,
        PRIMARY KEY (kind, id), UNIQUE (kind, scope, name)
    ) STRICT, WITHOUT ROWID;";

/// A struct that has a place in the database.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    /// What the API calls it.
    const KIND: &'static str;
    /// What no other of its kind has.
    fn key(&self) -> String;
    /// Within which its name is taken once.
    fn scope(&self) -> &str;
    /// What people call it.
    fn name(&self) -> String;
}

macro_rules! stored {
    ($($kind:ty, $word:literal, $key:ident, $scope:ident, $name:ident;)*) => {$(
        impl Stored for $kind {
            const KIND: &'static str = $word;
            fn key(&self) -> String {
                self.$key.clone()
            }
            fn scope(&self) -> &str {
                stored!(@scope self, $scope)
            }
            fn name(&self) -> String {
                self.$name.to_string()
            }
        }
    )*};
    (@scope $self:ident, deployment) => { "" };
    (@scope $self:ident, $scope:ident) => { &$self.$scope };
}

stored! {
    User, "user", id, deployment, username;
    GitSshKey, "SSH key", user_id, deployment, user_id;
    Organization, "organization", id, deployment, name;
    Group, "group", id, organization_id, name;
    Template, "template", id, organization_id, name;
    TemplateVersion, "template version", id, template_id, name;
    Workspace, "workspace", id, owner_id, name;
    WorkspaceBuild, "build", id, workspace_id, build_number;
    ApiKey, "token", hashed_secret, user_id, id;
    DevUrl, "dev URL", id, workspace_id, name;
    Secret, "secret", id, user_id, name;
    WorkspaceProvider, "workspace provider", id, deployment, name;
    Job, "job", id, deployment, id;
}

impl Stored for OrganizationMember {
    const KIND: &'static str = "member";

    fn key(&self) -> String {
        format!("{}/{}", self.organization_id, self.user_id)
    }

    fn scope(&self) -> &str {
        &self.organization_id
    }

    fn name(&self) -> String {
        self.user_id.clone()
    }
}

/// The resources of a deployment.
#[derive(Debug)]
pub(crate) struct Database(Mutex<Connection>);

impl Database {
    /// Opens the file; without one the resources are gone with the process.
    pub(crate) fn open(path: Option<&Path>) -> Result<Database, rusqlite::Error> {
        let connection = match path {
            Some(path) => {
                make_private(path);
                Connection::open(path)?
            }
            None => Connection::open_in_memory()?,
        };
        connection.execute_batch(SCHEMA)?;
        Ok(Database(Mutex::new(connection)))
    }

    /// Begins a transaction. One at a time: each takes some 100 us, for which an async thread may wait.
    pub(crate) fn begin(&self) -> Result<Transaction<'_>, Fault> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Transaction { connection, is_open: true })
    }
}

/// Makes the file for its owner alone, as it holds secrets. What is there already stays as it is.
fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
}

/// Changes that are made together. Dropped without [`Transaction::commit`] they are undone.
#[derive(Debug)]
pub(crate) struct Transaction<'d> {
    connection: MutexGuard<'d, Connection>,
    is_open: bool,
}

impl Transaction<'_> {
    pub(crate) fn commit(mut self) -> Result<(), Fault> {
        self.connection.execute_batch("COMMIT")?;
        self.is_open = false;
        Ok(())
    }

    /// Adds it, or puts it in the place of what has its id.
    pub(crate) fn put<T: Stored>(&self, value: &T) -> Result<(), Fault> {
        let body = serde_json::to_string(value)?;
        let sql = "INSERT INTO resource VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (kind, id) DO UPDATE SET name = ?4, body = ?5";
        let (key, name) = (value.key(), value.name());
        match self.connection.prepare_cached(sql)?.execute(params![T::KIND, key, value.scope(), name, body]) {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                Err(Fault::Conflict(format!("there is a {} `{name}` already", T::KIND)))
            }
            other => {
                other?;
                Ok(())
            }
        }
    }

    pub(crate) fn find<T: Stored>(&self, key: &str) -> Result<Option<T>, Fault> {
        self.one("SELECT body FROM resource WHERE kind = ?1 AND id = ?2", params![T::KIND, key])
    }

    pub(crate) fn get<T: Stored>(&self, key: &str) -> Result<T, Fault> {
        self.find(key)?.ok_or(Fault::NotFound(T::KIND))
    }

    pub(crate) fn named<T: Stored>(&self, scope: &str, name: &str) -> Result<Option<T>, Fault> {
        let sql = "SELECT body FROM resource WHERE kind = ?1 AND scope = ?2 AND name = ?3";
        self.one(sql, params![T::KIND, scope, name])
    }

    /// All of a kind, or those in one scope.
    pub(crate) fn list<T: Stored>(&self, scope: Option<&str>) -> Result<Vec<T>, Fault> {
        let sql =
            "SELECT body FROM resource WHERE kind = ?1 AND (?2 IS NULL OR scope = ?2) ORDER BY scope, name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let bodies = statement.query_map(params![T::KIND, scope], |row| row.get::<_, String>(0))?;
        bodies.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    pub(crate) fn remove<T: Stored>(&self, value: &T) -> Result<(), Fault> {
        self.take(value).map(drop)
    }

    /// Removes it, and says whether it was still there.
    pub(crate) fn take<T: Stored>(&self, value: &T) -> Result<bool, Fault> {
        let sql = "DELETE FROM resource WHERE kind = ?1 AND id = ?2";
        Ok(self.connection.prepare_cached(sql)?.execute(params![T::KIND, value.key()])? > 0)
    }

    fn one<T: Stored>(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<T>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let body: Option<String> = statement.query_row(params, |row| row.get(0)).optional()?;
        body.map(|body| serde_json::from_str(&body)).transpose().map_err(Fault::from)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction was not undone");
        }
    }
}
