//! All that is known of one event.

use annals_engine::FoundEvent;
use annals_model::audit_log::StoredEvent;
use annals_model::record::Group;

use super::client_name::ClientName;
use super::diff_view::{self, DiffRow};
use super::json_text::laid_out;
use super::query_text::term;
use super::row::{Actor, named};
use super::{format, search_href};

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
}

/// A line of the context.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) aside: String,
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
    pub(super) fn new(found: &FoundEvent<'_>, is_page: bool) -> Detail {
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
            links: links(event),
            rows,
            no_changes,
            context: context(event, found.added.seq),
            additional: if has_additional { laid_out(event.additional_fields) } else { String::new() },
            additional_erased,
        }
    }

    pub(super) fn href(&self) -> String {
        format!("/audit/events/{}", self.id)
    }
}

fn links(event: &StoredEvent<'_>) -> Vec<(&'static str, String)> {
    let body = &event.body;
    let mut links = Vec::new();
    let kind = term("resource_type", body.resource_type.as_str());
    let resource = match (body.resource_id.as_str(), &*event.target) {
        ("", "") => None,
        ("", target) => Some(term("resource_target", target)),
        (id, _) => Some(term("resource_id", id)),
    };
    if let Some(resource) = resource {
        links.push(("Filter by this resource", format!("{kind} {resource}")));
    }
    if !body.request_id.as_str().is_empty() {
        links.push(("Same request", term("request_id", body.request_id.as_str())));
    }
    let user_id = body.user.as_ref().map_or("", |user| user.id.as_str());
    match (event.who.user.username.as_str(), user_id) {
        ("", "") => {}
        ("", id) => links.push(("Same person", term("user_id", id))),
        (username, _) => links.push(("Same person", term("username", username))),
    }
    links.into_iter().map(|(name, query)| (name, search_href(&query, 1))).collect()
}

fn context(event: &StoredEvent<'_>, seq: u64) -> Vec<Entry> {
    let body = &event.body;
    let mut entries = Vec::new();
    let mut push = |name, value: &str, aside: &str, kind| {
        if !value.is_empty() {
            entries.push(Entry { name, value: value.to_owned(), aside: aside.to_owned(), kind });
        }
    };
    let who_erased = event.erased.contains(&Group::Who);
    let origin_erased = event.erased.contains(&Group::Origin);
    let roles = |roles: &[annals_model::json::Text<'_>]| {
        roles.iter().map(annals_model::json::Text::as_str).collect::<Vec<_>>().join(", ")
    };

    push("Time", &event.time.to_string(), "", EntryKind::Time);
    push("Received", &event.received.to_string(), "", EntryKind::Time);
    let actor = Actor::of(event);
    let user_roles = body.user.as_ref().map(|user| roles(&user.roles)).unwrap_or_default();
    push("Actor", actor.name(), &user_roles, EntryKind::Text);
    if actor.name() != event.who.user.name.as_str() {
        push("Name", event.who.user.name.as_str(), "", EntryKind::Text);
    }
    if actor.name() != event.who.user.email.as_str() {
        push("Email", event.who.user.email.as_str(), "", EntryKind::Text);
    }
    push("Actor type", body.actor_type.as_str(), "", EntryKind::Text);
    if let Some(user) = &body.user {
        push("Actor id", user.id.as_str(), "", EntryKind::Id);
    }
    for (name, plain, personal) in [
        // The impersonator is who really acted; the actor is whose rights were used.
        ("Impersonator", &body.impersonator, &event.who.impersonator),
        ("On behalf of", &body.on_behalf_of, &event.who.on_behalf_of),
    ] {
        let Some(other) = named(plain.as_ref(), personal, who_erased) else { continue };
        let other_roles = plain.as_ref().map(|plain| roles(&plain.roles)).unwrap_or_default();
        push(name, other.name(), &other_roles, EntryKind::Text);
    }
    if origin_erased {
        push("Address", "erased", "", EntryKind::Text);
    }
    push("Address", event.origin.ip.as_str(), "", EntryKind::Id);
    let user_agent = event.origin.user_agent.as_str();
    let client = ClientName::read(user_agent);
    push("Client", &client.program, client.system, EntryKind::Text);
    if user_agent != client.program {
        push("User agent", user_agent, "", EntryKind::Text);
    }
    if let Some(organization) = &body.organization {
        let (display, name) = (organization.display_name.as_str(), organization.name.as_str());
        let (value, aside) = if display.is_empty() || display == name { (name, "") } else { (display, name) };
        push("Organization", value, aside, EntryKind::Text);
        if value.is_empty() {
            push("Organization", organization.id.as_str(), "", EntryKind::Id);
        }
    }
    push("Type", body.resource_type.as_str(), body.action.as_str(), EntryKind::Text);
    push("Resource", &event.target, "", EntryKind::Text);
    push("Resource id", body.resource_id.as_str(), "", EntryKind::Id);
    push(
        "Status",
        &body.status_code.to_string(),
        annals_model::audit_log::outcome(body.status_code),
        EntryKind::Text,
    );
    push("Build reason", body.build_reason.as_str(), "", EntryKind::Text);
    push("Event id", &event.id.to_string(), "", EntryKind::Id);
    push("Request id", body.request_id.as_str(), "", EntryKind::Id);
    push("Sequence", &format::grouped(seq), "", EntryKind::Text);
    let source_seq = body.source_seq.map(|seq| format!("no. {}", format::grouped(seq))).unwrap_or_default();
    push("Source", body.source.as_str(), &source_seq, EntryKind::Text);
    entries
}
