//! From the wire form to what is stored: every check, the diff, and the split into body and personal groups.
//!
//! This is the only way into the log, for producers, importers and Annals itself.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::audit_log::Body;
use crate::diff::{self, Diff, DiffError, FieldChange};
use crate::event::{Fault, NewActor, NewEvent, NewOrganization};
use crate::id::{EventId, normalise};
use crate::json::{self, Kind, Text};
use crate::limits::{ID_BYTES_MAX, NAME_BYTES_MAX, ROLES_MAX, TEXT_BYTES_MAX};
use crate::record::{Group, LeafKind, Opening, Record};
use crate::registry::{Registry, ResourceType};
use crate::time::Time;

/// What events are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// Types, actions and policies.
    pub registry: &'r Registry,
    /// Its version, recorded in each leaf.
    pub registry_version: u32,
    /// Takes unknown resource types and actions; their diffs hold secrets only.
    pub allow_unknown: bool,
}

/// An event that passed every check, without its random parts and its position.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Identity; given by the producer or made by the server.
    pub id: EventId,
    /// The producer gave the id, so a repetition is possible.
    pub has_own_id: bool,
    /// When it happened.
    pub time: Time,
    /// The producer gave the time, so it takes part in comparing a repetition.
    pub has_own_time: bool,
    /// When the server took it.
    pub received: Time,
    /// JSON text with the personal groups replaced.
    pub body: String,
    /// The personal groups.
    pub groups: Vec<(Group, String)>,
    /// What its leaf records.
    pub kind: LeafKind,
    /// Type and id of a resource that this event deletes.
    pub deletes: Option<(String, String)>,
    /// The source that it names, and the number that it has there.
    pub source: Option<(String, Option<u64>)>,
    /// Things the producer should know.
    pub warnings: Vec<Warning>,
    registry_version: u32,
}

/// Something that was recorded otherwise than the producer may expect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Warning {
    /// Which event of the request, from 0.
    pub index: usize,
    /// JSON Pointer inside the event.
    pub pointer: String,
    /// What happened and what to do.
    pub detail: String,
}

/// Random bytes for one event: a nonce, and a salt for each group.
#[derive(Debug, Clone, Copy)]
pub struct Salts {
    /// Hides the body.
    pub nonce: [u8; 16],
    /// Hide the groups, by the order of the openings.
    pub groups: [[u8; 16]; Group::ALL.len()],
}

impl Salts {
    /// Random bytes that one event needs.
    pub const BYTES: usize = 16 + 16 * Group::ALL.len();

    /// Cuts a block of random bytes from the system's generator into salts.
    pub fn from_bytes(bytes: &[u8; Salts::BYTES]) -> Salts {
        let mut salts = Salts { nonce: [0; 16], groups: [[0; 16]; Group::ALL.len()] };
        let (nonce, groups) = bytes.split_at(16);
        salts.nonce.copy_from_slice(nonce);
        for (salt, bytes) in salts.groups.iter_mut().zip(groups.chunks_exact(16)) {
            salt.copy_from_slice(bytes);
        }
        salts
    }
}

impl Prepared {
    /// Returns the stored form.
    pub fn record<'a>(&'a self, salts: &Salts) -> Record<'a> {
        let openings = self.groups.iter().zip(salts.groups).map(|((group, value), salt)| Opening::Present {
            path: group.path(),
            salt,
            value,
        });
        Record {
            id: self.id,
            kind: self.kind,
            time: self.time,
            received: self.received,
            registry_version: self.registry_version,
            nonce: salts.nonce,
            body: &self.body,
            openings: openings.collect(),
            dropped: None,
        }
    }

    /// Says whether a stored event has the same content: body and personal groups, and the time if the producer gave
    /// one. Erased groups count as the same, as nothing is left to compare.
    ///
    /// Under another version of the registry the diff may have come out otherwise: then only what no policy touches is
    /// compared, so that a producer's retry is not refused for ever because a field became secret meanwhile.
    pub fn is_same_as(&self, stored: &Record<'_>) -> bool {
        if stored.dropped.is_some() {
            // Nothing is left to compare.
            return true;
        }
        if self.registry_version != stored.registry_version {
            return (!self.has_own_time || self.time == stored.time)
                && Body::untouched_by_policy(&self.body) == Body::untouched_by_policy(stored.body);
        }
        self.body == stored.body
            && (!self.has_own_time || self.time == stored.time)
            && self.groups.len() == stored.openings.len()
            && self.groups.iter().zip(&stored.openings).all(|((group, value), opening)| match opening {
                Opening::Present { path, value: stored, .. } => *path == group.path() && stored == value,
                Opening::Erased { path, .. } => *path == group.path(),
            })
    }
}

/// Checks one event and makes its stored form.
///
/// `index` is its place in the request, for faults and warnings; `made_id` is used if the event brings no id.
///
/// # Errors
/// Every fault of the event, not only the first.
pub fn prepare(
    event: NewEvent<'_>,
    index: usize,
    rules: &Rules<'_>,
    received: Time,
    made_id: EventId,
) -> Result<Prepared, Vec<Fault>> {
    Preparation { index, rules, faults: Vec::new(), warnings: Vec::new() }.run(event, received, made_id)
}

struct Preparation<'r> {
    index: usize,
    rules: &'r Rules<'r>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl<'r> Preparation<'r> {
    fn run(mut self, event: NewEvent<'_>, received: Time, made_id: EventId) -> Result<Prepared, Vec<Fault>> {
        let own_id = self.uuid("/id", event.id.as_ref());
        let own_time = event.time.as_ref().filter(|text| !text.as_str().is_empty());
        let time = match own_time.map(|text| Time::parse(text.as_str())) {
            None => received,
            Some(Ok(time)) => time,
            Some(Err(error)) => {
                self.fault("/time", error.to_string(), None);
                received
            }
        };
        let action = self.action(event.action.as_ref());
        let kind = self.text("/resource_type", event.resource_type.as_ref(), NAME_BYTES_MAX);
        let resource = self.resource(kind);
        let status_code = event.status_code.unwrap_or(200);
        if status_code > 999 {
            self.fault("/status_code", format!("`{status_code}` is not an HTTP status (0 to 999)"), None);
        }
        let resource_id = self.id("/resource_id", event.resource_id.as_ref());
        let target = self.text("/resource_target", event.resource_target.as_ref(), TEXT_BYTES_MAX);
        if resource_id.is_empty() && target.is_empty() {
            let hint = "`resource_id` is any text up to 200 bytes; `resource_target` is the name people know";
            self.fault(
                "",
                "one of `resource_id` and `resource_target` is required".to_owned(),
                Some(hint.to_owned()),
            );
        }
        let actor = self.actor_type(&event);
        let is_personal_type = resource.is_some_and(|resource| resource.personal_target);
        let diff = self.diff(&event, resource, action, status_code);
        let additional = self.additional_fields(event.additional_fields);

        let mut groups: Vec<(Group, String)> = Vec::new();
        let mut body = Vec::with_capacity(1_024);
        body.push(b'{');
        member(&mut body, "action", action);
        member(&mut body, "resource_type", kind);
        member(&mut body, "resource_id", &resource_id);
        if is_personal_type && !target.is_empty() {
            groups.push((Group::Target, quoted(target)));
        } else {
            member(&mut body, "resource_target", target);
        }
        member(
            &mut body,
            "resource_icon",
            self.text("/resource_icon", event.resource_icon.as_ref(), TEXT_BYTES_MAX),
        );
        number_member(&mut body, "status_code", u64::from(status_code));
        member(&mut body, "actor_type", actor);
        let mut who = Vec::new();
        for (name, actor) in [
            ("user", event.user.as_ref()),
            ("impersonator", event.impersonator.as_ref()),
            ("on_behalf_of", event.on_behalf_of.as_ref()),
        ] {
            if let Some(actor) = actor {
                self.actor(&mut body, &mut who, name, actor);
            }
        }
        if let Some(organization) = &event.organization {
            self.organization(&mut body, organization);
        }
        if let Some(request_id) = self.uuid("/request_id", event.request_id.as_ref()) {
            member(&mut body, "request_id", &request_id.to_string());
        }
        let given_reason = self.text("/build_reason", event.build_reason.as_ref(), NAME_BYTES_MAX);
        let reason = if given_reason.is_empty() {
            additional.as_ref().map(|fields| text_member(fields, "build_reason")).unwrap_or_default()
        } else {
            Cow::Borrowed(given_reason)
        };
        member(&mut body, "build_reason", &reason);
        push_diff(&mut body, &mut groups, &diff.changes);
        if let Some(fields) =
            event.additional_fields.filter(|_| additional.as_ref().is_some_and(|f| !f.is_empty()))
        {
            let mut compact = Vec::with_capacity(fields.get().len());
            json::push_compact(&mut compact, fields);
            // Producers put names and addresses here too, so it must be erasable.
            groups.push((Group::Details, text_of(compact)));
        }
        member(&mut body, "source", self.text("/source", event.source.as_ref(), NAME_BYTES_MAX));
        if let Some(source_seq) = event.source_seq {
            number_member(&mut body, "source_seq", source_seq);
        }
        if !who.is_empty() {
            groups.push((Group::Who, format!("{{{}}}", text_of(who))));
        }
        if let Some(origin) = self.origin(&event) {
            groups.push((Group::Origin, origin));
        }
        groups.sort_by_key(|(group, _)| *group);
        for (at, (group, _)) in groups.iter().enumerate() {
            name_member(&mut body, &group.path()[1..]);
            body.extend_from_slice(format!("{{\"$f\":{at}}}").as_bytes());
        }
        body.push(b'}');

        self.warn_unclassified(kind, &diff);
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let source = event.source.as_ref().map(Text::as_str).filter(|source| !source.is_empty());
        let source = source.map(|source| (source.to_owned(), event.source_seq));
        let deletes = (action == "delete" && status_code < 400 && !resource_id.is_empty())
            .then(|| (kind.to_owned(), resource_id.clone().into_owned()));
        Ok(Prepared {
            id: own_id.map_or(made_id, EventId::new),
            has_own_id: own_id.is_some(),
            time,
            has_own_time: own_time.is_some(),
            received,
            body: text_of(body),
            groups,
            kind: LeafKind::Event,
            deletes,
            source,
            warnings: self.warnings,
            registry_version: self.rules.registry_version,
        })
    }

    fn fault(&mut self, pointer: &str, detail: String, hint: Option<String>) {
        self.faults.push(Fault { index: self.index, pointer: pointer.to_owned(), detail, hint });
    }

    fn text<'t>(&mut self, pointer: &str, text: Option<&'t Text<'_>>, bytes_max: usize) -> &'t str {
        let text = text.map_or("", Text::as_str);
        if text.len() > bytes_max {
            self.fault(pointer, format!("{} bytes, more than the limit of {bytes_max}", text.len()), None);
        }
        text
    }

    /// An identity: UUID spellings made one, the nil UUID as absent (Coder writes it for "none").
    fn id<'t>(&mut self, pointer: &str, text: Option<&'t Text<'_>>) -> Cow<'t, str> {
        let id = normalise(self.text(pointer, text, ID_BYTES_MAX));
        if id == NIL_UUID { Cow::Borrowed("") } else { id }
    }

    fn uuid(&mut self, pointer: &str, text: Option<&Text<'_>>) -> Option<Uuid> {
        let text = text.map(Text::as_str).filter(|text| !text.is_empty())?;
        match Uuid::try_parse(text) {
            Ok(uuid) => Some(uuid).filter(|uuid| !uuid.is_nil()),
            Err(_) => {
                let shown: String = text.chars().take(64).collect();
                self.fault(pointer, format!("`{shown}` is not a UUID"), None);
                None
            }
        }
    }

    fn action<'t>(&mut self, text: Option<&'t Text<'_>>) -> &'t str {
        let action = self.text("/action", text, NAME_BYTES_MAX);
        if action.is_empty() {
            self.fault("/action", "`action` is required".to_owned(), None);
        } else if self.rules.registry.action(action).is_none() && !self.rules.allow_unknown {
            let nearest = self.rules.registry.nearest_action(action);
            let hint = hint_for(nearest, &self.rules.registry.toml_to_add_action(action));
            self.fault("/action", format!("unknown action `{action}`"), Some(hint));
        }
        action
    }

    fn resource(&mut self, kind: &str) -> Option<&'r ResourceType> {
        let registry: &'r Registry = self.rules.registry;
        let resource = registry.resource(kind);
        if kind.is_empty() {
            self.fault("/resource_type", "`resource_type` is required".to_owned(), None);
        } else if resource.is_none() && !self.rules.allow_unknown {
            let hint = hint_for(registry.nearest_resource(kind), &registry.toml_to_add_resource(kind));
            self.fault("/resource_type", format!("unknown resource type `{kind}`"), Some(hint));
        }
        resource
    }

    fn actor_type(&mut self, event: &NewEvent<'_>) -> &'static str {
        let given = event.actor_type.as_ref().map_or("", Text::as_str);
        if let Some(known) = ACTOR_TYPES.iter().find(|known| **known == given) {
            return known;
        }
        if !given.is_empty() {
            let shown: String = given.chars().take(64).collect();
            let expected = ACTOR_TYPES.join("`, `");
            self.fault("/actor_type", format!("`{shown}` is not one of `{expected}`"), None);
        }
        let automatic = event.additional_fields.is_some_and(|fields| {
            json::kind(fields) == Kind::Object
                && json::members(fields)
                    .is_ok_and(|members| !text_member(&members, "automatic_actor").is_empty())
        });
        let named = |actor: &NewActor<'_>| {
            [&actor.id, &actor.username, &actor.email]
                .into_iter()
                .flatten()
                .any(|text| !text.as_str().is_empty())
        };
        match (automatic, event.user.as_ref().is_some_and(named)) {
            (true, _) => "system",
            (false, true) => "user",
            (false, false) => "anonymous",
        }
    }

    /// Writes id and roles into the body and the rest of the person into the group of personal names.
    fn actor(&mut self, body: &mut Vec<u8>, who: &mut Vec<u8>, name: &str, actor: &NewActor<'_>) {
        let id = self.id(&format!("/{name}/id"), actor.id.as_ref());
        let roles = actor.roles.as_deref().unwrap_or_default();
        if roles.len() > ROLES_MAX {
            let detail = format!("{} roles, more than the limit of {ROLES_MAX}", roles.len());
            self.fault(&format!("/{name}/roles"), detail, None);
        }
        let mut plain = vec![b'{'];
        member(&mut plain, "id", &id);
        if !roles.is_empty() {
            name_member(&mut plain, "roles");
            plain.push(b'[');
            for (at, role) in roles.iter().enumerate() {
                if at > 0 {
                    plain.push(b',');
                }
                json::push_text(
                    &mut plain,
                    self.text(&format!("/{name}/roles/{at}"), Some(role), NAME_BYTES_MAX),
                );
            }
            plain.push(b']');
        }
        plain.push(b'}');
        if plain.len() > 2 {
            name_member(body, name);
            body.extend_from_slice(&plain);
        }
        let mut personal = vec![b'{'];
        for (key, value) in [
            ("username", &actor.username),
            ("email", &actor.email),
            ("name", &actor.name),
            ("avatar_url", &actor.avatar_url),
        ] {
            member(&mut personal, key, self.text(&format!("/{name}/{key}"), value.as_ref(), TEXT_BYTES_MAX));
        }
        personal.push(b'}');
        if personal.len() > 2 {
            if !who.is_empty() {
                who.push(b',');
            }
            json::push_text(who, name);
            who.push(b':');
            who.extend_from_slice(&personal);
        }
    }

    fn organization(&mut self, body: &mut Vec<u8>, organization: &NewOrganization<'_>) {
        let mut plain = vec![b'{'];
        member(&mut plain, "id", &self.id("/organization/id", organization.id.as_ref()));
        for (key, value) in [
            ("name", &organization.name),
            ("display_name", &organization.display_name),
            ("icon", &organization.icon),
        ] {
            member(
                &mut plain,
                key,
                self.text(&format!("/organization/{key}"), value.as_ref(), TEXT_BYTES_MAX),
            );
        }
        plain.push(b'}');
        if plain.len() > 2 {
            name_member(body, "organization");
            body.extend_from_slice(&plain);
        }
    }

    fn origin(&mut self, event: &NewEvent<'_>) -> Option<String> {
        let mut origin = vec![b'{'];
        let ip = event.ip.as_ref().map_or("", Text::as_str);
        if !ip.is_empty() {
            match ip.parse::<IpAddr>() {
                Ok(address) => member(&mut origin, "ip", &address.to_string()),
                Err(_) => {
                    let shown: String = ip.chars().take(64).collect();
                    self.fault("/ip", format!("`{shown}` is not an IP address"), None);
                }
            }
        }
        member(
            &mut origin,
            "user_agent",
            self.text("/user_agent", event.user_agent.as_ref(), TEXT_BYTES_MAX),
        );
        origin.push(b'}');
        (origin.len() > 2).then(|| text_of(origin))
    }

    fn diff<'e>(
        &mut self,
        event: &NewEvent<'e>,
        resource: Option<&ResourceType>,
        action: &str,
        status_code: u16,
    ) -> Diff<'e> {
        let has_snapshots = event.before.is_some() || event.after.is_some();
        let (pointer, result) = match event.diff {
            Some(_) if has_snapshots => {
                let detail = "`diff` stands beside `before` or `after`; send one or the other".to_owned();
                self.fault("/diff", detail, None);
                return Diff::default();
            }
            Some(ready) => ("/diff", diff::from_ready(resource, ready)),
            None => ("", diff::between(resource, event.before, event.after)),
        };
        match result {
            // Coder's rule: what failed changed nothing, and a log-in is no change of the session's owner.
            Ok(_) if status_code >= 400 || matches!(action, "login" | "logout") => Diff::default(),
            Ok(diff) => diff,
            Err(DiffError::Json(fault)) => {
                let side = if pointer.is_empty() { self.bad_side(event) } else { pointer };
                self.fault(&format!("{side}{}", fault.pointer), fault.detail, None);
                Diff::default()
            }
            Err(error) => {
                self.fault(pointer, error.to_string(), None);
                Diff::default()
            }
        }
    }

    /// The side whose JSON is at fault; asked only after a fault was found.
    fn bad_side(&self, event: &NewEvent<'_>) -> &'static str {
        match event.before {
            Some(before) if diff::between(None, Some(before), None).is_err() => "/before",
            _ => "/after",
        }
    }

    fn additional_fields<'e>(
        &mut self,
        fields: Option<&'e RawValue>,
    ) -> Option<Vec<(Cow<'e, str>, &'e RawValue)>> {
        let fields = fields.filter(|fields| json::kind(fields) != Kind::Null)?;
        if json::kind(fields) != Kind::Object {
            self.fault("/additional_fields", "`additional_fields` is a JSON object".to_owned(), None);
            return None;
        }
        match json::check(fields).and_then(|()| json::members(fields)) {
            Ok(members) => Some(members),
            Err(fault) => {
                self.fault(&format!("/additional_fields{}", fault.pointer), fault.detail, None);
                None
            }
        }
    }

    fn warn_unclassified(&mut self, kind: &str, diff: &Diff<'_>) {
        for field in &diff.unclassified {
            let detail = format!(
                "field `{field}` of `{kind}` has no policy: its change is recorded, its value is withheld; \
                 add `{field} = \"track\"` under [resource.fields]"
            );
            let pointer = format!("/{}", json::escape_pointer(field));
            self.warnings.push(Warning { index: self.index, pointer, detail });
        }
    }
}

/// Who may act.
pub const ACTOR_TYPES: [&str; 4] = ["user", "service", "system", "anonymous"];

const NIL_UUID: &str = "00000000-0000-0000-0000-000000000000";

fn hint_for(nearest: Option<&str>, toml: &str) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? To add it, register:\n{toml}"),
        None => format!("to add it, register:\n{toml}"),
    }
}

/// Splits the changes: names and withheld values stay in the body, personal values go into the groups of each side.
fn push_diff(body: &mut Vec<u8>, groups: &mut Vec<(Group, String)>, changes: &[FieldChange<'_>]) {
    if changes.is_empty() {
        return;
    }
    let mut sides = [vec![b'{'], vec![b'{']];
    name_member(body, "diff");
    body.push(b'{');
    for (at, change) in changes.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        json::push_text(body, &change.field);
        body.extend_from_slice(b":{");
        let mark = body.len();
        for ((name, value), personal) in
            [("old", &change.old), ("new", &change.new)].into_iter().zip(&mut sides)
        {
            let Some(value) = value else { continue };
            if change.personal && !change.secret {
                name_member(personal, &change.field);
                personal.extend_from_slice(value.as_bytes());
            } else {
                if body.len() > mark {
                    body.push(b',');
                }
                json::push_text(body, name);
                body.push(b':');
                body.extend_from_slice(value.as_bytes());
            }
        }
        for (name, mark_it) in [("secret", change.secret), ("personal", change.personal && !change.secret)] {
            if mark_it {
                if body.len() > mark {
                    body.push(b',');
                }
                json::push_text(body, name);
                body.extend_from_slice(b":true");
            }
        }
        body.push(b'}');
    }
    body.push(b'}');
    for (group, mut side) in [Group::DiffOld, Group::DiffNew].into_iter().zip(sides) {
        if side.len() > 1 {
            side.push(b'}');
            groups.push((group, text_of(side)));
        }
    }
}

/// Starts a member of an object whose opening brace is already written.
fn name_member(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    json::push_text(out, name);
    out.push(b':');
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        name_member(out, name);
        json::push_text(out, value);
    }
}

fn number_member(out: &mut Vec<u8>, name: &str, value: u64) {
    name_member(out, name);
    out.extend_from_slice(value.to_string().as_bytes());
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text always serialises")
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON built from texts is a text")
}

fn text_member<'e>(members: &[(Cow<'e, str>, &'e RawValue)], name: &str) -> Cow<'e, str> {
    let found = members.iter().find(|(key, _)| key == name);
    found.and_then(|(_, value)| json::text(value)).unwrap_or_default()
}
