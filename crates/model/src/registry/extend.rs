//! Putting a document into a registry.

use std::fmt;

use super::document::{
    self, ActionEntry, At, Document, FieldEntry, ResourceEntry, SettingEntry, field_place,
};
use super::errors::{RegistryError, RegistryErrors, RegistryFault};
use super::{Action, CUSTOM, Field, Policy, Registry, ResourceType};
use crate::limits::{DIFF_FIELDS_MAX, REGISTRY_BYTES_MAX, RESOURCE_TYPES_MAX};

/// On whose behalf a document is put into the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The operator's file: everything.
    Operator,
    /// An application at its start: it adds types, fields and actions and tightens policies, and never loosens one,
    /// nor redefines what is built in.
    Application,
}

/// What a document added or changed, one line each when displayed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extension {
    /// Every change, in the order of the document.
    pub changes: Vec<Change>,
}

impl Extension {
    /// Whether the registry had all of it already.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, change) in self.changes.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{change}")?;
        }
        Ok(())
    }
}

/// One change of a registry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Change {
    /// A new action.
    #[error("added action `{name}`")]
    ActionAdded {
        /// Its name.
        name: String,
    },
    /// An action was described anew.
    #[error("changed action `{name}`")]
    ActionChanged {
        /// Its name.
        name: String,
    },
    /// New build reasons.
    #[error("added build reason `{reason}`")]
    BuildReasonAdded {
        /// The reason.
        reason: String,
    },
    /// A type has a new field.
    #[error("added field `{field}` ({policy}) to resource type `{kind}`")]
    FieldAdded {
        /// The type.
        kind: String,
        /// The field.
        field: String,
        /// Its policy.
        policy: Policy,
    },
    /// A field is displayed under another mask.
    #[error("changed the mask of field `{field}` of resource type `{kind}`")]
    MaskChanged {
        /// The type.
        kind: String,
        /// The field.
        field: String,
    },
    /// A field is or is not about a person any more.
    #[error(
        "{} field `{field}` of resource type `{kind}` as personal",
        if *personal { "marked" } else { "unmarked" }
    )]
    PersonalChanged {
        /// The type.
        kind: String,
        /// The field.
        field: String,
        /// What it is now.
        personal: bool,
    },
    /// A field has another policy.
    #[error("changed field `{field}` of resource type `{kind}` from {from} to {to}")]
    PolicyChanged {
        /// The type.
        kind: String,
        /// The field.
        field: String,
        /// Its policy until now.
        from: Policy,
        /// Its policy from now on.
        to: Policy,
    },
    /// A new resource type.
    #[error("added resource type `{kind}` with {field_count} field{}", if *field_count == 1 { "" } else { "s" })]
    ResourceAdded {
        /// The type.
        kind: String,
        /// How many fields it has.
        field_count: usize,
    },
    /// Something about a type other than its fields.
    #[error("changed `{key}` of resource type `{kind}`")]
    ResourceChanged {
        /// The type.
        kind: String,
        /// The key of the document.
        key: &'static str,
    },
    /// A new admin setting.
    #[error("added setting `{setting}` in section `{section}`")]
    SettingAdded {
        /// Its section.
        section: String,
        /// Its label.
        setting: String,
    },
    /// An admin setting was described anew.
    #[error("changed setting `{setting}` in section `{section}`")]
    SettingChanged {
        /// Its section.
        section: String,
        /// Its label.
        setting: String,
    },
}

impl Registry {
    /// Puts a document into the registry and returns what that changed.
    ///
    /// What the document does not mention stays as it is; the same document a second time changes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with the document or beyond `authority`. The registry is then unchanged.
    ///
    /// # Examples
    /// ```
    /// use annals_model::registry::{Authority, Registry};
    ///
    /// let mut registry = Registry::built_in();
    /// let errors = registry
    ///     .extend("[[resource]]\ntype = 'user'\nfields.hashed_password = 'track'", Authority::Application)
    ///     .unwrap_err();
    /// assert_eq!(
    ///     errors.to_string(),
    ///     "line 3: resource `user`, field `hashed_password`: an application may tighten a policy, never loosen \
    ///      one; it is `secret` and would become `track`"
    /// );
    /// ```
    pub fn extend(&mut self, toml_text: &str, authority: Authority) -> Result<Extension, RegistryErrors> {
        self.extend_as(CUSTOM, toml_text, authority)
    }

    /// The same for a document whose types belong to `registry`, where they do not say otherwise.
    pub(super) fn extend_as(
        &mut self,
        registry: &str,
        toml_text: &str,
        authority: Authority,
    ) -> Result<Extension, RegistryErrors> {
        if toml_text.len() > REGISTRY_BYTES_MAX {
            let fault = RegistryFault::TooLarge { bytes: toml_text.len() };
            return Err(RegistryErrors(vec![RegistryError { line: None, place: String::new(), fault }]));
        }
        let document = document::parse(toml_text)?;
        let mut merge = Merge {
            registry: self.clone(),
            default_registry: registry,
            authority,
            changes: Vec::new(),
            errors: Vec::new(),
        };
        merge.document(document);
        if !merge.errors.is_empty() {
            merge.errors.sort_by_key(|error| error.line);
            return Err(RegistryErrors(merge.errors));
        }
        *self = merge.registry;
        Ok(Extension { changes: merge.changes })
    }
}

/// A registry in the making. It becomes the real one only if no error came up.
struct Merge<'a> {
    registry: Registry,
    default_registry: &'a str,
    authority: Authority,
    changes: Vec<Change>,
    errors: Vec<RegistryError>,
}

impl Merge<'_> {
    fn document(&mut self, document: Document) {
        // Actions come first because resource types name them.
        let (mut names, mut kinds) = (Vec::new(), Vec::new());
        let mut action_changes = Vec::new();
        for entry in document.actions {
            let place = format!("action `{}`", entry.action.name);
            if names.contains(&entry.action.name) {
                self.fault(entry.line, &place, RegistryFault::Twice);
                continue;
            }
            names.push(entry.action.name.clone());
            action_changes.extend(self.action(&place, entry));
        }
        let declared: Vec<_> =
            document.resources.iter().map(|entry| (entry.line, entry.kind.clone())).collect();
        for (line, kind) in declared {
            if kinds.contains(&kind) {
                self.fault(line, &format!("resource `{kind}`"), RegistryFault::Twice);
            }
            kinds.push(kind);
        }
        for entry in document.resources {
            self.resource(entry, &kinds);
        }
        self.changes.extend(action_changes);
        for entry in document.settings {
            self.setting(entry);
        }
        self.build_reasons(document.build_reasons);
        self.check_counts();
    }

    fn action(&mut self, place: &str, entry: ActionEntry) -> Option<Change> {
        let ActionEntry { line, mut action, registry } = entry;
        let name = action.name.clone();
        let known = self.registry.action_positions.get(&name).copied();
        let default_registry = known.map(|at| self.registry.actions[at].registry.clone());
        action.registry = self.owner(place, registry, default_registry)?;

        let Some(position) = known else {
            self.registry.action_positions.insert(name.clone(), self.registry.actions.len());
            self.registry.actions.push(action);
            return Some(Change::ActionAdded { name });
        };
        let present: &Action = &self.registry.actions[position];
        if *present == action {
            return None;
        }
        if present.registry != CUSTOM && !self.is_operator() {
            self.fault(line, place, RegistryFault::OperatorOnly { key: "action" });
            return None;
        }
        self.registry.actions[position] = action;
        Some(Change::ActionChanged { name })
    }

    fn resource(&mut self, entry: ResourceEntry, declared: &[String]) {
        let place = format!("resource `{}`", entry.kind);
        for action in entry.actions.iter().chain(entry.sentences.iter().map(|(action, _)| action)) {
            if action.value != "default" {
                self.check_action(&place, action.line, &action.value);
            }
        }
        for when in &entry.sentence_when {
            self.check_action(&place, when.line, &when.value.action);
        }
        if let Some(with) = &entry.deleted_with {
            self.check_resource(&place, with.line, &with.value.kind, declared);
        }
        match self.registry.resource_positions.get(&entry.kind) {
            Some(&position) => self.change_resource(&place, position, entry),
            None => self.add_resource(&place, entry),
        }
    }

    fn add_resource(&mut self, place: &str, entry: ResourceEntry) {
        let Some(registry) = self.owner(place, entry.registry, None) else { return };
        let mut resource = ResourceType {
            name: entry.name.map_or_else(|| camel_case(&entry.kind), |name| name.value),
            noun: entry.noun.map_or_else(|| entry.kind.replace('_', " "), |noun| noun.value),
            kind: entry.kind,
            registry,
            fields: entry.fields.into_iter().map(new_field).collect(),
            later_fields: entry.later_fields.into_iter().map(new_field).collect(),
            actions: Vec::new(),
            link: entry.link.map(|link| link.value),
            personal_target: entry.personal_target.is_some_and(|flag| flag.value),
            shared_id: entry.shared_id.is_some_and(|flag| flag.value),
            deleted_with: entry.deleted_with.map(|with| with.value),
            sentences: entry.sentences.into_iter().map(|(action, text)| (action.value, text)).collect(),
            sentence_when: entry.sentence_when.into_iter().map(|when| when.value).collect(),
            positions: Default::default(),
        };
        for action in entry.actions {
            if !resource.actions.contains(&action.value) {
                resource.actions.push(action.value);
            }
        }
        resource.index();
        let (kind, field_count) = (resource.kind.clone(), resource.positions.len());
        self.check_field_count(place, entry.line, field_count);
        self.registry.resource_positions.insert(kind.clone(), self.registry.resources.len());
        self.registry.resources.push(resource);
        self.changes.push(Change::ResourceAdded { kind, field_count });
    }

    fn change_resource(&mut self, place: &str, position: usize, entry: ResourceEntry) {
        let mut resource = self.registry.resources[position].clone();
        let may_redefine = self.is_operator() || !resource.is_built_in();
        let may_unmark = self.is_operator();
        let kind = &entry.kind;

        if let Some(registry) = entry.registry {
            let line = registry.line;
            let Some(owner) = self.owner(place, Some(registry), Some(resource.registry.clone())) else {
                return;
            };
            let owner = Some(At { value: owner, line });
            self.set(place, kind, "registry", may_redefine, &mut resource.registry, owner);
        }
        self.set(place, kind, "name", may_redefine, &mut resource.name, entry.name);
        self.set(place, kind, "noun", may_redefine, &mut resource.noun, entry.noun);
        self.set(place, kind, "link", may_redefine, &mut resource.link, some(entry.link));
        self.set(place, kind, "shared_id", may_redefine, &mut resource.shared_id, entry.shared_id);
        self.set(
            place,
            kind,
            "deleted_with",
            may_redefine,
            &mut resource.deleted_with,
            some(entry.deleted_with),
        );
        match entry.personal_target {
            Some(flag) if !flag.value && resource.personal_target && !may_unmark => {
                self.fault(flag.line, place, RegistryFault::Unmarks);
            }
            flag => self.set(place, kind, "personal_target", true, &mut resource.personal_target, flag),
        }

        if let Some((action, _)) = entry.sentences.first() {
            let line = action.line;
            let mut sentences = resource.sentences.clone();
            sentences.extend(entry.sentences.into_iter().map(|(action, text)| (action.value, text)));
            let sentences = Some(At { value: sentences, line });
            self.set(place, kind, "sentences", may_redefine, &mut resource.sentences, sentences);
        }
        if let Some(first) = entry.sentence_when.first() {
            let line = first.line;
            let value = entry.sentence_when.into_iter().map(|when| when.value).collect();
            let whens = Some(At { value, line });
            self.set(place, kind, "sentence_when", may_redefine, &mut resource.sentence_when, whens);
        }
        if let Some(first) = entry.actions.first() {
            let line = first.line;
            let mut actions = resource.actions.clone();
            for action in entry.actions {
                if !actions.contains(&action.value) {
                    actions.push(action.value);
                }
            }
            self.set(place, kind, "actions", true, &mut resource.actions, Some(At { value: actions, line }));
        }

        for field in entry.fields {
            self.field(place, &mut resource, field, |resource| &mut resource.fields);
        }
        for field in entry.later_fields {
            self.field(place, &mut resource, field, |resource| &mut resource.later_fields);
        }
        resource.index();
        self.check_field_count(place, entry.line, resource.positions.len());
        self.registry.resources[position] = resource;
    }

    /// Sets one property of a type that the document mentions.
    fn set<T: PartialEq>(
        &mut self,
        place: &str,
        kind: &str,
        key: &'static str,
        is_allowed: bool,
        present: &mut T,
        wanted: Option<At<T>>,
    ) {
        let Some(wanted) = wanted.filter(|wanted| wanted.value != *present) else { return };
        if !is_allowed {
            self.fault(wanted.line, place, RegistryFault::OperatorOnly { key });
            return;
        }
        *present = wanted.value;
        self.changes.push(Change::ResourceChanged { kind: kind.to_owned(), key });
    }

    /// Adds a field to the list that `list` selects, or changes it in whichever list it is.
    fn field(
        &mut self,
        place: &str,
        resource: &mut ResourceType,
        entry: FieldEntry,
        list: fn(&mut ResourceType) -> &mut Vec<Field>,
    ) {
        let place = field_place(place, &entry.name);
        let (kind, name) = (resource.kind.clone(), entry.name.clone());
        let is_operator = self.is_operator();
        let is_built_in = resource.is_built_in();
        let mut fields = resource.fields.iter_mut().chain(&mut resource.later_fields);
        let Some(field) = fields.find(|field| field.name == name) else {
            self.changes.push(Change::FieldAdded { kind, field: name, policy: entry.policy });
            list(resource).push(new_field(entry));
            return;
        };

        if field.policy != entry.policy {
            let (from, to) = (field.policy, entry.policy);
            if !is_operator && !from.may_tighten_to(to) {
                self.fault(entry.line, &place, RegistryFault::Loosens { from, to });
                return;
            }
            field.policy = to;
            if to != Policy::Secret {
                field.mask = None;
            }
            self.changes.push(Change::PolicyChanged { kind: kind.clone(), field: name.clone(), from, to });
        }
        if let Some(personal) = entry.personal.filter(|personal| *personal != field.personal) {
            if !is_operator && !personal {
                self.fault(entry.line, &place, RegistryFault::Unmarks);
                return;
            }
            field.personal = personal;
            self.changes.push(Change::PersonalChanged { kind: kind.clone(), field: name.clone(), personal });
        }
        if entry.mask.is_some() && entry.mask != field.mask {
            if !is_operator && is_built_in && field.mask.is_some() {
                self.fault(entry.line, &place, RegistryFault::OperatorOnly { key: "mask" });
                return;
            }
            field.mask = entry.mask;
            self.changes.push(Change::MaskChanged { kind, field: name });
        }
    }

    fn setting(&mut self, entry: SettingEntry) {
        let SettingEntry { line, setting } = entry;
        let place = format!("setting `{}`", setting.setting);
        self.check_action(&place, line, &setting.action);
        // Two panels of one section have a setting of the same name; the target tells them apart.
        let is_same = |other: &super::Setting| {
            (&other.section, &other.setting, &other.target)
                == (&setting.section, &setting.setting, &setting.target)
        };
        let known = self.registry.settings.iter().position(is_same);
        if known.is_some_and(|at| self.registry.settings[at] == setting) {
            return;
        }
        if !self.is_operator() {
            self.fault(line, &place, RegistryFault::OperatorOnly { key: "setting" });
            return;
        }
        let (section, label) = (setting.section.clone(), setting.setting.clone());
        match known {
            Some(position) => {
                self.registry.settings[position] = setting;
                self.changes.push(Change::SettingChanged { section, setting: label });
            }
            None => {
                self.registry.settings.push(setting);
                self.changes.push(Change::SettingAdded { section, setting: label });
            }
        }
    }

    fn build_reasons(&mut self, reasons: Option<At<Vec<String>>>) {
        let Some(At { value: reasons, line }) = reasons else { return };
        for reason in reasons {
            if self.registry.build_reasons.contains(&reason) {
                continue;
            }
            if !self.is_operator() {
                self.fault(line, "", RegistryFault::OperatorOnly { key: "build_reasons" });
                return;
            }
            self.changes.push(Change::BuildReasonAdded { reason: reason.clone() });
            self.registry.build_reasons.push(reason);
        }
    }

    /// The registry that an entry belongs to: what it says, else what it is, else the document's.
    fn owner(&mut self, place: &str, said: Option<At<String>>, is: Option<String>) -> Option<String> {
        let present = is.unwrap_or_else(|| self.default_registry.to_owned());
        let Some(said) = said else { return Some(present) };
        if said.value != present && !self.is_operator() {
            self.fault(said.line, place, RegistryFault::OperatorOnly { key: "registry" });
            return None;
        }
        Some(said.value)
    }

    fn check_action(&mut self, place: &str, line: usize, name: &str) {
        if self.registry.action(name).is_none() {
            let nearest = self.registry.nearest_action(name).map(str::to_owned);
            let word = name.to_owned();
            self.fault(line, place, RegistryFault::Unknown { what: "action", word, nearest, known: &[] });
        }
    }

    fn check_resource(&mut self, place: &str, line: usize, kind: &str, declared: &[String]) {
        if self.registry.resource(kind).is_none() && !declared.iter().any(|declared| declared == kind) {
            let nearest = self.registry.nearest_resource(kind).map(str::to_owned);
            let word = kind.to_owned();
            self.fault(
                line,
                place,
                RegistryFault::Unknown { what: "resource type", word, nearest, known: &[] },
            );
        }
    }

    fn check_field_count(&mut self, place: &str, line: usize, count: usize) {
        if count > DIFF_FIELDS_MAX {
            self.fault(
                line,
                place,
                RegistryFault::TooMany { what: "fields", count, count_max: DIFF_FIELDS_MAX },
            );
        }
    }

    fn check_counts(&mut self) {
        let counts = [
            (self.registry.resources.len(), "resource types"),
            (self.registry.actions.len(), "actions"),
            (self.registry.settings.len(), "settings"),
            (self.registry.build_reasons.len(), "build reasons"),
        ];
        for (count, what) in counts {
            if count > RESOURCE_TYPES_MAX {
                let fault = RegistryFault::TooMany { what, count, count_max: RESOURCE_TYPES_MAX };
                self.errors.push(RegistryError { line: None, place: String::new(), fault });
            }
        }
    }

    fn is_operator(&self) -> bool {
        self.authority == Authority::Operator
    }

    fn fault(&mut self, line: usize, place: &str, fault: RegistryFault) {
        self.errors.push(RegistryError { line: Some(line), place: place.to_owned(), fault });
    }
}

fn new_field(entry: FieldEntry) -> Field {
    Field {
        name: entry.name,
        policy: entry.policy,
        personal: entry.personal.unwrap_or(false),
        mask: entry.mask,
    }
}

fn some<T>(at: Option<At<T>>) -> Option<At<Option<T>>> {
    at.map(|At { value, line }| At { value: Some(value), line })
}

/// `dev_url` becomes `DevUrl`.
pub(super) fn camel_case(kind: &str) -> String {
    kind.split(['_', '.', ':', '-'])
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}
