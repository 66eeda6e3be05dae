//! Registers the resource types and actions that foreign records bring along.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use annals_model::registry::Registry;

use crate::target::Target;

/// Bytes of a call's name in a sentence.
const SHOWN_BYTES_MAX: usize = 100;

/// A resource type or an action to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What events carry.
    pub(super) name: String,
    /// The TOML table that declares it.
    table: String,
}

/// The verbs of sentences about an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wording {
    /// After who did it: `called DeleteBucket on`.
    pub(super) done: String,
    /// After "attempted to": `call DeleteBucket on`.
    pub(super) attempt: String,
}

impl Word {
    /// A type of which sentences speak by the name of its resource alone: `called DeleteBucket on logs`.
    pub(super) fn resource(name: String, noun: &str) -> Word {
        let table = format!(
            "[[resource]]\ntype = {}\nname = {}\nnoun = {}\nsentences.default = \"{{user}} {{verb}} {{target}}\"\n",
            quoted(&name),
            quoted(noun),
            quoted(noun),
        );
        Word { name, table }
    }

    /// An action named after a call of another system.
    pub(super) fn action(name: String, call: &str, wording: &Wording) -> Word {
        let table = format!(
            "[[action]]\nname = {}\ndescription = {}\ndone = {}\nattempt = {}\n",
            quoted(&name),
            quoted(&format!("The event that CloudTrail calls {call}.")),
            quoted(&wording.done),
            quoted(&wording.attempt),
        );
        Word { name, table }
    }
}

/// What one record needs.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) resource: Word,
    pub(super) action: Word,
}

/// The words that this run has met.
#[derive(Debug)]
pub(super) struct Vocabulary {
    built_in: Registry,
    resources: Shelf,
    actions: Shelf,
    /// Actions for which the log's registry had no room.
    refused: HashSet<String>,
}

/// Words of one sort.
#[derive(Debug, Default)]
struct Shelf {
    known: HashSet<String>,
    new: BTreeMap<String, Word>,
}

impl Shelf {
    fn add(&mut self, word: Word) {
        if !self.known.contains(&word.name) {
            self.new.entry(word.name.clone()).or_insert(word);
        }
    }

    fn take_new(&mut self) -> Vec<Word> {
        let words: Vec<Word> = std::mem::take(&mut self.new).into_values().collect();
        self.known.extend(words.iter().map(|word| word.name.clone()));
        words
    }
}

impl Vocabulary {
    pub(super) fn new() -> Vocabulary {
        Vocabulary {
            built_in: Registry::built_in(),
            resources: Shelf::default(),
            actions: Shelf::default(),
            refused: HashSet::new(),
        }
    }

    /// Notes words for the next registration.
    pub(super) fn add(&mut self, words: Words) {
        if self.built_in.resource(&words.resource.name).is_none() {
            self.resources.add(words.resource);
        }
        if self.built_in.action(&words.action.name).is_none() {
            self.actions.add(words.action);
        }
    }

    /// Whether an action is recorded under a general one, for want of room.
    pub(super) fn is_refused(&self, action: &str) -> bool {
        self.refused.contains(action)
    }

    /// How many actions are.
    pub(super) fn refused_count(&self) -> usize {
        self.refused.len()
    }

    /// Registers what is new, in one document. True if actions were refused, which changes the events that have them.
    ///
    /// # Errors
    /// If the log does not take the resource types.
    pub(super) fn register(&mut self, target: &Target) -> anyhow::Result<bool> {
        let (resources, actions) = (self.resources.take_new(), self.actions.take_new());
        let Err(error) = register(target, &[&resources, &actions]) else { return Ok(false) };
        if actions.is_empty() {
            return Err(error);
        }
        // A registry holds a limited number of actions, and AWS has thousands. What fits goes in.
        register(target, &[&resources])?;
        let refused_before = self.refused.len();
        self.register_what_fits(target, &actions);
        Ok(self.refused.len() > refused_before)
    }

    fn register_what_fits(&mut self, target: &Target, actions: &[Word]) {
        if register(target, &[actions]).is_ok() {
            return;
        }
        match actions {
            [] => {}
            [action] => drop(self.refused.insert(action.name.clone())),
            _ => {
                let (left, right) = actions.split_at(actions.len() / 2);
                self.register_what_fits(target, left);
                self.register_what_fits(target, right);
            }
        }
    }
}

fn register(target: &Target, words: &[&[Word]]) -> anyhow::Result<()> {
    let mut document = String::new();
    for word in words.iter().copied().flatten() {
        writeln!(document, "{}", word.table)?;
    }
    if !document.is_empty() {
        target.register(&document)?;
    }
    Ok(())
}

/// A TOML string of plain letters; what could end it, or be read as a placeholder, becomes `_`.
fn quoted(text: &str) -> String {
    let plain = |c: char| match c {
        '"' | '\\' | '{' | '}' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let shown = &text[..text.floor_char_boundary(2 * SHOWN_BYTES_MAX)];
    format!("\"{}\"", shown.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use annals_model::registry::Authority;

    use super::*;

    #[test]
    fn every_word_is_a_sound_document() {
        let odd = "Odd\"\\{x}\n\u{7f}é".repeat(40);
        let resource = Word::resource("aws.s3".to_owned(), &odd);
        let wording = Wording { done: format!("called {odd} on"), attempt: format!("call {odd} on") };
        let action = Word::action("deletebucket".to_owned(), &odd, &wording);
        let document = format!("{}\n{}", resource.table, action.table);
        let mut registry = Registry::built_in();
        let extension = registry.extend(&document, Authority::Application).unwrap();
        assert_eq!(
            extension.to_string(),
            "added resource type `aws.s3` with 0 fields\nadded action `deletebucket`"
        );
        let again = registry.extend(&document, Authority::Application).unwrap();
        assert!(again.is_empty(), "{again}");
    }
}
