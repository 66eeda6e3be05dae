//! Records through mappings, without a log.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

/// The events of a record, each without the original, which is compared with the record.
fn events(mapping: &Mapping, record: &Json) -> Vec<Json> {
    let mapped = mapping.convert(&record.to_string(), None, &Vocabulary::new(None)).unwrap();
    let Mapped::Events(events, _) = mapped else { return Vec::new() };
    let event = |mut mapped: MappedEvent| {
        let mut event: Json = serde_json::from_str(&mapped.write_line().unwrap().0).unwrap();
        let kept = event.as_object_mut().unwrap().remove("additional_fields").unwrap();
        if record.get("events").is_none() {
            assert_eq!(kept[&mapping.name], *record);
        }
        event
    };
    events.into_iter().map(event).collect()
}

#[track_caller]
fn check(name: &str, record: &Json, expect: &Json) {
    assert_eq!(events(&Mapping::built_in(name), record), std::slice::from_ref(expect));
}

fn reason(name: &str, record: &Json) -> String {
    let mapped = Mapping::built_in(name).convert(&record.to_string(), None, &Vocabulary::new(None));
    mapped.unwrap_err()
}

#[test]
fn every_built_in_mapping_is_sound() {
    for (name, text) in BUILT_IN {
        let mapping = Mapping::parse(text).unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
        assert_eq!(mapping.name, name);
        assert!(!mapping.detect.is_empty(), "{name}");
    }
}

#[test]
fn the_values_of_a_secret_field_are_in_no_part_of_the_event() {
    for action in ["repo.rename", "repo.rename_failed"] {
        let record = json!({
            "@timestamp": 1_767_323_045_123_u64, "action": action, "actor": "demo-lead", "repo": "octo-demo/hello",
            "old_token": "hunter-one", "token": "hunter-two", "note": "hunter-two",
        });
        let mapped = Mapping::built_in("github").convert(&record.to_string(), None, &Vocabulary::new(None));
        let Ok(Mapped::Events(mut events, _)) = mapped else { panic!("{mapped:?}") };
        let (line, _) = events[0].write_line().unwrap();
        assert!(line.contains("old_token") && !line.contains("hunter"), "{line}");
    }
}

#[test]
fn github_audit_log() {
    let record = json!({
        "@timestamp": 1_767_323_045_123_u64, "_document_id": "abc-1", "action": "repo.rename", "actor": "demo-lead",
        "actor_id": 7, "actor_ip": "192.0.2.7", "user_agent": "Mozilla", "org": "octo-demo", "org_id": 1,
        "repo": "octo-demo/hello", "repo_id": 2, "old_name": "hallo", "name": "hello", "previous_visibility": "private",
        "visibility": "public", "hashed_token": "x", "old_token": "t",
    });
    check(
        "github",
        &record,
        &json!({
            "time": "2026-01-02T03:04:05.123Z", "action": "rename", "resource_type": "github.repo", "resource_id": "2",
            "resource_target": "octo-demo/hello", "user": {"id": "7", "username": "demo-lead"},
            "organization": {"id": "1", "name": "octo-demo"}, "ip": "192.0.2.7", "user_agent": "Mozilla",
            "source": "github",
            "diff": {
                "name": {"old": "hallo", "new": "hello"}, "token": {"secret": true},
                "visibility": {"old": "private", "new": "public"},
            },
        }),
    );
    let hook = json!({
        "created_at": "2026-01-02 03:04:05", "action": "hook.events_changed", "actor": "ci[bot]", "hook_id": 3,
        "config": {"url": "https://example.org/in"}, "events": ["push"], "events_were": ["push", "fork"], "org": "octo-demo",
    });
    check(
        "github",
        &hook,
        &json!({
            "time": "2026-01-02T03:04:05Z", "action": "events_changed", "resource_type": "github.hook", "resource_id": "3",
            "resource_target": "https://example.org/in", "user": {"username": "ci[bot]"},
            "actor_type": "service", "organization": {"id": "octo-demo", "name": "octo-demo"}, "source": "github",
            "diff": {"events": {"old": ["push", "fork"], "new": ["push"]}},
        }),
    );
    let failed = json!({"@timestamp": 1_767_323_045, "action": "user.failed_login", "actor": "demo-lead", "user": "demo-lead"});
    let event = &events(&Mapping::built_in("github"), &failed)[0];
    assert_eq!((&event["action"], &event["status_code"]), (&json!("login"), &json!(401)));
    assert_eq!(
        reason("github", &json!({"action": "repo.create", "actor": "demo-lead", "org": "octo-demo"})),
        "the record has no time (looked for `@timestamp`, `created_at`, `at_sign_timestamp`); --default-time TIME gives \
         one to such records"
    );
}

#[test]
fn github_webhooks() {
    let payload = json!({
        "action": "edited", "changes": {"color": {"from": "cb1f00"}, "description": {"from": null}},
        "label": {"id": 5, "name": "bug", "color": "0000ff", "description": "broken"},
        "repository": {"id": 2, "full_name": "octo-demo/hello", "name": "hello", "description": "Not the label's"},
        "organization": {"id": 1, "login": "octo-demo"},
        "sender": {"id": 7, "login": "demo-lead", "type": "User", "avatar_url": "https://example.org/7.png"},
    });
    let expect = |time: &str, source: Json| {
        let mut event = json!({
            "time": time, "action": "write", "resource_type": "github.label", "resource_id": "5",
            "resource_target": "octo-demo/hello: bug",
            "user": {"id": "7", "username": "demo-lead", "avatar_url": "https://example.org/7.png"},
            "organization": {"id": "1", "name": "octo-demo"}, "source": "github-webhook",
            "diff": {"color": {"old": "cb1f00", "new": "0000ff"}, "description": {"new": "broken"}},
        });
        event.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        event
    };
    assert!(
        reason("github-webhook", &payload).starts_with("the record has no time (looked for `delivered_at`")
    );
    let delivery = json!({
        "id": 99, "guid": "0b8b6d4e-0000-4000-8000-000000000001", "delivered_at": "2026-01-02T03:04:05Z",
        "redelivery": false, "event": "label", "action": "edited", "request": {"headers": {}, "payload": payload},
    });
    check("github-webhook", &delivery, &expect("2026-01-02T03:04:05Z", json!({})));

    let mut again = delivery;
    again["redelivery"] = json!(true);
    assert_eq!(
        events(&Mapping::built_in("github-webhook"), &again).len(),
        1,
        "the first may not be in the file"
    );

    let renamed = json!({
        "action": "renamed", "changes": {"repository": {"name": {"from": "hallo"}}},
        "repository": {"id": 2, "full_name": "octo-demo/hello", "name": "hello", "updated_at": "2026-01-02T03:04:05Z"},
        "sender": {"id": 7, "login": "ci[bot]", "type": "Bot"},
    });
    check(
        "github-webhook",
        &renamed,
        &json!({
            "time": "2026-01-02T03:04:05Z", "action": "renamed", "resource_type": "github.repo", "resource_id": "2",
            "resource_target": "octo-demo/hello", "user": {"id": "7", "username": "ci[bot]"}, "actor_type": "service",
            "source": "github-webhook", "diff": {"name": {"old": "hallo", "new": "hello"}},
        }),
    );
}

#[test]
fn kubernetes_audit_events() {
    let record = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
        "auditID": "0b8b6d4e-0000-4000-8000-000000000002", "requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "verb": "create", "user": {"username": "demo-lead", "groups": ["system:masters", "system:authenticated"]},
        "impersonatedUser": {"username": "system:serviceaccount:ci:deploy", "groups": ["system:serviceaccounts"]},
        "sourceIPs": ["10.0.0.4", "192.0.2.7"], "userAgent": "kubectl/v1.33.0",
        "objectRef": {"resource": "clusterroles", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"},
        "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-01-02T03:04:05.123456Z",
        "stageTimestamp": "2026-01-02T03:04:05.200000Z",
        "requestObject": {"kind": "ClusterRole", "apiVersion": "v1", "rules": [{"verbs": ["get"]}]},
    });
    check(
        "kubernetes",
        &record,
        &json!({
            "time": "2026-01-02T03:04:05.123456Z", "action": "create", "resource_type": "k8s.clusterroles",
            "resource_target": "reader", "status_code": 201, "actor_type": "service",
            "user": {
                "id": "system:serviceaccount:ci:deploy", "username": "system:serviceaccount:ci:deploy",
                "roles": ["system:serviceaccounts"],
            },
            "impersonator": {"username": "demo-lead"}, "ip": "192.0.2.7",
            "user_agent": "kubectl/v1.33.0", "request_id": "0b8b6d4e-0000-4000-8000-000000000002", "source": "kubernetes",
            "diff": {"rules": {"new": [{"verbs": ["get"]}]}},
        }),
    );
    let with = |changes: Json| {
        let mut record = record.clone();
        for (name, value) in changes.as_object().unwrap() {
            record[name] = value.clone();
        }
        events(&Mapping::built_in("kubernetes"), &record)
    };
    for stage in ["RequestReceived", "ResponseStarted"] {
        assert!(with(json!({"stage": stage})).is_empty());
    }
    let shown = |changes: Json| {
        let event = with(changes).remove(0);
        ["action", "resource_target", "status_code", "actor_type"]
            .map(|member| event[member].to_string())
            .join(" ")
    };
    let anonymous = json!({"username": "system:anonymous"});
    for (changes, expect) in [
        (json!({"stage": "Panic"}), r#""create" "reader" 500 "service""#),
        (
            json!({"responseStatus": {"code": 403}, "user": anonymous, "impersonatedUser": null}),
            r#""create" "reader" 403 "anonymous""#,
        ),
        (
            json!({"verb": "list", "objectRef": {"resource": "pods", "namespace": "shop"}}),
            r#""read" "shop/*" 201 "service""#,
        ),
        (
            json!({"objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1", "subresource": "exec"}}),
            r#""exec" "shop/web-1" 201 "service""#,
        ),
        (
            json!({"objectRef": null, "verb": "get", "requestURI": "/healthz?x=1"}),
            r#""read" "/healthz" 201 "service""#,
        ),
    ] {
        assert_eq!(shown(changes.clone()), expect, "{changes}");
    }
}

#[test]
fn secrets_of_kubernetes_stay_out() {
    let annotations =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"k\":\"c2VjcmV0\"}}"});
    let secret = json!({
        "kind": "Secret", "metadata": {"name": "db", "annotations": annotations}, "data": {"k": "c2VjcmV0"},
        "stringData": {"k": "c2VjcmV0"},
    });
    for (verb, body) in [
        ("create", secret.clone()),
        ("list", json!({"kind": "SecretList", "items": [secret]})),
        ("watch", json!({"kind": "Table", "rows": [{"object": {"metadata": {"annotations": annotations}}}]})),
        ("patch", json!([{"op": "replace", "path": "/data/k", "value": "c2VjcmV0"}])),
    ] {
        let record = json!({
            "kind": "Event", "verb": verb, "stage": "ResponseComplete", "requestReceivedTimestamp": "2026-01-02T03:04:05Z",
            "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db"}, "user": {"username": "demo-lead"},
            "requestObject": if verb == "watch" { Json::Null } else { body.clone() }, "responseObject": body,
        });
        let mapped =
            Mapping::built_in("kubernetes").convert(&record.to_string(), None, &Vocabulary::new(None));
        let Ok(Mapped::Events(mut events, _)) = mapped else { panic!("{mapped:?}") };
        let (line, _) = events[0].write_line().unwrap();
        assert!(!line.contains("c2VjcmV0"), "{line}");
        assert!(line.contains("******") && line.contains("demo-lead"), "{line}");
    }
}

#[test]
fn google_workspace_activities() {
    let record = json!({
        "kind": "admin#reports#activity",
        "id": {"time": "2026-01-02T03:04:05.123Z", "uniqueQualifier": "-123", "applicationName": "admin", "customerId": "C1"},
        "actor": {"callerType": "USER", "email": "demo-lead@example.org", "profileId": "7"}, "ipAddress": "192.0.2.7",
        "events": [
            {"type": "CALENDAR_SETTINGS", "name": "CHANGE_CALENDAR_SETTING", "parameters": [
                {"name": "SETTING_NAME", "value": "SHARING"}, {"name": "OLD_VALUE", "value": "NO"},
                {"name": "NEW_VALUE", "value": "YES"}]},
            {"type": "USER_SETTINGS", "name": "SUSPEND_USER", "parameters": [
                {"name": "USER_EMAIL", "value": "demo-dev@example.org"}]},
        ],
    });
    let common = json!({
        "time": "2026-01-02T03:04:05.123Z", "actor_type": "user",
        "user": {"id": "7", "username": "demo-lead@example.org", "email": "demo-lead@example.org"},
        "organization": {"id": "C1"}, "ip": "192.0.2.7", "source": "google-workspace",
    });
    let with = |more: Json| {
        let mut event = common.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let mapping = Mapping::built_in("google-workspace");
    assert_eq!(
        events(&mapping, &record),
        [
            with(
                json!({"action": "change_calendar_setting", "resource_type": "google.admin", "resource_target": "SHARING",
                "diff": {"SHARING": {"old": "NO", "new": "YES"}}})
            ),
            with(
                json!({"action": "suspend_user", "resource_type": "google.user", "resource_target": "demo-dev@example.org"})
            ),
        ]
    );
    // Each event keeps the record with its own element of the list only.
    let mapped = mapping.convert(&record.to_string(), None, &Vocabulary::new(None));
    let Ok(Mapped::Events(mapped, _)) = mapped else { panic!("{mapped:?}") };
    for (at, mapped) in mapped.iter().enumerate() {
        let kept: Json =
            serde_json::from_str(mapped.event.additional_fields.as_ref().unwrap().get()).unwrap();
        let mut expect = record.clone();
        expect["events"] = json!([record["events"][at]]);
        assert_eq!(kept["google-workspace"], expect);
        assert_eq!(mapped.identity.index, Some(at));
    }

    let drive = json!({
        "id": {"time": "2026-01-02 03:04:05", "applicationName": "drive", "uniqueQualifier": "1"}, "type": "acl_change",
        "name": "change_user_access", "actor": {"email": "demo-lead@example.org"},
        "parameters": {"doc_id": "d1", "doc_title": "Plan", "old_value": ["none"], "new_value": ["can_edit"],
            "old_visibility": "private", "visibility": "shared_externally"},
    });
    let event = &events(&mapping, &drive)[0];
    assert_eq!((&event["resource_id"], &event["resource_target"]), (&json!("d1"), &json!("Plan")));
    assert_eq!(
        event["diff"],
        json!({"access": {"old": "none", "new": "can_edit"}, "visibility": {"old": "private", "new": "shared_externally"}})
    );
}

#[test]
fn okta_system_log() {
    let record = json!({
        "uuid": "0b8b6d4e-0000-4000-8000-000000000003", "published": "2026-01-02T03:04:05.123Z",
        "eventType": "group.profile.update", "displayMessage": "Update group", "outcome": {"result": "SUCCESS"},
        "actor": {"id": "00u1", "type": "User", "alternateId": "demo-lead@example.org", "displayName": "Demo Lead"},
        "client": {"ipAddress": "192.0.2.7", "userAgent": {"rawUserAgent": "Mozilla"}},
        "target": [
            {"id": "00u2", "type": "User", "alternateId": "demo-dev@example.org"},
            {"id": "00g1", "type": "UserGroup", "displayName": "Ops", "changeDetails":
                {"from": {"description": "old", "same": 1}, "to": {"description": "new", "same": 1.0, "added": true}}},
        ],
        "debugContext": {"debugData": {"changedAttributes": "firstName, login"}},
    });
    check(
        "okta",
        &record,
        &json!({
            "time": "2026-01-02T03:04:05.123Z", "action": "group.profile.update", "resource_type": "okta.group",
            "resource_id": "00g1", "resource_target": "Ops", "status_code": 200, "actor_type": "user",
            "user": {"id": "00u1", "username": "demo-lead@example.org", "email": "demo-lead@example.org", "name": "Demo Lead"},
            "ip": "192.0.2.7", "user_agent": "Mozilla", "source": "okta",
            "diff": {
                "description": {"old": "old", "new": "new"}, "added": {"new": true},
                "firstName": {"secret": true}, "login": {"secret": true},
            },
        }),
    );
    for (event_type, outcome, action, status) in [
        ("user.session.start", json!({"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}), "login", 401),
        ("user.session.start", json!({"result": "SUCCESS"}), "login", 200),
        ("user.session.end", json!({"result": "SUCCESS"}), "logout", 200),
        ("policy.lifecycle.delete", json!({"result": "DENY"}), "delete", 403),
        ("user.lifecycle.create", json!({"result": "FAILURE"}), "create", 400),
        ("policy.evaluate_sign_on", json!({"result": "CHALLENGE"}), "policy.evaluate_sign_on", 200),
    ] {
        let mut record = record.clone();
        record["eventType"] = event_type.into();
        record["outcome"] = outcome;
        let event = &events(&Mapping::built_in("okta"), &record)[0];
        assert_eq!(
            (&event["action"], &event["status_code"]),
            (&json!(action), &json!(status)),
            "{event_type}"
        );
    }
}

#[test]
fn a_declared_type_brings_the_actions_that_it_names() {
    let mapping = Mapping::parse(
        r#"name = "doors"
version = 1
[event]
time = "{at}"
action = "open"
resource_type = "door"
[[resource]]
type = "door"
fields.code = { policy = "secret", mask = "***" }
sentences.ring = "{user} rang at {target}"
[[action]]
name = "ring"
description = "Somebody rang."
done = "rang"
[[action]]
name = "knock"
description = "Somebody knocked."
done = "knocked"
"#,
    );
    let mut vocabulary = Vocabulary::new(None);
    let mapped = mapping.unwrap().convert(r#"{"at": 1767225600}"#, None, &vocabulary);
    let Ok(Mapped::Events(mut events, _)) = mapped else { panic!("{mapped:?}") };
    vocabulary.add("door", events[0].take_words());
    let mut registry = annals_model::registry::Registry::built_in();
    let mut changes = String::new();
    let mut register = |document: &str| {
        let authority = annals_model::registry::Authority::Application;
        changes += &registry.extend(document, authority)?.to_string();
        Ok(())
    };
    vocabulary.register(&mut register).unwrap();
    assert_eq!(changes, "added resource type `door` with 1 field\nadded action `ring`");
}

#[test]
fn numbers_are_kept_to_the_letter() {
    let record =
        r#"{"@timestamp": 1767323045, "action": "repo.x", "n": 18446744073709551617.10, "old_size": 1e400e}"#;
    assert!(Mapping::built_in("github").convert(record, None, &Vocabulary::new(None)).is_err());
    let record = record.replace("1e400e", "12345678901234567890.50");
    let mapped = Mapping::built_in("github").convert(&record, None, &Vocabulary::new(None));
    let Ok(Mapped::Events(mut events, _)) = mapped else { panic!("{mapped:?}") };
    let (line, _) = events[0].write_line().unwrap();
    assert!(line.contains(r#""n":18446744073709551617.10"#), "{line}");
    assert!(line.contains(r#""size":{"old":12345678901234567890.50}"#), "{line}");
}

#[test]
fn a_record_that_is_too_long_for_its_diff_goes_without() {
    let value = "x".repeat(EVENT_BYTES_MAX / 3);
    let record = json!({"@timestamp": 1_767_323_045, "action": "repo.rename", "old_name": value, "name": format!("{value}y")});
    let mapped = Mapping::built_in("github").convert(&record.to_string(), None, &Vocabulary::new(None));
    let Ok(Mapped::Events(mut events, _)) = mapped else { panic!("{mapped:?}") };
    let (line, has_lost_diff) = events[0].write_line().unwrap();
    assert!(has_lost_diff && line.len() <= EVENT_BYTES_MAX && !line.contains("\"diff\""));
}

#[test]
fn every_fault_of_a_mapping_is_named_with_its_line() {
    let text = r#"name = "Doors"
version = 2
contaner = "items"
[detect]
door = 5
[let]
kind = "{door|lowr}"
[event]
time = "{at}"
actoin = "open"
user.nmae = "{who}"
resource_type = "{$knd}"
resource_target = { map = { a = "b" } }
status_code = { from = "{a", map = { a = true } }
[fields]
secret = 1
[[diff]]
old = "was"
after = "is"
[[diff]]
old = "a..b"
[[mask]]
path = "x"
when = { "$kind" = true }
[[resource]]
type = "Door"
[[action]]
name = "open_door"
description = "A door was opened."
doen = "opened"
"#;
    let errors = Mapping::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(errors, @r"
    line 1: `Doors` is no name for a mapping; expected at most 40 lower-case letters, digits, `_` and `-`, beginning with a letter
    line 2: `version` is not 1, the only version of mappings there is
    line 3: unknown key `contaner`; did you mean `container`?
    line 5: `door` is true, false, a text, a list of texts or { not = … }, not of type integer
    line 7: unknown filter `lowr`; did you mean `lower`?
    line 8: `event.action` is missing
    line 10: unknown member of an event `actoin`; did you mean `action`?
    line 11: unknown member of a person `nmae`; did you mean `name`?
    line 12: unknown variable `$knd`; did you mean `$kind`?
    line 13: `resource_target` is a table without `from`
    line 14: `{a` has a `{` without its `}`; a brace itself is written twice
    line 14: `a` is a text, not of type boolean
    line 16: `secret` is a text or a list of texts, not of type integer
    line 17: a diff has either `old` and `new`, or `before` and `after`, or `changed`
    line 21: `a..b` is no path: a name is missing
    line 22: `paths` is missing
    line 23: unknown key `path`; did you mean `paths`?
    line 24: `$kind` is not known yet in `detect` and `mask`; name the place in the record
    line 26: resource `Door`: `Door` is no name for it; expected at most 100 bytes of lower-case letters, digits, `_`, `.`, `:` and `-`, beginning with a letter
    line 27: action `open_door`: `done` is missing
    line 30: action `open_door`: unknown key `doen`; did you mean `done`?
    ");
    assert_eq!(
        Mapping::parse("name = \"a\"\nversion = 1\n[event").unwrap_err().to_string(),
        "line 3: unclosed table, expected `]`"
    );
    let long = "#".repeat(300_000);
    let errors = Mapping::parse(&long).unwrap_err().to_string();
    assert_eq!(errors, "a mapping of 300000 bytes, more than the limit of 262144");
}

/// Names that the built-in mappings look for, so that random records reach deep into the rules.
const NAMES: [&str; 40] = [
    "action",
    "actor",
    "@timestamp",
    "created_at",
    "repo",
    "old_name",
    "name",
    "changes",
    "from",
    "to",
    "label",
    "sender",
    "repository",
    "request",
    "payload",
    "guid",
    "delivered_at",
    "event",
    "verb",
    "objectRef",
    "resource",
    "user",
    "username",
    "responseStatus",
    "code",
    "requestObject",
    "data",
    "sourceIPs",
    "id",
    "applicationName",
    "time",
    "events",
    "parameters",
    "value",
    "eventType",
    "outcome",
    "result",
    "target",
    "changeDetails",
    "type",
];

fn any_json() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        Just("repo.create".to_owned()),
        Just("2026-01-02T03:04:05Z".to_owned()),
        Just("create".to_owned()),
        Just("secrets".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        text.prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 48, 8, |inner| {
        let name =
            prop_oneof![4 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), 1 => ".{0,6}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::hash_map(name, inner, 0..8)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever a record holds, it becomes events or is refused, and an event is one that the log can read.
    #[test]
    fn no_record_breaks_a_mapping(members in proptest::collection::hash_map(
        proptest::sample::select(&NAMES[..]), any_json(), 0..12)) {
        static MAPPINGS: std::sync::LazyLock<Vec<Mapping>> =
            std::sync::LazyLock::new(|| BUILT_IN.iter().map(|(name, _)| Mapping::built_in(name)).collect());
        let record = json!(members).to_string();
        static VOCABULARY: std::sync::LazyLock<Vocabulary> = std::sync::LazyLock::new(|| Vocabulary::new(None));
        for mapping in MAPPINGS.iter() {
            let mapped = mapping.convert(&record, Some("2026-01-01T00:00:00Z"), &VOCABULARY);
            if let Ok(Mapped::Events(events, _)) = mapped {
                for mut mapped in events {
                    let (line, _) = mapped.write_line().unwrap();
                    let event = annals_model::event::read_event(&line).unwrap();
                    prop_assert!(annals_model::time::Time::parse(event.time.unwrap().as_str()).is_ok());
                }
            }
        }
    }
}
