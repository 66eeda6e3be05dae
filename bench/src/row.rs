//! An event as a row of Coder's table, for the peers that keep rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One event in columns.
#[derive(Debug, Clone)]
pub struct Row {
    /// Event id.
    pub id: String,
    /// RFC 3339.
    pub time: String,
    /// Microseconds since 1970.
    pub time_us: i64,
    /// Who.
    pub user_id: String,
    /// Name of who.
    pub username: String,
    /// Address of who.
    pub email: String,
    /// Where.
    pub organization_id: String,
    /// Name of where.
    pub organization: String,
    /// Address.
    pub ip: String,
    /// Program.
    pub user_agent: String,
    /// Kind.
    pub resource_type: String,
    /// Id of what.
    pub resource_id: String,
    /// Name of what.
    pub resource_target: String,
    /// What was done.
    pub action: String,
    /// Changes, JSON, in the shape of Coder's column.
    pub diff: String,
    /// HTTP status.
    pub status_code: i32,
    /// JSON.
    pub additional_fields: String,
    /// Request.
    pub request_id: String,
}

#[derive(Deserialize)]
struct Wire<'e> {
    id: String,
    time: String,
    user: WireUser,
    organization: WireOrganization,
    ip: String,
    user_agent: String,
    request_id: String,
    action: String,
    resource_type: String,
    status_code: i32,
    resource_id: String,
    resource_target: String,
    #[serde(default)]
    before: BTreeMap<String, Value>,
    #[serde(default)]
    after: BTreeMap<String, Value>,
    #[serde(borrow)]
    additional_fields: Option<&'e RawValue>,
}

#[derive(Deserialize)]
struct WireUser {
    id: String,
    username: String,
    email: String,
}

#[derive(Deserialize)]
struct WireOrganization {
    id: String,
    name: String,
}

impl Row {
    /// Reads a line of the generator.
    ///
    /// # Errors
    /// If the line is no event.
    pub fn read(line: &str) -> anyhow::Result<Row> {
        let wire: Wire<'_> = serde_json::from_str(line).context("a line of the generator")?;
        let time: jiff::Timestamp = wire.time.parse()?;
        Ok(Row {
            id: wire.id,
            time: wire.time,
            time_us: time.as_microsecond(),
            user_id: wire.user.id,
            username: wire.user.username,
            email: wire.user.email,
            organization_id: wire.organization.id,
            organization: wire.organization.name,
            ip: wire.ip,
            user_agent: wire.user_agent,
            resource_type: wire.resource_type,
            resource_id: wire.resource_id,
            resource_target: wire.resource_target,
            action: wire.action,
            diff: diff(&wire.before, &wire.after),
            status_code: wire.status_code,
            additional_fields: wire
                .additional_fields
                .map_or_else(|| "{}".to_owned(), |text| text.get().to_owned()),
            request_id: wire.request_id,
        })
    }

    /// The columns of Coder's table as a line of COPY's text format.
    pub fn push_copy_line(&self, out: &mut String) {
        let status = self.status_code.to_string();
        let columns = [
            &self.id,
            &self.time,
            &self.user_id,
            &self.organization_id,
            &self.ip,
            &self.user_agent,
            &self.resource_type,
            &self.resource_id,
            &self.resource_target,
            &self.action,
            &self.diff,
            &status,
            &self.additional_fields,
            &self.request_id,
        ];
        for (at, column) in columns.into_iter().enumerate() {
            if at > 0 {
                out.push('\t');
            }
            out.push_str(&escaped(column));
        }
        out.push('\n');
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '\t', '\n', '\r']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"))
    } else {
        Cow::Borrowed(text)
    }
}

fn diff(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> String {
    let mut changes = serde_json::Map::new();
    for (field, old) in before {
        let new = after.get(field).unwrap_or(&Value::Null);
        if old != new {
            changes.insert(field.clone(), serde_json::json!({"Old": old, "New": new, "Secret": false}));
        }
    }
    Value::Object(changes).to_string()
}
