//! The registry as JSON and as TOML, and the TOML that would add what is missing.

use super::toml_text::{self, key, text};
use super::{Action, CUSTOM, Field, Registry, ResourceType, Setting};
use serde_json::{Value, json};

impl Registry {
    /// Returns the registry as `GET /api/v2/audit/resources` shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "resources": self.resources().map(resource_json).collect::<Vec<_>>(),
            "actions": self.actions().map(action_json).collect::<Vec<_>>(),
            "settings": self.settings().map(setting_json).collect::<Vec<_>>(),
            "build_reasons": self.build_reasons(),
        })
    }

    /// Returns the registry as a document that [`Registry::extend`] puts into an empty registry to make this one.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        if !self.build_reasons.is_empty() {
            out += &format!("build_reasons = {}\n", toml_text::list(&self.build_reasons));
        }
        let tables = self
            .resources()
            .map(resource_toml)
            .chain(self.actions().map(action_toml))
            .chain(self.settings().map(setting_toml));
        for table in tables {
            if !out.is_empty() {
                out.push('\n');
            }
            out += &table;
        }
        out
    }

    /// Returns the document that declares the unknown resource type `kind`, for its author to complete.
    ///
    /// # Examples
    /// ```
    /// use annals_model::registry::{Authority, Registry};
    ///
    /// let mut registry = Registry::built_in();
    /// let document = registry.toml_to_add_resource("invoice");
    /// registry.extend(&document, Authority::Operator).expect("what is proposed is accepted");
    /// assert!(registry.resource("invoice").is_some());
    /// ```
    pub fn toml_to_add_resource(&self, kind: &str) -> String {
        format!(
            "[[resource]]\ntype = {}\n\n[resource.fields]\n\
             # one line for each field: \"track\", \"secret\", \"abbreviate\" or \"ignore\"\nid = \"track\"\n",
            text(kind)
        )
    }

    /// Returns the document that declares the unknown action `name`, for its author to complete.
    pub fn toml_to_add_action(&self, name: &str) -> String {
        format!(
            "[[action]]\nname = {}\ndescription = \"What it means that this happened.\"\n\
             done = {} # the verb of a sentence about it, in the past tense\n",
            text(name),
            text(&name.replace('_', " ")),
        )
    }
}

fn resource_json(resource: &ResourceType) -> Value {
    let mut value = json!({
        "name": resource.name,
        "type": resource.kind,
        "registry": resource.registry,
        "noun": resource.noun,
        "fields": resource.fields.iter().map(field_json).collect::<Vec<_>>(),
        "later_fields": resource.later_fields.iter().map(field_json).collect::<Vec<_>>(),
        "actions": resource.actions,
    });
    if let Some(link) = &resource.link {
        value["link"] = json!(link);
    }
    if resource.personal_target {
        value["personal_target"] = json!(true);
    }
    value
}

fn field_json(field: &Field) -> Value {
    let mut value = json!({ "name": field.name, "policy": field.policy });
    if field.personal {
        value["personal"] = json!(true);
    }
    if let Some(mask) = &field.mask {
        value["mask"] = json!(mask);
    }
    value
}

fn action_json(action: &Action) -> Value {
    json!({ "name": action.name, "description": action.description })
}

fn setting_json(setting: &Setting) -> Value {
    let mut value = json!({
        "section": setting.section,
        "setting": setting.setting,
        "action": setting.action,
        "target": setting.target,
        "field": setting.field,
        "diff": setting.diff,
    });
    if let Some(note) = &setting.note {
        value["note"] = json!(note);
    }
    value
}

fn resource_toml(resource: &ResourceType) -> String {
    let ResourceType {
        name,
        kind,
        registry,
        noun,
        fields,
        later_fields,
        actions,
        link,
        personal_target,
        shared_id,
        deleted_with,
        sentences,
        sentence_when,
        positions: _,
    } = resource;
    let mut out = format!("[[resource]]\nname = {}\ntype = {}\n", text(name), text(kind));
    out += &owner_toml(registry);
    out += &format!("noun = {}\n", text(noun));
    if let Some(link) = link {
        out += &format!("link = {}\n", text(link));
    }
    for (key, is_set) in [("personal_target", personal_target), ("shared_id", shared_id)] {
        if *is_set {
            out += &format!("{key} = true\n");
        }
    }
    if let Some(with) = deleted_with {
        let (kind, field) = (text(&with.kind), text(&with.additional_field));
        out += &format!("deleted_with = {{ type = {kind}, additional = {field} }}\n");
    }
    if !actions.is_empty() {
        out += &format!("actions = {}\n", toml_text::list(actions));
    }
    for (header, fields) in [("fields", fields), ("later_fields", later_fields)] {
        if !fields.is_empty() {
            out += &format!("\n[resource.{header}]\n");
            out.extend(fields.iter().map(field_toml));
        }
    }
    if !sentences.is_empty() {
        out += "\n[resource.sentences]\n";
        out.extend(
            sentences.iter().map(|(action, sentence)| format!("{} = {}\n", key(action), text(sentence))),
        );
    }
    for when in sentence_when {
        out += &format!("\n[[resource.sentence_when]]\naction = {}\n", text(&when.action));
        out += &format!("only_changed = {}\n", toml_text::list(&when.only_changed));
        if let Some(new) = &when.new {
            let new = new.as_str().map_or_else(|| new.to_string(), text);
            out += &format!("new = {new}\n");
        }
        out += &format!("sentence = {}\n", text(&when.sentence));
    }
    out
}

fn field_toml(field: &Field) -> String {
    toml_text::field(&field.name, field.policy, field.personal, field.mask.as_deref())
}

fn action_toml(action: &Action) -> String {
    let Action { name, description, done, attempt, sentence, registry } = action;
    let mut out = format!("[[action]]\nname = {}\n", text(name));
    out += &owner_toml(registry);
    out += &format!("description = {}\ndone = {}\n", text(description), text(done));
    for (key, value) in [("attempt", attempt), ("sentence", sentence)] {
        if let Some(value) = value {
            out += &format!("{key} = {}\n", text(value));
        }
    }
    out
}

fn setting_toml(setting: &Setting) -> String {
    let Setting { section, setting, action, target, field, diff, note } = setting;
    let mut out = "[[setting]]\n".to_owned();
    let required = [("section", section), ("setting", setting), ("action", action), ("target", target)];
    let optional = [("field", field), ("diff", diff), ("note", note.as_ref().unwrap_or(&String::new()))]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key} = {}\n", text(value)))
        .collect::<String>();
    out.extend(required.map(|(key, value)| format!("{key} = {}\n", text(value))));
    out + &optional
}

fn owner_toml(registry: &str) -> String {
    if registry == CUSTOM { String::new() } else { format!("registry = {}\n", text(registry)) }
}
