//! A stored event as the index sees it.

use annals_model::audit_log::{PersonalActor, PlainActor, StoredEvent};
use annals_query::{Actor, Document};
use uuid::Uuid;

/// Borrows the searchable parts of a stored event.
pub(crate) fn document<'e>(event: &'e StoredEvent<'_>, seq: u64) -> Document<'e> {
    let body = &event.body;
    let organization = body.organization.as_ref();
    Document {
        seq,
        time_us: event.time.as_micros(),
        id: event.id.uuid(),
        resource_type: body.resource_type.as_str(),
        resource_id: body.resource_id.as_str(),
        resource_target: &event.target,
        action: body.action.as_str(),
        actor_type: body.actor_type.as_str(),
        user: actor(body.user.as_ref(), &event.who.user),
        impersonator: actor(body.impersonator.as_ref(), &event.who.impersonator),
        on_behalf_of: actor(body.on_behalf_of.as_ref(), &event.who.on_behalf_of),
        organization_id: organization.map_or("", |organization| organization.id.as_str()),
        organization_name: organization.map_or("", |organization| organization.name.as_str()),
        organization_display_name: organization.map_or("", |organization| organization.display_name.as_str()),
        ip: event.origin.ip.as_str().parse().ok(),
        user_agent: event.origin.user_agent.as_str(),
        request_id: Uuid::try_parse(body.request_id.as_str()).ok(),
        status_code: body.status_code,
        build_reason: body.build_reason.as_str(),
        changed: event.changes.iter().map(|change| change.field.as_ref()).collect(),
        source: body.source.as_str(),
    }
}

fn actor<'e>(plain: Option<&'e PlainActor<'_>>, personal: &'e PersonalActor<'_>) -> Actor<'e> {
    Actor {
        id: plain.map_or("", |plain| plain.id.as_str()),
        username: personal.username.as_str(),
        email: personal.email.as_str(),
        name: personal.name.as_str(),
    }
}
