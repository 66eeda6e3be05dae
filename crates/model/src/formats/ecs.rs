//! Events in the Elastic Common Schema. What has no place stands under `annals`.
//!
//! # Source
//! ECS 8.17, field sets event, user, source, user_agent, organization, http, related.

use serde::Serialize;
use serde_json::{Value, json};

use crate::audit_log::AuditLog;

use super::{Rest, rest, sentence};

/// The version whose fields these are.
pub(super) const VERSION: &str = "8.17.0";

pub(super) fn event<'e>(event: &'e AuditLog<'e>) -> impl Serialize + 'e {
    #[derive(Serialize)]
    struct Line<'e> {
        #[serde(flatten)]
        known: Value,
        annals: Own<'e>,
    }
    #[derive(Serialize)]
    struct Own<'e> {
        resource: Resource<'e>,
        #[serde(flatten)]
        rest: Rest<'e>,
    }
    #[derive(Serialize)]
    struct Resource<'e> {
        r#type: &'e str,
        id: &'e str,
        target: &'e str,
    }
    let resource =
        Resource { r#type: event.resource_type, id: event.resource_id, target: event.resource_target };
    Line { known: known(event), annals: Own { resource, rest: rest(event) } }
}

fn known(event: &AuditLog<'_>) -> Value {
    let (category, kinds) = category_of(event);
    let outcome = if event.outcome == "success" { "success" } else { "failure" };
    let mut line = json!({
        "@timestamp": event.time,
        "ecs": {"version": VERSION},
        "message": sentence(event),
        "event": {
            "id": event.id,
            "kind": "event",
            "category": [category],
            "type": kinds,
            "action": event.action,
            "outcome": outcome,
            "sequence": event.seq,
            "created": event.time,
            "ingested": event.received,
            "module": "annals",
            "dataset": "annals.audit",
            "provider": event.source,
        },
        "http": {"request": {"id": event.request_id}, "response": {"status_code": event.status_code}},
    });
    let mut related = json!({});
    if let Some(user) = &event.user {
        let roles: Vec<&str> = user.roles.iter().map(|role| role.name).collect();
        line["user"] = json!({"id": user.id, "name": user.username, "email": user.email, "full_name": user.name, "roles": roles});
        related["user"] = json!([user.username]);
    }
    if !event.ip.is_empty() {
        line["source"] = json!({"ip": event.ip});
        related["ip"] = json!([event.ip]);
    }
    if !event.user_agent.is_empty() {
        line["user_agent"] = json!({"original": event.user_agent});
    }
    if let Some(organization) = &event.organization {
        line["organization"] = json!({"id": organization.id, "name": organization.name});
    }
    if related.as_object().is_some_and(|related| !related.is_empty()) {
        line["related"] = related;
    }
    line
}

/// The category and the types that the schema allows in it.
fn category_of(event: &AuditLog<'_>) -> (&'static str, Vec<&'static str>) {
    let iam = matches!(
        event.resource_type,
        "user" | "group" | "organization_member" | "api_key" | "git_ssh_key" | "custom_role"
    );
    match event.action {
        "login" | "register" => ("authentication", vec!["start"]),
        "logout" => ("authentication", vec!["end"]),
        "connect" | "open" | "ssh" => ("session", vec!["start"]),
        "disconnect" | "close" => ("session", vec!["end"]),
        action if iam => {
            let subject = match event.resource_type {
                "group" => "group",
                "user" | "organization_member" => "user",
                _ => "admin",
            };
            ("iam", vec![subject, kind_of(action)])
        }
        action => ("configuration", vec![kind_of(action)]),
    }
}

fn kind_of(action: &str) -> &'static str {
    match action {
        "create" | "enqueue" => "creation",
        "delete" => "deletion",
        "read" | "view" => "access",
        "write" | "start" | "stop" | "auto_off" | "auto_start" | "cordon" | "uncordon" => "change",
        _ => "info",
    }
}
