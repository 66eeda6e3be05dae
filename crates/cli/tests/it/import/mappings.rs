//! What the built-in mappings make of records: ids, targets, outcomes, diffs and what they leave out.

use serde_json::{Value, json};

use super::Place;
use crate::support::annals;

/// The event that a record comes to, without appending it; nothing if it is skipped. Else why it is rejected.
fn trial(place: &Place, format: &str, record: &Value) -> Result<Option<Value>, String> {
    let file = place.file("record.json", &record.to_string());
    let output = annals(&["import", "--format", format, "--dry-run", &file]);
    let notes = String::from_utf8(output.stderr).unwrap();
    match (output.stdout.is_empty(), notes.contains("1 rejected")) {
        (false, _) => Ok(Some(serde_json::from_slice(&output.stdout).unwrap())),
        (true, false) => Ok(None),
        (true, true) => Err(notes),
    }
}

/// Action, type, id, target, status and diff on one line; `-` is what the event does not have.
fn shown(place: &Place, format: &str, record: &Value) -> String {
    let event = match trial(place, format, record) {
        Ok(Some(event)) => event,
        Ok(None) => return "skipped".to_owned(),
        Err(notes) => return notes,
    };
    let text = |name: &str| match &event[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    ["action", "resource_type", "resource_id", "resource_target", "status_code", "diff"].map(text).join(" | ")
}

#[track_caller]
fn check(format: &str, cases: &[(Value, &str)]) {
    let place = Place::new();
    for (record, expect) in cases {
        assert_eq!(shown(&place, format, record), *expect, "{record}");
    }
}

/// A record with other members.
fn with(mut record: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("{members}") };
    record.as_object_mut().unwrap().extend(members);
    record
}

/// A payload with what stands around every one.
fn payload(members: Value) -> Value {
    let around = json!({
        "repository": {"id": 2, "name": "hello", "full_name": "octo-demo/hello", "description": "greets",
            "updated_at": "2020-01-01T00:00:00Z", "pushed_at": 1_767_323_045},
        "organization": {"id": 1, "login": "octo-demo"}, "installation": {"id": 9},
        "sender": {"id": 7, "login": "demo-lead", "type": "User"},
    });
    with(around, members)
}

fn delivery(event: &str, members: Value) -> Value {
    json!({"id": 1, "guid": "0b8b6d4e-0000-4000-8000-000000000021", "delivered_at": "2026-01-02T03:04:05Z",
        "redelivery": false, "event": event, "action": members["action"],
        "request": {"headers": {}, "payload": payload(members)}})
}

#[test]
fn a_webhook_is_about_the_member_that_its_event_names() {
    check(
        "github-webhook",
        &[
            (
                delivery("create", json!({"ref": "topic", "ref_type": "branch", "master_branch": "main"})),
                "create | github.branch | - | octo-demo/hello: topic | - | -",
            ),
            (
                delivery("delete", json!({"ref": "v1", "ref_type": "tag", "pusher_type": "user"})),
                "delete | github.tag | - | octo-demo/hello: v1 | - | -",
            ),
            (
                delivery("discussion", json!({"action": "deleted", "discussion": {"id": 5, "number": 4}})),
                "delete | github.discussion | 5 | octo-demo/hello#4 | - | -",
            ),
            (
                delivery(
                    "some_day",
                    json!({"action": "deleted", "thing": {"id": 5}, "changes": {"description": {"from": "x"}}}),
                ),
                r#"delete | github.some_day | - | octo-demo/hello | - | {"description":{"old":"x"}}"#,
            ),
            (
                delivery(
                    "organization",
                    json!({"action": "member_added", "membership": {"user": {"id": 55}}}),
                ),
                "member_added | github.org | 1 | octo-demo | - | -",
            ),
            (
                delivery(
                    "repository",
                    json!({"action": "edited", "changes": {"description": {"from": "x"}}}),
                ),
                r#"write | github.repo | 2 | octo-demo/hello | - | {"description":{"new":"greets","old":"x"}}"#,
            ),
            (
                delivery(
                    "pull_request",
                    json!({"action": "edited", "pull_request": {"id": 8, "number": 3, "base": {"ref": "main"}},
                        "changes": {"base": {"ref": {"from": "old"}, "sha": {"from": "1"}}}}),
                ),
                r#"write | github.pull_request | 8 | octo-demo/hello#3 | - | {"base":{"new":"main","old":"old"}}"#,
            ),
            (
                delivery(
                    "member",
                    json!({"action": "added", "member": {"id": 55, "login": "demo-dev"},
                        "changes": {"permission": {"to": "write"}}}),
                ),
                r#"added | github.collaborator | 55 | demo-dev in octo-demo/hello | - | {"permission":{"new":"write"}}"#,
            ),
        ],
    );
}

#[test]
fn a_payload_has_the_time_of_what_it_is_about() {
    let place = Place::new();
    let push =
        json!({"ref": "refs/heads/main", "commits": [], "before": "a", "after": "b", "head_commit": null});
    let event = trial(&place, "auto", &payload(push)).unwrap().unwrap();
    let members = ["time", "action", "resource_type", "resource_target"].map(|name| event[name].clone());
    assert_eq!(members, ["2026-01-02T03:04:05Z", "push", "github.branch", "octo-demo/hello: main"]);
    for members in [
        json!({"action": "created", "label": {"id": 5, "name": "bug"}}),
        json!({"ref": "topic", "ref_type": "branch", "master_branch": "main"}),
    ] {
        let reason = trial(&place, "auto", &payload(members)).unwrap_err();
        assert!(reason.contains("the record has no time"), "{reason}");
    }
}

#[test]
fn a_delivery_of_the_list_is_rejected_and_a_redelivery_kept() {
    let place = Place::new();
    let first = delivery("star", json!({"action": "created"}));
    let again =
        with(first.clone(), json!({"id": 2, "redelivery": true, "delivered_at": "2026-01-02T04:00:00Z"}));
    let mut listed = again.clone();
    listed.as_object_mut().unwrap().remove("request");
    let reason = trial(&place, "auto", &listed).unwrap_err();
    assert!(reason.contains("(looked for `request.payload`, "), "{reason}");

    let file = place.file("again.json", &again.to_string());
    assert_eq!(place.counts(&[&file]), [1, 0, 0, 0]);
    let both = place.file("both.ndjson", &format!("{again}\n{first}\n"));
    assert_eq!(place.counts(&[&both]), [0, 1, 1, 0]);
    assert_eq!(place.reasons().keys().next().unwrap(), "in the log with other content");
}

fn request(members: Value) -> Value {
    let record = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "0b8b6d4e-0000-4000-8000-000000000022",
        "stage": "ResponseComplete", "stageTimestamp": "2026-01-02T03:04:06Z", "verb": "create",
        "requestReceivedTimestamp": "2026-01-02T03:04:05Z", "requestURI": "/api/v1/x",
        "user": {"username": "demo-lead", "groups": ["ops"]}, "sourceIPs": ["192.0.2.9", "192.0.2.8", "10.0.0.1"],
        "responseStatus": {"code": 200}, "objectRef": {"resource": "pods", "namespace": "shop", "name": "web"},
    });
    with(record, members)
}

#[test]
fn sessions_and_trials_of_kubernetes() {
    let exec = json!({"resource": "pods", "namespace": "shop", "name": "web", "subresource": "exec"});
    let session =
        |members: Value| with(request(json!({"objectRef": exec, "responseStatus": {"code": 101}})), members);
    let dry = json!({"requestURI": "/api/v1/x?fieldManager=a&dryRun=All"});
    check(
        "kubernetes",
        &[
            (request(json!({"stage": "ResponseStarted"})), "skipped"),
            (session(json!({"stage": "ResponseStarted"})), "exec_start | k8s.pods | - | shop/web | 101 | -"),
            (session(json!({})), "exec | k8s.pods | - | shop/web | 101 | -"),
            (session(json!({"stage": "ResponseStarted", "responseStatus": {"code": 403}})), "skipped"),
            (session(json!({"responseStatus": {"code": 403}})), "exec | k8s.pods | - | shop/web | 403 | -"),
            (request(dry.clone()), "skipped"),
            // Nobody hides a session or a read behind a parameter that the server ignores.
            (session(dry.clone()), "exec | k8s.pods | - | shop/web | 101 | -"),
            (with(request(dry), json!({"verb": "get"})), "read | k8s.pods | - | shop/web | 200 | -"),
        ],
    );
}

#[test]
fn groups_namespaces_addresses_and_roles_of_kubernetes() {
    let object = |group: &str| {
        request(
            json!({"objectRef": {"resource": "services", "namespace": "shop", "name": "web", "apiGroup": group}}),
        )
    };
    let namespace = json!({"resource": "namespaces", "namespace": "shop", "name": "shop"});
    check(
        "kubernetes",
        &[
            (
                object("serving.knative.dev"),
                "create | k8s.services.serving.knative.dev | - | shop/web | 200 | -",
            ),
            (object("apps"), "create | k8s.services | - | shop/web | 200 | -"),
            (request(json!({"objectRef": namespace})), "create | k8s.namespaces | - | shop | 200 | -"),
        ],
    );
    let place = Place::new();
    let acting = request(json!({"impersonatedUser": {"username": "demo-dev"}}));
    let event = trial(&place, "kubernetes", &acting).unwrap().unwrap();
    assert_eq!(event["user"], json!({"username": "demo-dev"}));
    assert_eq!(event["impersonator"], json!({"username": "demo-lead"}));
    // A client can set all addresses but the last.
    assert_eq!(event["ip"], "10.0.0.1");

    let status = json!({"code": 422, "message": "data[k]: c2VjcmV0", "details": {"causes": [{"message": "c2VjcmV0"}]}});
    let refused = request(json!({"objectRef": {"resource": "secrets", "namespace": "shop", "name": "db"},
        "responseStatus": status, "responseObject": with(status.clone(), json!({"kind": "Status"}))}));
    let event = trial(&place, "kubernetes", &refused).unwrap().unwrap();
    assert!(!event.to_string().contains("c2VjcmV0"), "{event}");
}

fn activity(application: &str, name: &str, parameters: Value) -> Value {
    let parameters: Vec<Value> = parameters
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "kind": "admin#reports#activity", "actor": {"email": "demo-lead@example.org", "profileId": "105250506097979753968"},
        "id": {"time": "2026-01-02T03:04:05Z", "uniqueQualifier": "1", "applicationName": application},
        "events": [{"name": name, "parameters": parameters}],
    })
}

#[test]
fn settings_outcomes_and_names_of_google() {
    let strong = json!({"SETTING_NAME": "Enforce strong password", "OLD_VALUE": "off", "NEW_VALUE": "on"});
    let challenge =
        |status: &str| activity("login", "login_challenge", json!({"login_challenge_status": status}));
    check(
        "google-workspace",
        &[
            (
                activity("admin", "CHANGE_APPLICATION_SETTING", strong),
                "change_application_setting | google.admin | - | Enforce strong password | - | \
                 {\"Enforce strong password\":{\"new\":\"on\",\"old\":\"off\"}}",
            ),
            (
                activity("calendar", "change_calendar_acls", json!({"calendar_id": "demo-dev@example.org"})),
                "change_calendar_acls | google.calendar | - | demo-dev@example.org | - | -",
            ),
            (
                activity("admin", "CREATE_GROUP", json!({"GROUP_EMAIL": "ops@example.org"})),
                "create_group | google.group | - | ops@example.org | - | -",
            ),
            (
                challenge("Challenge Failed."),
                "login_challenge | google.login | - | demo-lead@example.org | 401 | -",
            ),
            (
                challenge("Challenge Passed."),
                "login_challenge | google.login | - | demo-lead@example.org | - | -",
            ),
            (
                activity("context_aware_access", "ACCESS_DENY_EVENT", json!({})),
                "access_deny_event | google.context_aware_access | - | context aware access | 403 | -",
            ),
        ],
    );
    let event = trial(&Place::new(), "google-workspace", &challenge("Challenge Passed.")).unwrap().unwrap();
    assert_eq!(event["user"].get("id"), None);
}

fn logged(event_type: &str, target: Value, members: Value) -> Value {
    let record = json!({
        "uuid": "0b8b6d4e-0000-4000-8000-000000000023", "published": "2026-01-02T03:04:05Z", "eventType": event_type,
        "outcome": {"result": "SUCCESS"}, "target": [target],
        "actor": {"id": "unknown", "type": "User", "alternateId": "demo-lead@example.org"},
    });
    with(record, members)
}

#[test]
fn settings_placeholders_and_names_of_okta() {
    let person = |id: &str| json!({"id": id, "type": "User", "alternateId": "demo-dev@example.org", "displayName": "Demo Dev"});
    let app = json!({"id": "0oa1", "type": "AppInstance", "displayName": "Wiki"});
    let rule = json!({"id": "0pr1", "type": "PolicyRule", "displayName": "Long ones", "changeDetails": {
        "from": {"passwordMinLength": 8, "clientSecret": "hunter2"}, "to": {"passwordMinLength": 12, "clientSecret": "hunter3"}}});
    let locked = json!({"outcome": {"result": "FAILURE", "reason": "LOCKED_OUT"}});
    check(
        "okta",
        &[
            (
                logged("policy.rule.update", rule, json!({})),
                "policy.rule.update | okta.policy | 0pr1 | Long ones | 200 | \
                 {\"clientSecret\":{\"secret\":true},\"passwordMinLength\":{\"new\":12,\"old\":8}}",
            ),
            (
                logged("system.idp.lifecycle.create", person("00u2"), json!({})),
                "create | okta.system | 00u2 | 00u2 | 200 | -",
            ),
            (
                logged("application.lifecycle.update", app.clone(), json!({})),
                "write | okta.app | 0oa1 | Wiki | 200 | -",
            ),
            (logged("app.lifecycle.update", app, json!({})), "write | okta.app | 0oa1 | Wiki | 200 | -"),
            (
                logged("user.account.lock", person("unknown"), locked),
                "user.account.lock | okta.user | - | demo-dev@example.org | 200 | -",
            ),
        ],
    );
    let event = trial(&Place::new(), "okta", &logged("user.session.start", person("00u2"), json!({})))
        .unwrap()
        .unwrap();
    assert_eq!(event["user"].get("id"), None);
}

#[test]
fn settings_outcomes_and_names_of_github() {
    let record = |action: &str, members: Value| {
        let record = json!({"@timestamp": 1_767_323_045_123_u64, "_document_id": "x1", "action": action, "actor": "demo-lead"});
        with(record, members)
    };
    check(
        "github",
        &[
            (record("api.request", json!({"status_code": 404})), "request | github.api | - | api | 404 | -"),
            (
                record("protected_branch.rejected_ref_update", json!({"repo": "octo-demo/hello"})),
                "rejected_ref_update | github.protected_branch | - | octo-demo/hello | 403 | -",
            ),
            (
                record("org.sso_response_failure", json!({"org": "octo-demo"})),
                "sso_response_failure | github.org | - | octo-demo | 401 | -",
            ),
            (
                record("migration.export_failed", json!({"org": "octo-demo"})),
                "export_failed | github.migration | - | octo-demo | 500 | -",
            ),
            (
                record("public_key.create", json!({"user": "demo-dev"})),
                "create | github.public_key | - | public key | - | -",
            ),
            (
                record(
                    "org.update_policy",
                    json!({"org": "octo-demo", "old_token_expiration": "30 days", "token_expiration": "7 days",
                        "old_token": "hunter2", "token": "hunter3"}),
                ),
                "update_policy | github.org | - | octo-demo | - | \
                 {\"token\":{\"secret\":true},\"token_expiration\":{\"new\":\"7 days\",\"old\":\"30 days\"}}",
            ),
        ],
    );
}
