//! All that is known of one event.

use annals_engine::FoundEvent;
use annals_model::audit_log::{AuditLog, PersonalActor, PlainActor, StoredEvent, outcome};
use annals_model::json::Text;
use annals_model::record::Group;
use annals_model::time::Time;
use annals_query::QUERY_BYTES_MAX;

use super::client_name::ClientName;
use super::diff_view::{self, DiffRow};
use super::json_text::laid_out;
use super::proof_line::ProofLine;
use super::query_text::term;
use super::row::{Actor, named};
use super::{format, history, search_href};

/// Bytes of an event's JSON that a button carries along; a longer one is behind its link only.
const COPIED_JSON_BYTES_MAX: usize = 64 * 1024;
/// What is around a moment: so many microseconds before and after.
const AROUND_US: i64 = 5 * 60 * 1_000_000;

/// The opened part of a row, and the body of the event's own page.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) id: String,
    /// Whether it stands on the event's own page.
    pub(super) is_page: bool,
    pub(super) summary: String,
    pub(super) links: Vec<(&'static str, String)>,
    pub(super) rows: Vec<DiffRow>,
    pub(super) no_changes: &'static str,
    pub(super) context: Vec<Entry>,
    /// JSON laid out, empty if there are no additional fields.
    pub(super) additional: String,
    pub(super) additional_erased: bool,
    /// The event as the API returns it, to be copied; empty if it is too long for that.
    pub(super) json: String,
    pub(super) proof: ProofLine,
}

/// A line of the context.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// The search for this value, or empty if nothing finds it.
    pub(super) href: String,
    pub(super) aside: String,
    /// The search for what stands aside, or empty.
    pub(super) aside_href: String,
    pub(super) kind: EntryKind,
}

/// How a value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Time,
    Text,
    /// Fixed width, with a button that copies it.
    Id,
}

impl Entry {
    pub(super) fn is_time(&self) -> bool {
        self.kind == EntryKind::Time
    }

    pub(super) fn is_id(&self) -> bool {
        self.kind == EntryKind::Id
    }
}

impl Detail {
    pub(super) fn new(found: &FoundEvent<'_>, proof: ProofLine, is_page: bool) -> Detail {
        let event = found.event;
        let rows = diff_view::rows(event);
        let summary = match rows.len() {
            0 => String::new(),
            1 => "1 field changed".to_owned(),
            count => format!("{count} fields changed"),
        };
        let action = event.body.action.as_str();
        let no_changes = match event.body.status_code {
            400.. => "Nothing changed: the action did not succeed.",
            _ if matches!(action, "login" | "logout") => "Signing in and out changes no field.",
            _ => "This event names no changed fields.",
        };
        let additional_erased = event.erased.contains(&Group::Details);
        let has_additional = !additional_erased && event.additional_fields.trim() != "{}";
        Detail {
            id: event.id.to_string(),
            is_page,
            summary,
            links: links(event, found.added.seq),
            rows,
            no_changes,
            context: context(event, found.added.seq),
            additional: if has_additional { laid_out(event.additional_fields) } else { String::new() },
            additional_erased,
            json: copied_json(found),
            proof,
        }
    }

    /// Address of the event as JSON.
    pub(super) fn json_href(&self) -> String {
        format!("/api/v2/audit/{}", self.id)
    }

    pub(super) fn href(&self) -> String {
        format!("/audit/events/{}", self.id)
    }
}

fn copied_json(found: &FoundEvent<'_>) -> String {
    // What cannot be written is damaged; the page of the event shows what can be read of it.
    let Ok(event) = AuditLog::new(found.event, found.added.clone()) else { return String::new() };
    let json = serde_json::to_string(&event).map(|json| laid_out(&json)).unwrap_or_default();
    if json.len() > COPIED_JSON_BYTES_MAX { String::new() } else { json }
}

/// The search that one term makes, or nothing if no query can say it.
pub(super) fn found_by(key: &str, value: &str) -> String {
    let query = if value.is_empty() { String::new() } else { term(key, value) };
    if query.is_empty() || query.len() > QUERY_BYTES_MAX { String::new() } else { search_href(&query, 1) }
}

/// The search for the events of a person, by the best that is known of them.
fn found_by_person(plain: Option<&PlainActor<'_>>, personal: &PersonalActor<'_>) -> String {
    let id = plain.map_or("", |plain| plain.id.as_str());
    match (personal.username.as_str(), personal.email.as_str()) {
        ("", "") => found_by("user_id", id),
        ("", email) => found_by("email", email),
        (username, _) => found_by("username", username),
    }
}

fn links(event: &StoredEvent<'_>, seq: u64) -> Vec<(&'static str, String)> {
    let body = &event.body;
    let kind = body.resource_type.as_str();
    let id = body.resource_id.as_str();
    let resource = match (id, &*event.target) {
        ("", "") => String::new(),
        ("", target) => term("resource_target", target),
        (id, _) => term("resource_id", id),
    };
    let resource_query = format!("{} {resource}", term("resource_type", kind));
    let is_searchable = !resource.is_empty() && resource_query.len() <= QUERY_BYTES_MAX;
    let moved = |us: i64| Time::from_micros_saturating(event.time.as_micros().saturating_add(us));
    let around = format!("time:{}..{}", moved(-AROUND_US), moved(AROUND_US));
    let links = [
        ("Same resource", if is_searchable { search_href(&resource_query, 1) } else { String::new() }),
        (
            "History of this resource",
            if id.is_empty() { String::new() } else { history::href(kind, id, Some(seq)) },
        ),
        ("Same request", found_by("request_id", body.request_id.as_str())),
        ("Same person", found_by_person(body.user.as_ref(), &event.who.user)),
        ("Same address", found_by("ip", event.origin.ip.as_str())),
        ("Around this time (5 minutes)", search_href(&around, 1)),
    ];
    links.into_iter().filter(|(_, href)| !href.is_empty()).collect()
}

/// The context while it is put together.
#[derive(Default)]
struct Context {
    entries: Vec<Entry>,
}

impl Context {
    /// Adds a line, unless there is nothing to say.
    fn push(&mut self, name: &'static str, value: &str, href: String, kind: EntryKind) -> &mut Context {
        if !value.is_empty() {
            let (value, aside, aside_href) = (value.to_owned(), String::new(), String::new());
            self.entries.push(Entry { name, value, href, aside, aside_href, kind });
        }
        self
    }

    /// Adds a line whose value a key finds.
    fn found(&mut self, name: &'static str, value: &str, key: &str, kind: EntryKind) -> &mut Context {
        self.push(name, value, found_by(key, value), kind)
    }

    /// Puts something beside the value of the last line.
    fn aside(&mut self, aside: &str, href: String) {
        if let Some(last) = self.entries.last_mut().filter(|_| !aside.is_empty()) {
            (last.aside, last.aside_href) = (aside.to_owned(), href);
        }
    }
}

fn joined(roles: &[Text<'_>]) -> String {
    roles.iter().map(Text::as_str).collect::<Vec<_>>().join(", ")
}

fn context(event: &StoredEvent<'_>, seq: u64) -> Vec<Entry> {
    use EntryKind::{Id, Text, Time};
    let body = &event.body;
    let mut context = Context::default();
    context.found("Time", &event.time.to_string(), "time", Time);
    context.push("Received", &event.received.to_string(), String::new(), Time);
    people(event, &mut context);
    if event.erased.contains(&Group::Origin) {
        context.push("Address", "erased", String::new(), Text);
    }
    context.found("Address", event.origin.ip.as_str(), "ip", Id);
    let user_agent = event.origin.user_agent.as_str();
    let client = ClientName::read(user_agent);
    context.push("Client", &client.program, found_by("user_agent", user_agent), Text);
    if !client.program.is_empty() {
        context.aside(client.system, String::new());
    }
    if user_agent != client.program {
        context.found("User agent", user_agent, "user_agent", Text);
    }
    if let Some(organization) = &body.organization {
        let id = organization.id.as_str();
        let (display, name) = (organization.display_name.as_str(), organization.name.as_str());
        let (value, aside) = if display.is_empty() || display == name { (name, "") } else { (display, name) };
        let by = [id, name, display].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        context.push("Organization", value, found_by("organization", by), Text);
        if value.is_empty() {
            context.found("Organization", id, "organization", Id);
        } else {
            context.aside(aside, String::new());
        }
    }
    let action = body.action.as_str();
    context.found("Type", body.resource_type.as_str(), "resource_type", Text);
    context.aside(action, found_by("action", action));
    context.found("Resource", &event.target, "resource_target", Text);
    context.found("Resource id", body.resource_id.as_str(), "resource_id", Id);
    let how = outcome(body.status_code);
    context
        .found("Status", &body.status_code.to_string(), "status_code", Text)
        .aside(how, found_by("outcome", how));
    context.found("Build reason", body.build_reason.as_str(), "build_reason", Text);
    context.found("Event id", &event.id.to_string(), "id", Id);
    context.found("Request id", body.request_id.as_str(), "request_id", Id);
    context.push("Sequence", &format::grouped(seq), found_by("seq", &seq.to_string()), Text);
    let source = body.source.as_str();
    context.found("Source", source, "source", Text);
    if let Some(number) = body.source_seq.filter(|_| !source.is_empty()) {
        context.aside(&format!("no. {}", format::grouped(number)), String::new());
    }
    context.entries
}

/// Who acted, as whom and for whom.
fn people(event: &StoredEvent<'_>, context: &mut Context) {
    use EntryKind::{Id, Text};
    let (body, who) = (&event.body, &event.who);
    let is_erased = event.erased.contains(&Group::Who);
    let actor = Actor::of(event);
    let href = match &actor {
        Actor::Named(_) | Actor::Erased => found_by_person(body.user.as_ref(), &who.user),
        _ => found_by("actor_type", body.actor_type.as_str()),
    };
    context.push("Actor", actor.name(), href, Text);
    if let Some(user) = &body.user {
        context.aside(&joined(&user.roles), String::new());
    }
    if actor.name() != who.user.name.as_str() {
        context.found("Name", who.user.name.as_str(), "text", Text);
    }
    if actor.name() != who.user.email.as_str() {
        context.found("Email", who.user.email.as_str(), "email", Text);
    }
    context.found("Actor type", body.actor_type.as_str(), "actor_type", Text);
    if let Some(user) = &body.user {
        context.found("Actor id", user.id.as_str(), "user_id", Id);
    }
    for (name, key, plain, personal) in [
        // The impersonator is who really acted; the actor is whose rights were used.
        ("Impersonator", "impersonator", &body.impersonator, &who.impersonator),
        ("On behalf of", "on_behalf_of", &body.on_behalf_of, &who.on_behalf_of),
    ] {
        let Some(other) = named(plain.as_ref(), personal, is_erased) else { continue };
        let id = plain.as_ref().map_or("", |plain| plain.id.as_str());
        let known = [personal.username.as_str(), personal.email.as_str(), id];
        let known = known.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        context.push(name, other.name(), found_by(key, known), Text);
        if let Some(plain) = plain {
            context.aside(&joined(&plain.roles), String::new());
        }
    }
}
