//! People and their sessions.

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::store::Store;
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

fn person(row: Row<'_>) -> Result<Person, StoreError> {
    Ok(Person {
        id: PersonId(row.text(0)?),
        username: row.text(1)?,
        email: row.text(2)?,
        name: row.text(3)?,
        // A role that this version does not know gives no sight, rather than too much.
        role: Role::from_name(&row.text(4)?).unwrap_or(Role::Member),
        password_hash: row.text(5)?,
        created: Time::from_micros_saturating(row.int(6)?),
    })
}

/// Returns the rows that were added: 0 if someone has the name.
fn insert_person(connection: &mut Connection, person: &Person) -> Result<u64, StoreError> {
    connection.execute(
        "INSERT INTO person (id, username, username_folded, email, name, role, password_hash, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        &[
            Value::Text(&person.id.0),
            Value::Text(&person.username),
            Value::Text(&person.username.to_lowercase()),
            Value::Text(&person.email),
            Value::Text(&person.name),
            Value::Text(person.role.name()),
            Value::Text(&person.password_hash),
            Value::Int(person.created.as_micros()),
        ],
    )
}

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::UsernameTaken`] if someone has the name, in any case.
    pub fn add_person(&self, person: &Person) -> Result<(), StoreError> {
        self.write(|connection| {
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
        self.read(|connection| {
            let folded = login.to_lowercase();
            let sql = format!(
                "SELECT {COLUMNS} FROM person WHERE username_folded = $1 OR (email <> '' AND lower(email) = $1)
                 ORDER BY username_folded = $1 DESC LIMIT 1"
            );
            connection.query_optional(&sql, &[Value::Text(&folded)], person)
        })
    }

    /// Finds a person by identity.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
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

    /// Keeps a session, and drops those that ended before it began.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_session(&self, session: &Session) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let created = Value::Int(session.created.as_micros());
            transaction.execute("DELETE FROM session WHERE expires_us <= $1", &[created])?;
            transaction.execute(
                "INSERT INTO session (secret_hash, person_id, created_us, expires_us) VALUES ($1, $2, $3, $4)",
                &[
                    Value::Bytes(&session.secret_hash),
                    Value::Text(&session.person_id.0),
                    created,
                    Value::Int(session.expires.as_micros()),
                ],
            )?;
            transaction.commit()
        })
    }

    /// Returns the person of a session that has not ended.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn person_of_session(&self, secret_hash: &[u8; 32], now: Time) -> Result<Option<Person>, StoreError> {
        self.read(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM person WHERE id =
                 (SELECT person_id FROM session WHERE secret_hash = $1 AND expires_us > $2)"
            );
            connection.query_optional(&sql, &[Value::Bytes(secret_hash), Value::Int(now.as_micros())], person)
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_session(&self, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute("DELETE FROM session WHERE secret_hash = $1", &[Value::Bytes(secret_hash)])?;
            Ok(())
        })
    }

    /// Keeps the hash of a one-time secret under a name, in place of an older one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn put_secret(&self, name: &str, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "INSERT INTO secret (name, secret_hash) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET secret_hash = excluded.secret_hash",
                &[Value::Text(name), Value::Bytes(secret_hash)],
            )?;
            Ok(())
        })
    }

    /// Returns the hash of a one-time secret.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT secret_hash FROM secret WHERE name = $1";
            connection.query_optional(sql, &[Value::Text(name)], |row| row.bytes(0))
        })
    }

    /// Adds the first site manager and uses up the secret, in one transaction: of two who hold the link one succeeds.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written. Returns false if the secret is used up or someone exists already.
    pub fn add_first_person(&self, secret_name: &str, person: &Person) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            // First, because in PostgreSQL the second of two waits here for the first one's commit.
            let used =
                transaction.execute("DELETE FROM secret WHERE name = $1", &[Value::Text(secret_name)])?;
            let sql = "SELECT count(*) FROM person";
            let people = transaction.query_one(sql, &[], "the table of people", |row| row.int(0))?;
            if people > 0 || used == 0 {
                return Ok(false);
            }
            insert_person(&mut transaction, person)?;
            transaction.commit()?;
            Ok(true)
        })
    }
}
