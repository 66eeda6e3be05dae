//! Groups: members of an organization with a quota.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::app::{App, new_id, within};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::resources::{Group, GroupMember, OrganizationMember, view};
use crate::users::{check_name, check_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    quota_allowance: u32,
}

/// Lists groups.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    caller.must_belong(&rows, &organization)?;
    Ok(Json(rows.list::<Group>(Some(&organization))?.iter().map(view).collect()))
}

/// Adds one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Group>,
    Path(organization): Path<String>,
    Json(body): Json<NewGroup>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let organization = within(&audit, &rows, &organization)?;
    audit.with("resource_target", body.name.clone());
    caller.must_be("user-admin")?;
    check_name(&body.name)?;
    check_text("display_name", &body.display_name)?;
    let group = Group {
        id: new_id(),
        name: body.name,
        display_name: body.display_name,
        avatar_url: String::new(),
        members: Vec::new(),
        quota_allowance: body.quota_allowance,
        organization_id: organization.id,
    };
    rows.put(&group)?;
    rows.commit()?;
    audit.after(group.clone());
    Ok((StatusCode::CREATED, Json(view(&group))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupChange {
    display_name: Option<String>,
    quota_allowance: Option<u32>,
    #[serde(default)]
    add_users: Vec<String>,
    #[serde(default)]
    remove_users: Vec<String>,
}

/// Changes one: what is named in the body.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Group>,
    Path(id): Path<String>,
    Json(body): Json<GroupChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: Group = rows.get(&id)?;
    within(&audit, &rows, &old.organization_id)?;
    audit.before(old.clone());
    caller.must_be("user-admin")?;
    let mut new = Group {
        display_name: body.display_name.unwrap_or_else(|| old.display_name.clone()),
        quota_allowance: body.quota_allowance.unwrap_or(old.quota_allowance),
        ..old
    };
    check_text("display_name", &new.display_name)?;
    new.members.retain(|member| !body.remove_users.contains(&member.user_id));
    for user_id in body.add_users {
        let member: OrganizationMember = rows.get(&format!("{}/{user_id}", new.organization_id))?;
        let member = GroupMember { user_id: member.user_id, group_id: new.id.clone() };
        if !new.members.contains(&member) {
            new.members.push(member);
        }
    }
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Removes one.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Group>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let old: Group = rows.get(&id)?;
    within(&audit, &rows, &old.organization_id)?;
    audit.before(old.clone());
    caller.must_be("user-admin")?;
    rows.remove(&old)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}
