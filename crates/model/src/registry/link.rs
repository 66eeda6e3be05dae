//! The path of the page that shows a resource.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Registry;
use super::placeholder::{Piece, pieces};

/// The placeholders of a link, besides `{additional.NAME}`.
pub(super) const PLACEHOLDERS: [&str; 6] =
    ["id", "target", "user_id", "username", "organization", "organization_id"];

/// The prefix of a placeholder that stands for a key of `additional_fields`.
const ADDITIONAL: &str = "additional.";

/// Everything but the unreserved characters of RFC 3986, section 2.3, so that a value stays one segment.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The id that stands for none.
const NIL_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// The event whose resource a link leads to. A value that the event does not have is empty.
///
/// In a template, `{id}`, `{target}`, `{user_id}`, `{username}`, `{organization}` and `{organization_id}` stand for
/// what is below, `{additional.NAME}` for a key of `additional_fields`, and `{a|b}` for the first that is not empty.
#[derive(Clone, Copy)]
pub struct Linked<'a> {
    /// The `resource_type`.
    pub kind: &'a str,
    /// The `resource_id`.
    pub resource_id: &'a str,
    /// The `resource_target`.
    pub target: &'a str,
    /// The id of who acted.
    pub user_id: &'a str,
    /// The name of who acted.
    pub username: &'a str,
    /// The id of the organization.
    pub organization_id: &'a str,
    /// Its name.
    pub organization_name: &'a str,
    /// Looks up a top-level text or number of `additional_fields`.
    pub additional: &'a dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for Linked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("kind", &self.kind)
            .field("resource_id", &self.resource_id)
            .field("target", &self.target)
            .field("user_id", &self.user_id)
            .field("username", &self.username)
            .field("organization_id", &self.organization_id)
            .field("organization_name", &self.organization_name)
            .finish_non_exhaustive()
    }
}

impl<'a> Linked<'a> {
    /// The value of a placeholder, `None` if it is empty or would change the meaning of the path.
    fn value(&self, placeholder: &str) -> Option<Cow<'a, str>> {
        let value: Cow<'a, str> = match placeholder {
            "id" => self.resource_id.into(),
            "target" => self.target.into(),
            "user_id" => self.user_id.into(),
            "username" => self.username.into(),
            "organization" => self.organization_name.into(),
            "organization_id" => self.organization_id.into(),
            other => (self.additional)(other.strip_prefix(ADDITIONAL)?)?.into(),
        };
        // `.` and `..` are path steps to every browser, encoded or not (URL Standard, section 4.4).
        (!matches!(&*value, "" | "." | ".." | NIL_UUID)).then_some(value)
    }
}

impl Registry {
    /// Returns the path of the resource's page, such as `/templates/docker`, with its values percent-encoded.
    ///
    /// Empty if the type has no page or the event lacks a value that the path needs.
    ///
    /// # Examples
    /// ```
    /// use annals_model::registry::{Linked, Registry};
    ///
    /// let about = Linked {
    ///     kind: "template",
    ///     resource_id: "",
    ///     target: "docker/über?",
    ///     user_id: "",
    ///     username: "",
    ///     organization_id: "",
    ///     organization_name: "",
    ///     additional: &|_| None,
    /// };
    /// assert_eq!(Registry::built_in().resource_link(&about), "/templates/docker%2F%C3%BCber%3F");
    /// ```
    pub fn resource_link(&self, about: &Linked<'_>) -> String {
        let template = self.resource(about.kind).and_then(|resource| resource.link.as_deref());
        template.and_then(|template| filled(template, about)).unwrap_or_default()
    }
}

fn filled(template: &str, about: &Linked<'_>) -> Option<String> {
    let mut path = String::with_capacity(template.len() + 32);
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => path.push_str(text),
            Piece::Placeholder(alternatives) => {
                let value = alternatives.split('|').find_map(|name| about.value(name))?;
                path.extend(utf8_percent_encode(&value, ENCODED));
            }
        }
    }
    Some(path)
}

/// Whether a link template may hold this placeholder.
pub(super) fn is_placeholder(alternatives: &str) -> bool {
    alternatives.split('|').all(|name| {
        PLACEHOLDERS.contains(&name) || name.strip_prefix(ADDITIONAL).is_some_and(|key| !key.is_empty())
    })
}
