//! The admin settings, and the value that each takes next.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Actor, Simulation};

#[derive(Debug)]
pub(super) struct SettingState {
    pub(super) target: String,
    pub(super) field: String,
    pub(super) example: String,
    pub(super) value: Value,
}

impl Simulation {
    pub(super) fn change_setting(&mut self, index: usize) {
        let hex = self.random.hex(20);
        let flip = self.random.chance(50);
        let setting = &mut self.settings[index];
        let before = setting.value.clone();
        setting.value = new_value(setting, &hex, flip);
        let mut event = json!({"action": "write", "resource_type": "admin_setting", "resource_target": setting.target, "status_code": 200});
        if !setting.field.is_empty() {
            let side =
                |value: &Value| Value::Object([(setting.field.clone(), value.clone())].into_iter().collect());
            event["before"] = side(&before);
            event["after"] = side(&setting.value);
        }
        self.record(&Actor::User(0), None, event);
    }
}

pub(super) fn new_value(setting: &SettingState, hex: &str, flip: bool) -> Value {
    let choices: BTreeMap<&str, &[&str]> = BTreeMap::from([
        (
            "infrastructure/access URL",
            &["https://dev.example.test", "https://workspaces.example.test"] as &[&str],
        ),
        ("oauth configs/description", &["Git hosting of the demo", "Repositories of both organizations"]),
        ("oauth configs/name", &["Git demo", "Source hosting"]),
        ("oauth configs/URL host", &["git.example.test", "source.example.test"]),
        ("system banner/text footer", &["INTERNAL", "UNCLASSIFIED"]),
        ("system banner/text header", &["INTERNAL", "UNCLASSIFIED"]),
        (
            "appearance/svc banner body",
            &["Maintenance tonight, 21:00 to 21:30 UTC", "All systems work again"],
        ),
        ("appearance/tos body", &["Use it for work. Sessions are recorded.", "Accept Terms & Conditions"]),
    ]);
    let key = format!("{}/{}", setting.target, setting.field);
    let other_of = |values: &[&str]| {
        let present = setting.value.as_str().unwrap_or_default();
        let index = usize::from(values.first() == Some(&present)) % values.len().max(1);
        Value::from(values.get(index).copied().unwrap_or_default())
    };
    if let Some(values) = choices.get(key.as_str()) {
        return other_of(values);
    }
    match (setting.field.as_str(), setting.example.as_str()) {
        ("client id" | "client secret", _) => hex.into(),
        ("color bg" | "svc banner color bg", _) => format!("#{}", hex[..6].to_uppercase()).into(),
        ("commit/file hash/filepath/git ref/From", _) => {
            format!("0000...0000/{}...{}/local/local/User", &hex[..4], &hex[4..8]).into()
        }
        (_, "true/false") => Value::from(setting.value != true),
        (_, example) if example.contains('/') => {
            let values: Vec<&str> = example.split('/').collect();
            if setting.value.is_null() && flip { values[values.len() - 1].into() } else { other_of(&values) }
        }
        (_, example) => example.into(),
    }
}
