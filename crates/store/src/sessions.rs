//! Sessions of people in browsers: the browser holds the secret, the database its hash.

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::people::{self, LoginType, Person, PersonId};
use crate::store::Store;
use crate::value::{Row, Value};

/// Public handle of a session: the text of a UUID, of no use for logging in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(pub String);

/// A session as the database keeps it.
#[derive(Debug, Clone)]
pub struct Session {
    /// Public handle.
    pub id: SessionId,
    /// SHA-256 of the secret in the cookie.
    pub secret_hash: [u8; 32],
    /// Whose it is.
    pub person_id: PersonId,
    /// When they logged in.
    pub created: Time,
    /// When it ends.
    pub expires: Time,
    /// When it was last used, to the minute.
    pub last_seen: Time,
    /// Address that logged in, or empty.
    pub ip: String,
    /// User agent that logged in, or empty.
    pub user_agent: String,
    /// How they logged in.
    pub method: LoginType,
}

const COLUMNS: &str = "session.id, session.secret_hash, session.person_id, session.created_us, session.expires_us, \
    session.last_seen_us, session.ip, session.user_agent, session.method";

/// Reads the columns from `first` on.
fn session(row: Row<'_>, first: usize) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId(row.text(first)?),
        secret_hash: row.array(first + 1, "session.secret_hash")?,
        person_id: PersonId(row.text(first + 2)?),
        created: Time::from_micros_saturating(row.int(first + 3)?),
        expires: Time::from_micros_saturating(row.int(first + 4)?),
        last_seen: Time::from_micros_saturating(row.int(first + 5)?),
        ip: row.text(first + 6)?,
        user_agent: row.text(first + 7)?,
        method: LoginType::from_name(&row.text(first + 8)?),
    })
}

/// Ends the sessions of a person but for one, and returns those that had not ended by themselves.
pub(crate) fn end_all(
    connection: &mut Connection,
    person_id: &PersonId,
    but: Option<&SessionId>,
    now: Time,
) -> Result<Vec<Session>, StoreError> {
    // No session has the empty text for its handle.
    let kept = but.map_or("", |kept| kept.0.as_str());
    let sql = format!("DELETE FROM session WHERE person_id = $1 AND id <> $2 RETURNING {COLUMNS}");
    let values = [Value::Text(&person_id.0), Value::Text(kept)];
    let mut ended = connection.query_all(&sql, &values, |row| session(row, 0))?;
    ended.retain(|session| session.expires > now);
    Ok(ended)
}

impl Store {
    /// Keeps a session, and drops those that ended before it began. Nothing is kept, and false returned, if the person is
    /// suspended or has another password than the one that was shown: it may have changed while that one was hashed.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_session(&self, session: &Session, password_hash: &str) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let sql = format!(
                "SELECT password_hash FROM person WHERE id = $1 AND status = 'active'{}",
                transaction.for_update()
            );
            let values = [Value::Text(&session.person_id.0)];
            let present = transaction.query_optional(&sql, &values, |row| row.text(0))?;
            if present.as_deref() != Some(password_hash) {
                return Ok(false);
            }
            let created = Value::Int(session.created.as_micros());
            transaction.execute("DELETE FROM session WHERE expires_us <= $1", &[created])?;
            transaction.execute(
                "INSERT INTO session (id, secret_hash, person_id, created_us, expires_us, last_seen_us, ip, user_agent,
                                      method)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                &[
                    Value::Text(&session.id.0),
                    Value::Bytes(&session.secret_hash),
                    Value::Text(&session.person_id.0),
                    created,
                    Value::Int(session.expires.as_micros()),
                    Value::Int(session.last_seen.as_micros()),
                    Value::Text(&session.ip),
                    Value::Text(&session.user_agent),
                    Value::Text(session.method.name()),
                ],
            )?;
            transaction.commit()?;
            Ok(true)
        })
    }

    /// Returns a session that has not ended, by the hash of its secret, and its person, whatever their status is.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn session_by_secret(
        &self,
        secret_hash: &[u8; 32],
        now: Time,
    ) -> Result<Option<(Person, Session)>, StoreError> {
        let sql = format!(
            "SELECT {}, {COLUMNS} FROM session JOIN person ON person.id = session.person_id
             WHERE session.secret_hash = $1 AND session.expires_us > $2",
            people::COLUMNS
        );
        self.read(|connection| {
            let values = [Value::Bytes(secret_hash), Value::Int(now.as_micros())];
            connection.query_optional(&sql, &values, |row| {
                Ok((people::person(row)?, session(row, people::COLUMN_COUNT)?))
            })
        })
    }

    /// Returns a session that has not ended, by its public handle.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn session(&self, id: &SessionId, now: Time) -> Result<Option<Session>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM session WHERE id = $1 AND expires_us > $2");
        self.read(|connection| {
            let values = [Value::Text(&id.0), Value::Int(now.as_micros())];
            connection.query_optional(&sql, &values, |row| session(row, 0))
        })
    }

    /// Lists the sessions of a person that have not ended, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn sessions_of(&self, person_id: &PersonId, now: Time) -> Result<Vec<Session>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM session WHERE person_id = $1 AND expires_us > $2 ORDER BY created_us DESC, id"
        );
        self.read(|connection| {
            let values = [Value::Text(&person_id.0), Value::Int(now.as_micros())];
            connection.query_all(&sql, &values, |row| session(row, 0))
        })
    }

    /// Notes that a session and its person were here.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn touch_session(&self, session: &Session, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let now = Value::Int(now.as_micros());
            // The person first, as every change of a person does: else two transactions could wait for each other.
            let person = Value::Text(&session.person_id.0);
            transaction.execute("UPDATE person SET last_seen_us = $1 WHERE id = $2", &[now, person])?;
            let id = Value::Text(&session.id.0);
            transaction.execute("UPDATE session SET last_seen_us = $1 WHERE id = $2", &[now, id])?;
            transaction.commit()
        })
    }

    /// Ends a session by its public handle; returns false if it had ended.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.write(|connection| {
            Ok(connection.execute("DELETE FROM session WHERE id = $1", &[Value::Text(&id.0)])? == 1)
        })
    }

    /// Ends a session by the hash of its secret; returns false if it had ended.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_session_by_secret(&self, secret_hash: &[u8; 32]) -> Result<bool, StoreError> {
        self.write(|connection| {
            let sql = "DELETE FROM session WHERE secret_hash = $1";
            Ok(connection.execute(sql, &[Value::Bytes(secret_hash)])? == 1)
        })
    }

    /// Ends all sessions of a person but for one, and returns those that had not ended by themselves.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_sessions_of(
        &self,
        person_id: &PersonId,
        but: Option<&SessionId>,
        now: Time,
    ) -> Result<Vec<Session>, StoreError> {
        self.write(|connection| end_all(connection, person_id, but, now))
    }
}
