//! Mappings: rules, written in TOML, from the records of another system to events.
//!
//! Five are built in ([`BUILT_IN`]); users write their own. `docs/IMPORTERS.md` is the reference of all keys. A mapping
//! is compiled once ([`Mapping::parse`]); a record is read into a tree once and each rule looks into that.
//!
//! An event is made of the record without its secrets ([`mask`]), which is also what is kept under the mapping's name in
//! the additional fields. Mappings never see the log: what a record needs of its registry is handed over as [`Words`].

mod diff;
mod mask;
mod path;
mod read;
mod time;
mod value;
mod wording;

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use annals_model::limits::{EVENT_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, ROLES_MAX, TEXT_BYTES_MAX};
use annals_model::registry::KIND_BYTES_MAX;
use serde_json::value::RawValue;

use self::diff::{DiffRule, Diffed, Fields};
use self::mask::Mask;
use self::path::Path;
pub(super) use self::read::MappingErrors;
use self::value::{Condition, Value};
use super::event::{ImportedActor, ImportedEvent, ImportedOrganization, cut};
use super::ids::Identity;
use super::records::VALUE_BYTES_MAX;
use super::tree::{Content, Node, checked};
use super::vocabulary::{FieldWord, ResourceWord, Vocabulary, Word, Wording, Words};

/// The mappings that are compiled in: the name, and the text that `--print-mapping` prints.
pub(super) const BUILT_IN: [(&str, &str); 5] = [
    ("github", include_str!("mappings/github.toml")),
    ("github-webhook", include_str!("mappings/github-webhook.toml")),
    ("kubernetes", include_str!("mappings/kubernetes.toml")),
    ("google-workspace", include_str!("mappings/google-workspace.toml")),
    ("okta", include_str!("mappings/okta.toml")),
];

/// Events of one record: what a list in a record of 64 MiB could hold is more than any system writes into one.
const EVENTS_OF_RECORD_MAX: usize = 10_000;

/// What a file holds whose mapping is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// JSON in any arrangement.
    Json,
    /// Rows of texts, separated by a character, under a row of names.
    Csv,
}

/// A compiled mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    /// What stands around the record in the additional fields; also the `source` of the events.
    pub(super) name: String,
    /// The name of the other system in texts: `GitHub`.
    title: String,
    pub(super) records: Records,
    /// The character between two values of a row.
    pub(super) delimiter: u8,
    /// The member that holds a list of records.
    pub(super) container: Option<String>,
    detect: Vec<Condition>,
    skip: Vec<Condition>,
    /// A list inside a record, of which each element is an event, or an object that is one.
    each: Option<Path>,
    /// Lists of names and values that are read as objects.
    pairs: Vec<Pairs>,
    subject: Vec<Path>,
    variables: Vec<(String, Value)>,
    event: EventRules,
    words: WordRules,
    fields: Fields,
    diff: Vec<DiffRule>,
    masks: Vec<Mask>,
    resources: Vec<ResourceWord>,
    actions: Vec<Word>,
}

/// `[event]`.
#[derive(Debug, Default)]
struct EventRules {
    identity: Value,
    time: Value,
    time_formats: Vec<String>,
    action: Value,
    resource_type: Value,
    resource_id: Value,
    resource_target: Value,
    resource_icon: Value,
    status_code: Value,
    actor_type: Value,
    user: ActorRules,
    impersonator: ActorRules,
    on_behalf_of: ActorRules,
    organization: OrganizationRules,
    ip: Value,
    user_agent: Value,
    request_id: Value,
}

#[derive(Debug, Default)]
struct ActorRules {
    id: Value,
    username: Value,
    email: Value,
    name: Value,
    avatar_url: Value,
    roles: Value,
}

#[derive(Debug, Default)]
struct OrganizationRules {
    id: Value,
    name: Value,
    display_name: Value,
    icon: Value,
}

/// `[words]`: what sentences say of types and actions that the mapping does not declare.
#[derive(Debug, Default)]
struct WordRules {
    noun: Value,
    phrase: Value,
    /// What stands between the wording of an action and the name of the resource.
    join: Value,
}

/// `[[pairs]]`: a list such as `[{"name": "doc_id", "value": "1"}]`.
#[derive(Debug)]
struct Pairs {
    list: Vec<String>,
    name: String,
    values: Vec<String>,
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
struct Scope<'n, 'r> {
    element: &'n Node<'r>,
    /// The record around the element, if that is not the record itself.
    record: Option<&'n Node<'r>>,
    subject: Option<&'n Node<'r>>,
    variables: &'n [(&'n str, String)],
    star: Option<&'n str>,
}

impl<'n, 'r> Scope<'n, 'r> {
    fn of(record: &'n Node<'r>) -> Scope<'n, 'r> {
        Scope { element: record, record: None, subject: None, variables: &[], star: None }
    }

    fn variable(&self, name: &str) -> Option<&'n str> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }
}

/// What a record comes to.
#[derive(Debug)]
pub(super) enum Mapped {
    /// It is about something that is no event.
    Skipped,
    /// Its events, and why some of its elements are none.
    Events(Vec<MappedEvent>, Vec<String>),
}

/// An event, its `id` still empty.
#[derive(Debug)]
pub(super) struct MappedEvent {
    pub(super) event: ImportedEvent<'static>,
    pub(super) identity: Identity,
    pub(super) words: Words,
}

impl Mapping {
    /// Compiles the text of a mapping.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub(super) fn parse(text: &str) -> Result<Mapping, MappingErrors> {
        read::read(text)
    }

    /// Compiles one that is built in.
    pub(super) fn built_in(name: &str) -> Mapping {
        let text = BUILT_IN.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
        Mapping::parse(text).expect("the tests compile every built-in mapping")
    }

    /// Whether a record looks like one of this mapping.
    pub(super) fn detects(&self, record: &Node<'_>) -> bool {
        let scope = Scope::of(record);
        self.detect.iter().any(|condition| condition.holds(&scope))
    }

    /// Makes events of a record. `default_time` is for records that have none.
    ///
    /// # Errors
    /// Why no event can be made of it.
    pub(super) fn convert(
        &self,
        record: &str,
        default_time: Option<&str>,
        vocabulary: &Vocabulary,
    ) -> Result<Mapped, String> {
        let plain = checked(record)?;
        let masked = mask::masked(&self.masks, &Node::parse(&plain));
        let text = masked.unwrap_or(plain);
        let original = Node::parse(&text);
        if !matches!(original.content, Content::Object(_)) {
            return Err("a record is a JSON object".to_owned());
        }
        let list = self.each.as_ref().and_then(|each| each.find(&Scope::of(&original)));
        let (mut mapped, mut faults) = (Vec::new(), Vec::new());
        match list.map(|node| (node, &node.content)) {
            Some((list, Content::List(elements))) if !elements.is_empty() => {
                if elements.len() > EVENTS_OF_RECORD_MAX {
                    return Err(format!(
                        "{} events in one record, more than {EVENTS_OF_RECORD_MAX}",
                        elements.len()
                    ));
                }
                // Each event keeps all of the record but the other elements, so what is around them counts as often.
                let around = text.len() - list.text.len();
                if around.saturating_mul(elements.len()) > VALUE_BYTES_MAX {
                    return Err(format!(
                        "{} events in one record, each of which would keep the {around} bytes around them",
                        elements.len()
                    ));
                }
                for (at, element) in elements.iter().enumerate() {
                    // The record with this one element in its list: self-contained, and not one copy of all for each.
                    let kept = format!("{}[{}]{}", &text[..list.start], element.text, &text[list.end()..]);
                    let index = (elements.len() > 1).then_some(at);
                    match self.one(element, Some(&original), &kept, index, default_time, vocabulary) {
                        Ok(event) => mapped.extend(event),
                        Err(fault) => faults.push(fault),
                    }
                }
            }
            // One event inside an envelope.
            Some((inner, Content::Object(_))) => {
                mapped.extend(self.one(inner, Some(&original), &text, None, default_time, vocabulary)?);
            }
            _ => mapped.extend(self.one(&original, None, &text, None, default_time, vocabulary)?),
        }
        match (mapped.as_slice(), faults.as_slice()) {
            ([], []) => Ok(Mapped::Skipped),
            ([], [fault]) => Err(fault.clone()),
            _ => Ok(Mapped::Events(mapped, faults)),
        }
    }

    /// Makes one event; nothing if it is to be skipped.
    fn one(
        &self,
        element: &Node<'_>,
        record: Option<&Node<'_>>,
        kept: &str,
        index: Option<usize>,
        default_time: Option<&str>,
        vocabulary: &Vocabulary,
    ) -> Result<Option<MappedEvent>, String> {
        let element = self.with_pairs(element);
        let mut scope = Scope { element: &element, record, subject: None, variables: &[], star: None };
        scope.subject =
            self.subject.iter().find_map(|path| path.find(&scope).filter(|node| node.is_something()));
        let mut variables: Vec<(&str, String)> = Vec::with_capacity(self.variables.len());
        for (name, value) in &self.variables {
            let text = value.text(&Scope { variables: &variables, ..scope });
            variables.extend(text.map(|text| (name.as_str(), text)));
        }
        scope.variables = &variables;
        if self.skip.iter().any(|condition| condition.holds(&scope)) {
            return Ok(None);
        }

        let rules = &self.event;
        let time = self.time(&scope, default_time)?;
        let action = self.name_of("action", &rules.action, &scope)?;
        let resource_type = self.name_of("resource_type", &rules.resource_type, &scope)?;
        let status_code = self.status_code(&scope)?;
        let noun = self.words.noun.text(&scope).unwrap_or_else(|| plain_name(&resource_type));
        let Diffed { json: diff, mut changed, secrets } = diff::diff(&self.diff, &self.fields, &scope);
        // Also what was attempted in vain may have been a secret.
        let masked = match secrets.is_empty() {
            true => None,
            false => mask::without_values(&Node::parse(kept), &secrets),
        };
        let kept = masked.as_deref().unwrap_or(kept);
        if status_code.is_some_and(|code| code >= 400) || matches!(action.as_str(), "login" | "logout") {
            changed.clear();
        }
        let diff = (!changed.is_empty()).then_some(diff);
        let resource = self.resource_word(&resource_type, &noun, vocabulary);
        let mut actions: Vec<Word> = self.action_word(&action, &scope, vocabulary).into_iter().collect();
        if let Some(resource) = &resource {
            let is_named = |word: &&Word| resource.names(&word.name) && !vocabulary.knows_action(&word.name);
            actions.extend(self.actions.iter().filter(is_named).cloned());
        }
        let words = Words {
            resource,
            actions,
            fields: changed
                .into_iter()
                .map(|changed| FieldWord {
                    name: changed.field,
                    is_secret: changed.is_secret,
                    is_personal: changed.is_personal,
                })
                .filter(|field| !vocabulary.knows_field(&resource_type, &field.name))
                .collect(),
        };
        let is_refused = vocabulary.is_refused(&action);
        let identity = Identity {
            of: self.name.clone(),
            own: rules.identity.text(&scope),
            index,
            record: kept.to_owned(),
        };
        let target = rules.resource_target.text(&scope).unwrap_or_default();
        let resource_id = fitting_id(rules.resource_id.text(&scope));
        let event = ImportedEvent {
            time: time.into(),
            user: rules.user.actor(&scope),
            impersonator: rules.impersonator.actor(&scope),
            on_behalf_of: rules.on_behalf_of.actor(&scope),
            actor_type: rules.actor_type.text(&scope).unwrap_or_default().into(),
            organization: rules.organization.organization(&scope),
            ip: rules
                .ip
                .texts(&scope)
                .iter()
                .map(|list| address(list))
                .find(|ip| !ip.is_empty())
                .unwrap_or_default()
                .into(),
            user_agent: short(rules.user_agent.text(&scope)),
            request_id: rules.request_id.text(&scope).filter(|id| is_uuid(id)).unwrap_or_default().into(),
            action: if is_refused { wording::general(&action).into() } else { action.into() },
            resource_target: match target.is_empty() && resource_id.is_empty() {
                true => cut(&noun, TEXT_BYTES_MAX).to_owned().into(),
                false => cut(&target, TEXT_BYTES_MAX).to_owned().into(),
            },
            resource_type: resource_type.into(),
            resource_id: resource_id.into(),
            resource_icon: short(rules.resource_icon.text(&scope)),
            status_code,
            diff: diff
                .map(|diff| Cow::Owned(RawValue::from_string(diff).expect("a diff made of JSON is JSON"))),
            additional_fields: Some(additional_fields(&self.name, kept)),
            source: self.name.clone().into(),
            ..ImportedEvent::default()
        };
        Ok(Some(MappedEvent { event, identity, words }))
    }

    fn time(&self, scope: &Scope<'_, '_>, default_time: Option<&str>) -> Result<String, String> {
        match (self.event.time.text(scope), default_time) {
            (Some(text), _) => time::parse(&text, &self.event.time_formats).ok_or_else(|| {
                let shown = cut(&text, 64);
                format!(
                    "`{shown}` is no time; expected RFC 3339 or a number since 1970, or a form that the mapping's \
                     `time_format` gives"
                )
            }),
            (None, Some(time)) => Ok(time.to_owned()),
            (None, None) => Err(format!(
                "the record has no time ({}); --default-time TIME gives one to such records",
                self.places(&self.event.time)
            )),
        }
    }

    /// The name of an action or a type.
    fn name_of(&self, member: &str, value: &Value, scope: &Scope<'_, '_>) -> Result<String, String> {
        let name = value.text(scope).ok_or_else(|| {
            format!("no record of {}: nothing says the `{member}` ({})", self.title, self.places(value))
        })?;
        let mut name = name;
        name.truncate(name.floor_char_boundary(KIND_BYTES_MAX));
        let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'-');
        match name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_inner) {
            true => Ok(name),
            false => Err(format!(
                "`{}` cannot be the `{member}`: it has lower-case letters, digits, `_`, `.`, `:` and `-`, and begins \
                 with a letter; the filter `word` makes it so",
                cut(&name, 64)
            )),
        }
    }

    /// The places that were looked at, for messages.
    fn places(&self, value: &Value) -> String {
        let mut paths: Vec<String> = Vec::new();
        let mut values = vec![value];
        while let Some(value) = values.pop() {
            for path in value.templates().into_iter().flat_map(|template| template.paths()) {
                // A variable stands for what it is made of; `[let]` lets it know earlier ones only, so this ends.
                let variable = |name| self.variables.iter().find(|(known, _)| known == name);
                match path.variable().and_then(variable) {
                    Some((_, value)) => values.push(value),
                    None => {
                        let path = format!("`{path}`");
                        if !paths.contains(&path) {
                            paths.push(path);
                        }
                    }
                }
            }
        }
        match paths.as_slice() {
            [] => "the mapping has no rule for it".to_owned(),
            _ => format!("looked for {}", paths.join(", ")),
        }
    }

    fn status_code(&self, scope: &Scope<'_, '_>) -> Result<Option<u64>, String> {
        let Some(text) = self.event.status_code.text(scope) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(code) if code <= 999 => Ok(Some(code)),
            _ => Err(format!("`{}` is no `status_code`: a number up to 999", cut(&text, 64))),
        }
    }

    fn resource_word(&self, kind: &str, noun: &str, vocabulary: &Vocabulary) -> Option<ResourceWord> {
        if vocabulary.knows_resource(kind) {
            return None;
        }
        let declared = self.resources.iter().find(|resource| resource.name == kind);
        Some(declared.cloned().unwrap_or_else(|| ResourceWord::new(kind.to_owned(), noun)))
    }

    fn action_word(&self, action: &str, scope: &Scope<'_, '_>, vocabulary: &Vocabulary) -> Option<Word> {
        if vocabulary.knows_action(action) {
            return None;
        }
        let declared = self.actions.iter().find(|word| word.name == action).cloned();
        Some(declared.unwrap_or_else(|| {
            let phrase = self.words.phrase.text(scope).unwrap_or_else(|| action.to_owned());
            let (done, attempt) = wording::wording(&phrase, self.words.join.text(scope).as_deref());
            Word::action(action.to_owned(), &self.title, action, &Wording { done, attempt })
        }))
    }

    /// The element with its lists of pairs as objects.
    fn with_pairs<'n, 'r>(&self, element: &'n Node<'r>) -> Cow<'n, Node<'r>> {
        let mut element = Cow::Borrowed(element);
        for pairs in &self.pairs {
            let is_list = pairs.list.iter().try_fold(element.as_ref(), |node, name| node.get(name));
            if !is_list.is_some_and(|node| matches!(node.content, Content::List(_))) {
                continue;
            }
            let mut node = Some(element.to_mut());
            for name in &pairs.list {
                node = node.and_then(|node| match &mut node.content {
                    Content::Object(members) => {
                        members.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
                    }
                    _ => None,
                });
            }
            if let Some(node) = node {
                pairs.apply(node);
            }
        }
        element
    }
}

impl Pairs {
    fn apply(&self, node: &mut Node<'_>) {
        let Content::List(elements) = &mut node.content else { return };
        let mut members = Vec::with_capacity(elements.len());
        let mut known = HashSet::with_capacity(elements.len());
        for element in elements.drain(..) {
            let name = element.get(&self.name).and_then(Node::to_text).map(str::to_owned);
            let value = self.values.iter().find_map(|value| element.get(value)).cloned();
            let Some((name, value)) = name.zip(value) else { continue };
            // A name given twice keeps its first value here; the record has both.
            if known.insert(name.clone()) {
                members.push((Cow::Owned(name), value));
            }
        }
        node.content = Content::Object(members);
    }
}

impl ActorRules {
    fn actor(&self, scope: &Scope<'_, '_>) -> ImportedActor<'static> {
        let lists = self.roles.texts(scope);
        let mut roles = lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        roles.retain(|role| role.len() <= NAME_BYTES_MAX);
        roles.truncate(ROLES_MAX);
        ImportedActor {
            id: fitting_id(self.id.text(scope)).into(),
            username: short(self.username.text(scope)),
            email: short(self.email.text(scope)),
            name: short(self.name.text(scope)),
            avatar_url: short(self.avatar_url.text(scope)),
            roles,
        }
    }
}

impl OrganizationRules {
    fn organization(&self, scope: &Scope<'_, '_>) -> ImportedOrganization<'static> {
        ImportedOrganization {
            id: fitting_id(self.id.text(scope)).into(),
            name: short(self.name.text(scope)),
            display_name: short(self.display_name.text(scope)),
            icon: short(self.icon.text(scope)),
        }
    }
}

impl MappedEvent {
    /// What the registry needs for it.
    pub(super) fn take_words(&mut self) -> Words {
        std::mem::take(&mut self.words)
    }

    /// Records it under a general action, because the registry has no room for its own.
    pub(super) fn generalise(&mut self) {
        self.event.action = wording::general(&self.event.action).into();
    }

    /// The event on one line, and whether it lost its diff: one that is too long for the log does, as the record has
    /// the values too.
    ///
    /// # Errors
    /// If it cannot be written, which no event is known to cause.
    pub(super) fn write_line(&mut self) -> Result<(String, bool), String> {
        let line = serde_json::to_string(&self.event).map_err(|error| error.to_string())?;
        if line.len() <= EVENT_BYTES_MAX || self.event.diff.is_none() {
            return Ok((line, false));
        }
        self.event.diff = None;
        Ok((serde_json::to_string(&self.event).map_err(|error| error.to_string())?, true))
    }
}

/// A text of at most the length that the log takes.
fn short(text: Option<String>) -> Cow<'static, str> {
    let text = text.unwrap_or_default();
    if text.len() <= TEXT_BYTES_MAX { text.into() } else { cut(&text, TEXT_BYTES_MAX).to_owned().into() }
}

/// An identity; nothing rather than a part of one.
fn fitting_id(id: Option<String>) -> String {
    id.filter(|id| id.len() <= ID_BYTES_MAX).unwrap_or_default()
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

/// The first public address of a list, else the first one; what is no address stays in the record only.
fn address(texts: &[String]) -> String {
    let parsed = texts.iter().filter_map(|text| {
        let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
        // `::ffff:10.1.2.3` is 10.1.2.3.
        text.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
    });
    let addresses: Vec<IpAddr> = parsed.collect();
    let public = addresses.iter().find(|address| is_public(address));
    public.or(addresses.first()).map(ToString::to_string).unwrap_or_default()
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // Addresses of carriers' own networks (RFC 6598).
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(is_shared || v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified())
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

/// `k8s.pods` is `pods` in a sentence.
fn plain_name(kind: &str) -> String {
    kind.rsplit('.').next().unwrap_or(kind).replace('_', " ")
}

fn additional_fields(name: &str, kept: &str) -> Box<RawValue> {
    RawValue::from_string(format!("{{\"{name}\":{kept}}}")).expect("an object around JSON is JSON")
}

#[cfg(test)]
mod tests;
