//! Events in the Open Cybersecurity Schema Framework.
//!
//! Log-ins and log-outs are Authentication (3002), changes of people Account Change (3001), everything else Entity Management (3004). What has no
//! place stands in `unmapped`, as the schema asks.
//!
//! # Source
//! OCSF 1.4.0, classes `authentication`, `account_change`, `entity_management`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::audit_log::AuditLog;

use super::{Rest, rest, sentence};

/// The version whose classes and numbers these are.
pub(super) const VERSION: &str = "1.4.0";
/// Category "Identity & Access Management".
const CATEGORY: u32 = 3;
const OTHER: u32 = 99;

/// A class, and what happened in its words.
struct Class {
    uid: u32,
    name: &'static str,
    activity: u32,
    activity_name: String,
}

pub(super) fn event<'e>(event: &'e AuditLog<'e>) -> impl Serialize + 'e {
    #[derive(Serialize)]
    struct Line<'e> {
        #[serde(flatten)]
        known: Value,
        unmapped: Rest<'e>,
    }
    Line { known: known(event), unmapped: rest(event) }
}

fn known(event: &AuditLog<'_>) -> Value {
    let class = class_of(event);
    let (status, status_name) = if event.outcome == "success" { (1, "Success") } else { (2, "Failure") };
    let mut line = json!({
        "activity_id": class.activity,
        "activity_name": class.activity_name,
        "category_uid": CATEGORY,
        "category_name": "Identity & Access Management",
        "class_uid": class.uid,
        "class_name": class.name,
        "type_uid": class.uid * 100 + class.activity,
        "type_name": format!("{}: {}", class.name, class.activity_name),
        "time": event.time.as_micros().div_euclid(1_000),
        "severity_id": if event.outcome == "success" { 1 } else { 2 },
        "severity": if event.outcome == "success" { "Informational" } else { "Low" },
        "status_id": status,
        "status": status_name,
        "status_code": event.status_code.to_string(),
        "status_detail": event.outcome,
        "message": sentence(event),
        "metadata": {
            "version": VERSION,
            "uid": event.id,
            "sequence": event.seq,
            "event_code": event.action,
            "logged_time": event.received.as_micros().div_euclid(1_000),
            "original_time": event.time.to_string(),
            "log_name": "audit",
            "product": {"name": "Annals", "vendor_name": "Annals", "version": env!("CARGO_PKG_VERSION")},
        },
        "actor": actor(event),
    });
    if let Some(organization) = &event.organization {
        line["metadata"]["tenant_uid"] = organization.id.into();
    }
    if !event.ip.is_empty() {
        line["src_endpoint"] = json!({"ip": event.ip});
    }
    if !event.user_agent.is_empty() {
        line["http_request"] = json!({"user_agent": event.user_agent, "uid": event.request_id});
    }
    match class.uid {
        3004 => line["entity"] = entity(event),
        3001 => line["user"] = json!({"uid": event.resource_id, "name": event.resource_target}),
        _ => line["user"] = authenticated(event),
    }
    line
}

fn class_of(event: &AuditLog<'_>) -> Class {
    let class = |uid, name, activity, activity_name: &str| Class {
        uid,
        name,
        activity,
        activity_name: activity_name.to_owned(),
    };
    let other = |uid, name| class(uid, name, OTHER, event.action);
    match (event.resource_type, event.action) {
        (_, "login" | "register") => class(3002, "Authentication", 1, "Logon"),
        (_, "logout") => class(3002, "Authentication", 2, "Logoff"),
        ("user", "create") => class(3001, "Account Change", 1, "Create"),
        ("user", "delete") => class(3001, "Account Change", 6, "Delete"),
        ("user", "request_password_reset") => class(3001, "Account Change", 4, "Password Reset"),
        ("user", _) => other(3001, "Account Change"),
        (_, "create") => class(3004, "Entity Management", 1, "Create"),
        (_, "read" | "view") => class(3004, "Entity Management", 2, "Read"),
        (_, "write") => class(3004, "Entity Management", 3, "Update"),
        (_, "delete") => class(3004, "Entity Management", 4, "Delete"),
        _ => other(3004, "Entity Management"),
    }
}

fn actor(event: &AuditLog<'_>) -> Value {
    let Some(user) = &event.user else { return json!({"app_name": event.source}) };
    let mut found = Map::new();
    for (name, value) in
        [("uid", user.id), ("name", user.username), ("email_addr", user.email), ("full_name", user.name)]
    {
        if !value.is_empty() {
            found.insert(name.to_owned(), value.into());
        }
    }
    let (kind, kind_name) = match event.actor_type {
        "service" | "system" => (3, "System"),
        _ => (1, "User"),
    };
    found.insert("type_id".to_owned(), kind.into());
    found.insert("type".to_owned(), kind_name.into());
    if !user.roles.is_empty() {
        found.insert("groups".to_owned(), user.roles.iter().map(|role| json!({"name": role.name})).collect());
    }
    json!({"user": found})
}

/// Who logged in or out: the actor, or the name that was tried.
fn authenticated(event: &AuditLog<'_>) -> Value {
    match &event.user {
        Some(user) => json!({"uid": user.id, "name": user.username, "email_addr": user.email}),
        None => json!({"name": event.resource_target}),
    }
}

fn entity(event: &AuditLog<'_>) -> Value {
    json!({"uid": event.resource_id, "name": event.resource_target, "type": event.resource_type})
}
