//! Adding, changing, suspending and deleting people.

use annals_model::time::Time;
use annals_store::{
    ChangedPerson, EndSessions, LoginType, Person, PersonId, PersonStatus, Role, Session, StoreError,
};
use serde_json::{Value, json};

use super::members::{events_of_groups_left, member_event};
use super::sessions::session_event;
use super::tokens::token_event;
use super::{AccessError, check_email, check_line, check_name, new_id, shortened};
use crate::Engine;
use crate::own_event::OwnEvent;
use crate::password::{self, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::principal::Principal;
use crate::saved_searches::deletion_event;

/// A person to add who logs in with a password.
#[derive(Debug, Clone)]
pub struct NewPerson<'p> {
    /// Log-in name.
    pub username: &'p str,
    /// E-mail address, or empty.
    pub email: &'p str,
    /// Name for people, or empty.
    pub name: &'p str,
    /// Password in clear.
    pub password: &'p str,
    /// Site role.
    pub role: Role,
}

/// A person to add before they first come from the OIDC provider.
#[derive(Debug, Clone)]
pub struct NewOidcPerson<'p> {
    /// Log-in name, as the provider will give it.
    pub username: &'p str,
    /// E-mail address, as the provider will confirm it, or empty.
    pub email: &'p str,
    /// Name for people, or empty.
    pub name: &'p str,
    /// Site role.
    pub role: Role,
}

/// What to change of a person; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct PersonChange<'p> {
    /// Log-in name.
    pub username: Option<&'p str>,
    /// E-mail address, or empty.
    pub email: Option<&'p str>,
    /// Name for people, or empty.
    pub name: Option<&'p str>,
    /// Site role.
    pub role: Option<Role>,
}

/// A person as events show them: the members of Coder's `User`. The hash of the password goes in so that a change of it
/// shows; the registry withholds its value.
fn snapshot(person: &Person) -> Value {
    json!({
        "id": person.id.0, "username": person.username, "email": person.email, "name": person.name,
        "avatar_url": person.avatar_url, "status": person.status.name(), "rbac_roles": [person.role.name()],
        "login_type": person.login_type.name(), "hashed_password": person.password_hash,
        "created_at": person.created, "updated_at": person.updated, "last_seen_at": person.last_seen,
    })
}

/// An event of a person before and after; one of them is there.
pub(super) fn person_event(action: &str, before: Option<&Person>, after: Option<&Person>) -> OwnEvent {
    let of = before.or(after);
    let mut event = OwnEvent::new(action, "user", of.map_or("", |person| person.username.as_str()));
    if let Some(person) = of {
        event = event.resource_id(&person.id.0);
    }
    if let Some(before) = before {
        event = event.before(snapshot(before));
    }
    if let Some(after) = after {
        event = event.after(snapshot(after));
    }
    event
}

/// Says whether a change leaves everything as it is.
fn is_same(before: &Person, after: &Person) -> bool {
    let without_time = |person: &Person| snapshot(&Person { updated: Time::EPOCH, ..person.clone() });
    without_time(before) == without_time(after)
}

impl Engine {
    /// Adds a person who logs in with a password.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or name or password cannot be taken.
    pub fn add_person(&self, principal: &Principal, person: &NewPerson<'_>) -> Result<PersonId, AccessError> {
        self.manage(principal, || OwnEvent::new("create", "user", &shortened_or(person.username)))?;
        let person = self.checked_person(person)?;
        self.store.add_person(&person)?;
        self.record_own(principal, person_event("create", None, Some(&person)));
        Ok(person.id)
    }

    /// Adds a person who will come from the OIDC provider: the first who comes from there with this name, or with this
    /// address confirmed, is them.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or the name cannot be taken.
    pub fn add_oidc_person(
        &self,
        principal: &Principal,
        person: &NewOidcPerson<'_>,
    ) -> Result<PersonId, AccessError> {
        self.manage(principal, || OwnEvent::new("create", "user", &shortened_or(person.username)))?;
        let person = self.checked_oidc_person(person)?;
        self.store.add_person(&person)?;
        self.record_own(principal, person_event("create", None, Some(&person)));
        Ok(person.id)
    }

    /// Lists everyone who can log in, by name.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see them.
    pub fn people(&self, principal: &Principal) -> Result<Vec<Person>, AccessError> {
        principal.may_manage()?;
        Ok(self.store.people()?)
    }

    /// Finds a person by identity; everyone may look at themselves.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such person.
    pub fn person(&self, principal: &Principal, id: &PersonId) -> Result<Person, AccessError> {
        if principal.oneself().is_none_or(|oneself| oneself.id != *id) {
            principal.may_manage()?;
        }
        self.store.person(id)?.ok_or_else(|| AccessError::unknown_person(id))
    }

    /// Finds a person by log-in name or identity.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such person.
    pub fn person_named(&self, principal: &Principal, name_or_id: &str) -> Result<Person, AccessError> {
        principal.may_manage()?;
        let found = match self.store.person_by_username(name_or_id)? {
            Some(found) => Some(found),
            None => self.store.person(&PersonId(name_or_id.to_owned()))?,
        };
        found.ok_or_else(|| AccessError::UnknownPerson { username: shortened(name_or_id) })
    }

    /// Changes name, address or role of a person.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, there is no such person, the name cannot be taken, or nobody would be left who
    /// manages the site.
    pub fn change_person(
        &self,
        principal: &Principal,
        id: &PersonId,
        change: &PersonChange<'_>,
    ) -> Result<Person, AccessError> {
        self.manage_person(principal, "write", id)?;
        if let Some(username) = change.username {
            check_name(username)?;
        }
        check_email(change.email.unwrap_or_default())?;
        check_line("the name", change.name.unwrap_or_default())?;
        let changed = self.store.change_person(id, EndSessions::None, self.now(), |person| {
            if let Some(username) = change.username {
                username.clone_into(&mut person.username);
            }
            if let Some(email) = change.email {
                email.clone_into(&mut person.email);
            }
            if let Some(name) = change.name {
                name.clone_into(&mut person.name);
            }
            if let Some(role) = change.role {
                person.role = role;
            }
        })?;
        self.record_change(principal, changed.ok_or_else(|| AccessError::unknown_person(id))?)
    }

    /// Shuts a person out: their sessions end at once, their tokens are refused, and they cannot log in.
    ///
    /// # Errors
    /// As [`Engine::change_person`].
    pub fn suspend_person(&self, principal: &Principal, id: &PersonId) -> Result<(), AccessError> {
        self.set_status(principal, id, PersonStatus::Suspended)
    }

    /// Lets a suspended person in again.
    ///
    /// # Errors
    /// As [`Engine::change_person`].
    pub fn activate_person(&self, principal: &Principal, id: &PersonId) -> Result<(), AccessError> {
        self.set_status(principal, id, PersonStatus::Active)
    }

    fn set_status(
        &self,
        principal: &Principal,
        id: &PersonId,
        status: PersonStatus,
    ) -> Result<(), AccessError> {
        self.manage_person(principal, "write", id)?;
        let changed =
            self.store.change_person(id, EndSessions::None, self.now(), |person| person.status = status)?;
        self.record_change(principal, changed.ok_or_else(|| AccessError::unknown_person(id))?).map(drop)
    }

    /// Deletes a person with their sessions, memberships and tokens. Events keep their name.
    ///
    /// # Errors
    /// As [`Engine::change_person`].
    pub fn delete_person(&self, principal: &Principal, id: &PersonId) -> Result<(), AccessError> {
        self.manage_person(principal, "delete", id)?;
        let memberships = self.store.memberships_of(id)?.into_iter();
        let memberships = memberships
            .map(|(organization, membership)| {
                let groups = self.store.groups(&organization.id)?;
                Ok((organization, membership, groups))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let deleted = self.store.delete_person(id)?.ok_or_else(|| AccessError::unknown_person(id))?;
        let person = &deleted.person;
        let mut events = vec![person_event("delete", Some(person), None)];
        for (organization, membership, groups) in &memberships {
            events.push(member_event("delete", organization, person, Some(membership), None));
            events.extend(events_of_groups_left(groups, organization, person));
        }
        events.extend(deleted.tokens.iter().map(|token| token_event("delete", Some(token), None)));
        events.extend(deleted.shared_searches.iter().map(deletion_event));
        self.record_all_own(principal, events);
        Ok(())
    }

    /// Gives a person a new password; all their sessions end.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, there is no such person, they have no password here, or it cannot be taken.
    pub fn reset_password(&self, principal: &Principal, id: &PersonId, new: &str) -> Result<(), AccessError> {
        self.manage_person(principal, "write", id)?;
        let person = self.store.person(id)?.ok_or_else(|| AccessError::unknown_person(id))?;
        self.put_password(principal, &person, new, EndSessions::All)?;
        Ok(self.forget_attempts(&person)?)
    }

    /// Changes the caller's own password; all their other sessions end. Wrong old passwords count as failed log-ins do.
    ///
    /// # Errors
    /// [`AccessError::WrongPassword`] if the old password is wrong; [`AccessError::TooMany`]; [`AccessError`] if the new one
    /// cannot be taken, or the caller is no person in a session.
    pub fn change_own_password(
        &self,
        principal: &Principal,
        old: &str,
        new: &str,
    ) -> Result<(), AccessError> {
        let (Some(oneself), Some(session)) = (principal.oneself(), principal.session()) else {
            return Err(AccessError::NotOneself);
        };
        if oneself.login_type != LoginType::Password {
            return Err(AccessError::NoPassword { username: oneself.username.clone() });
        }
        let attempt = self.begin_attempt(&oneself.username, principal.origin())?.map_err(|too_many| {
            let retry_after_seconds = too_many.retry_after_seconds;
            AccessError::TooMany { retry_after_seconds }
        })?;
        if old.len() > PASSWORD_BYTES_MAX || !password::verify(old, Some(&oneself.password_hash)) {
            let event = OwnEvent::new("write", "user", &oneself.username).resource_id(&oneself.id.0);
            self.record_own(principal, event.status(401));
            return Err(AccessError::WrongPassword);
        }
        self.end_good_attempt(&attempt)?;
        self.put_password(principal, oneself, new, EndSessions::AllBut(session))
    }

    fn put_password(
        &self,
        principal: &Principal,
        person: &Person,
        new: &str,
        end: EndSessions<'_>,
    ) -> Result<(), AccessError> {
        if person.login_type != LoginType::Password {
            return Err(AccessError::NoPassword { username: person.username.clone() });
        }
        let hash = checked_hash(new)?;
        let changed =
            self.store.change_person(&person.id, end, self.now(), |person| person.password_hash = hash)?;
        self.record_change(principal, changed.ok_or_else(|| AccessError::unknown_person(&person.id))?)
            .map(drop)
    }

    /// Lets a site manager go on; anybody else's attempt on this person is recorded.
    pub(super) fn manage_person(
        &self,
        principal: &Principal,
        action: &str,
        id: &PersonId,
    ) -> Result<(), AccessError> {
        if principal.may_manage().is_ok() {
            return Ok(());
        }
        let person = self.store.person(id)?;
        self.manage(principal, || match &person {
            Some(person) => OwnEvent::new(action, "user", &person.username).resource_id(&person.id.0),
            None => OwnEvent::new(action, "user", &shortened_or(&id.0)),
        })?;
        Ok(())
    }

    /// Records what a change did, if it did anything, and the sessions that ended with it.
    pub(super) fn record_change(
        &self,
        principal: &Principal,
        changed: ChangedPerson,
    ) -> Result<Person, AccessError> {
        let ChangedPerson { before, after, ended } = changed;
        let mut events = Vec::new();
        if !is_same(&before, &after) {
            events.push(person_event("write", Some(&before), Some(&after)));
        }
        let ended = ended.iter().map(|session: &Session| session_event(session, &after.username));
        events.extend(ended);
        self.record_all_own(principal, events);
        Ok(after)
    }

    pub(super) fn checked_person(&self, person: &NewPerson<'_>) -> Result<Person, AccessError> {
        let NewPerson { username, email, name, password, role } = *person;
        let oidc = self.checked_oidc_person(&NewOidcPerson { username, email, name, role })?;
        Ok(Person { password_hash: checked_hash(password)?, login_type: LoginType::Password, ..oidc })
    }

    fn checked_oidc_person(&self, person: &NewOidcPerson<'_>) -> Result<Person, AccessError> {
        check_name(person.username)?;
        check_email(person.email)?;
        check_line("the name", person.name)?;
        let created = self.now();
        Ok(Person {
            id: PersonId(new_id(created)),
            username: person.username.to_owned(),
            email: person.email.to_owned(),
            name: person.name.to_owned(),
            role: person.role,
            password_hash: String::new(),
            status: PersonStatus::Active,
            login_type: LoginType::Oidc,
            subject: None,
            avatar_url: String::new(),
            created,
            updated: created,
            last_seen: None,
        })
    }
}

fn checked_hash(password: &str) -> Result<String, AccessError> {
    if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Err(AccessError::BadPassword);
    }
    Ok(password::hash(password)?)
}

/// The target of an event must not be empty.
pub(super) fn shortened_or(text: &str) -> String {
    let short = shortened(text);
    if short.trim().is_empty() { "(no name)".to_owned() } else { short }
}
