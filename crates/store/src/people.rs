//! People: who may log in, and their site roles.

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::saved_searches::{self, SavedSearch};
use crate::sessions::{self, Session, SessionId};
use crate::store::Store;
use crate::tokens::{self, Token};
use crate::value::{Row, Value};

/// Identity of a person: the text of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PersonId(pub String);

/// What a person may do on the whole site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sees the log and manages people, tokens and settings.
    SiteManager,
    /// Sees the log.
    Auditor,
    /// Sees of the log what a role in an organization gives.
    Member,
}

impl Role {
    /// Every role, the mightiest first.
    pub const ALL: [Role; 3] = [Role::SiteManager, Role::Auditor, Role::Member];

    /// Name in the API, the command line and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Role::SiteManager => "site-manager",
            Role::Auditor => "auditor",
            Role::Member => "member",
        }
    }

    /// Reads a name; `owner` is Coder's word for a site manager.
    pub fn from_name(name: &str) -> Option<Role> {
        if name == "owner" {
            return Some(Role::SiteManager);
        }
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Whether a person may use what they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PersonStatus {
    /// May log in; their tokens work.
    Active,
    /// May not log in; their tokens are refused.
    Suspended,
}

impl PersonStatus {
    /// Name in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            PersonStatus::Active => "active",
            PersonStatus::Suspended => "suspended",
        }
    }
}

/// How a person logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginType {
    /// With a password that is kept here, hashed.
    Password,
    /// Through the OIDC provider.
    Oidc,
}

impl LoginType {
    /// Name in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            LoginType::Password => "password",
            LoginType::Oidc => "oidc",
        }
    }

    pub(crate) fn from_name(name: &str) -> LoginType {
        // What this version does not know takes no password: less than it might be, never more.
        if name == "password" { LoginType::Password } else { LoginType::Oidc }
    }
}

/// A person who may log in.
#[derive(Clone)]
pub struct Person {
    /// Identity.
    pub id: PersonId,
    /// Log-in name, as they write it; names are unique without regard to case.
    pub username: String,
    /// E-mail address, or empty.
    pub email: String,
    /// Name for people, or empty.
    pub name: String,
    /// Site role.
    pub role: Role,
    /// Argon2id in PHC form; empty for whoever has no password.
    pub password_hash: String,
    /// Whether they may log in.
    pub status: PersonStatus,
    /// How they log in.
    pub login_type: LoginType,
    /// Who they are at the OIDC provider: issuer, a line feed, and its name for them. None until they first come from there.
    pub subject: Option<String>,
    /// Address of a picture, or empty.
    pub avatar_url: String,
    /// When they were added.
    pub created: Time,
    /// When they were last changed.
    pub updated: Time,
    /// When they were last here, to the minute.
    pub last_seen: Option<Time>,
}

impl Person {
    /// They are not suspended.
    pub fn is_active(&self) -> bool {
        self.status == PersonStatus::Active
    }

    fn is_active_manager(&self) -> bool {
        self.is_active() && self.role == Role::SiteManager
    }
}

/// Leaves the password hash out, so that no log line can hold it.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("role", &self.role)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Which sessions of a person a change of theirs ends. A person who becomes suspended loses all in any case.
#[derive(Debug, Clone, Copy)]
pub enum EndSessions<'s> {
    /// None.
    None,
    /// All but the one that they work in.
    AllBut(&'s SessionId),
    /// All.
    All,
}

/// A person before and after a change.
#[derive(Debug, Clone)]
pub struct ChangedPerson {
    /// Before.
    pub before: Person,
    /// After.
    pub after: Person,
    /// Their sessions that ended with it.
    pub ended: Vec<Session>,
}

/// A person who was deleted, and what went with them.
#[derive(Debug, Clone)]
pub struct DeletedPerson {
    /// As they were.
    pub person: Person,
    /// Their tokens that were in force.
    pub tokens: Vec<Token>,
    /// Their saved searches that others saw.
    pub shared_searches: Vec<SavedSearch>,
}

pub(crate) const COLUMNS: &str = "person.id, person.username, person.email, person.name, person.role, \
    person.password_hash, person.status, person.login_type, person.subject, person.avatar_url, person.created_us, \
    person.updated_us, person.last_seen_us";
/// How many columns [`COLUMNS`] names.
pub(crate) const COLUMN_COUNT: usize = 13;

pub(crate) fn person(row: Row<'_>) -> Result<Person, StoreError> {
    Ok(Person {
        id: PersonId(row.text(0)?),
        username: row.text(1)?,
        email: row.text(2)?,
        name: row.text(3)?,
        // A role that this version does not know gives no sight, rather than too much.
        role: Role::from_name(&row.text(4)?).unwrap_or(Role::Member),
        password_hash: row.text(5)?,
        status: if row.text(6)? == "active" { PersonStatus::Active } else { PersonStatus::Suspended },
        login_type: LoginType::from_name(&row.text(7)?),
        subject: row.optional_text(8)?,
        avatar_url: row.text(9)?,
        created: Time::from_micros_saturating(row.int(10)?),
        updated: Time::from_micros_saturating(row.int(11)?),
        last_seen: row.optional_int(12)?.map(Time::from_micros_saturating),
    })
}

/// Returns the rows that were added: 0 if someone has the name or the subject.
pub(crate) fn insert_person(connection: &mut Connection, person: &Person) -> Result<u64, StoreError> {
    connection.execute(
        "INSERT INTO person (id, username, username_folded, email, name, role, password_hash, created_us, status,
                             login_type, subject, avatar_url, last_seen_us, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
        &[
            Value::Text(&person.id.0),
            Value::Text(&person.username),
            Value::Text(&person.username.to_lowercase()),
            Value::Text(&person.email),
            Value::Text(&person.name),
            Value::Text(person.role.name()),
            Value::Text(&person.password_hash),
            Value::Int(person.created.as_micros()),
            Value::Text(person.status.name()),
            Value::Text(person.login_type.name()),
            Value::optional_text(person.subject.as_deref()),
            Value::Text(&person.avatar_url),
            Value::optional_int(person.last_seen.map(Time::as_micros)),
            Value::Int(person.updated.as_micros()),
        ],
    )
}

fn update_person(connection: &mut Connection, person: &Person) -> Result<(), StoreError> {
    let folded = person.username.to_lowercase();
    let sql = "SELECT id FROM person WHERE username_folded = $1 AND id <> $2";
    let values = [Value::Text(&folded), Value::Text(&person.id.0)];
    let taken = || StoreError::UsernameTaken { username: person.username.clone() };
    if connection.query_optional(sql, &values, |row| row.text(0))?.is_some() {
        return Err(taken());
    }
    let updated = connection.execute(
        "UPDATE person SET username = $1, username_folded = $2, email = $3, name = $4, role = $5, password_hash = $6,
                           status = $7, login_type = $8, subject = $9, avatar_url = $10, updated_us = $11
         WHERE id = $12",
        &[
            Value::Text(&person.username),
            Value::Text(&folded),
            Value::Text(&person.email),
            Value::Text(&person.name),
            Value::Text(person.role.name()),
            Value::Text(&person.password_hash),
            Value::Text(person.status.name()),
            Value::Text(person.login_type.name()),
            Value::optional_text(person.subject.as_deref()),
            Value::Text(&person.avatar_url),
            Value::Int(person.updated.as_micros()),
            Value::Text(&person.id.0),
        ],
    );
    match updated {
        // In PostgreSQL another transaction may have taken it since we looked.
        Err(error) if error.is_repetition() => Err(taken()),
        other => other.map(drop),
    }
}

/// Locks the rows of all active site managers, always in the same order, and returns how many there are. So of two
/// managers who demote each other at once, the second one sees what the first one did.
fn lock_managers(connection: &mut Connection) -> Result<usize, StoreError> {
    let lock = connection.for_update();
    // Whoever was added for the provider and has never come cannot log in for sure, and is not counted on.
    let sql = format!(
        "SELECT id FROM person WHERE role = 'site-manager' AND status = 'active'
         AND (login_type = 'password' OR subject IS NOT NULL) ORDER BY id{lock}"
    );
    Ok(connection.query_all(&sql, &[], |row| row.text(0))?.len())
}

fn read_locked(connection: &mut Connection, id: &PersonId) -> Result<Option<Person>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM person WHERE id = $1{}", connection.for_update());
    connection.query_optional(&sql, &[Value::Text(&id.0)], person)
}

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::UsernameTaken`] if someone has the name, in any case, or comes from the OIDC provider as the same.
    pub fn add_person(&self, person: &Person) -> Result<(), StoreError> {
        self.write(|connection| {
            let added = insert_person(connection, person)?;
            if added == 0 {
                return Err(StoreError::UsernameTaken { username: person.username.clone() });
            }
            Ok(())
        })
    }

    /// Finds a person by log-in name or e-mail address, without regard to case. An address that several people have
    /// finds nobody, so that nobody is taken for another.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person_by_login(&self, login: &str) -> Result<Option<Person>, StoreError> {
        self.by_login(login, "")
    }

    /// As [`Store::person_by_login`], among the people who log in with a password: what somebody calls themselves at the
    /// OIDC provider then never stands in the way of a password.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person_by_password_login(&self, login: &str) -> Result<Option<Person>, StoreError> {
        self.by_login(login, " AND login_type = 'password'")
    }

    fn by_login(&self, login: &str, condition: &str) -> Result<Option<Person>, StoreError> {
        let folded = login.to_lowercase();
        if folded.is_empty() || folded.contains('\0') {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM person WHERE (username_folded = $1 OR lower(email) = $1){condition}
             ORDER BY CASE WHEN username_folded = $1 THEN 0 ELSE 1 END LIMIT 2"
        );
        let mut found =
            self.read(|connection| connection.query_all(&sql, &[Value::Text(&folded)], person))?;
        let is_named = found.first().is_some_and(|first| first.username.to_lowercase() == folded);
        if !is_named && found.len() > 1 {
            return Ok(None);
        }
        Ok((!found.is_empty()).then(|| found.remove(0)))
    }

    /// Finds a person by log-in name alone, without regard to case.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person_by_username(&self, username: &str) -> Result<Option<Person>, StoreError> {
        let folded = username.to_lowercase();
        if folded.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM person WHERE username_folded = $1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Text(&folded)], person))
    }

    /// Finds a person by who they are at the OIDC provider.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person_by_subject(&self, subject: &str) -> Result<Option<Person>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM person WHERE subject = $1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Text(subject)], person))
    }

    /// Finds a person by identity.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM person WHERE id = $1");
            connection.query_optional(&sql, &[Value::Text(&id.0)], person)
        })
    }

    /// Lists everyone by name.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM person ORDER BY username_folded");
            connection.query_all(&sql, &[], person)
        })
    }

    /// Says whether there is anyone.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn has_people(&self) -> Result<bool, StoreError> {
        self.read(|connection| {
            let sql = "SELECT id FROM person LIMIT 1";
            Ok(connection.query_optional(sql, &[], |row| row.text(0))?.is_some())
        })
    }

    /// Changes a person as `change` does to what is stored now, in one transaction; none if there is no such person.
    ///
    /// # Errors
    /// [`StoreError::LastManager`] if no active site manager would be left; [`StoreError::UsernameTaken`].
    pub fn change_person(
        &self,
        id: &PersonId,
        end: EndSessions<'_>,
        now: Time,
        change: impl FnOnce(&mut Person),
    ) -> Result<Option<ChangedPerson>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let managers = lock_managers(&mut transaction)?;
            let Some(before) = read_locked(&mut transaction, id)? else { return Ok(None) };
            let mut after = before.clone();
            change(&mut after);
            after.updated = now;
            if before.is_active_manager() && !after.is_active_manager() && managers < 2 {
                return Err(StoreError::LastManager { username: before.username });
            }
            update_person(&mut transaction, &after)?;
            let end = if after.is_active() { end } else { EndSessions::All };
            let ended = match end {
                EndSessions::None => Vec::new(),
                EndSessions::AllBut(kept) => sessions::end_all(&mut transaction, id, Some(kept), now)?,
                EndSessions::All => sessions::end_all(&mut transaction, id, None, now)?,
            };
            transaction.commit()?;
            Ok(Some(ChangedPerson { before, after, ended }))
        })
    }

    /// Deletes a person with their sessions, memberships, saved searches and tokens, in one transaction; none if there is no such person.
    ///
    /// # Errors
    /// [`StoreError::LastManager`] if no active site manager would be left.
    pub fn delete_person(&self, id: &PersonId) -> Result<Option<DeletedPerson>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let managers = lock_managers(&mut transaction)?;
            let Some(person) = read_locked(&mut transaction, id)? else { return Ok(None) };
            if person.is_active_manager() && managers < 2 {
                return Err(StoreError::LastManager { username: person.username });
            }
            let tokens = tokens::tokens_of(&mut transaction, id)?;
            let shared_searches = saved_searches::shared_of(&mut transaction, id)?;
            transaction.execute("DELETE FROM token WHERE owner_id = $1", &[Value::Text(&id.0)])?;
            // Sessions, memberships and saved searches go with the row.
            transaction.execute("DELETE FROM person WHERE id = $1", &[Value::Text(&id.0)])?;
            transaction.commit()?;
            Ok(Some(DeletedPerson { person, tokens, shared_searches }))
        })
    }
}
