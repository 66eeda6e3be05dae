//! Coder's audit records: lines of its structured log, and objects of its HTTP API.
//!
//! Log line: `{"msg":"audit_log","fields":{"ID":..,"Time":..,"Diff":{"name":{"Old":..,"New":..,"Secret":..}},..,
//! "actor":{..}}}`. API object: `{"id":..,"time":..,"diff":{"name":{"old":..}},..,"user":{..},"organization":{..}}`, by
//! itself or in pages `{"audit_logs":[..]}`; Annals' own exports have that shape too, with more members.
//!
//! Members that an event has no place for are kept under `coder` in its additional fields. Left out are the envelope of
//! the log line (when and where in the program it was written), and in API objects what is looked up at each read, such as
//! the status a user has today: it is no part of the event, and would make the same event another one a day later.

use std::borrow::Cow;

use annals_model::json;
use annals_model::limits::{ID_BYTES_MAX, TEXT_BYTES_MAX};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{ImportedActor, ImportedEvent, ImportedOrganization, cut};

/// What Coder writes for "none".
const NIL_UUID: &str = "00000000-0000-0000-0000-000000000000";
/// What Coder prints for an address that is not known.
const NIL_IP: &str = "<nil>";
/// The message of an audit record in the log.
const MESSAGE: &str = "audit_log";
/// Members of an API object that are computed at each read.
const COMPUTED: [&str; 7] =
    ["description", "resource_link", "is_deleted", "seq", "received", "outcome", "erased"];
/// Types whose id is that of the user; a failed log-in has neither id nor target, so the user's id stands in.
const ID_IS_THE_USERS: [&str; 4] = ["api_key", "git_ssh_key", "convert_login", "organization_member"];

/// Makes an event of a record; nothing of a log line that is about something else.
///
/// # Errors
/// Why it is no audit record.
pub(super) fn convert(record: &str) -> Result<Option<String>, String> {
    let raw: &RawValue = serde_json::from_str(record).map_err(|error| error.to_string())?;
    let members = json::members(raw).map_err(|_| "a record is a JSON object".to_owned())?;
    let member = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    let names = match member("msg") {
        Some(message) if json::text(message).as_deref() != Some(MESSAGE) => return Ok(None),
        Some(_) => &LOG_LINE,
        None => &API_OBJECT,
    };
    let fields = match names.is_log_line {
        true => member("fields").ok_or("an `audit_log` line has `fields`")?,
        false => raw,
    };
    let fields = json::members(fields).map_err(|fault| fault.detail)?;
    let mut rest = Members(fields);
    let id = rest.text(names.id);
    if id.is_empty() {
        return Err(format!("no audit record: `{}` is missing", names.id));
    }
    let event = convert_fields(id, &mut rest, names);
    Ok(Some(serde_json::to_string(&event).map_err(|error| error.to_string())?))
}

/// How the two shapes call the members.
struct Names {
    is_log_line: bool,
    id: &'static str,
    time: &'static str,
    ip: &'static str,
    user_agent: &'static str,
    organization_id: &'static str,
    resource_type: &'static str,
    resource_id: &'static str,
    resource_target: &'static str,
    resource_icon: &'static str,
    action: &'static str,
    diff: &'static str,
    status_code: &'static str,
    additional_fields: &'static str,
    request_id: &'static str,
    actor: &'static str,
}

const LOG_LINE: Names = Names {
    is_log_line: true,
    id: "ID",
    time: "Time",
    ip: "Ip",
    user_agent: "UserAgent",
    organization_id: "OrganizationID",
    resource_type: "ResourceType",
    resource_id: "ResourceID",
    resource_target: "ResourceTarget",
    resource_icon: "ResourceIcon",
    action: "Action",
    diff: "Diff",
    status_code: "StatusCode",
    additional_fields: "AdditionalFields",
    request_id: "RequestID",
    actor: "actor",
};

const API_OBJECT: Names = Names {
    is_log_line: false,
    id: "id",
    time: "time",
    ip: "ip",
    user_agent: "user_agent",
    organization_id: "organization_id",
    resource_type: "resource_type",
    resource_id: "resource_id",
    resource_target: "resource_target",
    resource_icon: "resource_icon",
    action: "action",
    diff: "diff",
    status_code: "status_code",
    additional_fields: "additional_fields",
    request_id: "request_id",
    actor: "user",
};

fn convert_fields<'r>(id: Cow<'r, str>, rest: &mut Members<'r>, names: &Names) -> ImportedEvent<'r> {
    let mut left = Map::new();
    let mut event = ImportedEvent {
        id,
        time: rest.text(names.time),
        request_id: not_nil(rest.text(names.request_id)),
        resource_type: rest.text(names.resource_type),
        resource_id: not_nil(rest.text(names.resource_id)),
        resource_target: rest.text(names.resource_target),
        resource_icon: rest.text(names.resource_icon),
        action: rest.text(names.action),
        status_code: rest.number(names.status_code),
        ..ImportedEvent::default()
    };
    event.ip = address(rest, names.ip);
    event.user_agent = rest.text(names.user_agent);
    if event.user_agent.len() > TEXT_BYTES_MAX {
        left.insert("user_agent".to_owned(), event.user_agent.as_ref().into());
        event.user_agent = cut(&event.user_agent, TEXT_BYTES_MAX).to_owned().into();
    }
    if event.resource_id.len() > ID_BYTES_MAX {
        left.insert("resource_id".to_owned(), event.resource_id.as_ref().into());
        event.resource_id = cut(&event.resource_id, ID_BYTES_MAX).to_owned().into();
    }
    event.organization.id = not_nil(rest.text(names.organization_id));
    if let Some(raw) = rest.take("organization").filter(|_| !names.is_log_line) {
        event.organization = organization(raw, event.organization.id);
    }
    event.user = rest.take(names.actor).map(|raw| actor(raw, names, &mut left)).unwrap_or_default();
    if names.is_log_line {
        // The actor is looked up when the line is written; the record itself has the id only.
        let user_id = not_nil(rest.text("UserID"));
        if user_id != event.user.id && !event.user.id.is_empty() {
            left.insert("actor_id".to_owned(), event.user.id.as_ref().into());
        }
        event.user.id = user_id;
    } else {
        rest.0.retain(|(name, _)| !COMPUTED.contains(&name.as_ref()));
        event.actor_type = rest.text("actor_type");
        event.build_reason = rest.text("build_reason");
        event.source = rest.text("source");
        event.source_seq = rest.number("source_seq");
        event.impersonator =
            rest.take("impersonator").map(|raw| actor(raw, names, &mut left)).unwrap_or_default();
        event.on_behalf_of =
            rest.take("on_behalf_of").map(|raw| actor(raw, names, &mut left)).unwrap_or_default();
    }
    if event.resource_id.is_empty() && event.resource_target.is_empty() {
        let is_the_users =
            ID_IS_THE_USERS.contains(&event.resource_type.as_ref()) && !event.user.id.is_empty();
        match is_the_users {
            true => event.resource_id = event.user.id.clone(),
            false => event.resource_target = "unknown".into(),
        }
    }
    if let Some(diff) = rest.take(names.diff).filter(|raw| json::kind(raw) != json::Kind::Null) {
        if event.status_code.is_some_and(|code| code >= 400) {
            keep_fields_of_failure(diff, &mut left);
        }
        event.diff = Some(Cow::Borrowed(diff));
    }
    let additional = rest.take(names.additional_fields);
    for (name, value) in rest.0.drain(..) {
        left.insert(name.into_owned(), json_value(value));
    }
    event.additional_fields = additional_fields(additional, left);
    event
}

/// Members not yet taken.
struct Members<'r>(Vec<(Cow<'r, str>, &'r RawValue)>);

impl<'r> Members<'r> {
    fn take(&mut self, name: &str) -> Option<&'r RawValue> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes a text, or null as an empty one. Anything else stays.
    fn text(&mut self, name: &str) -> Cow<'r, str> {
        let Some(value) = self.take(name) else { return Cow::Borrowed("") };
        match json::kind(value) {
            json::Kind::Null => Cow::Borrowed(""),
            _ => json::text(value).unwrap_or_else(|| {
                self.0.push((Cow::Owned(name.to_owned()), value));
                Cow::Borrowed("")
            }),
        }
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.take(name)?;
        let number = value.get().parse().ok();
        if number.is_none() && json::kind(value) != json::Kind::Null {
            self.0.push((Cow::Owned(name.to_owned()), value));
        }
        number
    }
}

fn not_nil(id: Cow<'_, str>) -> Cow<'_, str> {
    if id == NIL_UUID { Cow::Borrowed("") } else { id }
}

/// An address in one of the forms in which Coder has written it: plain, with the length of its prefix, `<nil>`, or the
/// object of its database type. What cannot be read stays where it is.
fn address<'r>(rest: &mut Members<'r>, name: &'static str) -> Cow<'r, str> {
    let Some(value) = rest.take(name) else { return Cow::Borrowed("") };
    let text = match json::kind(value) {
        json::Kind::Object => match json_value(value).pointer("/IPNet/IP") {
            Some(Value::String(ip)) => Some(Cow::Owned(ip.clone())),
            _ => None,
        },
        json::Kind::Null => return Cow::Borrowed(""),
        _ => json::text(value),
    };
    if let Some(text) = text {
        if text.is_empty() || text == NIL_IP {
            return Cow::Borrowed("");
        }
        let plain = text.split('/').next().unwrap_or_default();
        if plain.parse::<std::net::IpAddr>().is_ok() {
            return Cow::Owned(plain.to_owned());
        }
    }
    rest.0.push((Cow::Borrowed(name), value));
    Cow::Borrowed("")
}

fn organization<'r>(raw: &'r RawValue, id: Cow<'r, str>) -> ImportedOrganization<'r> {
    let mut members = Members(json::members(raw).unwrap_or_default());
    let own_id = not_nil(members.text("id"));
    ImportedOrganization {
        id: if own_id.is_empty() { id } else { own_id },
        name: members.text("name"),
        display_name: members.text("display_name"),
        icon: members.text("icon"),
    }
}

fn actor<'r>(raw: &'r RawValue, names: &Names, left: &mut Map<String, Value>) -> ImportedActor<'r> {
    let mut members = Members(json::members(raw).unwrap_or_default());
    let actor = ImportedActor {
        id: not_nil(members.text("id")),
        username: members.text("username"),
        email: members.text("email"),
        name: members.text("name"),
        avatar_url: members.text("avatar_url"),
        roles: members.take("roles").map(roles).unwrap_or_default(),
    };
    if names.is_log_line && !members.0.is_empty() {
        let more = members.0.into_iter().map(|(name, value)| (name.into_owned(), json_value(value)));
        left.insert("actor".to_owned(), Value::Object(more.collect()));
    }
    actor
}

/// Names of roles. One that holds in an organization is written `name:organization`, as in Coder's database.
fn roles(raw: &RawValue) -> Vec<String> {
    let roles: Vec<Value> = serde_json::from_str(raw.get()).unwrap_or_default();
    let name = |role: &Value| {
        let text = |key: &str| role.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (role.as_str().or_else(|| text("name"))?, text("organization_id")) {
            (name, Some(organization)) => Some(format!("{name}:{organization}")),
            (name, None) => Some(name.to_owned()),
        }
    };
    roles.iter().filter_map(name).collect()
}

/// Keeps the names of what a failed build would have changed, which Coder records and the log does not. Not the values: which
/// of them are secret is for the registry of the log to say, and it does not look into additional fields.
fn keep_fields_of_failure(diff: &RawValue, left: &mut Map<String, Value>) {
    let fields: Vec<Value> = json::members(diff)
        .unwrap_or_default()
        .into_iter()
        .map(|(field, _)| Value::from(field.into_owned()))
        .collect();
    if !fields.is_empty() {
        left.insert("changed".to_owned(), Value::Array(fields));
    }
}

/// The record's own additional fields to the letter, and what is left under `coder`.
fn additional_fields(own: Option<&RawValue>, mut left: Map<String, Value>) -> Option<Box<RawValue>> {
    let mut members = Vec::new();
    match own.map(|own| (json::kind(own), own)) {
        None | Some((json::Kind::Null, _)) => {}
        Some((json::Kind::Object, own)) => members = json::members(own).unwrap_or_default(),
        Some((_, own)) => drop(left.insert("additional_fields".to_owned(), json_value(own))),
    }
    let mut text = vec![b'{'];
    for (name, value) in &members {
        push_member(&mut text, name, value.get());
    }
    if !left.is_empty() {
        let is_taken = members.iter().any(|(name, _)| name == "coder");
        push_member(
            &mut text,
            if is_taken { "coder_import" } else { "coder" },
            &Value::Object(left).to_string(),
        );
    }
    text.push(b'}');
    let text = String::from_utf8(text).expect("JSON built from texts is a text");
    (text.len() > 2).then(|| RawValue::from_string(text).expect("members that are JSON make an object"))
}

fn push_member(out: &mut Vec<u8>, name: &str, value: &str) {
    if out.len() > 1 {
        out.push(b',');
    }
    json::push_text(out, name);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}

fn json_value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(record: &Value) -> Value {
        let line = convert(&record.to_string()).unwrap().expect("an event");
        serde_json::from_str(&line).unwrap()
    }

    fn log_line(changes: Value) -> Value {
        let mut fields = json!({
            "ID": "01000000-0000-4000-8000-000000000000", "Time": "2009-11-10T23:00:00Z",
            "UserID": "02000000-0000-4000-8000-000000000000",
            "OrganizationID": NIL_UUID, "Ip": "192.0.2.7", "UserAgent": "", "ResourceType": "organization",
            "ResourceID": "04000000-0000-4000-8000-000000000000", "ResourceTarget": "northwind", "Action": "delete",
            "Diff": {"name": {"Old": "northwind", "New": "", "Secret": false}}, "StatusCode": 204,
            "AdditionalFields": {"name": "a", "number": 1.0}, "RequestID": NIL_UUID, "ResourceIcon": "",
            "actor": {"id": "02000000-0000-4000-8000-000000000000", "email": "lead@example.test", "username": "lead"},
        });
        for (name, value) in changes.as_object().unwrap() {
            fields[name] = value.clone();
        }
        json!({"ts": "2009-11-10T23:00:01Z", "level": "INFO", "msg": "audit_log", "caller": "x.go:1", "fields": fields})
    }

    #[test]
    fn converts_a_line_of_the_log() {
        let expect = json!({
            "id": "01000000-0000-4000-8000-000000000000", "time": "2009-11-10T23:00:00Z",
            "user": {"id": "02000000-0000-4000-8000-000000000000", "username": "lead", "email": "lead@example.test"},
            "ip": "192.0.2.7", "action": "delete", "resource_type": "organization",
            "resource_id": "04000000-0000-4000-8000-000000000000", "resource_target": "northwind", "status_code": 204,
            "diff": {"name": {"Old": "northwind", "New": "", "Secret": false}},
            "additional_fields": {"name": "a", "number": 1.0},
        });
        assert_eq!(converted(&log_line(json!({}))), expect);
    }

    #[test]
    fn reads_every_form_of_an_address() {
        let cases = [
            (json!("<nil>"), Value::Null, Value::Null),
            (json!(null), Value::Null, Value::Null),
            (json!("2001:db8::7/128"), json!("2001:db8::7"), Value::Null),
            (
                json!({"IPNet": {"IP": "192.0.2.7", "Mask": "/////w=="}, "Valid": true}),
                json!("192.0.2.7"),
                Value::Null,
            ),
            (json!("somewhere"), Value::Null, json!("somewhere")),
        ];
        for (given, ip, left) in cases {
            let event = converted(&log_line(json!({"Ip": given})));
            assert_eq!((&event["ip"], &event["additional_fields"]["coder"]["Ip"]), (&ip, &left), "{given}");
        }
    }

    #[test]
    fn keeps_what_has_no_place() {
        let event = converted(&log_line(json!({
            "Novelty": [1], "AdditionalFields": {"coder": 1}, "StatusCode": 500, "ResourceType": "workspace_build",
            "Diff": {"template_version_id": {"Old": "a", "New": "b", "Secret": false}},
            "actor": {"id": "03000000-0000-4000-8000-000000000000", "username": "x", "theme": "dark"},
        })));
        let expect = json!({"coder": 1, "coder_import": {
            "Novelty": [1], "actor": {"theme": "dark"}, "actor_id": "03000000-0000-4000-8000-000000000000",
            "changed": ["template_version_id"],
        }});
        assert_eq!(event["additional_fields"], expect);
    }

    #[test]
    fn a_failed_login_gets_the_id_of_its_user() {
        let nothing = json!({"ResourceType": "api_key", "ResourceID": NIL_UUID, "ResourceTarget": ""});
        let event = converted(&log_line(nothing));
        assert_eq!(event["resource_id"], "02000000-0000-4000-8000-000000000000");
        let event = converted(&log_line(json!({"ResourceID": NIL_UUID, "ResourceTarget": ""})));
        assert_eq!(event["resource_target"], "unknown");
    }

    #[test]
    fn converts_an_object_of_the_api_without_what_reads_compute() {
        let record = json!({
            "id": "01000000-0000-4000-8000-000000000000", "request_id": NIL_UUID, "time": "2026-01-01T00:00:00.5Z",
            "ip": "", "user_agent": "cli", "resource_type": "workspace", "resource_id": "05000000-0000-4000-8000-000000000000",
            "resource_target": "dev", "resource_icon": "", "action": "create",
            "diff": {"name": {"old": "", "new": "dev", "secret": false}}, "status_code": 201,
            "additional_fields": {"workspace_owner": "lead"}, "description": "{user} created workspace {target}",
            "resource_link": "/@lead/dev", "is_deleted": true, "organization_id": "06000000-0000-4000-8000-000000000000",
            "organization": {"id": "06000000-0000-4000-8000-000000000000", "name": "northwind", "display_name": "N", "icon": ""},
            "user": {"id": "02000000-0000-4000-8000-000000000000", "username": "lead", "email": "lead@example.test",
                "status": "dormant", "last_seen_at": "2026-02-01T00:00:00Z", "organization_ids": [],
                "roles": [{"name": "owner", "display_name": "Owner"}, {"name": "admin", "organization_id": "o"}]},
        });
        let expect = json!({
            "id": "01000000-0000-4000-8000-000000000000", "time": "2026-01-01T00:00:00.5Z", "user_agent": "cli",
            "user": {"id": "02000000-0000-4000-8000-000000000000", "username": "lead", "email": "lead@example.test",
                "roles": ["owner", "admin:o"]},
            "organization": {"id": "06000000-0000-4000-8000-000000000000", "name": "northwind", "display_name": "N"},
            "action": "create", "resource_type": "workspace", "resource_id": "05000000-0000-4000-8000-000000000000",
            "resource_target": "dev", "status_code": 201, "diff": {"name": {"old": "", "new": "dev", "secret": false}},
            "additional_fields": {"workspace_owner": "lead"},
        });
        assert_eq!(converted(&record), expect);
    }

    #[test]
    fn skips_other_lines_and_refuses_other_objects() {
        assert_eq!(convert(r#"{"msg":"connection_log","fields":{}}"#), Ok(None));
        for record in [r#"{"msg":"audit_log"}"#, r#"{"msg":"audit_log","fields":{}}"#, "{}", "[]", "5"] {
            assert!(convert(record).is_err(), "{record}");
        }
    }
}
