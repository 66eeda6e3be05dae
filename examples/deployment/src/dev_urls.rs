//! Ports of workspaces under addresses of their own.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::app::{App, new_id};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::resources::{DevUrl, OrganizationMember, view};
use crate::users::check_name;
use crate::workspaces::{find, in_workspace, of_workspace};

/// Who may open one.
const ACCESS: [&str; 4] = ["private", "org", "authed", "public"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDevUrl {
    name: String,
    port: u16,
    access: String,
}

/// Lists those of a workspace.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let (workspace, owner) = find(&rows, &id)?;
    caller.must_be_or(&owner.id, "owner")?;
    Ok(Json(rows.list::<DevUrl>(Some(&workspace.id))?.iter().map(view).collect()))
}

/// Adds one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<DevUrl>,
    Path(id): Path<String>,
    Json(body): Json<NewDevUrl>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let (workspace, owner) = find(&rows, &id)?;
    of_workspace(&mut audit, &rows, &caller, &workspace, &owner)?;
    audit.with("resource_target", body.name.clone());
    caller.must_be_or(&owner.id, "owner")?;
    check_name(&body.name)?;
    check_access(&body.access)?;
    let url = DevUrl {
        id: new_id(),
        name: body.name,
        workspace_id: workspace.id,
        port: body.port,
        access: body.access,
    };
    rows.put(&url)?;
    rows.commit()?;
    audit.after(url.clone());
    Ok((StatusCode::CREATED, Json(view(&url))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevUrlChange {
    access: String,
}

/// Says who may open one.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<DevUrl>,
    Path(id): Path<String>,
    Json(body): Json<DevUrlChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: DevUrl = rows.get(&id)?;
    let (workspace, owner) = find(&rows, &old.workspace_id)?;
    of_workspace(&mut audit, &rows, &caller, &workspace, &owner)?;
    audit.before(old.clone());
    caller.must_be_or(&owner.id, "owner")?;
    check_access(&body.access)?;
    let new = DevUrl { access: body.access, ..old };
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Removes one.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<DevUrl>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let old: DevUrl = rows.get(&id)?;
    let (workspace, owner) = find(&rows, &old.workspace_id)?;
    of_workspace(&mut audit, &rows, &caller, &workspace, &owner)?;
    audit.before(old.clone());
    caller.must_be_or(&owner.id, "owner")?;
    rows.remove(&old)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens one.
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<DevUrl>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let url: DevUrl = rows.get(&id)?;
    let (workspace, owner) = find(&rows, &url.workspace_id)?;
    in_workspace(&mut audit, &rows, &workspace, &owner)?;
    audit.action("open").before(url.clone()).after(url.clone());
    let is_member = || {
        let key = format!("{}/{}", workspace.organization_id, caller.user.id);
        rows.find::<OrganizationMember>(&key).map(|member| member.is_some())
    };
    let may = match url.access.as_str() {
        "private" => caller.user.id == owner.id,
        "org" => is_member()?,
        _ => true,
    };
    match may {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Fault::Forbidden),
    }
}

fn check_access(access: &str) -> Result<(), Fault> {
    match ACCESS.contains(&access) {
        true => Ok(()),
        false => Err(Fault::BadRequest(format!("access is one of {}", ACCESS.join(", ")))),
    }
}
