//! Values that a user's workspaces may read.

use std::sync::Arc;
use std::time::Duration;

use annals_client::{Audit, AuditContext, Event};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, new_id};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::resources::{Secret, view};
use crate::users::{check_name, check_text};

/// How long whoever wants to see a secret waits for the log.
const LOG_WAIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    name: String,
    #[serde(default)]
    description: String,
    value: String,
}

/// Lists the caller's, without their values.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Fault> {
    Ok(Json(app.begin()?.list::<Secret>(Some(&caller.user.id))?.iter().map(view).collect()))
}

/// Adds one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Secret>,
    Json(body): Json<NewSecret>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.with("resource_target", body.name.clone());
    caller.must_be_themselves()?;
    check_name(&body.name)?;
    check_text("description", &body.description)?;
    let secret = Secret {
        id: new_id(),
        name: body.name,
        user_id: caller.user.id,
        description: body.description,
        value: body.value,
    };
    let rows = app.begin()?;
    rows.put(&secret)?;
    rows.commit()?;
    audit.after(secret.clone());
    Ok((StatusCode::CREATED, Json(view(&secret))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretChange {
    description: Option<String>,
    value: Option<String>,
}

/// Changes one: what is named in the body.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Secret>,
    Path(id): Path<String>,
    Json(body): Json<SecretChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: Secret = rows.get(&id)?;
    audit.before(old.clone());
    must_own(&caller, &old)?;
    check_text("description", body.description.as_deref().unwrap_or_default())?;
    let new = Secret {
        description: body.description.unwrap_or(old.description),
        value: body.value.unwrap_or(old.value),
        ..old
    };
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Shows the value: only once the log has on its disk who saw it. Where the log did not say so in time, nothing is shown, and the event may still come:
/// `view` says who may have seen it.
pub(crate) async fn show_value(
    State(app): State<Arc<App>>,
    caller: Caller,
    context: AuditContext,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let secret: Secret = app.begin()?.get(&id)?;
    let is_own = must_own(&caller, &secret);
    let status = if is_own.is_ok() { 200 } else { 403 };
    let event = Event::change("view", Some(&secret), Some(&secret))?.status(status);
    app.auditor.emit_durable(&context.complete(event), LOG_WAIT).await?;
    is_own?;
    Ok(Json(json!({"value": secret.value})))
}

/// Removes one.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Secret>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let old: Secret = rows.get(&id)?;
    audit.before(old.clone());
    must_own(&caller, &old)?;
    rows.remove(&old)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}

/// Also who acts in the owner's place is not the owner.
fn must_own(caller: &Caller, secret: &Secret) -> Result<(), Fault> {
    caller.must_be_themselves()?;
    if secret.user_id == caller.user.id { Ok(()) } else { Err(Fault::Forbidden) }
}
