//! Clusters that run workspaces. One that is cordoned takes no new ones.

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
use crate::resources::{WorkspaceProvider, view};
use crate::users::check_name;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProvider {
    name: String,
}

/// Lists them.
pub(crate) async fn list(State(app): State<Arc<App>>, _: Caller) -> Result<Json<Value>, Fault> {
    Ok(Json(app.begin()?.list::<WorkspaceProvider>(None)?.iter().map(view).collect()))
}

/// Adds one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<WorkspaceProvider>,
    Json(body): Json<NewProvider>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.with("resource_target", body.name.clone());
    caller.must_be("owner")?;
    check_name(&body.name)?;
    let provider = WorkspaceProvider { id: new_id(), name: body.name, is_cordoned: false };
    let rows = app.begin()?;
    rows.put(&provider)?;
    rows.commit()?;
    audit.after(provider.clone());
    Ok((StatusCode::CREATED, Json(view(&provider))))
}

/// Takes no new workspaces.
pub(crate) async fn cordon(
    app: State<Arc<App>>,
    caller: Caller,
    audit: Audit<WorkspaceProvider>,
    id: Path<String>,
) -> Result<Json<Value>, Fault> {
    set(app, caller, audit, id, true)
}

/// Takes new ones again.
pub(crate) async fn uncordon(
    app: State<Arc<App>>,
    caller: Caller,
    audit: Audit<WorkspaceProvider>,
    id: Path<String>,
) -> Result<Json<Value>, Fault> {
    set(app, caller, audit, id, false)
}

fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<WorkspaceProvider>,
    Path(id): Path<String>,
    is_cordoned: bool,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: WorkspaceProvider = rows.get(&id)?;
    audit.action(if is_cordoned { "cordon" } else { "uncordon" }).before(old.clone());
    caller.must_be("owner")?;
    let new = WorkspaceProvider { is_cordoned, ..old };
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}
