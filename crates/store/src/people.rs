//! People and their sessions.

use annals_model::time::Time;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::sqlite::Store;

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
    /// Sees no log.
    Member,
}

impl Role {
    /// Every role.
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
    /// Argon2id in PHC form.
    pub password_hash: String,
    /// When they were added.
    pub created: Time,
}

/// Leaves the password hash out, so that no log line can hold it.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A session to be kept; the browser holds the secret, the database its hash.
#[derive(Debug, Clone)]
pub struct Session {
    /// SHA-256 of the secret in the cookie.
    pub secret_hash: [u8; 32],
    /// Whose it is.
    pub person_id: PersonId,
    /// When they logged in.
    pub created: Time,
    /// When it ends.
    pub expires: Time,
}

const COLUMNS: &str = "id, username, email, name, role, password_hash, created_us";

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let role: String = row.get(4)?;
    Ok(Person {
        id: PersonId(row.get(0)?),
        username: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        // A role that this version does not know gives no sight, rather than too much.
        role: Role::from_name(&role).unwrap_or(Role::Member),
        password_hash: row.get(5)?,
        created: Time::from_micros_saturating(row.get(6)?),
    })
}

/// Returns the rows that were added: 0 if someone has the name.
fn insert_person(connection: &Connection, person: &Person) -> Result<usize, StoreError> {
    let added = connection.execute(
        "INSERT INTO person (id, username, username_folded, email, name, role, password_hash, created_us)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        params![
            person.id.0,
            person.username,
            person.username.to_lowercase(),
            person.email,
            person.name,
            person.role.name(),
            person.password_hash,
            person.created.as_micros()
        ],
    )?;
    Ok(added)
}

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::UsernameTaken`] if someone has the name, in any case.
    pub fn add_person(&self, person: &Person) -> Result<(), StoreError> {
        self.with(|connection| {
            let added = insert_person(connection, person)?;
            if added == 0 {
                return Err(StoreError::UsernameTaken { username: person.username.clone() });
            }
            Ok(())
        })
    }

    /// Finds a person by log-in name or e-mail address, without regard to case.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person_by_login(&self, login: &str) -> Result<Option<Person>, StoreError> {
        self.with(|connection| {
            let folded = login.to_lowercase();
            let sql = format!(
                "SELECT {COLUMNS} FROM person WHERE username_folded = ?1 OR (email <> '' AND lower(email) = ?1)
                 ORDER BY username_folded = ?1 DESC LIMIT 1"
            );
            Ok(connection.query_row(&sql, [folded], person).optional()?)
        })
    }

    /// Finds a person by identity.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        self.with(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM person WHERE id = ?");
            Ok(connection.query_row(&sql, [&id.0], person).optional()?)
        })
    }

    /// Lists everyone by name.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.with(|connection| {
            let mut select =
                connection.prepare(&format!("SELECT {COLUMNS} FROM person ORDER BY username_folded"))?;
            let people = select.query_map([], person)?;
            Ok(people.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Keeps a session, and drops those that ended before it began.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_session(&self, session: &Session) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.execute("DELETE FROM session WHERE expires_us <= ?", [session.created.as_micros()])?;
            connection.execute(
                "INSERT INTO session (secret_hash, person_id, created_us, expires_us) VALUES (?, ?, ?, ?)",
                params![
                    session.secret_hash,
                    session.person_id.0,
                    session.created.as_micros(),
                    session.expires.as_micros()
                ],
            )?;
            Ok(())
        })
    }

    /// Returns the person of a session that has not ended.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn person_of_session(&self, secret_hash: &[u8; 32], now: Time) -> Result<Option<Person>, StoreError> {
        self.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM person WHERE id =
                 (SELECT person_id FROM session WHERE secret_hash = ? AND expires_us > ?)"
            );
            let mut select = connection.prepare_cached(&sql)?;
            Ok(select.query_row(params![secret_hash, now.as_micros()], person).optional()?)
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_session(&self, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.execute("DELETE FROM session WHERE secret_hash = ?", params![secret_hash])?;
            Ok(())
        })
    }

    /// Keeps the hash of a one-time secret under a name, in place of an older one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn put_secret(&self, name: &str, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.execute(
                "INSERT INTO secret (name, secret_hash) VALUES (?, ?)
                 ON CONFLICT (name) DO UPDATE SET secret_hash = excluded.secret_hash",
                params![name, secret_hash],
            )?;
            Ok(())
        })
    }

    /// Returns the hash of a one-time secret.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|connection| {
            let hash = connection
                .query_row("SELECT secret_hash FROM secret WHERE name = ?", [name], |row| row.get(0))
                .optional()?;
            Ok(hash)
        })
    }

    /// Adds the first site manager and uses up the secret, in one transaction: of two who hold the link one succeeds.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written. Returns false if the secret is used up or someone exists already.
    pub fn add_first_person(&self, secret_name: &str, person: &Person) -> Result<bool, StoreError> {
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let people: i64 = transaction.query_row("SELECT count(*) FROM person", [], |row| row.get(0))?;
            let used = transaction.execute("DELETE FROM secret WHERE name = ?", [secret_name])?;
            if people > 0 || used == 0 {
                return Ok(false);
            }
            insert_person(&transaction, person)?;
            transaction.commit()?;
            Ok(true)
        })
    }
}
