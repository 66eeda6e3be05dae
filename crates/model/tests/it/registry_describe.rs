//! The sentences about events.

use annals_model::registry::{Authority, Described, Registry};
use serde_json::value::RawValue;

#[track_caller]
fn check(kind: &str, action: &str, status_code: u16, expect: &str) {
    let about = Described { kind, action, status_code, changed: &[] };
    assert_eq!(Registry::built_in().describe(&about), expect, "{action} {kind} {status_code}");
}

#[track_caller]
fn check_changed(status_code: u16, changed: &[(&str, Option<&str>)], expect: &str) {
    let raw: Vec<_> = changed
        .iter()
        .map(|(field, new)| {
            (*field, new.map(|new| RawValue::from_string(new.to_owned()).expect("the test writes JSON")))
        })
        .collect();
    let changed: Vec<_> = raw.iter().map(|(field, new)| (*field, new.as_deref())).collect();
    let about = Described { kind: "chat", action: "write", status_code, changed: &changed };
    assert_eq!(Registry::built_in().describe(&about), expect);
}

/// What Coder calls its types in a sentence, where it is not the type with spaces.
fn noun(kind: &str) -> String {
    match kind {
        "workspace_build" => "workspace".into(),
        "api_key" => "token".into(),
        "convert_login" => "login type conversion".into(),
        "oauth2_provider_app" => "oauth2 app".into(),
        "oauth2_provider_app_secret" => "oauth2 app secret".into(),
        "health_settings" | "notifications_settings" | "prebuilds_settings" => kind.into(),
        _ if kind.starts_with("idp_sync_") => "settings".into(),
        _ => kind.replace('_', " "),
    }
}

/// Coder's rules as a program, to compare the templates with.
fn coder_sentence(kind: &str, action: &str, status_code: u16) -> String {
    let done = match action {
        "create" => "created",
        "write" => "updated",
        "delete" => "deleted",
        "start" => "started",
        "stop" => "stopped",
        "login" => "logged in",
        "logout" => "logged out",
        "register" => "registered",
        "request_password_reset" => "password reset requested",
        "connect" => "connected",
        "disconnect" => "disconnected",
        "open" => "opened",
        "close" => "closed",
        _ => "unknown",
    };
    let mut sentence = String::new();
    if action != "request_password_reset" {
        sentence += "{user} ";
    }
    match status_code {
        303 => sentence += &format!("was redirected attempting to {action}"),
        400.. => sentence += &format!("unsuccessfully attempted to {action}"),
        _ => sentence += done,
    }
    if kind == "api_key" && matches!(action, "login" | "logout" | "register") {
        return sentence;
    }
    if kind == "git_ssh_key" {
        return sentence + " the git ssh key";
    }
    if action == "request_password_reset" {
        sentence += " for";
    } else {
        sentence += &format!(" {}", noun(kind));
    }
    if kind == "convert_login" {
        sentence += " to";
    }
    sentence + " {target}"
}

#[test]
fn equals_coders_rules_for_every_type_action_and_status() {
    let registry = Registry::built_in();
    let actions: Vec<_> = registry.actions().filter(|action| action.registry == "coder").collect();
    assert_eq!(actions.len(), 13);
    for resource in registry.resources().filter(|resource| resource.registry == "coder") {
        for action in &actions {
            // Only people reset passwords; for these two types the rules would give half a sentence.
            if action.name == "request_password_reset"
                && matches!(resource.kind.as_str(), "git_ssh_key" | "convert_login")
            {
                continue;
            }
            for status_code in [200, 201, 302, 303, 307, 399, 400, 401, 500] {
                check(
                    &resource.kind,
                    &action.name,
                    status_code,
                    &coder_sentence(&resource.kind, &action.name, status_code),
                );
            }
        }
    }
}

#[test]
fn reads_well_in_the_usual_cases() {
    check("workspace", "create", 201, "{user} created workspace {target}");
    check("workspace_build", "stop", 200, "{user} stopped workspace {target}");
    check("template_version", "write", 200, "{user} updated template version {target}");
    check("user", "delete", 403, "{user} unsuccessfully attempted to delete user {target}");
    check("workspace", "open", 303, "{user} was redirected attempting to open workspace {target}");
    check("api_key", "login", 201, "{user} logged in");
    check("api_key", "create", 201, "{user} created token {target}");
    check("git_ssh_key", "write", 200, "{user} updated the git ssh key");
    check("convert_login", "create", 200, "{user} created login type conversion to {target}");
    check("user", "request_password_reset", 200, "password reset requested for {target}");
    check("idp_sync_settings_role", "write", 200, "{user} updated settings {target}");
}

#[test]
fn older_and_own_types_read_well_too() {
    check("environment", "auto_off", 200, "{user} automatically turned off environment {target}");
    check("dev_url", "create", 200, "{user} created dev URL {target}");
    check("workspace_provider", "cordon", 200, "{user} cordoned workspace provider {target}");
    check("workspace", "ssh", 200, "{user} opened a web terminal to workspace {target}");
    check("admin_setting", "write", 200, "{user} updated admin setting {target}");
    check("api_key", "login", 401, "{user} unsuccessfully attempted to login");
    check("audit_log", "read", 200, "{user} read the audit log");
    check("audit_log", "export", 200, "{user} exported the audit log");
    check("registry", "write", 200, "{user} updated the registry of resource types");
}

#[test]
fn what_changed_refines_a_successful_write() {
    check_changed(200, &[("archived", Some("true"))], "{user} archived chat {target}");
    check_changed(200, &[("archived", Some(" false "))], "{user} unarchived chat {target}");
    check_changed(200, &[("archived", None)], "{user} updated chat {target}");
    check_changed(200, &[("archived", Some("true")), ("mode", None)], "{user} updated chat {target}");
    check_changed(200, &[("group_acl", Some("{}"))], "{user} updated sharing for chat {target}");
    check_changed(
        200,
        &[("user_acl", None), ("group_acl", None)],
        "{user} updated sharing for chat {target}",
    );
    check_changed(200, &[], "{user} updated chat {target}");
    check_changed(
        404,
        &[("archived", Some("true"))],
        "{user} unsuccessfully attempted to write chat {target}",
    );
}

#[test]
fn what_is_not_registered_is_called_by_its_name() {
    check("quantum_flux", "create", 200, "{user} created quantum flux {target}");
    check("", "create", 200, "{user} created unknown {target}");
    check("workspace", "defenestrate", 200, "{user} unknown workspace {target}");
    check(
        "workspace",
        "defenestrate",
        500,
        "{user} unsuccessfully attempted to defenestrate workspace {target}",
    );
    check("{user}", "{target}", 400, "{user} unsuccessfully attempted to target user {target}");
}

#[test]
fn an_attempt_is_told_in_words_of_its_own() {
    let mut registry = Registry::built_in();
    let document = r#"
        [[resource]]
        type = "aws.ssm"
        sentences.default = "{user} {verb} {target}"

        [[action]]
        name = "deleteparameter"
        description = "An API call."
        done = "called DeleteParameter on"
        attempt = "call DeleteParameter on"

        [[action]]
        name = "getparameter"
        description = "An API call."
        done = "called GetParameter on"
    "#;
    registry.extend(document, Authority::Application).unwrap();
    let sentence = |action, status_code| {
        registry.describe(&Described { kind: "aws.ssm", action, status_code, changed: &[] })
    };
    assert_eq!(sentence("deleteparameter", 200), "{user} called DeleteParameter on {target}");
    for status_code in [400, 403, 500] {
        assert_eq!(
            sentence("deleteparameter", status_code),
            "{user} unsuccessfully attempted to call DeleteParameter on {target}"
        );
    }
    assert_eq!(
        sentence("deleteparameter", 303),
        "{user} was redirected attempting to call DeleteParameter on {target}"
    );
    assert_eq!(sentence("getparameter", 403), "{user} unsuccessfully attempted to getparameter {target}");
}

#[test]
fn no_built_in_action_words_its_attempts() {
    let worded: Vec<_> =
        Registry::built_in().actions().filter(|action| action.attempt.is_some()).cloned().collect();
    assert_eq!(worded, []);
}

#[test]
fn the_most_specific_template_wins() {
    let mut registry = Registry::built_in();
    let document = r#"
        [[resource]]
        type = "invoice"
        sentences.default = "{user} {verb} the {noun} no. {target}"
        sentences.approve = "{target} {verb} by {user}"

        [[resource]]
        type = "receipt"

        [[action]]
        name = "approve"
        description = "It may be paid."
        done = "approved"
        sentence = "{verb}: {noun} {target}, by {user}"
    "#;
    registry.extend(document, Authority::Operator).unwrap();
    let sentence =
        |kind, action| registry.describe(&Described { kind, action, status_code: 200, changed: &[] });
    assert_eq!(sentence("invoice", "approve"), "{target} approved by {user}");
    assert_eq!(sentence("invoice", "create"), "{user} created the invoice no. {target}");
    assert_eq!(sentence("receipt", "approve"), "approved: receipt {target}, by {user}");
    assert_eq!(sentence("receipt", "create"), "{user} created receipt {target}");
}
