//! Who is asking.

use annals_query::Filter;
use annals_store::{Person, Role, Token, TokenKind};

use crate::error::ForbiddenError;

/// An authenticated caller. Made only by the functions of [`crate::Engine`] that check a credential, and by
/// [`Principal::operator`] for whoever can read the data directory anyway.
#[derive(Debug, Clone)]
pub struct Principal {
    identity: Identity,
}

#[derive(Debug, Clone)]
enum Identity {
    Person(Box<Person>),
    Token { token: Box<Token>, owner: Option<Box<Person>> },
    Operator,
    System,
}

const READ_HINT: &str = "ask a site manager for the role `auditor`, or use a token of kind `read`";
const INGEST_HINT: &str = "use a token of kind `ingest`: annals token create --kind ingest --name NAME";
const METRICS_HINT: &str = "use a token of kind `metrics`: annals token create --kind metrics --name NAME";
const MANAGE_HINT: &str = "ask a site manager";

impl Principal {
    /// Whoever runs a command on the data directory itself: the file system already let them in.
    pub fn operator() -> Principal {
        Principal { identity: Identity::Operator }
    }

    pub(crate) fn system() -> Principal {
        Principal { identity: Identity::System }
    }

    pub(crate) fn of_person(person: Person) -> Principal {
        Principal { identity: Identity::Person(Box::new(person)) }
    }

    pub(crate) fn of_token(token: Token, owner: Option<Person>) -> Principal {
        Principal { identity: Identity::Token { token: Box::new(token), owner: owner.map(Box::new) } }
    }

    /// The person who is asking, or whose token it is.
    pub fn person(&self) -> Option<&Person> {
        match &self.identity {
            Identity::Person(person) => Some(person),
            Identity::Token { owner, .. } => owner.as_deref(),
            Identity::Operator | Identity::System => None,
        }
    }

    /// The token that was shown.
    pub fn token(&self) -> Option<&Token> {
        match &self.identity {
            Identity::Token { token, .. } => Some(token),
            _ => None,
        }
    }

    /// Annals itself acts.
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.identity, Identity::System)
    }

    /// A name for sentences and log lines.
    pub fn label(&self) -> String {
        match &self.identity {
            Identity::Person(person) => person.username.clone(),
            Identity::Token { token, .. } => format!("token `{}`", token.name),
            Identity::Operator => "the operator".to_owned(),
            Identity::System => "annals".to_owned(),
        }
    }

    /// Says whether the log may be read.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_read(&self) -> Result<(), ForbiddenError> {
        let allowed = match &self.identity {
            Identity::Person(person) => sees_the_log(person.role),
            Identity::Token { token, owner } => {
                token.kind == TokenKind::Read && owner.as_ref().is_none_or(|owner| sees_the_log(owner.role))
            }
            Identity::Operator | Identity::System => true,
        };
        self.allow(allowed, "read the log", READ_HINT)
    }

    /// Says whether events may be sent.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_ingest(&self) -> Result<(), ForbiddenError> {
        let allowed = match &self.identity {
            Identity::Person(_) => false,
            Identity::Token { token, .. } => token.kind == TokenKind::Ingest,
            Identity::Operator | Identity::System => true,
        };
        self.allow(allowed, "send events", INGEST_HINT)
    }

    /// Says whether resource types and actions may be registered.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_register(&self) -> Result<(), ForbiddenError> {
        if self.may_manage().is_ok() { Ok(()) } else { self.may_ingest() }
    }

    /// Says whether people, tokens and settings may be changed.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_manage(&self) -> Result<(), ForbiddenError> {
        let allowed = match &self.identity {
            Identity::Person(person) => person.role == Role::SiteManager,
            Identity::Token { .. } => false,
            Identity::Operator | Identity::System => true,
        };
        self.allow(allowed, "manage the site", MANAGE_HINT)
    }

    /// Says whether the numbers for the operator may be seen.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_see_metrics(&self) -> Result<(), ForbiddenError> {
        let allowed = match &self.identity {
            Identity::Person(person) => person.role == Role::SiteManager,
            Identity::Token { token, .. } => token.kind == TokenKind::Metrics,
            Identity::Operator | Identity::System => true,
        };
        self.allow(allowed, "see the metrics", METRICS_HINT)
    }

    /// What of the log is in sight: joined to every filter as a tree, never as text.
    pub(crate) fn sight(&self) -> Filter {
        Filter::all()
    }

    fn allow(&self, allowed: bool, what: &'static str, hint: &'static str) -> Result<(), ForbiddenError> {
        if allowed { Ok(()) } else { Err(ForbiddenError { who: self.label(), what, hint }) }
    }
}

fn sees_the_log(role: Role) -> bool {
    matches!(role, Role::SiteManager | Role::Auditor)
}
