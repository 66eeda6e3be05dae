//! People, log-in, sessions, organizations, groups, tokens and the first set-up.
//!
//! Everything that changes who may do what goes through here, and every change is an event of the same log, in Coder's
//! own types: `user`, `organization`, `organization_member`, `group`, `api_key`. Each use case writes the state before and
//! after; the registry computes the diff, as for anyone else's events. An attempt that is refused is recorded too.

mod groups;
mod limits;
mod login;
mod members;
mod oidc;
mod organizations;
mod people;
mod sessions;
mod setup;
mod tokens;

use std::net::IpAddr;

use annals_model::time::Time;
use annals_store::{PersonId, StoreError};
use sha2::{Digest, Sha256};

use crate::error::{EngineError, ForbiddenError};
use crate::password::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::random;

pub use groups::{GroupChange, NewGroup};
pub use limits::LOGIN_WINDOW_SECONDS;
pub use login::LoginError;
pub use oidc::{OidcIdentity, OidcLoginError, OidcPolicy, PendingOidc, TakenOidc};
pub use organizations::{NewOrganization, OrganizationChange};
pub use people::{NewOidcPerson, NewPerson, PersonChange};
pub use sessions::SESSION_SECONDS;
pub use tokens::NewToken;

/// Bytes of a name: of a person, an organization, a group, a token.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a text of one line, such as an e-mail address or a name for people.
const LINE_BYTES_MAX: usize = 256;
/// Bytes of an address of a picture.
const URL_BYTES_MAX: usize = 1_024;
/// Characters of a user agent that are kept: those of browsers have under 200.
const USER_AGENT_CHARS_MAX: usize = 512;

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

impl Origin {
    /// As much of the user agent as is kept.
    pub(crate) fn short_user_agent(&self) -> String {
        self.user_agent.chars().take(USER_AGENT_CHARS_MAX).collect()
    }
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

    /// Makes a secret for one use: 256 bits in 43 characters that an address may hold.
    pub fn fresh() -> SecretText {
        SecretText::random("")
    }

    /// Makes a password for someone: 120 bits in 20 characters that are easy to type.
    pub fn password() -> SecretText {
        use base64::Engine as _;
        let bytes: [u8; 15] = random::bytes();
        SecretText(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(crate) fn new(text: String) -> SecretText {
        SecretText(text)
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

/// Why something about people and their access was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// A name has no letters, too many, or odd ones.
    #[error(
        "`{name}` cannot be a name: 1 to {NAME_BYTES_MAX} letters, digits or `.`, `_`, `-`, `@`, `+`, `:`, `/`"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Another text is too long or has odd characters.
    #[error("{what} cannot be taken: {expected}")]
    BadText {
        /// Which text.
        what: &'static str,
        /// What is taken.
        expected: &'static str,
    },
    /// The password is too short or too long.
    #[error("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes")]
    BadPassword,
    /// A token cannot end so.
    #[error("a token cannot end in the past; name a later time, or none")]
    BadExpiry,
    /// The set-up link is used up or wrong.
    #[error("the set-up link is wrong or used up")]
    BadSetupLink,
    /// Nobody would be left who manages the site.
    #[error("`{username}` is the last active site manager; make someone else a site manager first")]
    LastManager {
        /// Who that is.
        username: String,
    },
    /// An organization or group has the name, or an organization has it for its id.
    #[error("{what} `{name}` exists already")]
    NameTaken {
        /// What has it.
        what: &'static str,
        /// The name or id.
        name: String,
    },
    /// Whoever logs in through the OIDC provider has no password here.
    #[error("`{username}` logs in through the OIDC provider and has no password here")]
    NoPassword {
        /// Who that is.
        username: String,
    },
    /// Only members of an organization can be in its groups or have a role in it.
    #[error("`{username}` is not a member of the organization; add them to it first")]
    NotMember {
        /// Who that is.
        username: String,
    },
    /// Only a person in a session of their own can do it.
    #[error("only a person who is logged in can do that for themselves; a token cannot")]
    NotOneself,
    /// Too many wrong passwords of late.
    #[error("too many attempts; try again in {retry_after_seconds} seconds")]
    TooMany {
        /// When the next attempt is taken.
        retry_after_seconds: u32,
    },
    /// Somebody has as many tokens as they may make by themselves.
    #[error("you have {max} tokens already; revoke those that are not used")]
    TooManyTokens {
        /// How many they may have.
        max: usize,
    },
    /// There is no group of that id or name.
    #[error("there is no group `{group}`")]
    UnknownGroup {
        /// The id or name.
        group: String,
    },
    /// There is no organization of that id or name.
    #[error("there is no organization `{organization}`")]
    UnknownOrganization {
        /// The id or name.
        organization: String,
    },
    /// There is no such person.
    #[error("there is no person named `{username}`")]
    UnknownPerson {
        /// The name or id.
        username: String,
    },
    /// There is no session of that id, or it has ended, or it is somebody else's.
    #[error("there is no session `{id}`")]
    UnknownSession {
        /// The id.
        id: String,
    },
    /// There is no token of that id, or it is revoked already, or it is somebody else's.
    #[error("there is no token `{id}`")]
    UnknownToken {
        /// The id.
        id: String,
    },
    /// Someone has the name.
    #[error("a person named `{username}` exists already")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// The old password does not match.
    #[error("the old password is wrong")]
    WrongPassword,
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> AccessError {
        match error {
            StoreError::LastManager { username } => AccessError::LastManager { username },
            StoreError::NameTaken { what, name } => AccessError::NameTaken { what, name },
            StoreError::NotMember { person_id } => AccessError::NotMember { username: person_id },
            StoreError::UsernameTaken { username } => AccessError::UsernameTaken { username },
            other => AccessError::Engine(other.into()),
        }
    }
}

impl AccessError {
    fn unknown_person(id: &PersonId) -> AccessError {
        AccessError::UnknownPerson { username: shortened(&id.0) }
    }
}

/// A hash without salt is right here: the secrets have 256 random bits.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A new identity: the text of a UUID of version 7.
fn new_id(now: Time) -> String {
    random::event_id(now).to_string()
}

/// What a caller typed, as far as a message or an event repeats it.
fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(NAME_BYTES_MAX).collect()
}

fn check_name(name: &str) -> Result<(), AccessError> {
    let allowed = |character: char| character.is_alphanumeric() || "._-@+:/".contains(character);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        return Err(AccessError::BadName { name: shortened(name) });
    }
    Ok(())
}

/// A text of one line, which may be empty.
fn check_line(what: &'static str, text: &str) -> Result<(), AccessError> {
    if text.len() > LINE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(AccessError::BadText { what, expected: "at most 256 bytes on one line" });
    }
    Ok(())
}

fn check_email(email: &str) -> Result<(), AccessError> {
    let is_address = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let is_plain = !email.chars().any(|character| character.is_control() || character.is_whitespace());
    if email.is_empty() || (is_address && is_plain && email.len() <= LINE_BYTES_MAX) {
        return Ok(());
    }
    Err(AccessError::BadText { what: "the e-mail address", expected: "NAME@HOST without spaces, or nothing" })
}

/// An address of a picture, which may be empty: of the web, or a path of the deployment.
fn check_picture(what: &'static str, url: &str) -> Result<(), AccessError> {
    let is_address = ["https://", "http://", "/"].iter().any(|start| url.starts_with(start));
    let is_plain = !url.chars().any(|character| character.is_control() || character.is_whitespace());
    if url.is_empty() || (is_address && is_plain && url.len() <= URL_BYTES_MAX) {
        return Ok(());
    }
    Err(AccessError::BadText {
        what,
        expected: "an address that begins with https://, http:// or /, or nothing",
    })
}

fn seconds_later(time: Time, seconds: u32) -> Time {
    Time::from_micros_saturating(time.as_micros().saturating_add(i64::from(seconds) * 1_000_000))
}

fn seconds_earlier(time: Time, seconds: u32) -> Time {
    Time::from_micros_saturating(time.as_micros().saturating_sub(i64::from(seconds) * 1_000_000))
}
