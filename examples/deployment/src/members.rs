//! Who belongs to an organization, and their roles in it.

use std::sync::Arc;

use annals_client::{Audit, Event};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::app::{App, within};
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::resources::{Group, OrganizationMember, view};

/// Roles that a member can have.
const ROLES: [&str; 3] =
    ["organization-auditor", "organization-template-admin", "organization-workspace-creation-ban"];

/// Lists members.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    caller.must_belong(&rows, &organization)?;
    Ok(Json(rows.list::<OrganizationMember>(Some(&organization))?.iter().map(view).collect()))
}

/// Adds a user.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<OrganizationMember>,
    Path((organization, user)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let organization = within(&audit, &rows, &organization)?;
    let user = caller.user_named(&rows, &user)?;
    audit.with("resource_target", user.username.clone());
    caller.must_be("user-admin")?;
    let now = app.now();
    let member = OrganizationMember {
        user_id: user.id,
        organization_id: organization.id,
        username: user.username,
        roles: Vec::new(),
        created_at: now,
        updated_at: now,
    };
    if rows.find::<OrganizationMember>(&format!("{}/{}", member.organization_id, member.user_id))?.is_some() {
        return Err(Fault::Conflict(format!("`{}` is a member already", member.username)));
    }
    rows.put(&member)?;
    rows.commit()?;
    audit.after(member.clone());
    Ok((StatusCode::CREATED, Json(view(&member))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles {
    roles: Vec<String>,
}

/// Says which roles a member has.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<OrganizationMember>,
    Path((organization, user)): Path<(String, String)>,
    Json(body): Json<Roles>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old = find(&audit, &rows, &caller, &organization, &user)?;
    audit.before(old.clone());
    caller.must_be("user-admin")?;
    if let Some(role) = body.roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        return Err(Fault::BadRequest(format!("`{role}` is no role; there are {}", ROLES.join(", "))));
    }
    let new = OrganizationMember { roles: body.roles, updated_at: app.now(), ..old };
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Removes a user, from its groups too.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<OrganizationMember>,
    Path((organization, user)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let old = find(&audit, &rows, &caller, &organization, &user)?;
    audit.before(old.clone());
    caller.must_be("user-admin")?;
    rows.remove(&old)?;
    let left = leave_groups(&rows, Some(&organization), &old.user_id)?;
    rows.commit()?;
    for (before, after) in left {
        audit.context().event(Event::change("write", Some(&before), Some(&after))?);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn find(
    audit: &Audit<OrganizationMember>,
    rows: &Transaction<'_>,
    caller: &Caller,
    organization: &str,
    user: &str,
) -> Result<OrganizationMember, Fault> {
    let organization = within(audit, rows, organization)?;
    let user = caller.user_named(rows, user)?;
    rows.get(&format!("{}/{}", organization.id, user.id))
}

/// Takes a user out of the groups of an organization, or of all; returns the groups as they were and are.
pub(crate) fn leave_groups(
    rows: &Transaction<'_>,
    organization: Option<&str>,
    user_id: &str,
) -> Result<Vec<(Group, Group)>, Fault> {
    let mut changed = Vec::new();
    for old in rows.list::<Group>(organization)? {
        let mut new = old.clone();
        new.members.retain(|member| member.user_id != user_id);
        if new.members != old.members {
            rows.put(&new)?;
            changed.push((old, new));
        }
    }
    Ok(changed)
}
