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

/// One person: the id that tells them apart, and the names that they ever had, folded.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    /// None where no event gives the person an id: then nothing but the name ties events together.
    id: Option<String>,
    names: BTreeSet<String>,
}

impl Subject {
    /// Finds who is meant by a log-in name, an e-mail address or an id, and all names of that id. A name that several ids had is refused: one of
    /// them must be chosen.
    pub(super) fn known_as(engine: &Engine, name: &str) -> Result<Subject, ErasureError> {
        let name = fold(name.trim()).into_owned();
        if name.is_empty() {
            return Err(ErasureError::NoSubject);
        }
        let mut ids = BTreeSet::new();
        each_named(engine, &name, |person| {
            ids.extend(person.id.filter(|id| person.names.contains(&name) || *id == name))
        })?;
        if ids.contains(&name) {
            // An id says who is meant, also where somebody is called like it.
            ids = BTreeSet::from([name.clone()]);
        }
        if ids.len() > 1 {
            return Err(ErasureError::SeveralPeople { ids: ids.into_iter().collect() });
        }
        let mut subject = Subject { id: ids.pop_first(), names: BTreeSet::new() };
        match subject.id.clone() {
            None => subject.names.extend([name]),
            Some(id) => {
                each_named(engine, &id, |person| {
                    if person.id.as_ref() == Some(&id) {
                        subject.names.extend(person.names);
                    }
                })?;
                subject.names.insert(id);
            }
        }
        Ok(subject)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    /// Where an event gives an actor an id, the id alone decides.
    fn is(&self, person: &Named) -> bool {
        match (&person.id, &self.id) {
            (Some(id), Some(own)) => id == own,
            (Some(_), None) => false,
            (None, _) => person.names.iter().any(|name| self.names.contains(name)),
        }
    }

    /// The groups of a record that hold one of the names. With the person who acted goes where they acted from.
    pub(super) fn groups_in(&self, record: &Record<'_>) -> BTreeSet<Group> {
        let mut groups = BTreeSet::new();
        let acts = people(record).iter().any(|person| self.is(person));
        let body: Value = serde_json::from_str(record.body).unwrap_or_default();
        let resource_id = body["resource_id"].as_str().map(|id| fold(id).into_owned());
        // The event is about a person if its target stands among the openings; an id tells which one.
        let is_about = record.opening(Group::Target).is_some()
            && resource_id.is_some_and(|id| self.id.as_ref().is_some_and(|own| *own == id));
        let is_query = matches!(body["resource_type"].as_str(), Some("audit_log" | "legal_hold" | "stream"));
        for group in Group::ALL {
            let Some(Opening::Present { value, .. }) = record.opening(group) else { continue };
            let is_theirs = match group {
                Group::Who | Group::Origin => acts,
                // What is said of a person goes with the person.
                Group::Target | Group::DiffOld | Group::DiffNew => is_about || self.is_in(value, is_query),
                Group::Details => self.is_in(value, false),
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
        self.is_in_value(&Value::Object(body), false)
    }

    /// In a query, which is made of names, each stands for the person; in another text a short one only where it stands alone.
    fn is_in(&self, json: &str, is_query: bool) -> bool {
        // Most values hold none, which is seen without reading them.
        let folded = fold(json);
        if !self.names.iter().any(|name| folded.contains(name.as_str())) && !json.contains('\\') {
            return false;
        }
        serde_json::from_str::<Value>(json).is_ok_and(|value| self.is_in_value(&value, is_query))
    }

    fn is_in_value(&self, value: &Value, is_query: bool) -> bool {
        match value {
            Value::String(text) => self.is_in_text(text, is_query),
            Value::Array(items) => items.iter().any(|item| self.is_in_value(item, is_query)),
            Value::Object(members) => members
                .iter()
                .any(|(key, value)| self.is_in_text(key, is_query) || self.is_in_value(value, is_query)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn is_in_text(&self, text: &str, is_query: bool) -> bool {
        let folded = fold(text.trim());
        self.names.iter().any(|name| {
            let is_distinct = is_query || name.len() >= DISTINCT_BYTES || name.contains('@');
            *folded == **name || (is_distinct && stands_in(&folded, name))
        })
    }
}

/// Says whether a name stands in a text, and not as a part of a longer name: `ann@x.example` is not in `joann@x.example`.
fn stands_in(text: &str, name: &str) -> bool {
    let is_of_name = |character: char| character.is_alphanumeric() || "_-+@%".contains(character);
    text.match_indices(name).any(|(at, _)| {
        let mut before = text[..at].chars().rev();
        let mut after = text[at + name.len()..].chars();
        let begins = match before.next() {
            Some('.') => !before.next().is_some_and(is_of_name),
            other => !other.is_some_and(is_of_name),
        };
        // A full stop may end the sentence.
        let ends = match after.next() {
            Some('.') => !after.next().is_some_and(is_of_name),
            other => !other.is_some_and(is_of_name),
        };
        begins && ends
    })
}

/// Hands on the people of every event that one is found by.
fn each_named(engine: &Engine, name: &str, mut each: impl FnMut(Named)) -> Result<(), ErasureError> {
    let keys = [Key::Username, Key::Email, Key::UserId, Key::Impersonator, Key::OnBehalfOf];
    let filter = Filter::Or(keys.map(|key| Filter::from(Term::exact(key, name))).into());
    let end = engine.log_end()?;
    Walk::new(filter, 0..end).go(engine, &mut |_, record| {
        people(record).into_iter().for_each(&mut each);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// One person of an event; folded.
struct Named {
    id: Option<String>,
    /// Log-in name and e-mail address.
    names: Vec<String>,
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
            let names = ["username", "email"].into_iter().filter_map(|member| text(&personal, member));
            Named { id: text(&plain, "id"), names: names.collect() }
        })
        .filter(|person| person.id.is_some() || !person.names.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(names: &[&str]) -> Subject {
        Subject { id: None, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn a_name_is_not_found_in_a_longer_one() {
        let ann = subject(&["ann@x.example", "christopher.smith", "bo"]);
        for text in
            ["ann@x.example", "mail ann@x.example.", "<ANN@x.example>", "by christopher.smith, bo", "Bo"]
        {
            assert!(ann.is_in_text(text, false), "{text}");
        }
        for text in [
            "joann@x.example",
            "ann@x.example.org",
            "christopher.smithson",
            "j.christopher.smith",
            "bobby",
            "with bo",
        ] {
            assert!(!ann.is_in_text(text, false), "{text}");
        }
        for query in ["username:bo action:login", "bo", "\"bo\" since:7d", "(username:bo)"] {
            assert!(ann.is_in_text(query, true), "{query}");
        }
        assert!(!ann.is_in_text("username:bobby", true));
    }
}
