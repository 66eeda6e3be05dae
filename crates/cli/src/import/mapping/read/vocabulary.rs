//! The resource types and actions that a mapping declares.

use annals_model::registry::{Authority, Registry};

use super::Reader;
use crate::import::mapping::Mapping;
use crate::import::vocabulary::{ResourceWord, Word, key};

impl Reader {
    /// Hands `[[resource]]` and `[[action]]` to the registry's own reader, on the lines where they stand.
    pub(super) fn vocabulary(&mut self, text: &str, mapping: Option<&mut Mapping>) {
        let document = only_vocabulary(text);
        let mut registry = Registry::built_in();
        if let Err(errors) = registry.extend(&document, Authority::Application) {
            for error in &errors {
                let place = if error.place.is_empty() { String::new() } else { format!("{}: ", error.place) };
                self.errors.push((error.line.unwrap_or(0), format!("{place}{}", error.fault)));
            }
            return;
        }
        let (Some(mapping), Ok(table)) = (mapping, document.parse::<toml::Table>()) else { return };
        let tables = |name: &str| {
            let list = table.get(name).and_then(toml::Value::as_array).cloned().unwrap_or_default();
            list.into_iter().filter_map(|table| table.as_table().cloned()).collect::<Vec<_>>()
        };
        let line = |(name, value): (&String, &toml::Value)| format!("{} = {}\n", key(name), inline(value));
        for action in tables("action") {
            let name = action.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
            let lines: String = action.iter().map(line).collect();
            mapping.actions.push(Word::declared(name, format!("[[action]]\n{lines}")));
        }
        for mut resource in tables("resource") {
            let kind = match resource.remove("type") {
                Some(toml::Value::String(kind)) => kind,
                _ => String::new(),
            };
            let fields = match resource.remove("fields") {
                Some(toml::Value::Table(fields)) => {
                    fields.iter().map(|(name, policy)| (name.clone(), inline(policy))).collect()
                }
                _ => Vec::new(),
            };
            let lines: String = resource.iter().map(line).collect();
            mapping.resources.push(ResourceWord::declared(kind, lines, fields));
        }
    }
}

/// A value on one line, tables in braces.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => key(text),
        toml::Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        toml::Value::Table(table) => {
            let members = table.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The text with every line blank that is no part of a `[[resource]]` or `[[action]]`.
fn only_vocabulary(text: &str) -> String {
    let mut is_vocabulary = false;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        // A header begins its line; the elements of a list are indented.
        if line.starts_with('[') {
            let name = line.trim_start_matches('[').trim_start();
            let is_of = |word: &str| {
                name.strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with([']', '.']))
            };
            is_vocabulary = is_of("resource") || is_of("action");
        }
        if is_vocabulary {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}
