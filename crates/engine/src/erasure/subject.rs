//! By which names a person is known in the log, and which openings hold one of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use annals_model::record::{Group, Opening, Record};
use annals_query::{Filter, Key, Term, fold};
use serde_json::Value;

use super::ErasureError;
use crate::Engine;
use crate::walk::Walk;

/// A name this long, or with an @ in it, is taken for the person wherever it stands; a shorter one only where it stands alone.
const DISTINCT_BYTES: usize = 16;

/// The names of one person, folded.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    names: BTreeSet<String>,
}

impl Subject {
    /// Finds the names that belong to one: ids of people with that log-in name or e-mail address, and the names that those ids
    /// ever had. A person is an id; two people who shared a name after each other are told apart by it.
    pub(super) fn known_as(engine: &Engine, name: &str) -> Result<Subject, ErasureError> {
        let name = fold(name.trim()).into_owned();
        if name.is_empty() {
            return Err(ErasureError::NoSubject);
        }
        let mut subject = Subject { names: BTreeSet::from([name.clone()]) };
        let mut ids = BTreeSet::from([name]);
        // Twice: from the name to its ids, and from the ids to their names.
        for _ in 0..2 {
            let keys = [Key::Username, Key::Email, Key::UserId, Key::Impersonator, Key::OnBehalfOf];
            let terms = ids.iter().flat_map(|name| keys.map(|key| Filter::from(Term::exact(key, name))));
            let filter = Filter::Or(terms.collect());
            let end = engine.log.refresh()?.next_seq();
            let mut found = Subject::default();
            let wanted = ids.clone();
            Walk::new(filter, 0..end).go(engine, &mut |_, record| {
                for person in people(record) {
                    let id = person.id();
                    let is_wanted = person.names.iter().any(|name| wanted.contains(name));
                    // Without an id, nothing but the name itself ties two events together.
                    if is_wanted && let Some(id) = id {
                        found.names.insert(id);
                        found.names.extend(person.names);
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
            ids = found.ids_of();
            subject.names.extend(found.names);
            if ids.is_empty() {
                break;
            }
        }
        Ok(subject)
    }

    fn ids_of(&self) -> BTreeSet<String> {
        self.names.clone()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    /// The groups of a record that hold one of the names. With the person who acted goes where they acted from.
    pub(super) fn groups_in(&self, record: &Record<'_>) -> BTreeSet<Group> {
        let mut groups = BTreeSet::new();
        let acts =
            people(record).iter().any(|person| person.names.iter().any(|name| self.names.contains(name)));
        let is_about = body_text(record, "resource_id")
            .is_some_and(|id| self.names.contains(&fold(&id).into_owned()))
            && has_personal_target(record);
        for group in Group::ALL {
            let Some(Opening::Present { value, .. }) = record.opening(group) else { continue };
            let is_theirs = match group {
                Group::Who | Group::Origin => acts,
                // What is said of a person goes with the person.
                Group::Target | Group::DiffOld | Group::DiffNew => is_about || self.is_in(value),
                Group::Details => self.is_in(value),
            };
            if is_theirs {
                groups.insert(group);
            }
        }
        groups
    }

    /// Says whether a part that is no opening holds one of the names; ids of people stay by design.
    pub(super) fn is_in_body(&self, record: &Record<'_>) -> bool {
        let Ok(Value::Object(mut body)) = serde_json::from_str::<Value>(record.body) else { return false };
        for member in ["user", "impersonator", "on_behalf_of", "resource_id"] {
            body.remove(member);
        }
        self.is_in_value(&Value::Object(body))
    }

    fn is_in(&self, json: &str) -> bool {
        // Most values hold none, which is seen without reading them.
        let folded = fold(json);
        if !self.names.iter().any(|name| folded.contains(name.as_str())) && !json.contains('\\') {
            return false;
        }
        serde_json::from_str::<Value>(json).is_ok_and(|value| self.is_in_value(&value))
    }

    fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in_text(text),
            Value::Array(items) => items.iter().any(|item| self.is_in_value(item)),
            Value::Object(members) => {
                members.iter().any(|(key, value)| self.is_in_text(key) || self.is_in_value(value))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn is_in_text(&self, text: &str) -> bool {
        let folded = fold(text.trim());
        self.names.iter().any(|name| {
            let is_distinct = name.len() >= DISTINCT_BYTES || name.contains('@');
            *folded == **name || (is_distinct && folded.contains(name.as_str())) || is_term_of(&folded, name)
        })
    }
}

/// Says whether a text is a query with a term that names the person, as recorded reads keep it: `username:demo-person`.
fn is_term_of(text: &str, name: &str) -> bool {
    text.split([' ', '(', ')', ',']).any(|word| {
        word.split_once(':').is_some_and(|(key, value)| !key.is_empty() && value.trim_matches('"') == name)
    })
}

/// One person of an event.
struct Named {
    /// Folded; the id first, if there is one.
    names: Vec<String>,
    has_id: bool,
}

impl Named {
    fn id(&self) -> Option<String> {
        self.names.first().filter(|_| self.has_id).cloned()
    }
}

/// The people who acted, by whichever part of the event.
fn people(record: &Record<'_>) -> Vec<Named> {
    let plain: Value = serde_json::from_str(record.body).unwrap_or_default();
    let personal: Value = match record.opening(Group::Who) {
        Some(Opening::Present { value, .. }) => serde_json::from_str(value).unwrap_or_default(),
        _ => Value::Null,
    };
    ["user", "impersonator", "on_behalf_of"]
        .iter()
        .map(|who| {
            let text = |value: &Value, member: &str| {
                let text = value[*who][member].as_str().filter(|text| !text.is_empty());
                text.map(|text| fold(text).into_owned())
            };
            let id = text(&plain, "id");
            let has_id = id.is_some();
            let others = ["username", "email"].into_iter().filter_map(|member| text(&personal, member));
            Named { names: id.into_iter().chain(others).collect(), has_id }
        })
        .filter(|person| !person.names.is_empty())
        .collect()
}

fn body_text(record: &Record<'_>, member: &str) -> Option<String> {
    let body: Value = serde_json::from_str(record.body).ok()?;
    body[member].as_str().map(str::to_owned)
}

/// The event is about a person: its target stands among the openings.
fn has_personal_target(record: &Record<'_>) -> bool {
    record.opening(Group::Target).is_some()
}
