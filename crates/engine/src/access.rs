//! People, log-in, sessions, tokens and the first set-up.

use std::net::IpAddr;

use annals_model::time::Time;
use annals_store::{Person, PersonId, Role, Session, StoreError, Token, TokenId, TokenKind};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::own_event::OwnEvent;
use crate::password::{self, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::principal::Principal;
use crate::random;

/// How long a session lasts: a working day with its breaks.
pub const SESSION_SECONDS: u32 = 12 * 60 * 60;
/// Name under which the hash of the set-up secret is kept.
const SETUP_SECRET: &str = "setup";
/// Bytes of a username.
const USERNAME_BYTES_MAX: usize = 64;

/// What a caller shows.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'c> {
    /// An API token.
    Token(&'c str),
    /// The secret of a session cookie.
    Session(&'c str),
}

/// Where a request comes from, for the record.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// Its user agent.
    pub user_agent: String,
}

/// A secret that is shown once. Its `Debug` form shows nothing.
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// 256 bits from the system, after a prefix that secret scanners can find.
    fn random(prefix: &str) -> SecretText {
        use base64::Engine as _;
        let bytes: [u8; 32] = random::bytes();
        SecretText(format!("{prefix}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Makes a password for someone: 120 bits in 20 characters that are easy to type.
    pub fn password() -> SecretText {
        use base64::Engine as _;
        let bytes: [u8; 15] = random::bytes();
        SecretText(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the text, to be shown or sent to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// A hash without salt is right here: the secrets have 256 random bits.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A person to add.
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

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewToken<'t> {
    /// What it is good for.
    pub kind: TokenKind,
    /// What people call it.
    pub name: &'t str,
    /// Log-in name of the person whose sight it has; none: a site manager's.
    pub owner: Option<&'t str>,
}

/// Why a person or token was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// A name has no letters, too many, or odd ones.
    #[error(
        "`{name}` cannot be a name: 1 to {USERNAME_BYTES_MAX} letters, digits or `.`, `_`, `-`, `@`, `+`, `:`, `/`"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The password is too short or too long.
    #[error("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes")]
    BadPassword,
    /// Someone has the name.
    #[error("a person named `{username}` exists already")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// The owner of a token is not known.
    #[error("there is no person named `{username}`")]
    UnknownPerson {
        /// The name.
        username: String,
    },
    /// There is no token of that id, or it is revoked already.
    #[error("there is no token `{id}`")]
    UnknownToken {
        /// The id.
        id: String,
    },
    /// The set-up link is used up or wrong.
    #[error("the set-up link is wrong or used up")]
    BadSetupLink,
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> SetupError {
        match error {
            StoreError::UsernameTaken { username } => SetupError::UsernameTaken { username },
            other => SetupError::Engine(other.into()),
        }
    }
}

/// Why someone is not logged in. The same for unknown names and wrong passwords.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Name and password do not match.
    #[error("that name and password do not match")]
    Mismatch,
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine {
    /// Finds out who shows a credential; nothing if it is wrong, ended or revoked.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn authenticate(&self, credential: Credential<'_>) -> Result<Option<Principal>, EngineError> {
        match credential {
            Credential::Session(secret) => {
                let person = self.store.person_of_session(&hash(secret), self.now())?;
                Ok(person.map(Principal::of_person))
            }
            Credential::Token(secret) => {
                let Some(token) = self.store.token_by_hash(&hash(secret))? else { return Ok(None) };
                let owner = match &token.owner {
                    None => None,
                    Some(id) => match self.store.person(id)? {
                        Some(owner) => Some(owner),
                        // The owner is gone, and with them the sight of their token.
                        None => return Ok(None),
                    },
                };
                Ok(Some(Principal::of_token(token, owner)))
            }
        }
    }

    /// Logs a person in and returns the secret of their session. Good and bad attempts are recorded, also of unknown
    /// names.
    ///
    /// # Errors
    /// [`LoginError::Mismatch`] if name and password do not match.
    pub fn log_in(&self, login: &str, password: &str, origin: &Origin) -> Result<SecretText, LoginError> {
        let person = self.store.person_by_login(login).map_err(EngineError::from)?;
        let usable = password.len() <= PASSWORD_BYTES_MAX;
        let matches =
            usable && password::verify(password, person.as_ref().map(|person| person.password_hash.as_str()));
        let attempted: String = login.chars().take(USERNAME_BYTES_MAX).collect();
        let event = |target: &str| OwnEvent::new("login", "person", target).origin(origin);
        match person.filter(|_| matches) {
            Some(person) => {
                let secret = SecretText::random("");
                let created = self.now();
                let session = Session {
                    secret_hash: hash(secret.reveal()),
                    person_id: person.id.clone(),
                    created,
                    expires: seconds_later(created, SESSION_SECONDS),
                };
                self.store.add_session(&session).map_err(EngineError::from)?;
                let event = event(&person.username).resource_id(&person.id.0);
                self.record_own(&Principal::of_person(person), event);
                Ok(secret)
            }
            None => {
                let target = if attempted.trim().is_empty() { "(no name)" } else { attempted.as_str() };
                self.record_own(&Principal::system(), event(target).status(401).by_nobody());
                Err(LoginError::Mismatch)
            }
        }
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn log_out(
        &self,
        principal: &Principal,
        session_secret: &str,
        origin: &Origin,
    ) -> Result<(), EngineError> {
        self.store.end_session(&hash(session_secret))?;
        if let Some(person) = principal.person() {
            let event =
                OwnEvent::new("logout", "person", &person.username).resource_id(&person.id.0).origin(origin);
            self.record_own(principal, event);
        }
        Ok(())
    }

    /// Makes the secret of the one-time set-up link, if nobody can log in yet. A new one ends the old one.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn setup_secret(&self) -> Result<Option<SecretText>, EngineError> {
        if !self.store.people()?.is_empty() {
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
    /// [`SetupError`] if the link is wrong or used up, or name or password cannot be taken.
    pub fn set_up(&self, secret: &str, person: &NewPerson<'_>, origin: &Origin) -> Result<(), SetupError> {
        if !self.is_setup_secret(secret)? {
            return Err(SetupError::BadSetupLink);
        }
        let person = self.checked_person(&NewPerson { role: Role::SiteManager, ..person.clone() })?;
        if !self.store.add_first_person(SETUP_SECRET, &person)? {
            return Err(SetupError::BadSetupLink);
        }
        let event = person_event("create", &person).origin(origin);
        self.record_own(&Principal::of_person(person), event);
        Ok(())
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`SetupError`] if the caller may not, or name or password cannot be taken.
    pub fn add_person(&self, principal: &Principal, person: &NewPerson<'_>) -> Result<PersonId, SetupError> {
        principal.may_manage()?;
        let person = self.checked_person(person)?;
        self.store.add_person(&person)?;
        self.record_own(principal, person_event("create", &person));
        Ok(person.id)
    }

    /// Lists everyone who can log in.
    ///
    /// # Errors
    /// [`SetupError`] if the caller may not see them.
    pub fn people(&self, principal: &Principal) -> Result<Vec<Person>, SetupError> {
        principal.may_manage()?;
        Ok(self.store.people()?)
    }

    fn checked_person(&self, person: &NewPerson<'_>) -> Result<Person, SetupError> {
        check_name(person.username)?;
        if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&person.password.len()) {
            return Err(SetupError::BadPassword);
        }
        let created = self.now();
        Ok(Person {
            id: PersonId(random::event_id(created).to_string()),
            username: person.username.to_owned(),
            email: person.email.to_owned(),
            name: person.name.to_owned(),
            role: person.role,
            password_hash: password::hash(person.password)?,
            created,
        })
    }

    /// Makes a token; its secret is returned this once.
    ///
    /// # Errors
    /// [`SetupError`] if the caller may not, the name cannot be taken, or the owner is not known.
    pub fn create_token(
        &self,
        principal: &Principal,
        token: &NewToken<'_>,
    ) -> Result<SecretText, SetupError> {
        principal.may_manage()?;
        check_name(token.name)?;
        let owner = match token.owner {
            None => None,
            Some(username) => {
                let person = self.store.person_by_login(username)?;
                Some(person.ok_or_else(|| SetupError::UnknownPerson { username: username.to_owned() })?)
            }
        };
        let secret = SecretText::random(match token.kind {
            TokenKind::Ingest => "annals_ingest_",
            TokenKind::Read => "annals_read_",
            TokenKind::Metrics => "annals_metrics_",
        });
        let created = self.now();
        let stored = Token {
            id: TokenId(random::event_id(created).to_string()),
            secret_hash: hash(secret.reveal()),
            kind: token.kind,
            name: token.name.to_owned(),
            owner: owner.as_ref().map(|owner| owner.id.clone()),
            created,
        };
        self.store.add_token(&stored)?;
        let owner_id = owner.map(|owner| owner.id.0).unwrap_or_default();
        let after = json!({"id": stored.id.0, "name": stored.name, "scope": stored.kind.name(), "owner_id": owner_id});
        let event = OwnEvent::new("create", "token", &stored.name).resource_id(&stored.id.0).after(after);
        self.record_own(principal, event);
        Ok(secret)
    }

    /// Lists the tokens that are not revoked.
    ///
    /// # Errors
    /// [`SetupError`] if the caller may not see them.
    pub fn tokens(&self, principal: &Principal) -> Result<Vec<Token>, SetupError> {
        principal.may_manage()?;
        Ok(self.store.tokens()?)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`SetupError`] if the caller may not, or there is no such token.
    pub fn revoke_token(&self, principal: &Principal, id: &TokenId) -> Result<(), SetupError> {
        principal.may_manage()?;
        let token = self.store.tokens()?.into_iter().find(|token| token.id == *id);
        let unknown = || SetupError::UnknownToken { id: id.0.clone() };
        let token = token.ok_or_else(unknown)?;
        if !self.store.revoke_token(id, self.now())? {
            return Err(unknown());
        }
        let before = json!({"id": token.id.0, "name": token.name, "scope": token.kind.name()});
        let event = OwnEvent::new("delete", "token", &token.name).resource_id(&token.id.0).before(before);
        self.record_own(principal, event);
        Ok(())
    }
}

fn person_event(action: &str, person: &Person) -> OwnEvent {
    let after = json!({
        "id": person.id.0, "username": person.username, "email": person.email, "name": person.name,
        "roles": [person.role.name()],
    });
    OwnEvent::new(action, "person", &person.username).resource_id(&person.id.0).after(after)
}

fn check_name(name: &str) -> Result<(), SetupError> {
    let allowed = |character: char| character.is_alphanumeric() || "._-@+:/".contains(character);
    if name.is_empty() || name.len() > USERNAME_BYTES_MAX || !name.chars().all(allowed) {
        return Err(SetupError::BadName { name: name.chars().take(USERNAME_BYTES_MAX).collect() });
    }
    Ok(())
}

fn seconds_later(time: Time, seconds: u32) -> Time {
    Time::from_micros_saturating(time.as_micros().saturating_add(i64::from(seconds) * 1_000_000))
}
