//! The keys as written.

use crate::Key;

/// A key as written: a [`Key`], or one of the four other words for [`Key::Time`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Key(Key),
    DateFrom,
    DateTo,
    Since,
    Until,
}

/// How the values of a field are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of a list of known values.
    Closed,
    /// Any text.
    Text,
    /// A UUID.
    Uuid,
    /// An address or a network.
    Address,
    /// A number or a range of numbers.
    Number,
    /// A time or a range of times.
    Time,
    /// One end of a range of times.
    TimeEnd,
    /// Free words.
    Words,
}

impl Field {
    pub(super) const OTHERS: [Self; 4] = [Self::DateFrom, Self::DateTo, Self::Since, Self::Until];

    /// Every field, in the order of the reference.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Key::ALL.into_iter().map(Self::Key).chain(Self::OTHERS)
    }

    pub(super) fn from_name(folded: &str) -> Option<Self> {
        Self::all().find(|field| field.name() == folded)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key(key) => key.name(),
            Self::DateFrom => "date_from",
            Self::DateTo => "date_to",
            Self::Since => "since",
            Self::Until => "until",
        }
    }

    pub(super) fn key(self) -> Key {
        match self {
            Self::Key(key) => key,
            Self::DateFrom | Self::DateTo | Self::Since | Self::Until => Key::Time,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::DateFrom | Self::DateTo | Self::Since | Self::Until => Kind::TimeEnd,
            Self::Key(key) => match key {
                Key::ResourceType | Key::Action | Key::BuildReason | Key::Outcome | Key::ActorType => {
                    Kind::Closed
                }
                Key::RequestId | Key::Id => Kind::Uuid,
                Key::Ip => Kind::Address,
                Key::StatusCode | Key::Seq => Kind::Number,
                Key::Time => Kind::Time,
                Key::Text => Kind::Words,
                Key::ResourceId
                | Key::ResourceTarget
                | Key::Username
                | Key::Email
                | Key::UserId
                | Key::Organization
                | Key::UserAgent
                | Key::Changed
                | Key::Source
                | Key::Impersonator
                | Key::OnBehalfOf => Kind::Text,
            },
        }
    }

    /// Whether Coder has this key, so that its reading of colons applies.
    pub(super) fn is_coders(self) -> bool {
        match self {
            Self::DateFrom | Self::DateTo => true,
            Self::Since | Self::Until => false,
            Self::Key(key) => matches!(
                key,
                Key::ResourceType
                    | Key::ResourceId
                    | Key::ResourceTarget
                    | Key::Action
                    | Key::Username
                    | Key::Email
                    | Key::Organization
                    | Key::RequestId
                    | Key::BuildReason
            ),
        }
    }

    /// Whether the text is an identifier, so that every spelling of a UUID is brought to one form.
    pub(super) fn holds_uuids(self) -> bool {
        matches!(
            self,
            Self::Key(
                Key::ResourceId | Key::UserId | Key::Organization | Key::Impersonator | Key::OnBehalfOf
            )
        )
    }

    /// Whether the nil UUID means no filter, as in Coder.
    pub(super) fn ignores_nil(self) -> bool {
        matches!(self, Self::Key(Key::ResourceId | Key::RequestId | Key::Organization))
    }
}
