//! Reading a mapping: from TOML text to rules, with every fault in it at once.

mod values;
mod vocabulary;

use std::fmt;

use annals_model::limits::FAULTS_MAX;
use annals_model::registry::nearest;
use toml::de::{DeTable, DeValue};

use super::diff::{DiffRule, Fields, Form};
use super::mask::Mask;
use super::path::Path;
use super::value::{Alternative, Condition, Input, Template, Value};
use super::{ActorRules, EventRules, Mapping, OrganizationRules, Pairs, Records, WordRules};

/// Bytes of a mapping: ten times the longest that is built in.
const MAPPING_BYTES_MAX: usize = 256 * 1024;
/// Rules in one list, and words in one table of words. Okta has about 900 kinds of events.
const RULES_MAX: usize = 2_000;
/// Levels of `from` inside `from`. One is usual.
const NESTING_MAX: usize = 8;

/// Everything that is wrong with a mapping, in the order of its lines. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::import) struct MappingErrors(Vec<(usize, String)>);

impl fmt::Display for MappingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (line, fault)) in self.0.iter().take(FAULTS_MAX).enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            match line {
                0 => write!(f, "{separator}{fault}")?,
                _ => write!(f, "{separator}line {line}: {fault}")?,
            }
        }
        match self.0.len().saturating_sub(FAULTS_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for MappingErrors {}

/// Compiles a mapping.
pub(super) fn read(text: &str) -> Result<Mapping, MappingErrors> {
    if text.len() > MAPPING_BYTES_MAX {
        let fault = format!("a mapping of {} bytes, more than the limit of {MAPPING_BYTES_MAX}", text.len());
        return Err(MappingErrors(vec![(0, fault)]));
    }
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    let line_ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at).collect();
    let mut reader =
        Reader { line_ends, errors: Vec::new(), variables: Vec::new(), is_before_variables: false };
    for error in syntax_errors {
        let line = error.span().map_or(0, |span| reader.line_at(span.start));
        reader.errors.push((line, error.message().to_owned()));
    }
    let mut mapping = None;
    if reader.errors.is_empty() {
        mapping = reader.mapping(table.get_ref());
        reader.vocabulary(text, mapping.as_mut());
    }
    reader.errors.sort_by_key(|(line, _)| *line);
    reader.errors.dedup();
    match mapping {
        Some(mapping) if reader.errors.is_empty() => Ok(mapping),
        _ => Err(MappingErrors(reader.errors)),
    }
}

/// A key of a table and its value.
struct Entry<'d> {
    key: &'d str,
    line: usize,
    value: &'d DeValue<'d>,
}

/// Collects faults on the way; each method returns what it could read.
struct Reader {
    /// The positions of the line feeds.
    line_ends: Vec<usize>,
    errors: Vec<(usize, String)>,
    /// The variables that `[let]` has declared so far.
    variables: Vec<String>,
    /// What is being read looks at records before anything is computed from them.
    is_before_variables: bool,
}

const TOP: &[&str] = &[
    "name",
    "title",
    "description",
    "version",
    "records",
    "delimiter",
    "container",
    "detect",
    "skip",
    "each",
    "pairs",
    "subject",
    "let",
    "event",
    "words",
    "fields",
    "diff",
    "mask",
    "resource",
    "action",
];
const EVENT: &[&str] = &[
    "identity",
    "time",
    "time_format",
    "action",
    "resource_type",
    "resource_id",
    "resource_target",
    "resource_icon",
    "status_code",
    "actor_type",
    "user",
    "impersonator",
    "on_behalf_of",
    "organization",
    "ip",
    "user_agent",
    "request_id",
];

impl Reader {
    fn mapping(&mut self, table: &DeTable<'_>) -> Option<Mapping> {
        let mut mapping = Mapping {
            name: String::new(),
            title: String::new(),
            records: Records::Json,
            delimiter: b',',
            container: None,
            detect: Vec::new(),
            skip: Vec::new(),
            each: None,
            pairs: Vec::new(),
            subject: Vec::new(),
            variables: Vec::new(),
            event: EventRules::default(),
            words: WordRules::default(),
            fields: Fields::default(),
            diff: Vec::new(),
            masks: Vec::new(),
            resources: Vec::new(),
            actions: Vec::new(),
        };
        let mut version = None;
        // Variables are known before what uses them, wherever the table stands.
        let mut entries = self.entries(table);
        entries.sort_by_key(|entry| entry.key != "let");
        for entry in entries {
            match entry.key {
                "name" => mapping.name = self.name(&entry),
                "title" => mapping.title = self.text(&entry).unwrap_or_default(),
                "description" => drop(self.text(&entry)),
                "version" => version = self.version(&entry),
                "records" => mapping.records = self.records(&entry),
                "delimiter" => mapping.delimiter = self.delimiter(&entry),
                "container" => mapping.container = self.text(&entry),
                "detect" => mapping.detect = self.of_records(|reader| reader.conditions(&entry)),
                "skip" => mapping.skip = self.conditions(&entry),
                "each" => mapping.each = self.path(&entry),
                "pairs" => mapping.pairs = self.tables(&entry, Reader::pairs),
                "subject" => mapping.subject = self.paths(&entry),
                "let" => {
                    for entry in self.table_entries(&entry) {
                        let value = self.value(&entry);
                        self.variables.push(entry.key.to_owned());
                        mapping.variables.push((entry.key.to_owned(), value));
                    }
                }
                "event" => mapping.event = self.event(&entry),
                "words" => mapping.words = self.words(&entry),
                "fields" => mapping.fields = self.fields(&entry),
                "diff" => mapping.diff = self.tables(&entry, Reader::diff).into_iter().flatten().collect(),
                "mask" => mapping.masks = self.of_records(|reader| reader.tables(&entry, Reader::mask)),
                // Read from the text by the registry's own reader.
                "resource" | "action" => {}
                _ => self.unknown("key", &entry, TOP),
            }
        }
        for required in ["name", "version", "event"] {
            if !table.contains_key(required) {
                self.errors.push((0, format!("`{required}` is missing")));
            }
        }
        if mapping.title.is_empty() {
            mapping.title.clone_from(&mapping.name);
        }
        version.map(|()| mapping)
    }

    fn event(&mut self, entry: &Entry<'_>) -> EventRules {
        let mut rules = EventRules::default();
        let entries = self.table_entries(entry);
        for required in ["action", "resource_type", "time"] {
            if entry.value.as_table().is_some() && !entries.iter().any(|entry| entry.key == required) {
                self.fault(entry.line, format!("`event.{required}` is missing"));
            }
        }
        for entry in entries {
            let value = match entry.key {
                "identity" => &mut rules.identity,
                "time" => &mut rules.time,
                "action" => &mut rules.action,
                "resource_type" => &mut rules.resource_type,
                "resource_id" => &mut rules.resource_id,
                "resource_target" => &mut rules.resource_target,
                "resource_icon" => &mut rules.resource_icon,
                "status_code" => &mut rules.status_code,
                "actor_type" => &mut rules.actor_type,
                "ip" => &mut rules.ip,
                "user_agent" => &mut rules.user_agent,
                "request_id" => &mut rules.request_id,
                "time_format" => {
                    rules.time_formats = self.texts(&entry);
                    continue;
                }
                "user" => {
                    rules.user = self.actor(&entry);
                    continue;
                }
                "impersonator" => {
                    rules.impersonator = self.actor(&entry);
                    continue;
                }
                "on_behalf_of" => {
                    rules.on_behalf_of = self.actor(&entry);
                    continue;
                }
                "organization" => {
                    rules.organization = self.organization(&entry);
                    continue;
                }
                _ => {
                    self.unknown("member of an event", &entry, EVENT);
                    continue;
                }
            };
            *value = self.value(&entry);
        }
        rules
    }

    fn actor(&mut self, entry: &Entry<'_>) -> ActorRules {
        const KNOWN: &[&str] = &["id", "username", "email", "name", "avatar_url", "roles"];
        let mut rules = ActorRules::default();
        for entry in self.table_entries(entry) {
            let value = match entry.key {
                "id" => &mut rules.id,
                "username" => &mut rules.username,
                "email" => &mut rules.email,
                "name" => &mut rules.name,
                "avatar_url" => &mut rules.avatar_url,
                "roles" => &mut rules.roles,
                _ => {
                    self.unknown("member of a person", &entry, KNOWN);
                    continue;
                }
            };
            *value = self.value(&entry);
        }
        rules
    }

    fn organization(&mut self, entry: &Entry<'_>) -> OrganizationRules {
        const KNOWN: &[&str] = &["id", "name", "display_name", "icon"];
        let mut rules = OrganizationRules::default();
        for entry in self.table_entries(entry) {
            let value = match entry.key {
                "id" => &mut rules.id,
                "name" => &mut rules.name,
                "display_name" => &mut rules.display_name,
                "icon" => &mut rules.icon,
                _ => {
                    self.unknown("member of an organization", &entry, KNOWN);
                    continue;
                }
            };
            *value = self.value(&entry);
        }
        rules
    }

    fn words(&mut self, entry: &Entry<'_>) -> WordRules {
        let mut rules = WordRules::default();
        for entry in self.table_entries(entry) {
            match entry.key {
                "noun" => rules.noun = self.value(&entry),
                "phrase" => rules.phrase = self.value(&entry),
                "join" => rules.join = self.value(&entry),
                _ => self.unknown("key", &entry, &["noun", "phrase", "join"]),
            }
        }
        rules
    }

    fn fields(&mut self, entry: &Entry<'_>) -> Fields {
        let mut fields = Fields::default();
        for entry in self.table_entries(entry) {
            match entry.key {
                "secret" => fields.secret = self.globs(&entry),
                "ignore" => fields.ignore = self.globs(&entry),
                "personal" => fields.personal = self.globs(&entry),
                _ => self.unknown("key", &entry, &["secret", "ignore", "personal"]),
            }
        }
        fields
    }

    fn diff(&mut self, line: usize, table: &DeTable<'_>) -> Option<DiffRule> {
        const KNOWN: &[&str] = &["when", "unwrap", "field", "old", "new", "before", "after", "changed"];
        let (mut when, mut unwrap) = (Condition::default(), false);
        let (mut field, mut changed) = (None, None);
        let (mut old, mut new, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in self.entries(table) {
            match entry.key {
                "when" => when = self.condition(&entry),
                "unwrap" => unwrap = self.flag(&entry),
                "field" => field = Some(self.value(&entry)),
                "old" => old = self.paths(&entry),
                "new" => new = self.paths(&entry),
                "before" => before = self.paths(&entry),
                "after" => after = self.paths(&entry),
                "changed" => changed = self.path(&entry),
                _ => self.unknown("key", &entry, KNOWN),
            }
        }
        let has = |names: &[&str]| names.iter().any(|name| table.contains_key(*name));
        let forms = [has(&["old", "new"]), has(&["before", "after"]), has(&["changed"])];
        if forms.iter().filter(|is_used| **is_used).count() != 1 {
            let fault = "a diff has either `old` and `new`, or `before` and `after`, or `changed`";
            self.fault(line, fault.to_owned());
            return None;
        }
        let form = if forms[2] {
            Form::Names { changed: changed? }
        } else if forms[1] {
            Form::Objects { before, after }
        } else {
            let has_star = old.iter().chain(&new).any(Path::has_star);
            let is_read = !old.is_empty() || !new.is_empty();
            if field.is_none() && !has_star && is_read {
                self.fault(
                    line,
                    "`field` is missing: without a `*` in `old` or `new` it names the field".to_owned(),
                );
            }
            let star = Template::parse("{*}").expect("the template is sound");
            let star = Alternative { from: Input::Template(star), when: None, map: None, default: None };
            Form::Values { field: field.unwrap_or(Value { alternatives: vec![star] }), old, new }
        };
        Some(DiffRule { when, form, unwrap })
    }

    /// Reads rules in which neither variables nor the subject are known yet.
    fn of_records<T>(&mut self, read: impl FnOnce(&mut Reader) -> T) -> T {
        self.is_before_variables = true;
        let rules = read(self);
        self.is_before_variables = false;
        rules
    }

    fn mask(&mut self, line: usize, table: &DeTable<'_>) -> Mask {
        let mut mask = Mask::default();
        for entry in self.entries(table) {
            match entry.key {
                "when" => mask.when = self.condition(&entry),
                "paths" => mask.paths = self.paths(&entry),
                _ => self.unknown("key", &entry, &["when", "paths"]),
            }
        }
        if !table.contains_key("paths") {
            self.fault(line, "`paths` is missing".to_owned());
        }
        mask
    }

    fn pairs(&mut self, line: usize, table: &DeTable<'_>) -> Pairs {
        let mut pairs = Pairs { list: Vec::new(), name: "name".to_owned(), values: vec!["value".to_owned()] };
        for entry in self.entries(table) {
            match entry.key {
                "list" => {
                    let list = self.text(&entry).unwrap_or_default();
                    pairs.list = list.split('.').map(str::to_owned).collect();
                }
                "name" => pairs.name = self.text(&entry).unwrap_or_default(),
                "value" => pairs.values = self.texts(&entry),
                _ => self.unknown("key", &entry, &["list", "name", "value"]),
            }
        }
        if !table.contains_key("list") {
            self.fault(line, "`list` is missing".to_owned());
        }
        pairs
    }

    fn name(&mut self, entry: &Entry<'_>) -> String {
        let name = self.text(entry).unwrap_or_default();
        let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let is_sound = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 40
            && name.bytes().all(is_inner);
        if !is_sound && entry.value.as_str().is_some() {
            self.fault(
                entry.line,
                format!(
                    "`{name}` is no name for a mapping; expected at most 40 lower-case letters, digits, `_` and `-`, \
                     beginning with a letter"
                ),
            );
        }
        name
    }

    fn version(&mut self, entry: &Entry<'_>) -> Option<()> {
        match entry.value {
            DeValue::Integer(number) if number.as_str() == "1" => Some(()),
            _ => {
                self.fault(
                    entry.line,
                    "`version` is not 1, the only version of mappings there is".to_owned(),
                );
                None
            }
        }
    }

    fn records(&mut self, entry: &Entry<'_>) -> Records {
        match entry.value.as_str() {
            Some("csv") => Records::Csv,
            Some("json") => Records::Json,
            _ => {
                self.fault(entry.line, "`records` is `json` or `csv`".to_owned());
                Records::Json
            }
        }
    }

    fn delimiter(&mut self, entry: &Entry<'_>) -> u8 {
        match entry.value.as_str().map(str::as_bytes) {
            Some([byte]) if !matches!(byte, b'"' | b'\n' | b'\r') => *byte,
            _ => {
                self.fault(entry.line, "`delimiter` is one character, such as `;` or a tab".to_owned());
                b','
            }
        }
    }

    fn text(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = entry.value.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(entry.line, entry.key, "a text", entry.value);
        }
        text.filter(|text| {
            let is_full = !text.is_empty();
            if !is_full {
                self.fault(entry.line, format!("`{}` is empty", entry.key));
            }
            is_full
        })
    }

    /// A text or a list of texts.
    fn texts(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let DeValue::Array(array) = entry.value else {
            if entry.value.as_str().is_none() {
                self.wrong_type(entry.line, entry.key, "a text or a list of texts", entry.value);
                return Vec::new();
            }
            return self.text(entry).into_iter().collect();
        };
        if array.len() > RULES_MAX {
            self.fault(entry.line, format!("more than {RULES_MAX} texts"));
            return Vec::new();
        }
        let items: Vec<_> = array.iter().map(|item| (item.span().start, item.get_ref())).collect();
        let mut texts = Vec::new();
        for (start, value) in items {
            let item = Entry { key: entry.key, line: self.line_at(start), value };
            texts.extend(self.text(&item));
        }
        texts
    }

    fn flag(&mut self, entry: &Entry<'_>) -> bool {
        let flag = entry.value.as_bool();
        if flag.is_none() {
            self.wrong_type(entry.line, entry.key, "true or false", entry.value);
        }
        flag.unwrap_or_default()
    }

    fn tables<T>(
        &mut self,
        entry: &Entry<'_>,
        mut read: impl FnMut(&mut Reader, usize, &DeTable<'_>) -> T,
    ) -> Vec<T> {
        let Some(array) = entry.value.as_array() else {
            self.wrong_type(entry.line, entry.key, "a list of tables", entry.value);
            return Vec::new();
        };
        if array.len() > RULES_MAX {
            self.fault(entry.line, format!("more than {RULES_MAX} tables"));
            return Vec::new();
        }
        let mut read_ones = Vec::new();
        for item in array.iter() {
            let line = self.line_at(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => read_ones.push(read(self, line, table)),
                other => self.wrong_type(line, entry.key, "a table", other),
            }
        }
        read_ones
    }

    fn table_entries<'d>(&mut self, entry: &Entry<'d>) -> Vec<Entry<'d>> {
        match entry.value.as_table() {
            Some(table) => self.entries(table),
            None => {
                self.wrong_type(entry.line, entry.key, "a table", entry.value);
                Vec::new()
            }
        }
    }

    /// The entries of a table in the order of the text; the parser keeps them in that of their keys.
    fn entries<'d>(&self, table: &'d DeTable<'d>) -> Vec<Entry<'d>> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'d toml::Spanned<_>, &'d toml::Spanned<DeValue<'d>>)| {
            let key: &toml::Spanned<toml::de::DeString<'d>> = key;
            Entry { key: key.get_ref(), line: self.line_at(key.span().start), value: value.get_ref() }
        };
        entries.into_iter().map(entry).collect()
    }

    fn checked<T>(&mut self, line: usize, result: Result<T, String>) -> Option<T> {
        result.map_err(|fault| self.fault(line, fault)).ok()
    }

    fn unknown(&mut self, what: &str, entry: &Entry<'_>, known: &[&str]) {
        let hint = match nearest(entry.key, known.iter().copied()) {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => format!("; expected one of `{}`", known.join("`, `")),
        };
        self.fault(entry.line, format!("unknown {what} `{}`{hint}", entry.key));
    }

    fn wrong_type(&mut self, line: usize, key: &str, expected: &str, found: &DeValue<'_>) {
        self.fault(line, format!("`{key}` is {expected}, not of type {}", found.type_str()));
    }

    fn fault(&mut self, line: usize, fault: String) {
        self.errors.push((line, fault));
    }

    fn line_at(&self, byte: usize) -> usize {
        1 + self.line_ends.partition_point(|&end| end < byte)
    }
}
