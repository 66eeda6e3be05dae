//! The sentence about an event.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::placeholder::{Piece, pieces};
use super::{Registry, ResourceType, SentenceWhen};

/// What stands in every sentence that says nothing else.
const SENTENCE: &str = "{user} {verb} {noun} {target}";

/// The word for what is not in the registry.
const UNKNOWN: &str = "unknown";

/// The placeholders of a sentence template.
pub(super) const PLACEHOLDERS: [&str; 4] = ["user", "verb", "noun", "target"];

/// The event that a sentence is about.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Its `resource_type`.
    pub kind: &'a str,
    /// Its `action`.
    pub action: &'a str,
    /// Its `status_code`.
    pub status_code: u16,
    /// The fields that changed, each with its new value, where there is one to show.
    pub changed: &'a [(&'a str, Option<&'a RawValue>)],
}

impl Registry {
    /// Returns the sentence about an event, in which `{user}` and `{target}` stand literally.
    ///
    /// The most specific template wins: one for what changed, for the action of this type, for the action, for the
    /// type, and last the usual order of words. A type that is not in the registry is called by its name, an
    /// action that is not is `unknown`.
    ///
    /// # Examples
    /// ```
    /// use annals_model::registry::{Described, Registry};
    ///
    /// let registry = Registry::built_in();
    /// let about = Described { kind: "workspace_build", action: "stop", status_code: 500, changed: &[] };
    /// assert_eq!(registry.describe(&about), "{user} unsuccessfully attempted to stop workspace {target}");
    /// ```
    pub fn describe(&self, about: &Described<'_>) -> String {
        let resource = self.resource(about.kind);
        let action = self.action(about.action);

        let attempt = || match action.and_then(|action| action.attempt.as_deref()) {
            Some(attempt) => attempt.into(),
            None => plain(about.action),
        };
        let verb: Cow<'_, str> = match about.status_code {
            303 => format!("was redirected attempting to {}", attempt()).into(),
            400.. => format!("unsuccessfully attempted to {}", attempt()).into(),
            _ => action.map_or(UNKNOWN, |action| &action.done).into(),
        };
        let noun: Cow<'_, str> = match resource {
            Some(resource) => resource.noun.as_str().into(),
            None if about.kind.is_empty() => UNKNOWN.into(),
            None => plain(about.kind).replace('_', " ").into(),
        };
        let template = resource
            .and_then(|resource| own_sentence(resource, about))
            .or_else(|| action.and_then(|action| action.sentence.as_deref()))
            .or_else(|| resource.and_then(|resource| resource.sentences.get("default")).map(String::as_str))
            .unwrap_or(SENTENCE);

        let mut sentence = String::with_capacity(80);
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => sentence.push_str(text),
                Piece::Placeholder("verb") => sentence.push_str(&verb),
                Piece::Placeholder("noun") => sentence.push_str(&noun),
                Piece::Placeholder(literal) => sentence.extend(["{", literal, "}"]),
            }
        }
        sentence
    }
}

/// The template that a type has for this very event.
fn own_sentence<'a>(resource: &'a ResourceType, about: &Described<'_>) -> Option<&'a str> {
    let is_done = about.status_code < 400 && about.status_code != 303;
    resource
        .sentence_when
        .iter()
        .find(|when| is_done && fits(when, about))
        .map(|when| &when.sentence)
        .or_else(|| resource.sentences.get(about.action))
        .map(String::as_str)
}

fn fits(when: &SentenceWhen, about: &Described<'_>) -> bool {
    let has_new_value = |new: Option<&RawValue>| match &when.new {
        None => true,
        Some(wanted) => new
            .and_then(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok())
            .is_some_and(|value| value == *wanted),
    };
    when.action == about.action
        && !about.changed.is_empty()
        && about
            .changed
            .iter()
            .all(|(field, new)| when.only_changed.iter().any(|f| f == field) && has_new_value(*new))
}

/// A name that is not in the registry, without what a reader of the sentence would take for a placeholder.
fn plain(name: &str) -> Cow<'_, str> {
    if name.contains(['{', '}']) { name.replace(['{', '}'], "").into() } else { name.into() }
}
