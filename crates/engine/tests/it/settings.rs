//! Settings: Annals' own, each change an event; and all rows of the published table as producers send them.

use annals_engine::{Principal, Role, SETTINGS, SettingError};
use annals_model::registry::Registry;
use serde_json::{Map, Value, json};

use crate::support::{TestLog, add_person, log_in};

/// What a deployment would send for a row: the value before the change, the one after it, and what the log shows of that.
fn change_of(field: &str, example: &str) -> (Value, Value, Value) {
    match (field, example) {
        // Longer values come out as the table shows them.
        ("client id", shown) => (json!("1111aaaabbbb2222"), json!("0fb2d5e0c1aa7a4a"), json!(shown)),
        ("client secret", shown) => (json!("old secret"), json!("new secret"), json!(shown)),
        (_, "true/false") => (json!(false), json!(true), json!(true)),
        (_, choice) if choice.contains('/') && !field.contains('/') => {
            let (old, new) = choice.split_once('/').unwrap();
            let new = new.split('/').next().unwrap();
            (json!(old), json!(new), json!(new))
        }
        (_, value) => (json!("before"), json!(value), json!(value)),
    }
}

#[test]
fn all_rows_of_the_table_come_out_as_published() {
    let log = TestLog::new();
    let registry = Registry::built_in();
    let mut rows = 0;
    for (at, row) in registry.settings().enumerate() {
        let (mut before, mut after, mut shown) = (Map::new(), Map::new(), Map::new());
        if !row.field.is_empty() {
            let (old, new, in_log) = change_of(&row.field, &row.diff);
            before.insert(row.field.clone(), old);
            after.insert(row.field.clone(), new);
            shown.insert(row.field.clone(), in_log);
        }
        let event = json!({
            "action": row.action, "resource_type": "admin_setting", "resource_target": row.target, "source_seq": at, "source": "demo",
            "user": {"username": "demo-admin"}, "before": before, "after": after,
        });
        let appended = log.append(&event.to_string()).unwrap();
        assert!(appended.warnings.is_empty(), "{}: {:?}", row.setting, appended.warnings);
        let (_, found) = log.search(&format!("resource_type:admin_setting seq:{}", appended.events[0].seq));
        let found = &found[0];
        assert_eq!(found["resource_target"], json!(row.target), "{}", row.setting);
        assert_eq!(found["action"], json!("write"));
        let diff = found["diff"].as_object().unwrap();
        let news: Map<String, Value> =
            diff.iter().map(|(field, change)| (field.clone(), change["new"].clone())).collect();
        assert_eq!(news, shown, "{} / {}", row.section, row.setting);
        assert_eq!(
            diff.get("client secret").map(|change| &change["secret"]),
            shown.get("client secret").map(|_| &json!(true))
        );
        assert!(
            !found.to_string().contains("new secret") && !found.to_string().contains("0fb2d5e0"),
            "{found}"
        );
        rows += 1;
    }
    assert_eq!(rows, 37);
}

#[test]
fn a_template_policy_may_name_its_five_fields_one_by_one() {
    let log = TestLog::new();
    let commit = "ed19".to_owned() + &"0".repeat(32) + "843b";
    let event = json!({
        "action": "write", "resource_type": "admin_setting", "resource_target": "local",
        "before": {"commit": "0".repeat(40)},
        "after": {"commit": "0".repeat(39) + "1", "file hash": commit, "filepath": "local", "git ref": "local", "From": "User"},
    });
    assert!(log.append(&event.to_string()).unwrap().warnings.is_empty());
    let (_, found) = log.search("resource_type:admin_setting");
    let diff = &found[0]["diff"];
    assert_eq!(diff["commit"]["old"], "0000...0000");
    assert_eq!(diff["file hash"]["new"], "ed19...843b");
    assert_eq!((&diff["filepath"]["new"], &diff["git ref"]["new"]), (&json!("local"), &json!("local")));
    assert_eq!(diff["From"]["new"], "User");
}

#[test]
fn each_setting_of_annals_is_recorded_under_its_row() {
    let log = TestLog::new();
    let registry = Registry::built_in();
    let mut recorded = Vec::new();
    for setting in &SETTINGS {
        let value = match setting.name {
            name if name.ends_with("_color") => "#9A4967",
            "access_url" => "https://annals.example",
            "oidc_url" => "https://host.example/path",
            name if name.contains("enabled") || name.contains("allow") => "true",
            "crash_reports" | "usage_telemetry" | "enhanced_telemetry" => "true",
            "oidc_client_id" => "0fb2d5e0c1aa7a4a",
            _ => "some text",
        };
        let changed = log.engine.change_settings(&Principal::operator(), &[(setting.name, value)]).unwrap();
        assert_eq!(changed, [setting.name]);
        assert_eq!(log.engine.settings().unwrap().get(setting.name), value);
        let (_, found) = log.search("resource_type:admin_setting,setting");
        let newest = found.iter().max_by_key(|event| event["seq"].as_u64()).unwrap();
        let field = newest["diff"].as_object().unwrap().keys().next().unwrap().clone();
        recorded.push((newest["resource_target"].as_str().unwrap().to_owned(), field));
    }
    // All rows of these panels, and nothing twice.
    for row in registry.settings().filter(|row| {
        ["Git OAuth", "Appearance", "Telemetry"].contains(&row.section.as_str())
            || row.setting == "Access URL"
    }) {
        let times =
            recorded.iter().filter(|(target, field)| (target, field) == (&row.target, &row.field)).count();
        assert_eq!(times, 1, "{} / {}: {recorded:?}", row.section, row.setting);
    }
    assert_eq!(recorded.len(), 20);
    let text = log.search("").1.iter().map(Value::to_string).collect::<String>();
    assert!(!text.contains("0fb2d5e0"), "the client id is abbreviated");
}

#[test]
fn all_or_none_of_the_settings_are_made() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let values = [("terms_enabled", "true"), ("service_banner_color", "red")];
    let refused = log.engine.change_settings(&operator, &values).unwrap_err();
    assert!(matches!(refused, SettingError::BadValue { .. }), "{refused}");
    let refused = log.engine.change_settings(&operator, &[("no_such", "x")]).unwrap_err();
    assert_eq!(refused.to_string(), "there is no setting `no_such`; `annals settings list` shows them all");
    assert_eq!(log.engine.settings().unwrap(), annals_engine::Settings::default());
    assert_eq!(log.search("resource_type:admin_setting").0, 0);

    let values = [("terms_enabled", "true"), ("terms_text", "Accept Terms & Conditions")];
    assert_eq!(log.engine.change_settings(&operator, &values).unwrap().len(), 2);
    assert_eq!(log.engine.change_settings(&operator, &[("terms_enabled", "")]).unwrap(), ["terms_enabled"]);
    assert!(!log.engine.settings().unwrap().is_on("terms_enabled"));
    assert_eq!(log.search("resource_type:admin_setting changed:\"tos enabled\"").0, 2);
}

#[test]
fn only_a_site_manager_makes_settings_and_attempts_are_recorded() {
    let log = TestLog::new();
    for (username, role) in [("demo-auditor", Role::Auditor), ("demo-member", Role::Member)] {
        add_person(&log, username, role);
        let principal = log_in(&log, username);
        let refused = log.engine.change_settings(&principal, &[("oidc_client_secret", "mine")]).unwrap_err();
        assert!(matches!(refused, SettingError::Forbidden(_)), "{refused}");
        let (count, found) =
            log.search(&format!("resource_type:admin_setting outcome:denied username:{username}"));
        assert_eq!(count, 1);
        assert_eq!((&found[0]["diff"], &found[0]["resource_target"]), (&json!({}), &json!("oauth configs")));
        assert!(!found[0].to_string().contains("mine"));
    }
    assert_eq!(log.engine.settings().unwrap(), annals_engine::Settings::default());
}
