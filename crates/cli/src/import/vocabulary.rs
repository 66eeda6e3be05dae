//! Registers the resource types, fields and actions that foreign records bring along.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use annals_model::registry::Registry;
use serde_json::Value;

/// Bytes of a call's name in a sentence.
const SHOWN_BYTES_MAX: usize = 100;

/// An action to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What events carry.
    pub(super) name: String,
    /// The TOML table that declares it.
    table: String,
}

/// A resource type to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceWord {
    /// What events carry.
    pub(super) name: String,
    /// The lines of its TOML table besides `type` and `fields`.
    lines: String,
    /// Fields that it is declared with, each with the TOML value of its policy.
    fields: Vec<(String, String)>,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldWord {
    pub(super) name: String,
    pub(super) is_secret: bool,
    pub(super) is_personal: bool,
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
    /// An action named after what another system calls it.
    pub(super) fn action(name: String, system: &str, call: &str, wording: &Wording) -> Word {
        let table = format!(
            "[[action]]\nname = {}\ndescription = {}\ndone = {}\nattempt = {}\n",
            quoted(&name),
            quoted(&format!("The event that {system} calls {call}.")),
            quoted(&wording.done),
            quoted(&wording.attempt),
        );
        Word { name, table }
    }

    /// An action that a mapping declares.
    pub(super) fn declared(name: String, table: String) -> Word {
        Word { name, table }
    }
}

impl ResourceWord {
    /// A type that sentences call by a noun and the name of its resource.
    pub(super) fn new(name: String, noun: &str) -> ResourceWord {
        let lines = format!("noun = {}\n", quoted(noun));
        ResourceWord { name, lines, fields: Vec::new() }
    }

    /// A type of which sentences speak by the name of its resource alone: `called DeleteBucket on logs`.
    pub(super) fn unnamed(name: String, noun: &str) -> ResourceWord {
        let noun = quoted(noun);
        let lines =
            format!("name = {noun}\nnoun = {noun}\nsentences.default = \"{{user}} {{verb}} {{target}}\"\n");
        ResourceWord { name, lines, fields: Vec::new() }
    }

    /// Whether its declaration speaks of an action.
    pub(super) fn names(&self, action: &str) -> bool {
        self.lines.contains(&key(action))
    }

    /// A type that a mapping declares.
    pub(super) fn declared(name: String, lines: String, fields: Vec<(String, String)>) -> ResourceWord {
        ResourceWord { name, lines, fields }
    }
}

impl FieldWord {
    fn policy(&self) -> String {
        let policy = if self.is_secret { "secret" } else { "track" };
        match self.is_personal && !self.is_secret {
            true => format!("{{ policy = \"{policy}\", personal = true }}"),
            false => format!("\"{policy}\""),
        }
    }
}

/// What one record needs of the registry, as far as it is not known to have it.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub(super) resource: Option<ResourceWord>,
    /// Its action, and others that the declaration of its type names.
    pub(super) actions: Vec<Word>,
    /// New fields of its type.
    pub(super) fields: Vec<FieldWord>,
}

/// The words that the log's registry has, and those that this run has met.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Types, each with its fields.
    resources: HashMap<String, HashSet<String>>,
    actions: HashSet<String>,
    new_resources: BTreeMap<String, NewResource>,
    new_actions: BTreeMap<String, Word>,
    /// Actions for which the log's registry had no room.
    refused: HashSet<String>,
}

/// A type that is new, or has new fields.
#[derive(Debug, Clone, Default)]
struct NewResource {
    lines: String,
    fields: BTreeMap<String, String>,
}

impl Vocabulary {
    /// What is built in, and what `registry` has besides: the reply to `GET /api/v2/audit/resources`.
    pub(super) fn new(registry: Option<&Value>) -> Vocabulary {
        let mut vocabulary = Vocabulary {
            resources: HashMap::new(),
            actions: HashSet::new(),
            new_resources: BTreeMap::new(),
            new_actions: BTreeMap::new(),
            refused: HashSet::new(),
        };
        let built_in = Registry::built_in().to_json();
        for registry in [Some(&built_in), registry].into_iter().flatten() {
            vocabulary.learn(registry);
        }
        vocabulary
    }

    fn learn(&mut self, registry: &Value) {
        let list =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        for resource in list(registry, "resources") {
            let Some(kind) = text(&resource, "type") else { continue };
            let fields = self.resources.entry(kind).or_default();
            for key in ["fields", "later_fields"] {
                fields.extend(list(&resource, key).iter().filter_map(|field| text(field, "name")));
            }
        }
        self.actions.extend(list(registry, "actions").iter().filter_map(|action| text(action, "name")));
    }

    pub(super) fn knows_resource(&self, kind: &str) -> bool {
        self.resources.contains_key(kind)
    }

    pub(super) fn knows_action(&self, action: &str) -> bool {
        self.actions.contains(action)
    }

    pub(super) fn knows_field(&self, kind: &str, field: &str) -> bool {
        self.resources.get(kind).is_some_and(|fields| fields.contains(field))
    }

    /// Notes words for the next registration. `kind` is the type of the record.
    pub(super) fn add(&mut self, kind: &str, words: Words) {
        if let Some(resource) = words.resource.filter(|resource| !self.knows_resource(&resource.name)) {
            self.new_resources.entry(resource.name).or_insert_with(|| NewResource {
                lines: resource.lines,
                fields: resource.fields.into_iter().collect(),
            });
        }
        for action in words.actions {
            if !self.knows_action(&action.name) {
                self.new_actions.entry(action.name.clone()).or_insert(action);
            }
        }
        for field in words.fields {
            // A name that the registry does not take stays without a policy: its value is withheld.
            let is_sound = !field.name.is_empty() && !field.name.contains(char::is_control);
            if is_sound && !self.knows_field(kind, &field.name) {
                let new = self.new_resources.entry(kind.to_owned()).or_default();
                new.fields.entry(field.name.clone()).or_insert_with(|| field.policy());
            }
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

    /// Registers what is new, in one document if the registry has room for all of it. True if actions were refused,
    /// which changes the events that have them.
    ///
    /// # Errors
    /// If the log takes none of the resource types, or refuses them for another reason than their number.
    pub(super) fn register(
        &mut self,
        register: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let resources: Vec<(String, NewResource)> =
            std::mem::take(&mut self.new_resources).into_iter().collect();
        let actions: Vec<Word> = std::mem::take(&mut self.new_actions).into_values().collect();
        // What is refused counts as known, so that no batch asks again.
        self.actions.extend(actions.iter().map(|action| action.name.clone()));
        for (kind, new) in &resources {
            self.resources.entry(kind.clone()).or_default().extend(new.fields.keys().cloned());
        }
        let mut tables: Vec<String> = resources.iter().map(|(kind, new)| new.table(kind)).collect();
        let resource_count = tables.len();
        tables.extend(actions.iter().map(|action| action.table.clone()));
        let Err(error) = register_all(register, &tables) else { return Ok(false) };
        if !is_full(&error) {
            return Err(error);
        }
        // A registry holds a limited number of types and actions, and AWS has thousands. What fits goes in.
        let refused = what_does_not_fit(register, &tables[..resource_count]);
        if resource_count > 0 && refused.len() == resource_count {
            return Err(error);
        }
        for at in refused {
            let (kind, new) = &resources[at];
            register_fields_that_fit(register, kind, new);
        }
        let refused_before = self.refused.len();
        for at in what_does_not_fit(register, &tables[resource_count..]) {
            self.refused.insert(actions[at].name.clone());
        }
        Ok(self.refused.len() > refused_before)
    }
}

impl NewResource {
    fn table(&self, kind: &str) -> String {
        let mut table = format!("[[resource]]\ntype = {}\n{}", quoted(kind), self.lines);
        for (at, (field, policy)) in self.fields.iter().enumerate() {
            let header = if at == 0 { "\n[resource.fields]\n" } else { "" };
            // Writing into a text does not fail.
            let _ = writeln!(table, "{header}{} = {policy}", key(field));
        }
        table
    }
}

fn register_all(
    register: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    tables: &[String],
) -> anyhow::Result<()> {
    if tables.is_empty() { Ok(()) } else { register(&tables.join("\n")) }
}

/// Registers tables, by halves where not all of them are taken, and returns which were not.
fn what_does_not_fit(register: &mut dyn FnMut(&str) -> anyhow::Result<()>, tables: &[String]) -> Vec<usize> {
    if register_all(register, tables).is_ok() {
        return Vec::new();
    }
    if tables.len() == 1 {
        return vec![0];
    }
    let (left, right) = tables.split_at(tables.len() / 2);
    let mut refused = what_does_not_fit(register, left);
    refused.extend(what_does_not_fit(register, right).into_iter().map(|at| at + left.len()));
    refused
}

/// Whether a registry refused a document because it holds as much as it may.
fn is_full(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("exceed the limit of")
}

/// Registers a type with as many of its fields as it takes, by halves; the values of the others are withheld, with a
/// warning.
fn register_fields_that_fit(
    register: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    kind: &str,
    new: &NewResource,
) {
    let fields: Vec<(&String, &String)> = new.fields.iter().collect();
    let mut parts = vec![fields.as_slice()];
    while let Some(part) = parts.pop() {
        let fields = part.iter().map(|(name, policy)| ((*name).clone(), (*policy).clone())).collect();
        let table = NewResource { lines: new.lines.clone(), fields }.table(kind);
        if register(&table).is_err() && part.len() > 1 {
            let (left, right) = part.split_at(part.len() / 2);
            parts.extend([right, left]);
        }
    }
}

/// A TOML key. A JSON text without control characters is one.
pub(super) fn key(name: &str) -> String {
    serde_json::to_string(name).expect("a text always serialises")
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

    fn words(kind: &str, fields: &[&str]) -> Words {
        let field =
            |name: &&str| FieldWord { name: (*name).to_owned(), is_secret: false, is_personal: false };
        Words {
            resource: Some(ResourceWord::new(kind.to_owned(), kind)),
            actions: Vec::new(),
            fields: fields.iter().map(field).collect(),
        }
    }

    #[test]
    fn every_word_is_a_sound_document() {
        let odd = "Odd\"\\{x}\n\u{7f}é".repeat(40);
        let wording = Wording { done: format!("called {odd} on"), attempt: format!("call {odd} on") };
        let mut words = words("aws.s3", &["a.b \"c\"", "É", "line"]);
        words.resource = Some(ResourceWord::unnamed("aws.s3".to_owned(), &odd));
        words.actions = vec![Word::action("deletebucket".to_owned(), "CloudTrail", &odd, &wording)];
        words.fields[1].is_secret = true;
        words.fields[2].is_personal = true;
        let mut vocabulary = Vocabulary::new(None);
        vocabulary.add("aws.s3", words.clone());
        let mut registry = Registry::built_in();
        let mut changes = String::new();
        let mut register = |document: &str| {
            changes += &registry.extend(document, Authority::Application)?.to_string();
            Ok(())
        };
        assert!(!vocabulary.register(&mut register).unwrap());
        assert_eq!(changes, "added resource type `aws.s3` with 3 fields\nadded action `deletebucket`");
        vocabulary.add("aws.s3", words);
        assert!(vocabulary.new_resources.is_empty() && vocabulary.new_actions.is_empty());
    }

    #[test]
    fn a_registry_that_is_nearly_full_takes_what_fits() {
        let mut registry = Registry::built_in();
        let mut vocabulary = Vocabulary::new(None);
        let many: Vec<String> = (0..600).map(|number| format!("f{number:03}")).collect();
        vocabulary.add("wide", words("wide", &many.iter().map(String::as_str).collect::<Vec<_>>()));
        for number in 0..600 {
            vocabulary.add("", words(&format!("kind{number:03}"), &[]));
        }
        let mut register = |document: &str| {
            registry.extend(document, Authority::Application)?;
            Ok(())
        };
        vocabulary.register(&mut register).unwrap();
        assert_eq!(registry.resources().count(), 512);
        assert!(registry.resource("kind000").is_some() && registry.resource("kind599").is_none());

        let mut registry = Registry::built_in();
        let mut vocabulary = Vocabulary::new(None);
        vocabulary.add("wide", words("wide", &many.iter().map(String::as_str).collect::<Vec<_>>()));
        vocabulary.add("", words("other", &[]));
        let mut register = |document: &str| {
            registry.extend(document, Authority::Application)?;
            Ok(())
        };
        vocabulary.register(&mut register).unwrap();
        assert_eq!(registry.resource("wide").unwrap().all_fields().count(), 512);
    }

    #[test]
    fn a_log_that_is_out_of_reach_is_no_full_registry() {
        let mut vocabulary = Vocabulary::new(None);
        let wording = Wording { done: "rang".to_owned(), attempt: "ring".to_owned() };
        let action = Word::action("ring".to_owned(), "Doors", "ring", &wording);
        vocabulary.add("door", Words { actions: vec![action], ..words("door", &[]) });
        let mut calls = 0;
        let mut unreachable = |_: &str| {
            calls += 1;
            Err(anyhow::anyhow!("cannot reach http://192.0.2.1"))
        };
        assert!(vocabulary.register(&mut unreachable).is_err());
        assert_eq!((calls, vocabulary.refused_count()), (1, 0));
    }
}
