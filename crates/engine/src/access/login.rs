//! Logging in with a password, logging out, asking for a new password.

use annals_store::{LoginType, Person, Session, SessionId};

use super::people::shortened_or;
use super::sessions::SESSION_SECONDS;
use super::{Origin, SecretText, hash, new_id, seconds_later};
use crate::Engine;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::password::{self, PASSWORD_BYTES_MAX};
use crate::principal::Principal;

/// Why someone is not logged in. The same for unknown names, wrong passwords, and people who are suspended or have no
/// password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Name and password do not match.
    #[error("that name and password do not match")]
    Mismatch,
    /// There were too many attempts with this name, or from this address; the password was not looked at.
    #[error("too many attempts; try again in {retry_after_seconds} seconds")]
    TooMany {
        /// When the next attempt is taken.
        retry_after_seconds: u32,
    },
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// An attempt of nobody who is known to be somebody; `person` is who has the name.
pub(super) fn failed_login(target: &str, person: Option<&Person>, status: u16) -> OwnEvent {
    let event = OwnEvent::new("login", "api_key", &shortened_or(target)).by_nobody().status(status);
    match person {
        Some(person) => event.resource_id(&person.id.0),
        None => event,
    }
}

impl Engine {
    /// Logs a person in and returns the secret of their session. Good and bad attempts are recorded, also of unknown
    /// names.
    ///
    /// # Errors
    /// [`LoginError::Mismatch`] if name and password do not match; [`LoginError::TooMany`] before they are compared, if too
    /// many did not.
    pub fn log_in(&self, login: &str, password: &str, origin: &Origin) -> Result<SecretText, LoginError> {
        let nobody = || Principal::system().at(origin.clone());
        let attempt = match self.begin_attempt(login, origin)? {
            Ok(attempt) => attempt,
            Err(too_many) => {
                // One event a window: whoever goes on must not be able to fill the log.
                if too_many.is_first {
                    self.record_own(&nobody(), failed_login(login, None, 429));
                }
                let retry_after_seconds = too_many.retry_after_seconds;
                return Err(LoginError::TooMany { retry_after_seconds });
            }
        };
        let person = self.store.person_by_password_login(login).map_err(EngineError::from)?;
        // Whoever cannot log in costs the same time as whoever can.
        let able = person.as_ref().filter(|person| person.is_active() && !person.password_hash.is_empty());
        let is_usable = password.len() <= PASSWORD_BYTES_MAX;
        let matches =
            is_usable && password::verify(password, able.map(|person| person.password_hash.as_str()));
        if !matches {
            self.record_own(&nobody(), failed_login(login, person.as_ref(), 401));
            return Err(LoginError::Mismatch);
        }
        let Some(person) = person else { return Err(LoginError::Mismatch) };
        match self.begin_session(person.clone(), LoginType::Password, "login", origin)? {
            Some(secret) => {
                self.end_good_attempt(&attempt)?;
                Ok(secret)
            }
            None => {
                self.record_own(&nobody(), failed_login(login, Some(&person), 401));
                Err(LoginError::Mismatch)
            }
        }
    }

    /// Makes a session for whoever has shown who they are, and records how it came about. None if they were suspended or given
    /// another password meanwhile.
    pub(super) fn begin_session(
        &self,
        person: Person,
        method: LoginType,
        action: &str,
        origin: &Origin,
    ) -> Result<Option<SecretText>, EngineError> {
        let secret = SecretText::random("");
        let created = self.now();
        let session = Session {
            id: SessionId(new_id(created)),
            secret_hash: hash(secret.reveal()),
            person_id: person.id.clone(),
            created,
            expires: seconds_later(created, SESSION_SECONDS),
            last_seen: created,
            ip: origin.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            user_agent: origin.short_user_agent().replace('\0', ""),
            method,
        };
        if !self.store.add_session(&session, &person.password_hash)? {
            return Ok(None);
        }
        self.store.touch_session(&session, created)?;
        let event = OwnEvent::new(action, "api_key", &person.username).resource_id(&person.id.0);
        self.record_own(&Principal::of_person(person, Default::default()).at(origin.clone()), event);
        Ok(Some(secret))
    }

    /// Ends the session that the caller works in.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn log_out(&self, principal: &Principal, session_secret: &str) -> Result<(), EngineError> {
        let has_ended = self.store.end_session_by_secret(&hash(session_secret))?;
        if let Some(person) = principal.oneself().filter(|_| has_ended) {
            let event = OwnEvent::new("logout", "api_key", &person.username).resource_id(&person.id.0);
            self.record_own(principal, event);
        }
        Ok(())
    }

    /// Notes that somebody asks for a new password: site managers see it in the log and may give one. Nothing is sent, and
    /// the answer and its time are the same for names that nobody has. One request of a name is heard in a quarter of an
    /// hour.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn request_password_reset(&self, login: &str, origin: &Origin) -> Result<(), EngineError> {
        let is_heard = self.hears_reset(login, origin)?;
        let person = self.store.person_by_password_login(login)?;
        if let Some(person) = person.filter(|_| is_heard) {
            let event = OwnEvent::new("request_password_reset", "user", &person.username);
            let event = event.resource_id(&person.id.0).by_nobody();
            self.record_own_later(&Principal::system().at(origin.clone()), event);
        }
        Ok(())
    }
}
