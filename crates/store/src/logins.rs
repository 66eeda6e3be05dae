//! Attempts to log in: how many failed of late, and those that are on their way through the OIDC provider.

use annals_model::time::Time;

use crate::connection::Mode;
use crate::error::StoreError;
use crate::store::Store;
use crate::value::Value;

/// Log-ins that may be on their way at once; beyond it the oldest are forgotten. Anybody may begin one, and each row is
/// some 300 bytes.
const PENDING_MAX: i64 = 10_000;

/// How many attempts of one kind there were since the first one of the present window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginFailures {
    /// Attempts.
    pub count: u64,
    /// When the window began.
    pub since: Time,
}

/// A log-in that was begun and went to the OIDC provider.
#[derive(Clone)]
pub struct PendingLogin {
    /// SHA-256 of the state that comes back.
    pub state_hash: [u8; 32],
    /// What the provider must put into its token.
    pub nonce: String,
    /// The secret of PKCE.
    pub verifier: String,
    /// Path to go on to.
    pub next: String,
    /// When it is too late to come back.
    pub expires: Time,
}

/// Leaves the secrets out, so that no log line can hold them.
impl std::fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingLogin")
            .field("next", &self.next)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Returns the attempts of a subject in the window that is open: one that began after `window_start`.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn login_failures(
        &self,
        subject: &str,
        window_start: Time,
    ) -> Result<Option<LoginFailures>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT failures, since_us FROM login_failure WHERE subject = $1 AND since_us > $2";
            let values = [Value::Text(subject), Value::Int(window_start.as_micros())];
            connection.query_optional(sql, &values, |row| {
                Ok(LoginFailures {
                    count: row.unsigned(0, "login_failure.failures")?,
                    since: Time::from_micros_saturating(row.int(1)?),
                })
            })
        })
    }

    /// Counts an attempt of a subject and returns how many there are with it. Windows that began at `window_start` or
    /// before are closed and forgotten.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_login_failure(
        &self,
        subject: &str,
        now: Time,
        window_start: Time,
    ) -> Result<LoginFailures, StoreError> {
        self.write(|connection| {
            let sql = "INSERT INTO login_failure (subject, failures, since_us) VALUES ($1, 1, $2)
                       ON CONFLICT (subject) DO UPDATE SET
                           failures = CASE WHEN login_failure.since_us > $3 THEN login_failure.failures + 1 ELSE 1 END,
                           since_us = CASE WHEN login_failure.since_us > $3 THEN login_failure.since_us ELSE $2 END
                       RETURNING failures, since_us";
            let closed = Value::Int(window_start.as_micros());
            let values = [Value::Text(subject), Value::Int(now.as_micros()), closed];
            let failures = connection.query_one(sql, &values, "a row of login_failure", |row| {
                Ok(LoginFailures {
                    count: row.unsigned(0, "login_failure.failures")?,
                    since: Time::from_micros_saturating(row.int(1)?),
                })
            })?;
            if failures.count == 1 {
                connection.execute("DELETE FROM login_failure WHERE since_us <= $1", &[closed])?;
            }
            Ok(failures)
        })
    }

    /// Takes one attempt of a subject back: it was none of those that count.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn take_back_login_failure(&self, subject: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            let sql = "UPDATE login_failure SET failures = failures - 1 WHERE subject = $1 AND failures > 0";
            connection.execute(sql, &[Value::Text(subject)])?;
            Ok(())
        })
    }

    /// Forgets the attempts of a subject.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn clear_login_failures(&self, subject: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute("DELETE FROM login_failure WHERE subject = $1", &[Value::Text(subject)])?;
            Ok(())
        })
    }

    /// Keeps a log-in that goes to the provider, and drops those that did not come back in time.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_pending_login(&self, pending: &PendingLogin, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let ended = Value::Int(now.as_micros());
            transaction.execute("DELETE FROM pending_login WHERE expires_us <= $1", &[ended])?;
            transaction.execute(
                "DELETE FROM pending_login WHERE state_hash IN
                 (SELECT state_hash FROM pending_login ORDER BY expires_us DESC LIMIT 1000 OFFSET $1)",
                &[Value::Int(PENDING_MAX - 1)],
            )?;
            transaction.execute(
                "INSERT INTO pending_login (state_hash, nonce, verifier, next, expires_us)
                 VALUES ($1, $2, $3, $4, $5)",
                &[
                    Value::Bytes(&pending.state_hash),
                    Value::Text(&pending.nonce),
                    Value::Text(&pending.verifier),
                    Value::Text(&pending.next),
                    Value::Int(pending.expires.as_micros()),
                ],
            )?;
            transaction.commit()
        })
    }

    /// Takes a log-in that came back: of two who bring the same state, one gets it.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be written.
    pub fn take_pending_login(
        &self,
        state_hash: &[u8; 32],
        now: Time,
    ) -> Result<Option<PendingLogin>, StoreError> {
        self.write(|connection| {
            let sql = "DELETE FROM pending_login WHERE state_hash = $1
                       RETURNING nonce, verifier, next, expires_us";
            let taken = connection.query_optional(sql, &[Value::Bytes(state_hash)], |row| {
                Ok(PendingLogin {
                    state_hash: *state_hash,
                    nonce: row.text(0)?,
                    verifier: row.text(1)?,
                    next: row.text(2)?,
                    expires: Time::from_micros_saturating(row.int(3)?),
                })
            })?;
            Ok(taken.filter(|taken| taken.expires > now))
        })
    }
}
