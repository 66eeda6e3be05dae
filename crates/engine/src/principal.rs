//! Who is asking.

use std::collections::BTreeSet;

use annals_query::{Filter, Key, Term};
use annals_store::{Person, Role, SessionId, Token, TokenKind};

use crate::access::Origin;
use crate::error::ForbiddenError;

/// What of the log somebody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Every event.
    All,
    /// The events of these organizations, by their ids.
    Organizations(BTreeSet<String>),
    /// Nothing.
    None,
}

/// An authenticated caller. Made only by the functions of [`crate::Engine`] that check a credential, and by
/// [`Principal::operator`] for whoever can read the data directory anyway.
#[derive(Debug, Clone)]
pub struct Principal {
    identity: Identity,
    sight: Sight,
    session: Option<SessionId>,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Identity {
    Person(Box<Person>),
    Token { token: Box<Token>, owner: Option<Box<Person>> },
    Operator,
    System,
}

const READ_HINT: &str = "ask a site manager for the role `auditor`, or `organization-auditor` of an organization, \
    or use a token of kind `read`";
const INGEST_HINT: &str = "use a token of kind `ingest`: annals token create --kind ingest --name NAME";
const METRICS_HINT: &str = "use a token of kind `metrics`: annals token create --kind metrics --name NAME";
const MANAGE_HINT: &str = "ask a site manager";

impl Principal {
    /// Whoever runs a command on the data directory itself: the file system already let them in.
    pub fn operator() -> Principal {
        Principal::with(Identity::Operator, Sight::All)
    }

    pub(crate) fn system() -> Principal {
        Principal::with(Identity::System, Sight::All)
    }

    /// A person; `organizations` are those whose auditor they are.
    pub(crate) fn of_person(person: Person, organizations: BTreeSet<String>) -> Principal {
        let sight = sight_of(&person, organizations);
        Principal::with(Identity::Person(Box::new(person)), sight)
    }

    /// A token, and whose it is; `organizations` are those whose auditor the owner is.
    pub(crate) fn of_token(
        token: Token,
        owner: Option<Person>,
        organizations: BTreeSet<String>,
    ) -> Principal {
        let sight = match (token.kind, &owner) {
            (TokenKind::Read, Some(owner)) => sight_of(owner, organizations),
            (TokenKind::Read, None) => Sight::All,
            (TokenKind::Ingest | TokenKind::Metrics, _) => Sight::None,
        };
        Principal::with(Identity::Token { token: Box::new(token), owner: owner.map(Box::new) }, sight)
    }

    fn with(identity: Identity, sight: Sight) -> Principal {
        Principal { identity, sight, session: None, origin: Origin::default() }
    }

    pub(crate) fn in_session(self, session: SessionId) -> Principal {
        Principal { session: Some(session), ..self }
    }

    /// The same caller, from a place: their events name it.
    #[must_use]
    pub fn at(self, origin: Origin) -> Principal {
        Principal { origin, ..self }
    }

    /// Where the request comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The session that was shown.
    pub fn session(&self) -> Option<&SessionId> {
        self.session.as_ref()
    }

    /// The person who is asking, not merely the owner of a token: a token changes nothing of its owner.
    pub fn oneself(&self) -> Option<&Person> {
        match &self.identity {
            Identity::Person(person) => Some(person),
            _ => None,
        }
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

    /// Says whether the log may be read, or some of it.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_read(&self) -> Result<(), ForbiddenError> {
        self.allow(self.sight != Sight::None, "read the log", READ_HINT)
    }

    /// Says whether the whole site is in sight.
    ///
    /// # Errors
    /// [`ForbiddenError`] if not.
    pub fn may_see_all(&self, what: &'static str) -> Result<(), ForbiddenError> {
        self.allow(self.sight == Sight::All, what, READ_HINT)
    }

    /// Says whether both see the same events.
    pub fn has_sight_of(&self, other: &Principal) -> bool {
        self.sight == other.sight
    }

    /// The organizations whose events alone are in sight; none if every event is.
    pub fn organizations_in_sight(&self) -> Option<&BTreeSet<String>> {
        match &self.sight {
            Sight::Organizations(ids) => Some(ids),
            Sight::All | Sight::None => None,
        }
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
        match &self.sight {
            Sight::All => Filter::all(),
            Sight::Organizations(ids) => {
                Filter::any_of(ids.iter().map(|id| Term::exact(Key::Organization, id).into()))
            }
            Sight::None => Filter::Or(Vec::new()),
        }
    }

    fn allow(&self, allowed: bool, what: &'static str, hint: &'static str) -> Result<(), ForbiddenError> {
        if allowed { Ok(()) } else { Err(ForbiddenError { who: self.label(), what, hint }) }
    }
}

fn sight_of(person: &Person, organizations: BTreeSet<String>) -> Sight {
    match person.role {
        Role::SiteManager | Role::Auditor => Sight::All,
        Role::Member if organizations.is_empty() => Sight::None,
        Role::Member => Sight::Organizations(organizations),
    }
}
