//! The keys a term can test.

/// What a term tests of an event.
///
/// The words users write are a few more: `date_from`, `date_to`, `since` and `until` all test [`Key::Time`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The kind of thing that was acted on; a closed vocabulary.
    ResourceType,
    /// The identifier of the thing.
    ResourceId,
    /// The name of the thing at that time.
    ResourceTarget,
    /// What was done; a closed vocabulary.
    Action,
    /// The username of who did it.
    Username,
    /// The e-mail address of who did it.
    Email,
    /// The identifier of who did it.
    UserId,
    /// The identifier or the name of the organization.
    Organization,
    /// The request that caused the event.
    RequestId,
    /// The event's own identifier.
    Id,
    /// Why a workspace was built; a closed vocabulary.
    BuildReason,
    /// The address the request came from.
    Ip,
    /// The user agent of the request.
    UserAgent,
    /// The HTTP status of the answer.
    StatusCode,
    /// How it ended: `success`, `denied` or `failure`.
    Outcome,
    /// What kind of actor did it: `user`, `service`, `system` or `anonymous`.
    ActorType,
    /// The name of a changed field; an event has any number of them.
    Changed,
    /// The position in the log.
    Seq,
    /// When it happened.
    Time,
    /// The system that sent the event.
    Source,
    /// Who acted under another user's identity.
    Impersonator,
    /// Whom the actor acted for.
    OnBehalfOf,
    /// Free words.
    Text,
}

impl Key {
    /// Every key, in the order of the reference.
    pub const ALL: [Self; 23] = [
        Self::ResourceType,
        Self::ResourceId,
        Self::ResourceTarget,
        Self::Action,
        Self::Username,
        Self::Email,
        Self::UserId,
        Self::Organization,
        Self::RequestId,
        Self::Id,
        Self::BuildReason,
        Self::Ip,
        Self::UserAgent,
        Self::StatusCode,
        Self::Outcome,
        Self::ActorType,
        Self::Changed,
        Self::Seq,
        Self::Time,
        Self::Source,
        Self::Impersonator,
        Self::OnBehalfOf,
        Self::Text,
    ];

    /// Returns the name as written in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResourceType => "resource_type",
            Self::ResourceId => "resource_id",
            Self::ResourceTarget => "resource_target",
            Self::Action => "action",
            Self::Username => "username",
            Self::Email => "email",
            Self::UserId => "user_id",
            Self::Organization => "organization",
            Self::RequestId => "request_id",
            Self::Id => "id",
            Self::BuildReason => "build_reason",
            Self::Ip => "ip",
            Self::UserAgent => "user_agent",
            Self::StatusCode => "status_code",
            Self::Outcome => "outcome",
            Self::ActorType => "actor_type",
            Self::Changed => "changed",
            Self::Seq => "seq",
            Self::Time => "time",
            Self::Source => "source",
            Self::Impersonator => "impersonator",
            Self::OnBehalfOf => "on_behalf_of",
            Self::Text => "text",
        }
    }

    /// Returns the key of this name, if there is one. The name is case-sensitive and has no synonyms.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Returns one line of help, for completion lists.
    pub const fn help(self) -> &'static str {
        match self {
            Self::ResourceType => "kind of resource, such as workspace",
            Self::ResourceId => "identifier of the resource",
            Self::ResourceTarget => "name of the resource",
            Self::Action => "what was done, such as create",
            Self::Username => "who did it; me is you",
            Self::Email => "e-mail address of who did it",
            Self::UserId => "identifier of who did it",
            Self::Organization => "identifier or name of the organization",
            Self::RequestId => "request that caused the event (UUID)",
            Self::Id => "identifier of the event (UUID)",
            Self::BuildReason => "why a workspace was built",
            Self::Ip => "address of the client, or a network such as 10.0.0.0/8",
            Self::UserAgent => "user agent of the client; use wildcards",
            Self::StatusCode => "HTTP status: 404, 400..499, >=400",
            Self::Outcome => "success, denied or failure",
            Self::ActorType => "user, service, system or anonymous",
            Self::Changed => "name of a changed field",
            Self::Seq => "position in the log: 1000..1999",
            Self::Time => "when: 2026-01-15, 2026-01..2026-03, >=now-7d",
            Self::Source => "system that sent the event",
            Self::Impersonator => "who acted under another identity: id, username or e-mail",
            Self::OnBehalfOf => "whom the actor acted for: id, username or e-mail",
            Self::Text => "words in names, actors, addresses and changed fields",
        }
    }

    /// Whether one event can have several values, so that repeating the key means all of them.
    ///
    /// Every other key has one value, and repeating it means any of them.
    pub const fn is_multi_valued(self) -> bool {
        matches!(self, Self::Changed | Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_distinct() {
        for key in Key::ALL {
            assert_eq!(Key::from_name(key.name()), Some(key));
            assert!(!key.help().is_empty());
        }
    }
}
