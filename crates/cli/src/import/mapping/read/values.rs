//! Values, conditions and places of a mapping.

use annals_model::registry::nearest;
use toml::de::{DeTable, DeValue};

use super::{Entry, NESTING_MAX, RULES_MAX, Reader};
use crate::import::mapping::path::{Glob, Path};
use crate::import::mapping::value::{Alternative, Condition, Input, Template, Test, Value};

impl Reader {
    /// A text, a list of alternatives, or a table with `from`.
    pub(super) fn value(&mut self, entry: &Entry<'_>) -> Value {
        self.nested_value(entry, 0)
    }

    fn nested_value(&mut self, entry: &Entry<'_>, depth: usize) -> Value {
        if depth > NESTING_MAX {
            self.fault(entry.line, format!("`{}` is nested deeper than {NESTING_MAX} levels", entry.key));
            return Value::default();
        }
        let alternatives = match entry.value {
            DeValue::Array(array) => {
                let items: Vec<_> = array.iter().map(|item| (item.span().start, item.get_ref())).collect();
                if items.len() > RULES_MAX {
                    self.fault(entry.line, format!("more than {RULES_MAX} alternatives"));
                    return Value::default();
                }
                let mut alternatives = Vec::new();
                for (start, value) in items {
                    let item = Entry { key: entry.key, line: self.line_at(start), value };
                    alternatives.extend(self.alternative(&item, depth));
                }
                alternatives
            }
            _ => self.alternative(entry, depth).into_iter().collect(),
        };
        Value { alternatives }
    }

    fn alternative(&mut self, entry: &Entry<'_>, depth: usize) -> Option<Alternative> {
        const KNOWN: &[&str] = &["from", "map", "default", "when"];
        let plain = |from: Input| Alternative { from, when: None, map: None, default: None };
        match entry.value {
            DeValue::String(_) | DeValue::Integer(_) => Some(plain(Input::Template(self.template(entry)?))),
            DeValue::Table(table) => {
                let (mut from, mut map, mut default, mut when) = (None, None, None, None);
                for entry in self.entries(table) {
                    match entry.key {
                        "from" => from = Some(self.nested_value(&entry, depth + 1)),
                        "map" => map = Some(self.map(&entry)),
                        "default" => default = self.template(&entry),
                        "when" => when = Some(self.condition(&entry)),
                        _ => self.unknown("key", &entry, KNOWN),
                    }
                }
                let Some(from) = from else {
                    self.fault(entry.line, format!("`{}` is a table without `from`", entry.key));
                    return None;
                };
                Some(Alternative { from: Input::Value(Box::new(from)), when, map, default })
            }
            other => {
                self.wrong_type(
                    entry.line,
                    entry.key,
                    "a text, a list of alternatives or a table with `from`",
                    other,
                );
                None
            }
        }
    }

    fn map(&mut self, entry: &Entry<'_>) -> Vec<(Glob, Template)> {
        let entries = self.table_entries(entry);
        if entries.len() > RULES_MAX {
            self.fault(entry.line, format!("more than {RULES_MAX} words in one table"));
        }
        let mut map = Vec::new();
        for entry in entries.iter().take(RULES_MAX) {
            let template = self.template(entry);
            map.extend(template.map(|template| (Glob::parse(entry.key), template)));
        }
        map
    }

    fn template(&mut self, entry: &Entry<'_>) -> Option<Template> {
        let text = match entry.value {
            DeValue::String(text) => text.to_string(),
            // A status can be written as a number.
            DeValue::Integer(number) => number.as_str().to_owned(),
            other => {
                self.wrong_type(entry.line, entry.key, "a text", other);
                return None;
            }
        };
        let template = self.checked(entry.line, Template::parse(&text))?;
        for path in template.paths() {
            self.check_variable(entry.line, path);
        }
        Some(template)
    }

    /// A condition, or a list of them.
    pub(super) fn conditions(&mut self, entry: &Entry<'_>) -> Vec<Condition> {
        match entry.value {
            DeValue::Array(_) => self.tables(entry, |reader, line, table| reader.tests(line, "", table)),
            _ => vec![self.condition(entry)],
        }
    }

    pub(super) fn condition(&mut self, entry: &Entry<'_>) -> Condition {
        match entry.value.as_table() {
            Some(table) => self.tests(entry.line, "", table),
            None => {
                self.wrong_type(entry.line, entry.key, "a table of places and what they hold", entry.value);
                Condition::default()
            }
        }
    }

    fn tests(&mut self, line: usize, prefix: &str, table: &DeTable<'_>) -> Condition {
        let mut condition = Condition::default();
        let entries = self.entries(table);
        if entries.is_empty() {
            self.fault(line, "a condition without a test".to_owned());
        }
        for entry in entries {
            // Inside a table a name is one step, whatever it holds.
            let name = match prefix.is_empty() || !entry.key.contains('.') {
                true => format!("{prefix}{}", entry.key),
                false => format!("{prefix}\"{}\"", entry.key),
            };
            let test = match entry.value {
                DeValue::Boolean(is_present) => Some(Test::Present(*is_present)),
                DeValue::String(_) | DeValue::Array(_) => Some(Test::OneOf(self.globs(&entry))),
                DeValue::Table(inner) => match inner.get("not") {
                    Some(_) if inner.len() == 1 => {
                        let globs = self.entries(inner).iter().flat_map(|entry| self.globs(entry)).collect();
                        Some(Test::NoneOf(globs))
                    }
                    // `id.time = true` is a table in a table.
                    _ => {
                        condition.tests.extend(self.tests(entry.line, &format!("{name}."), inner).tests);
                        None
                    }
                },
                other => {
                    self.wrong_type(
                        entry.line,
                        &name,
                        "true, false, a text, a list of texts or { not = … }",
                        other,
                    );
                    None
                }
            };
            let Some(test) = test else { continue };
            if let Some(path) = self.checked(entry.line, Path::parse(&name)) {
                self.check_variable(entry.line, &path);
                condition.tests.push((path, test));
            }
        }
        condition
    }

    fn check_variable(&mut self, line: usize, path: &Path) {
        if self.is_before_variables && !path.is_of_record() {
            self.fault(
                line,
                format!("`{path}` is not known yet in `detect` and `mask`; name the place in the record"),
            );
            return;
        }
        let Some(name) = path.variable() else { return };
        if self.variables.iter().any(|known| known == name) {
            return;
        }
        let known = self.variables.iter().map(String::as_str);
        let hint = match nearest(name, known.chain(["subject"])) {
            Some(nearest) => format!("; did you mean `${nearest}`?"),
            None => "; `[let]` declares it, before what uses it".to_owned(),
        };
        self.fault(line, format!("unknown variable `${name}`{hint}"));
    }

    pub(super) fn path(&mut self, entry: &Entry<'_>) -> Option<Path> {
        let text = self.text(entry)?;
        let path = self.checked(entry.line, Path::parse(&text))?;
        self.check_place(entry.line, &path);
        Some(path)
    }

    /// A path or a list of them.
    pub(super) fn paths(&mut self, entry: &Entry<'_>) -> Vec<Path> {
        let texts = self.texts(entry);
        let paths: Vec<Path> =
            texts.iter().filter_map(|text| self.checked(entry.line, Path::parse(text))).collect();
        for path in &paths {
            self.check_place(entry.line, path);
        }
        paths
    }

    /// Where a value is wanted, a variable will not do: it is a text.
    fn check_place(&mut self, line: usize, path: &Path) {
        if path.variable().is_some() {
            self.fault(line, format!("`{path}` is a text, not a place in the record"));
        }
        self.check_variable(line, path);
    }

    pub(super) fn globs(&mut self, entry: &Entry<'_>) -> Vec<Glob> {
        self.texts(entry).iter().map(|text| Glob::parse(text)).collect()
    }
}
