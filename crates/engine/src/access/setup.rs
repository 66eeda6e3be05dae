//! The first set-up: a link that works once and makes the first site manager.

use annals_store::Role;
use subtle::ConstantTimeEq;

use super::people::{NewPerson, person_event};
use super::{AccessError, Origin, SecretText, hash};
use crate::Engine;
use crate::error::EngineError;
use crate::principal::Principal;

/// Name under which the hash of the set-up secret is kept.
const SETUP_SECRET: &str = "setup";

impl Engine {
    /// Makes the secret of the one-time set-up link, if nobody can log in yet. A new one ends the old one.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn setup_secret(&self) -> Result<Option<SecretText>, EngineError> {
        if self.store.has_people()? {
            return Ok(None);
        }
        let secret = SecretText::random("");
        self.store.put_secret(SETUP_SECRET, &hash(secret.reveal()))?;
        Ok(Some(secret))
    }

    /// Says whether a set-up secret is the one that was printed and not used up.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn is_setup_secret(&self, secret: &str) -> Result<bool, EngineError> {
        let stored = self.store.secret(SETUP_SECRET)?;
        Ok(stored.is_some_and(|stored| bool::from(stored.ct_eq(&hash(secret)))))
    }

    /// Adds the first site manager with the secret of the set-up link, which is used up by it.
    ///
    /// # Errors
    /// [`AccessError`] if the link is wrong or used up, or name or password cannot be taken.
    pub fn set_up(&self, secret: &str, person: &NewPerson<'_>, origin: &Origin) -> Result<(), AccessError> {
        if !self.is_setup_secret(secret)? {
            return Err(AccessError::BadSetupLink);
        }
        let person = self.checked_person(&NewPerson { role: Role::SiteManager, ..person.clone() })?;
        if !self.store.add_first_person(SETUP_SECRET, &person)? {
            return Err(AccessError::BadSetupLink);
        }
        let event = person_event("create", None, Some(&person));
        self.record_own(&Principal::of_person(person, Default::default()).at(origin.clone()), event);
        Ok(())
    }
}
