//! From a credential to a principal, and sessions that can be seen and ended.

use std::collections::BTreeSet;

use annals_model::time::Time;
use annals_store::{Person, PersonId, Role, Session, SessionId, StoreError, TokenKind};
use serde_json::json;
use tracing::debug;

use super::{AccessError, Credential, hash, shortened};
use crate::Engine;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// How long a session lasts: a working day with its breaks.
pub const SESSION_SECONDS: u32 = 12 * 60 * 60;
/// How exactly it is kept when somebody was last here: one write a minute at most.
const TOUCH_MICROS: i64 = 60 * 1_000_000;

fn is_due(last: Option<Time>, now: Time) -> bool {
    last.is_none_or(|last| now.as_micros().saturating_sub(last.as_micros()) >= TOUCH_MICROS)
}

/// A full disk or a busy database must not shut those out who only read.
fn note_failure(touched: Result<(), StoreError>) {
    if let Err(error) = touched {
        debug!(%error, "when somebody was last here could not be kept");
    }
}

/// The end of a session.
pub(super) fn session_event(session: &Session, username: &str) -> OwnEvent {
    let before = json!({
        "id": session.id.0, "person_id": session.person_id.0, "expires_at": session.expires, "ip": session.ip,
        "user_agent": session.user_agent, "created_at": session.created, "last_seen_at": session.last_seen,
    });
    OwnEvent::new("delete", "session", username).resource_id(&session.id.0).before(before)
}

impl Engine {
    /// Finds out who shows a credential; nothing if it is wrong, ended, revoked, or of somebody who is suspended.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn authenticate(&self, credential: Credential<'_>) -> Result<Option<Principal>, EngineError> {
        let now = self.now();
        match credential {
            Credential::Session(secret) => {
                let found = self.store.session_by_secret(&hash(secret), now)?;
                let Some((person, session)) = found.filter(|(person, _)| person.is_active()) else {
                    return Ok(None);
                };
                if is_due(Some(session.last_seen), now) {
                    note_failure(self.store.touch_session(&session, now));
                }
                let organizations = self.organizations_of(&person)?;
                Ok(Some(Principal::of_person(person, organizations).in_session(session.id)))
            }
            Credential::Token(secret) => {
                let found = self.store.token_by_hash(&hash(secret))?;
                let Some(token) = found.filter(|token| !token.is_expired(now)) else { return Ok(None) };
                let owner = match &token.owner {
                    None => None,
                    Some(id) => match self.store.person(id)? {
                        Some(owner) if owner.is_active() => Some(owner),
                        // The owner is gone or suspended, and with them the sight of their token.
                        _ => return Ok(None),
                    },
                };
                if is_due(token.last_used, now) {
                    note_failure(self.store.touch_token(&token.id, now));
                }
                let organizations = match &owner {
                    Some(owner) if token.kind == TokenKind::Read => self.organizations_of(owner)?,
                    _ => BTreeSet::new(),
                };
                Ok(Some(Principal::of_token(token, owner, organizations)))
            }
        }
    }

    /// The organizations that a person sees, if they do not see everything anyway.
    fn organizations_of(&self, person: &Person) -> Result<BTreeSet<String>, EngineError> {
        match person.role {
            Role::SiteManager | Role::Auditor => Ok(BTreeSet::new()),
            Role::Member => Ok(self.store.audited_organizations(&person.id)?),
        }
    }

    /// Lists the sessions of a person, newest first: one's own, or anybody's as a site manager.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such person.
    pub fn sessions(&self, principal: &Principal, id: &PersonId) -> Result<Vec<Session>, AccessError> {
        let person = self.person(principal, id)?;
        Ok(self.store.sessions_of(&person.id, self.now())?)
    }

    /// Ends a session: one's own, or anybody's as a site manager.
    ///
    /// # Errors
    /// [`AccessError::UnknownSession`] if there is none, also if it is somebody else's: that it exists is not said.
    pub fn end_session(&self, principal: &Principal, id: &SessionId) -> Result<(), AccessError> {
        let unknown = || AccessError::UnknownSession { id: shortened(&id.0) };
        let session = self.store.session(id, self.now())?.ok_or_else(unknown)?;
        let person = self.store.person(&session.person_id)?.ok_or_else(unknown)?;
        let event = session_event(&session, &person.username);
        if principal.oneself().is_none_or(|oneself| oneself.id != person.id)
            && self.manage(principal, || event.clone()).is_err()
        {
            return Err(unknown());
        }
        if !self.store.end_session(id)? {
            return Err(unknown());
        }
        self.record_own(principal, event);
        Ok(())
    }

    /// Ends all sessions of a person, one's own or anybody's as a site manager, and returns how many there were.
    /// `keep_current` leaves the one that the caller works in.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such person.
    pub fn end_sessions(
        &self,
        principal: &Principal,
        id: &PersonId,
        keep_current: bool,
    ) -> Result<usize, AccessError> {
        if principal.oneself().is_none_or(|oneself| oneself.id != *id) && principal.may_manage().is_err() {
            let username = self.store.person(id)?.map_or_else(|| shortened(&id.0), |person| person.username);
            self.manage(principal, || {
                OwnEvent::new("delete", "session", &super::people::shortened_or(&username))
            })?;
        }
        let person = self.store.person(id)?.ok_or_else(|| AccessError::unknown_person(id))?;
        let kept = principal.session().filter(|_| keep_current);
        let ended = self.store.end_sessions_of(id, kept, self.now())?;
        let events = ended.iter().map(|session| session_event(session, &person.username)).collect();
        self.record_all_own(principal, events);
        Ok(ended.len())
    }
}
