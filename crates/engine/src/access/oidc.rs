//! Logging in through an OIDC provider, without HTTP: what was begun, and who the provider says has come.

use std::collections::{BTreeMap, BTreeSet};

use annals_store::{
    EndSessions, LoginType, Organization, OrganizationRole, PendingLogin, Person, PersonId, PersonStatus,
    Role, StoreError,
};
use tracing::warn;

use super::login::failed_login;
use super::people::person_event;
use super::{
    AccessError, NAME_BYTES_MAX, Origin, SecretText, check_email, check_line, check_name, check_picture,
    hash, new_id, seconds_later,
};
use crate::Engine;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// How long somebody may take at the provider: time to find a second factor.
const PENDING_SECONDS: u32 = 10 * 60;
/// Bytes of an issuer and of a subject each; the standard allows a subject 255.
const SUBJECT_BYTES_MAX: usize = 1_024;
/// People of one name who come from the provider get numbers up to this one.
const NAMESAKES_MAX: u32 = 100;

/// A log-in that goes to the provider.
#[derive(Clone, Copy)]
pub struct PendingOidc<'p> {
    /// What comes back with the code. The database keeps its hash.
    pub state: &'p str,
    /// What the provider must put into its token.
    pub nonce: &'p str,
    /// The secret of PKCE.
    pub verifier: &'p str,
    /// Path to go on to.
    pub next: &'p str,
}

/// A log-in that came back.
#[derive(Clone)]
pub struct TakenOidc {
    /// What the provider must have put into its token.
    pub nonce: String,
    /// The secret of PKCE.
    pub verifier: String,
    /// Path to go on to.
    pub next: String,
}

/// Leaves the secrets out, so that no log line can hold them.
impl std::fmt::Debug for PendingOidc<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingOidc").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Leaves the secrets out, so that no log line can hold them.
impl std::fmt::Debug for TakenOidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TakenOidc").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Who the provider says has come. What it does not say is empty.
#[derive(Debug, Clone, Default)]
pub struct OidcIdentity {
    /// The provider.
    pub issuer: String,
    /// Its name for the person, which never changes.
    pub subject: String,
    /// E-mail address.
    pub email: String,
    /// The provider has made sure that it is theirs.
    pub email_verified: bool,
    /// Log-in name that they go by there.
    pub username: String,
    /// Name for people.
    pub name: String,
    /// Address of a picture.
    pub avatar_url: String,
    /// Groups there.
    pub groups: Vec<String>,
    /// Roles there.
    pub roles: Vec<String>,
}

impl OidcIdentity {
    fn has_claim(&self, value: &str) -> bool {
        self.groups.iter().chain(&self.roles).any(|claim| claim == value)
    }

    /// The address, if the provider vouches for it. Any other would let people write somebody else's into the log.
    fn sure_email(&self) -> &str {
        if self.email_verified && check_email(&self.email).is_ok() { &self.email } else { "" }
    }
}

/// What those who come from the provider get.
#[derive(Debug, Clone, Default)]
pub struct OidcPolicy {
    /// Whoever comes for the first time gets an account.
    pub allow_register: bool,
    /// Site role for a group or role of the provider; the mightiest counts, without any it is that of a member. If this is
    /// empty, site roles are given here, not there.
    pub role_map: BTreeMap<String, Role>,
    /// Organization, by id or name, and role in it for a group or role of the provider.
    pub organization_map: BTreeMap<String, (String, OrganizationRole)>,
}

/// Why somebody whom the provider vouches for is not logged in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcLoginError {
    /// The provider did not say who it is.
    #[error("the provider did not say who has come")]
    BadIdentity,
    /// They have no account here and get none, or it is suspended.
    #[error("this account may not log in here; ask a site manager for one")]
    Refused,
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for OidcLoginError {
    fn from(error: StoreError) -> OidcLoginError {
        OidcLoginError::Engine(error.into())
    }
}

impl Engine {
    /// Keeps a log-in that goes to the provider.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn begin_oidc(&self, pending: &PendingOidc<'_>) -> Result<(), EngineError> {
        let now = self.now();
        let pending = PendingLogin {
            state_hash: hash(pending.state),
            nonce: pending.nonce.to_owned(),
            verifier: pending.verifier.to_owned(),
            next: pending.next.replace('\0', ""),
            expires: seconds_later(now, PENDING_SECONDS),
        };
        Ok(self.store.add_pending_login(&pending, now)?)
    }

    /// Takes a log-in that came back with this state; none if there is none, it came too late, or it was taken already.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn take_oidc(&self, state: &str) -> Result<Option<TakenOidc>, EngineError> {
        let taken = self.store.take_pending_login(&hash(state), self.now())?;
        Ok(taken.map(|PendingLogin { nonce, verifier, next, .. }| TakenOidc { nonce, verifier, next }))
    }

    /// Records a log-in through the provider that failed before anybody was known: an unknown state, a code or token that
    /// is no good, a refusal of the provider. When too many come from one address, the first of those is the last recorded.
    pub fn refuse_oidc(&self, target: &str, origin: &Origin) {
        if let Some(status) = self.oidc_failure_status(origin) {
            self.record_own(&Principal::system().at(origin.clone()), failed_login(target, None, status));
        }
    }

    /// Logs in whom the provider says has come, and returns the secret of their session.
    ///
    /// They are found by issuer and subject, which no one else can have. Whoever comes for the first time is the person that
    /// a manager added for them, or a new one, or is refused.
    ///
    /// # Errors
    /// [`OidcLoginError`]; each refusal is recorded.
    pub fn log_in_oidc(
        &self,
        identity: &OidcIdentity,
        policy: &OidcPolicy,
        origin: &Origin,
    ) -> Result<SecretText, OidcLoginError> {
        let nobody = || Principal::system().at(origin.clone());
        let is_text = |text: &str| {
            !text.is_empty() && text.len() <= SUBJECT_BYTES_MAX && !text.chars().any(char::is_control)
        };
        if !is_text(&identity.issuer) || !is_text(&identity.subject) {
            self.refuse_oidc(&identity.username, origin);
            return Err(OidcLoginError::BadIdentity);
        }
        let subject = format!("{}\n{}", identity.issuer, identity.subject);
        let known = match self.store.person_by_subject(&subject)? {
            Some(person) => Some(person),
            None => self.link_oidc(identity, &subject)?,
        };
        let (person, action) = match known {
            Some(person) => (person, "login"),
            None if policy.allow_register => (self.register_oidc(identity, policy, &subject)?, "register"),
            None => {
                let target = super::people::shortened_or(&identity.username);
                let event = OwnEvent::new("register", "api_key", &target).status(403).by_nobody();
                self.record_own(&nobody(), event);
                return Err(OidcLoginError::Refused);
            }
        };
        if !person.is_active() {
            self.record_own(&nobody(), failed_login(&person.username, Some(&person), 401));
            return Err(OidcLoginError::Refused);
        }
        let person = self.follow_claims(person, identity, policy)?;
        match self.begin_session(person.clone(), LoginType::Oidc, action, origin)? {
            Some(secret) => Ok(secret),
            None => {
                self.record_own(&nobody(), failed_login(&person.username, Some(&person), 401));
                Err(OidcLoginError::Refused)
            }
        }
    }

    /// Finds the person whom a manager added for this one to come, and notes that they have come.
    ///
    /// Only people who were added to log in through the provider are looked at. Somebody with a password is never taken
    /// over by an address: whoever can make a provider confirm that address, a former owner of it for instance, would get
    /// the account and its role without the password. For the same reason a person who was added with an address comes by that
    /// address, confirmed by the provider, and not by a name: names are often chosen by their bearers.
    fn link_oidc(&self, identity: &OidcIdentity, subject: &str) -> Result<Option<Person>, OidcLoginError> {
        let (email, username) = (identity.sure_email().to_lowercase(), identity.username.to_lowercase());
        let is_waiting = |person: &Person| person.login_type == LoginType::Oidc && person.subject.is_none();
        let has_email = |person: &Person| !email.is_empty() && person.email.to_lowercase() == email;
        let has_name = |person: &Person| {
            person.email.is_empty() && !username.is_empty() && person.username.to_lowercase() == username
        };
        let waiting: Vec<Person> = self.store.people()?.into_iter().filter(is_waiting).collect();
        let by_email: Vec<&Person> = waiting.iter().filter(|person| has_email(person)).collect();
        let found = match by_email.as_slice() {
            [one] => Some(*one),
            // An address that several people were given says of nobody who they are.
            _ => waiting.iter().find(|person| has_name(person)),
        };
        let Some(found) = found else { return Ok(None) };
        let changed = self.store.change_person(&found.id, EndSessions::None, self.now(), |person| {
            // Somebody else may have come as this person since we looked.
            if is_waiting(person) {
                person.subject = Some(subject.to_owned());
                if person.email.is_empty() {
                    identity.sure_email().clone_into(&mut person.email);
                }
                if person.name.is_empty() && check_line("", &identity.name).is_ok() {
                    person.name.clone_from(&identity.name);
                }
                person.avatar_url = picture(identity);
            }
        })?;
        let Some(changed) = changed.filter(|changed| changed.after.subject.as_deref() == Some(subject))
        else {
            return Ok(None);
        };
        let event = person_event("write", Some(&changed.before), Some(&changed.after))
            .additional("oidc_issuer", identity.issuer.as_str());
        self.record_own(&Principal::system(), event);
        Ok(Some(changed.after))
    }

    /// Adds the person who has come for the first time.
    fn register_oidc(
        &self,
        identity: &OidcIdentity,
        policy: &OidcPolicy,
        subject: &str,
    ) -> Result<Person, OidcLoginError> {
        let created = self.now();
        let base = username_of(identity);
        let mut person = Person {
            id: PersonId(new_id(created)),
            username: base.clone(),
            email: identity.sure_email().to_owned(),
            name: if check_line("", &identity.name).is_ok() { identity.name.clone() } else { String::new() },
            role: site_role(identity, policy).unwrap_or(Role::Member),
            password_hash: String::new(),
            status: PersonStatus::Active,
            login_type: LoginType::Oidc,
            subject: Some(subject.to_owned()),
            avatar_url: picture(identity),
            created,
            updated: created,
            last_seen: None,
        };
        for number in 2..=NAMESAKES_MAX + 1 {
            match self.store.add_person(&person) {
                Ok(()) => {
                    self.record_own(&Principal::system(), person_event("create", None, Some(&person)));
                    return Ok(person);
                }
                Err(StoreError::UsernameTaken { .. }) => {
                    // They may have come twice at once, and the other one was first.
                    if let Some(person) = self.store.person_by_subject(subject)? {
                        return Ok(person);
                    }
                    person.username = format!("{base}-{number}");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::UsernameTaken { username: base }.into())
    }

    /// Gives a person what the claims of this log-in say, where the policy lets claims decide.
    fn follow_claims(
        &self,
        person: Person,
        identity: &OidcIdentity,
        policy: &OidcPolicy,
    ) -> Result<Person, OidcLoginError> {
        let system = Principal::system();
        let mut person = person;
        if let Some(role) = site_role(identity, policy).filter(|role| *role != person.role) {
            let change = |person: &mut Person| person.role = role;
            match self.store.change_person(&person.id, EndSessions::None, self.now(), change) {
                Ok(Some(changed)) => {
                    person = self.record_change(&system, changed).map_err(engine_error)?;
                }
                Ok(None) => return Err(OidcLoginError::Refused),
                // Better a manager too many than a site that nobody manages.
                Err(StoreError::LastManager { .. }) => {
                    warn!("the provider's claims would take away the last site manager; the role stays");
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.follow_memberships(&system, &person, identity, policy)?;
        Ok(person)
    }

    /// Makes the memberships in organizations that the policy names what the claims say; others stay.
    fn follow_memberships(
        &self,
        system: &Principal,
        person: &Person,
        identity: &OidcIdentity,
        policy: &OidcPolicy,
    ) -> Result<(), OidcLoginError> {
        let mut wanted: BTreeMap<String, (Organization, Option<OrganizationRole>)> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for (claim, (name, role)) in &policy.organization_map {
            let Some(organization) = self.find_organization(name).map_err(engine_error)? else {
                unknown.insert(name.as_str());
                continue;
            };
            let entry = wanted.entry(organization.id.0.clone()).or_insert((organization, None));
            if identity.has_claim(claim) && entry.1 != Some(OrganizationRole::Auditor) {
                entry.1 = Some(*role);
            }
        }
        for organization in unknown {
            warn!(
                organization,
                "the mapping of the provider's claims names an organization that is not there"
            );
        }
        for (organization, role) in wanted.into_values() {
            match role {
                Some(role) => self.put_member(system, &organization, person, role).map_err(engine_error)?,
                None => {
                    self.take_member(system, &organization, person).map_err(engine_error)?;
                }
            }
        }
        Ok(())
    }
}

/// The site role that the claims give; none if claims do not decide.
fn site_role(identity: &OidcIdentity, policy: &OidcPolicy) -> Option<Role> {
    if policy.role_map.is_empty() {
        return None;
    }
    let claimed = |role: &Role| {
        policy.role_map.iter().any(|(claim, mapped)| mapped == role && identity.has_claim(claim))
    };
    Some(Role::ALL.into_iter().find(claimed).unwrap_or(Role::Member))
}

/// A log-in name that can be taken, as near as can be to what the provider says.
fn username_of(identity: &OidcIdentity) -> String {
    let email_name = identity.email.split('@').next().unwrap_or_default();
    for text in [identity.username.as_str(), email_name] {
        let allowed = |character: char| character.is_alphanumeric() || "._-@+".contains(character);
        let mut name: String =
            text.trim().chars().map(|character| if allowed(character) { character } else { '-' }).collect();
        // Room for a number behind it.
        while name.len() > NAME_BYTES_MAX - 4 {
            name.pop();
        }
        if name.chars().any(char::is_alphanumeric) && check_name(&name).is_ok() {
            return name;
        }
    }
    "user".to_owned()
}

fn picture(identity: &OidcIdentity) -> String {
    if check_picture("", &identity.avatar_url).is_ok() { identity.avatar_url.clone() } else { String::new() }
}

fn engine_error(error: AccessError) -> OidcLoginError {
    match error {
        AccessError::Engine(error) => OidcLoginError::Engine(error),
        // Deleted while they came: what else can be wrong was checked when it was made.
        _ => OidcLoginError::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_provider_becomes_one_that_can_be_taken() {
        let name = |username: &str, email: &str| {
            let identity = OidcIdentity {
                username: username.to_owned(),
                email: email.to_owned(),
                ..OidcIdentity::default()
            };
            username_of(&identity)
        };
        assert_eq!(name("Zoë.K", ""), "Zoë.K");
        assert_eq!(name(" a b\n", "x@y"), "a-b");
        assert_eq!(name("", "anna@corp.example"), "anna");
        assert_eq!(name("", ""), "user");
        assert_eq!(name("\u{0}/", "--@x"), "user");
        assert!(name(&"ä".repeat(100), "").len() <= NAME_BYTES_MAX - 4);
    }

    #[test]
    fn the_mightiest_claim_counts_and_none_is_a_member() {
        let role_map = [("ops", Role::Auditor), ("admins", Role::SiteManager), ("all", Role::Member)];
        let role_map = role_map.map(|(claim, role)| (claim.to_owned(), role)).into();
        let policy = OidcPolicy { role_map, ..OidcPolicy::default() };
        let with = |groups: &[&str]| OidcIdentity {
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..OidcIdentity::default()
        };
        assert_eq!(site_role(&with(&["all", "ops", "admins"]), &policy), Some(Role::SiteManager));
        assert_eq!(site_role(&with(&["all", "ops"]), &policy), Some(Role::Auditor));
        assert_eq!(site_role(&with(&["Admins", "other"]), &policy), Some(Role::Member), "claims are exact");
        assert_eq!(site_role(&with(&["admins"]), &OidcPolicy::default()), None);
    }
}
