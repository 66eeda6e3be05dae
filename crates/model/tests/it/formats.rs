//! Events in the forms of other programs, to the letter.

use annals_model::audit_log::{AuditActor, AuditLog, AuditOrganization, AuditRole, AuditUser};
use annals_model::formats::EventFormat;
use annals_model::time::Time;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn user<'a>(id: &'a str, username: &'a str, email: &'a str) -> AuditUser<'a> {
    AuditUser {
        id,
        username,
        name: "Demo Lead",
        avatar_url: "",
        email,
        created_at: "0001-01-01T00:00:00Z",
        updated_at: "0001-01-01T00:00:00Z",
        last_seen_at: "0001-01-01T00:00:00Z",
        status: "active",
        login_type: "",
        organization_ids: [],
        roles: vec![AuditRole { name: "template-admin", display_name: "" }],
        has_ai_seat: false,
    }
}

/// A change of a template, with numbers that no float holds and a value that is gone.
fn change(additional: &RawValue) -> AuditLog<'_> {
    AuditLog {
        id: "01000000-0000-7000-8000-000000000001".to_owned(),
        request_id: "02000000-0000-4000-8000-000000000002",
        time: Time::parse("2026-11-22T10:00:00.5Z").unwrap(),
        ip: "192.0.2.7",
        user_agent: "Mozilla/5.0 (X11; Linux x86_64)",
        resource_type: "template",
        resource_id: "03000000-0000-4000-8000-000000000003",
        resource_target: "docker",
        resource_icon: "/icon/docker.png",
        action: "write",
        diff: raw(
            r#"{"default_ttl":{"old":3600000000000,"new":12345678901234567890,"secret":false},"icon":{"new":"/x","secret":false},"token":{"old":"","new":"","secret":true}}"#,
        ),
        status_code: 200,
        additional_fields: additional,
        description: "{user} updated template {target}".to_owned(),
        resource_link: "/templates/docker".to_owned(),
        is_deleted: false,
        organization_id: "04000000-0000-4000-8000-000000000004",
        organization: Some(AuditOrganization {
            id: "04000000-0000-4000-8000-000000000004",
            name: "northwind",
            display_name: "Northwind",
            icon: "",
        }),
        user: Some(user("05000000-0000-4000-8000-000000000005", "demo-lead", "demo-lead@example.test")),
        seq: 41,
        received: Time::parse("2026-11-22T10:00:01.000002Z").unwrap(),
        outcome: "success",
        actor_type: "user",
        build_reason: "",
        impersonator: Some(AuditActor {
            id: "u-0",
            username: "demo-admin",
            name: "",
            email: "demo-admin@example.test",
        }),
        on_behalf_of: None,
        source: "app-1",
        source_seq: Some(7),
        erased: vec![],
    }
}

fn line(format: EventFormat, event: &AuditLog<'_>) -> String {
    let mut out = Vec::new();
    format.push(&mut out, event);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_change_in_every_form() {
    let additional = raw(r#"{"workspace_owner":"demo-lead","big":18446744073709551616}"#);
    let event = change(&additional);
    for format in EventFormat::ALL {
        insta::assert_snapshot!(format!("change_{format}"), line(format, &event));
    }
}

#[test]
fn a_refused_log_in_of_nobody_in_every_form() {
    let none = raw("{}");
    let event = AuditLog {
        user: None,
        organization: None,
        organization_id: "00000000-0000-0000-0000-000000000000",
        impersonator: None,
        actor_type: "anonymous",
        action: "login",
        resource_type: "api_key",
        resource_id: "00000000-0000-0000-0000-000000000000",
        resource_target: "root \"{user}\"\nsecond\u{202e}line",
        resource_icon: "",
        ip: "",
        user_agent: "",
        status_code: 401,
        outcome: "denied",
        diff: raw("{}"),
        description: "{user} unsuccessfully attempted to login {target}".to_owned(),
        source_seq: None,
        ..change(&none)
    };
    for format in EventFormat::ALL {
        let line = line(format, &event);
        assert!(!line.contains('\n'), "{line}");
        insta::assert_snapshot!(format!("login_{format}"), line);
    }
}

#[test]
fn the_documented_path_of_the_action_is_there() {
    let none = raw("{}");
    let event = change(&none);
    let classic: Value = serde_json::from_str(&line(EventFormat::Classic, &event)).unwrap();
    assert_eq!(classic["message"]["fields"]["audit_log"]["action"], "write");
}

proptest! {
    #[test]
    fn whatever_the_names_a_line_is_one_line_and_json_where_it_says_so(target in ".*", username in ".*", agent in ".*") {
        let none = raw("{}");
        let event = AuditLog {
            resource_target: &target,
            user_agent: &agent,
            user: Some(user("u-7", &username, "x")),
            ..change(&none)
        };
        for format in EventFormat::ALL {
            let line = line(format, &event);
            prop_assert!(!line.bytes().any(|byte| byte < b' '), "{format}: {line:?}");
            if !format.is_json() {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            } else {
                let value: Value = serde_json::from_str(&line).unwrap();
                prop_assert!(value.is_object());
            }
        }
    }
}
