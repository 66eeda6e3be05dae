//! One event as the evaluator and the indexes see it.

use crate::Key;
use std::borrow::Cow;
use std::net::IpAddr;
use uuid::Uuid;

/// One event, borrowed. Empty text, a nil [`Uuid`] and status code 0 mean that the event lacks the key.
#[derive(Debug, Clone, Default)]
pub struct Document<'a> {
    /// Position in the log.
    pub seq: u64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// The event's identifier.
    pub id: Uuid,
    /// Kind of resource.
    pub resource_type: &'a str,
    /// Identifier of the resource; a UUID is in lower-case hyphenated form.
    pub resource_id: &'a str,
    /// Name of the resource.
    pub resource_target: &'a str,
    /// What was done.
    pub action: &'a str,
    /// Kind of actor.
    pub actor_type: &'a str,
    /// Who did it.
    pub user: Actor<'a>,
    /// Who acted under the user's identity.
    pub impersonator: Actor<'a>,
    /// Whom the user acted for.
    pub on_behalf_of: Actor<'a>,
    /// Identifier of the organization.
    pub organization_id: &'a str,
    /// Unique name of the organization.
    pub organization_name: &'a str,
    /// Name of the organization for people; not searched, since it is neither unique nor stable.
    pub organization_display_name: &'a str,
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// User agent of the client.
    pub user_agent: &'a str,
    /// The request that caused the event.
    pub request_id: Option<Uuid>,
    /// HTTP status of the answer.
    pub status_code: u16,
    /// Why a workspace was built.
    pub build_reason: &'a str,
    /// Names of the changed fields.
    pub changed: Vec<&'a str>,
    /// The system that sent the event.
    pub source: &'a str,
}

/// A person or a service in an event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Actor<'a> {
    /// Identifier.
    pub id: &'a str,
    /// Username.
    pub username: &'a str,
    /// E-mail address.
    pub email: &'a str,
    /// Name for people.
    pub name: &'a str,
}

impl<'a> Document<'a> {
    /// Returns the values that a text key is tested against, neither folded nor empty.
    ///
    /// An organization gives its identifier and name; an impersonator or principal gives identifier, username and
    /// e-mail address. [`Key::Text`] gives resource target, actor (username, e-mail address, name), resource type,
    /// action, organization name, the names of the changed fields, and the address as text, the only value that is
    /// not borrowed. Keys that are not text give nothing.
    pub fn texts(&self, key: Key) -> impl Iterator<Item = Cow<'a, str>> + '_ {
        let one = |text: &'a str| [text, "", "", "", "", "", ""];
        let actor = |actor: &Actor<'a>| [actor.id, actor.username, actor.email, "", "", "", ""];
        let fixed = match key {
            Key::ResourceType => one(self.resource_type),
            Key::ResourceId => one(self.resource_id),
            Key::ResourceTarget => one(self.resource_target),
            Key::Action => one(self.action),
            Key::Username => one(self.user.username),
            Key::Email => one(self.user.email),
            Key::UserId => one(self.user.id),
            Key::Organization => [self.organization_id, self.organization_name, "", "", "", "", ""],
            Key::BuildReason => one(self.build_reason),
            Key::UserAgent => one(self.user_agent),
            Key::Outcome => one(self.outcome()),
            Key::ActorType => one(self.actor_type),
            Key::Source => one(self.source),
            Key::Impersonator => actor(&self.impersonator),
            Key::OnBehalfOf => actor(&self.on_behalf_of),
            Key::Text => [
                self.resource_target,
                self.user.username,
                self.user.email,
                self.user.name,
                self.resource_type,
                self.action,
                self.organization_name,
            ],
            Key::Changed | Key::RequestId | Key::Id | Key::Ip | Key::StatusCode | Key::Seq | Key::Time => {
                one("")
            }
        };
        let has_changed = matches!(key, Key::Changed | Key::Text);
        let changed = if has_changed { self.changed.as_slice() } else { &[] };
        let address = self.address().filter(|_| key == Key::Text);
        fixed
            .into_iter()
            .chain(changed.iter().copied())
            .filter(|text| !text.is_empty())
            .map(Cow::Borrowed)
            .chain(address.map(|address| Cow::Owned(address.to_string())))
    }

    /// Returns the address of the client; an IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn address(&self) -> Option<IpAddr> {
        self.ip.map(|address| address.to_canonical())
    }

    /// Returns how it ended: `denied` for status 401 and 403, else `success` below 400 and `failure` from there.
    pub fn outcome(&self) -> &'static str {
        match self.status_code {
            401 | 403 => "denied",
            0..400 => "success",
            400.. => "failure",
        }
    }
}
