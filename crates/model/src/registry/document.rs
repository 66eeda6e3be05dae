//! Reading a registry document: from TOML text to entries, with every fault in it at once.
//!
//! What is checked here is what the text alone shows. What depends on the registry, such as whether a policy gets
//! looser, is the business of `extend`.

use toml::de::{DeTable, DeValue};

use super::errors::{RegistryError, RegistryErrors, RegistryFault};
use super::nearest::nearest;
use super::{KIND_BYTES_MAX, Policy, describe, link, placeholder};
use crate::limits::{DIFF_FIELDS_MAX, NAME_BYTES_MAX, RESOURCE_TYPES_MAX, TEXT_BYTES_MAX};

/// A sound document.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) resources: Vec<ResourceEntry>,
    pub(super) actions: Vec<ActionEntry>,
    pub(super) settings: Vec<SettingEntry>,
    pub(super) build_reasons: Option<At<Vec<String>>>,
}

/// A value and the line on which it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// A `[[resource]]`. What it does not say is `None` or empty.
#[derive(Debug, Default)]
pub(super) struct ResourceEntry {
    pub(super) line: usize,
    pub(super) kind: String,
    pub(super) name: Option<At<String>>,
    pub(super) registry: Option<At<String>>,
    pub(super) noun: Option<At<String>>,
    pub(super) link: Option<At<String>>,
    pub(super) personal_target: Option<At<bool>>,
    pub(super) shared_id: Option<At<bool>>,
    pub(super) deleted_with: Option<At<super::DeletedWith>>,
    pub(super) actions: Vec<At<String>>,
    pub(super) fields: Vec<FieldEntry>,
    pub(super) later_fields: Vec<FieldEntry>,
    pub(super) sentences: Vec<(At<String>, String)>,
    pub(super) sentence_when: Vec<At<super::SentenceWhen>>,
}

/// A line of `[resource.fields]` or `[resource.later_fields]`.
#[derive(Debug)]
pub(super) struct FieldEntry {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) personal: Option<bool>,
    pub(super) mask: Option<String>,
}

/// An `[[action]]`.
#[derive(Debug)]
pub(super) struct ActionEntry {
    pub(super) line: usize,
    pub(super) action: super::Action,
    pub(super) registry: Option<At<String>>,
}

/// A `[[setting]]`.
#[derive(Debug)]
pub(super) struct SettingEntry {
    pub(super) line: usize,
    pub(super) setting: super::Setting,
}

/// Parses a document.
///
/// # Errors
/// Every fault in it. If it is not TOML, then only where it is not.
pub(super) fn parse(text: &str) -> Result<Document, RegistryErrors> {
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    let line_ends = text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(at, _)| at).collect();
    let mut reader = Reader { line_ends, errors: Vec::new() };
    for error in syntax_errors {
        let line = error.span().map(|span| reader.line_at(span.start));
        let fault = RegistryFault::Syntax { message: error.message().to_owned() };
        reader.errors.push(RegistryError { line, place: String::new(), fault });
    }
    if !reader.errors.is_empty() {
        return Err(RegistryErrors(reader.errors));
    }
    let document = reader.document(table.get_ref());
    if reader.errors.is_empty() {
        return Ok(document);
    }
    reader.errors.sort_by_key(|error| error.line);
    Err(RegistryErrors(reader.errors))
}

/// Whether `name` may name a resource type, an action or a registry.
pub(super) fn is_kind(name: &str) -> bool {
    let is_inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'-');
    name.len() <= KIND_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(is_inner)
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
    errors: Vec<RegistryError>,
}

impl Reader {
    fn document(&mut self, table: &DeTable<'_>) -> Document {
        const KNOWN: &[&str] = &["resource", "action", "setting", "build_reasons"];
        let mut document = Document::default();
        for entry in self.entries(table) {
            match entry.key {
                "resource" => {
                    document.resources =
                        self.tables(&entry, |reader, nth, line, table| reader.resource(nth, line, table));
                }
                "action" => document.actions = self.tables(&entry, Self::action),
                "setting" => document.settings = self.tables(&entry, Self::setting),
                "build_reasons" => {
                    let reasons = self.texts("", &entry).into_iter().map(|reason| reason.value).collect();
                    document.build_reasons = Some(At { value: reasons, line: entry.line });
                }
                _ => self.unknown_key("", &entry, KNOWN),
            }
        }
        document
    }

    fn resource(&mut self, nth: usize, line: usize, table: &DeTable<'_>) -> Option<ResourceEntry> {
        const KNOWN: &[&str] = &[
            "name",
            "type",
            "registry",
            "noun",
            "link",
            "personal_target",
            "shared_id",
            "deleted_with",
            "actions",
            "fields",
            "later_fields",
            "sentences",
            "sentence_when",
        ];
        let place = place_of("resource", "type", nth, table);
        let place = place.as_str();
        let mut resource = ResourceEntry { line, ..ResourceEntry::default() };
        let mut kind = None;
        for entry in self.entries(table) {
            match entry.key {
                "type" => kind = self.kind(place, &entry),
                "name" => resource.name = self.words(place, &entry),
                "registry" => resource.registry = self.kind(place, &entry),
                "noun" => resource.noun = self.words(place, &entry),
                "link" => resource.link = self.link(place, &entry),
                "personal_target" => resource.personal_target = self.flag(place, &entry),
                "shared_id" => resource.shared_id = self.flag(place, &entry),
                "deleted_with" => resource.deleted_with = self.deleted_with(place, &entry),
                "actions" => resource.actions = self.kinds(place, &entry),
                "fields" => resource.fields = self.fields(place, &entry),
                "later_fields" => resource.later_fields = self.fields(place, &entry),
                "sentences" => resource.sentences = self.sentences(place, &entry),
                "sentence_when" => {
                    resource.sentence_when = self
                        .tables(&entry, |reader, _, line, table| reader.sentence_when(place, line, table));
                }
                _ => self.unknown_key(place, &entry, KNOWN),
            }
        }
        for later in &resource.later_fields {
            if resource.fields.iter().any(|field| field.name == later.name) {
                self.fault(later.line, &field_place(place, &later.name), RegistryFault::Twice);
            }
        }
        resource.kind = self.required(line, place, "type", table, kind)?.value;
        Some(resource)
    }

    fn action(&mut self, nth: usize, line: usize, table: &DeTable<'_>) -> Option<ActionEntry> {
        const KNOWN: &[&str] = &["name", "description", "done", "attempt", "sentence", "registry"];
        let place = place_of("action", "name", nth, table);
        let place = place.as_str();
        let (mut name, mut description, mut registry) = (None, None, None);
        let (mut done, mut attempt, mut sentence) = (None, None, None);
        for entry in self.entries(table) {
            match entry.key {
                "name" => name = self.kind(place, &entry),
                "description" => description = self.text(place, &entry, TEXT_BYTES_MAX),
                "done" => done = self.words(place, &entry),
                "attempt" => attempt = self.words(place, &entry),
                "sentence" => sentence = self.sentence(place, &entry),
                "registry" => registry = self.kind(place, &entry),
                _ => self.unknown_key(place, &entry, KNOWN),
            }
        }
        let name = self.required(line, place, "name", table, name);
        let description = self.required(line, place, "description", table, description);
        let done = self.required(line, place, "done", table, done);
        let action = super::Action {
            name: name?.value,
            description: description?.value,
            done: done?.value,
            attempt: attempt.map(|attempt| attempt.value),
            sentence: sentence.map(|sentence| sentence.value),
            registry: String::new(),
        };
        Some(ActionEntry { line, action, registry })
    }

    fn setting(&mut self, nth: usize, line: usize, table: &DeTable<'_>) -> Option<SettingEntry> {
        const KNOWN: &[&str] = &["section", "setting", "action", "target", "field", "diff", "note"];
        let place = place_of("setting", "setting", nth, table);
        let place = place.as_str();
        let (mut section, mut setting, mut action, mut target) = (None, None, None, None);
        let (mut field, mut diff, mut note) = (None, None, None);
        for entry in self.entries(table) {
            let value = match entry.key {
                "section" => &mut section,
                "setting" => &mut setting,
                "action" => &mut action,
                "target" => &mut target,
                "field" => &mut field,
                "diff" => &mut diff,
                "note" => &mut note,
                _ => {
                    self.unknown_key(place, &entry, KNOWN);
                    continue;
                }
            };
            *value = self.text(place, &entry, TEXT_BYTES_MAX);
        }
        let section = self.required(line, place, "section", table, section);
        let setting = self.required(line, place, "setting", table, setting);
        let action = self.required(line, place, "action", table, action);
        let target = self.required(line, place, "target", table, target);
        let setting = super::Setting {
            section: section?.value,
            setting: setting?.value,
            action: action?.value,
            target: target?.value,
            field: field.map(|field| field.value).unwrap_or_default(),
            diff: diff.map(|diff| diff.value).unwrap_or_default(),
            note: note.map(|note| note.value),
        };
        Some(SettingEntry { line, setting })
    }

    fn sentence_when(
        &mut self,
        place: &str,
        line: usize,
        table: &DeTable<'_>,
    ) -> Option<At<super::SentenceWhen>> {
        const KNOWN: &[&str] = &["action", "only_changed", "new", "sentence"];
        let (mut action, mut only_changed, mut new, mut sentence) = (None, None, None, None);
        for entry in self.entries(table) {
            match entry.key {
                "action" => action = self.kind(place, &entry),
                "only_changed" => {
                    only_changed =
                        Some(self.texts(place, &entry).into_iter().map(|field| field.value).collect());
                }
                "new" => new = self.scalar(place, &entry),
                "sentence" => sentence = self.sentence(place, &entry),
                _ => self.unknown_key(place, &entry, KNOWN),
            }
        }
        let action = self.required(line, place, "action", table, action);
        let only_changed = self.required(line, place, "only_changed", table, only_changed);
        let sentence = self.required(line, place, "sentence", table, sentence);
        let value = super::SentenceWhen {
            action: action?.value,
            only_changed: only_changed?,
            new,
            sentence: sentence?.value,
        };
        Some(At { value, line })
    }

    fn deleted_with(&mut self, place: &str, entry: &Entry<'_>) -> Option<At<super::DeletedWith>> {
        const KNOWN: &[&str] = &["type", "additional"];
        let table = self.table(place, entry)?;
        let (mut kind, mut additional_field) = (None, None);
        for entry in self.entries(table) {
            match entry.key {
                "type" => kind = self.kind(place, &entry),
                "additional" => additional_field = self.text(place, &entry, NAME_BYTES_MAX),
                _ => self.unknown_key(place, &entry, KNOWN),
            }
        }
        let kind = self.required(entry.line, place, "type", table, kind);
        let additional_field = self.required(entry.line, place, "additional", table, additional_field);
        let value = super::DeletedWith { kind: kind?.value, additional_field: additional_field?.value };
        Some(At { value, line: entry.line })
    }

    fn fields(&mut self, place: &str, entry: &Entry<'_>) -> Vec<FieldEntry> {
        let Some(table) = self.table(place, entry) else { return Vec::new() };
        if !self.check_count(entry.line, place, "fields", table.len(), DIFF_FIELDS_MAX) {
            return Vec::new();
        }
        let entries = self.entries(table);
        entries.iter().filter_map(|entry| self.field(&field_place(place, entry.key), entry)).collect()
    }

    fn field(&mut self, place: &str, entry: &Entry<'_>) -> Option<FieldEntry> {
        const KNOWN: &[&str] = &["policy", "personal", "mask"];
        self.check_text(place, "name of the field", entry.line, entry.key, NAME_BYTES_MAX)?;
        let (mut policy, mut personal, mut mask) = (None, None, None);
        match entry.value {
            DeValue::String(_) => policy = self.policy(place, entry),
            DeValue::Table(table) => {
                for entry in self.entries(table) {
                    match entry.key {
                        "policy" => policy = self.policy(place, &entry),
                        "personal" => personal = self.flag(place, &entry),
                        "mask" => mask = self.text(place, &entry, NAME_BYTES_MAX),
                        _ => self.unknown_key(place, &entry, KNOWN),
                    }
                }
                policy = self.required(entry.line, place, "policy", table, policy);
            }
            _ => self.wrong_type(place, entry, "a policy or a table with one"),
        }
        let policy = policy?;
        if let Some(mask) = &mask
            && policy != Policy::Secret
        {
            self.fault(mask.line, place, RegistryFault::MaskWithoutSecret { policy });
        }
        Some(FieldEntry {
            line: entry.line,
            name: entry.key.to_owned(),
            policy,
            personal: personal.map(|personal| personal.value),
            mask: mask.map(|mask| mask.value),
        })
    }

    fn policy(&mut self, place: &str, entry: &Entry<'_>) -> Option<Policy> {
        const KNOWN: &[&str] = &["track", "secret", "abbreviate", "ignore"];
        let Some(text) = entry.value.as_str() else {
            self.wrong_type(place, entry, "a policy");
            return None;
        };
        let policy = text.parse().ok();
        if policy.is_none() {
            self.unknown("policy", place, entry.line, text, KNOWN);
        }
        policy
    }

    fn sentences(&mut self, place: &str, entry: &Entry<'_>) -> Vec<(At<String>, String)> {
        let Some(table) = self.table(place, entry) else { return Vec::new() };
        let mut sentences = Vec::new();
        for entry in self.entries(table) {
            if let Some(sentence) = self.sentence(place, &entry) {
                sentences.push((At { value: entry.key.to_owned(), line: entry.line }, sentence.value));
            }
        }
        sentences
    }

    fn sentence(&mut self, place: &str, entry: &Entry<'_>) -> Option<At<String>> {
        let text = self.text(place, entry, TEXT_BYTES_MAX)?;
        let checked = placeholder::check(&text.value, |name| describe::PLACEHOLDERS.contains(&name));
        self.check_placeholders(place, text.clone(), checked, "`{user}`, `{verb}`, `{noun}` or `{target}`")
    }

    fn link(&mut self, place: &str, entry: &Entry<'_>) -> Option<At<String>> {
        let text = self.text(place, entry, TEXT_BYTES_MAX)?;
        let link = &text.value;
        // A browser reads `//` and `/\` as the beginning of another host's address.
        let is_path = link.starts_with('/') && !link.starts_with("//") && !link.contains(['\\', ' ']);
        if !is_path {
            self.fault(text.line, place, RegistryFault::BadLink { link: link.clone() });
            return None;
        }
        let checked = placeholder::check(link, link::is_placeholder);
        self.check_placeholders(
            place,
            text.clone(),
            checked,
            "`{id}`, `{target}`, `{user_id}`, `{username}`, `{organization}`, `{organization_id}` or \
             `{additional.NAME}`, alternatives separated by `|`",
        )
    }

    fn check_placeholders(
        &mut self,
        place: &str,
        text: At<String>,
        checked: Result<(), &str>,
        expected: &str,
    ) -> Option<At<String>> {
        let Err(placeholder) = checked else { return Some(text) };
        let fault = RegistryFault::BadPlaceholder {
            template: text.value.clone(),
            placeholder: placeholder.to_owned(),
            expected: expected.to_owned(),
        };
        self.fault(text.line, place, fault);
        None
    }

    /// A text of the form of a type's name.
    fn kind(&mut self, place: &str, entry: &Entry<'_>) -> Option<At<String>> {
        let Some(name) = entry.value.as_str() else {
            self.wrong_type(place, entry, "a string");
            return None;
        };
        self.checked_kind(place, entry.line, name)
    }

    fn kinds(&mut self, place: &str, entry: &Entry<'_>) -> Vec<At<String>> {
        let texts = self.texts(place, entry);
        texts.into_iter().filter_map(|text| self.checked_kind(place, text.line, &text.value)).collect()
    }

    fn checked_kind(&mut self, place: &str, line: usize, name: &str) -> Option<At<String>> {
        if !is_kind(name) {
            self.fault(line, place, RegistryFault::BadName { name: name.to_owned() });
            return None;
        }
        Some(At { value: name.to_owned(), line })
    }

    /// A text that becomes part of a sentence.
    fn words(&mut self, place: &str, entry: &Entry<'_>) -> Option<At<String>> {
        let text = self.text(place, entry, NAME_BYTES_MAX)?;
        if text.value.contains(['{', '}']) {
            let fault = RegistryFault::BadText { key: entry.key.to_owned(), unwanted: "braces" };
            self.fault(text.line, place, fault);
            return None;
        }
        Some(text)
    }

    fn text(&mut self, place: &str, entry: &Entry<'_>, bytes_max: usize) -> Option<At<String>> {
        let Some(text) = entry.value.as_str() else {
            self.wrong_type(place, entry, "a string");
            return None;
        };
        self.check_text(place, entry.key, entry.line, text, bytes_max)?;
        Some(At { value: text.to_owned(), line: entry.line })
    }

    fn texts(&mut self, place: &str, entry: &Entry<'_>) -> Vec<At<String>> {
        let Some(array) = entry.value.as_array() else {
            self.wrong_type(place, entry, "an array of strings");
            return Vec::new();
        };
        if !self.check_count(entry.line, place, "names", array.len(), DIFF_FIELDS_MAX) {
            return Vec::new();
        }
        let mut texts = Vec::new();
        for item in array.iter() {
            let item = Entry { key: entry.key, line: self.line_at(item.span().start), value: item.get_ref() };
            texts.extend(self.text(place, &item, NAME_BYTES_MAX));
        }
        texts
    }

    fn check_text(
        &mut self,
        place: &str,
        key: &str,
        line: usize,
        text: &str,
        bytes_max: usize,
    ) -> Option<()> {
        let fault = if text.is_empty() || text.len() > bytes_max {
            RegistryFault::TextLength { key: key.to_owned(), bytes: text.len(), bytes_max }
        } else if text.contains(char::is_control) {
            RegistryFault::BadText { key: key.to_owned(), unwanted: "control characters" }
        } else {
            return Some(());
        };
        self.fault(line, place, fault);
        None
    }

    fn flag(&mut self, place: &str, entry: &Entry<'_>) -> Option<At<bool>> {
        let flag = entry.value.as_bool();
        if flag.is_none() {
            self.wrong_type(place, entry, "true or false");
        }
        flag.map(|value| At { value, line: entry.line })
    }

    /// A value that a field of a diff is compared with.
    fn scalar(&mut self, place: &str, entry: &Entry<'_>) -> Option<serde_json::Value> {
        let value = match entry.value {
            DeValue::String(text) => Some(serde_json::Value::from(text.as_ref())),
            DeValue::Boolean(flag) => Some(serde_json::Value::from(*flag)),
            DeValue::Integer(integer) if integer.radix() == 10 => {
                integer.as_str().parse::<i64>().ok().map(serde_json::Value::from)
            }
            _ => None,
        };
        if value.is_none() {
            self.wrong_type(place, entry, "a string, a decimal integer, true or false");
        }
        value
    }

    fn table<'d>(&mut self, place: &str, entry: &Entry<'d>) -> Option<&'d DeTable<'d>> {
        let table = entry.value.as_table();
        if table.is_none() {
            self.wrong_type(place, entry, "a table");
        }
        table
    }

    /// An array of tables, each read by `read`, which gets its number counted from 1 and its line.
    fn tables<T>(
        &mut self,
        entry: &Entry<'_>,
        mut read: impl FnMut(&mut Self, usize, usize, &DeTable<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(array) = entry.value.as_array() else {
            self.wrong_type("", entry, "an array of tables");
            return Vec::new();
        };
        if !self.check_count(entry.line, "", "tables", array.len(), RESOURCE_TYPES_MAX) {
            return Vec::new();
        }
        let mut items = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let line = self.line_at(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => items.extend(read(self, i + 1, line, table)),
                value => self.wrong_type("", &Entry { key: entry.key, line, value }, "an array of tables"),
            }
        }
        items
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

    fn line_at(&self, byte: usize) -> usize {
        1 + self.line_ends.partition_point(|&end| end < byte)
    }

    /// `value`, or a fault if its key is missing altogether; a bad value has its own fault already.
    fn required<T>(
        &mut self,
        line: usize,
        place: &str,
        key: &'static str,
        table: &DeTable<'_>,
        value: Option<T>,
    ) -> Option<T> {
        if value.is_none() && !table.contains_key(key) {
            self.fault(line, place, RegistryFault::Missing { key });
        }
        value
    }

    /// Whether a list is short enough to be read; if not, it is a fault as a whole.
    fn check_count(
        &mut self,
        line: usize,
        place: &str,
        what: &'static str,
        count: usize,
        count_max: usize,
    ) -> bool {
        if count > count_max {
            self.fault(line, place, RegistryFault::TooMany { what, count, count_max });
        }
        count <= count_max
    }

    fn unknown_key(&mut self, place: &str, entry: &Entry<'_>, known: &'static [&'static str]) {
        self.unknown("key", place, entry.line, entry.key, known);
    }

    fn unknown(
        &mut self,
        what: &'static str,
        place: &str,
        line: usize,
        word: &str,
        known: &'static [&'static str],
    ) {
        let nearest = nearest(word, known.iter().copied()).map(str::to_owned);
        self.fault(line, place, RegistryFault::Unknown { what, word: word.to_owned(), nearest, known });
    }

    fn wrong_type(&mut self, place: &str, entry: &Entry<'_>, expected: &'static str) {
        let found = entry.value.type_str();
        self.fault(
            entry.line,
            place,
            RegistryFault::WrongType { key: entry.key.to_owned(), expected, found },
        );
    }

    fn fault(&mut self, line: usize, place: &str, fault: RegistryFault) {
        self.errors.push(RegistryError { line: Some(line), place: place.to_owned(), fault });
    }
}

/// What a table is about: `` resource `invoice` ``, or its number as long as it has no name.
fn place_of(what: &str, name_key: &str, nth: usize, table: &DeTable<'_>) -> String {
    match table.get(name_key).and_then(|name| name.get_ref().as_str()) {
        Some(name) => format!("{what} `{name}`"),
        None => format!("{what} no. {nth}"),
    }
}

/// The place of a field.
pub(super) fn field_place(resource_place: &str, field: &str) -> String {
    format!("{resource_place}, field `{field}`")
}
