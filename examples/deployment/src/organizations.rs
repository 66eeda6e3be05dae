//! Organizations.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::app::{App, new_id, organization_member, within};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::resources::{Group, Organization, OrganizationMember, Template, view};
use crate::users::{check_name, check_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrganization {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
}

/// Lists organizations.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let organizations = rows.list::<Organization>(None)?;
    let is_shown = |organization: &&Organization| caller.must_belong(&rows, &organization.id).is_ok();
    Ok(Json(organizations.iter().filter(is_shown).map(view).collect()))
}

/// Adds one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Organization>,
    Json(body): Json<NewOrganization>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.with("resource_target", body.name.clone());
    caller.must_be("owner")?;
    check_name(&body.name)?;
    check_text("display_name", &body.display_name)?;
    check_text("description", &body.description)?;
    let now = app.now();
    let organization = Organization {
        id: new_id(),
        name: body.name,
        display_name: body.display_name,
        description: body.description,
        created_at: now,
        updated_at: now,
    };
    let rows = app.begin()?;
    rows.put(&organization)?;
    rows.commit()?;
    audit.context().with("organization", organization_member(&organization));
    audit.after(organization.clone());
    Ok((StatusCode::CREATED, Json(view(&organization))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationChange {
    display_name: Option<String>,
    description: Option<String>,
}

/// Changes one: what is named in the body.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Organization>,
    Path(id): Path<String>,
    Json(body): Json<OrganizationChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old = within(&audit, &rows, &id)?;
    audit.before(old.clone());
    caller.must_be("owner")?;
    let new = Organization {
        display_name: body.display_name.unwrap_or(old.display_name),
        description: body.description.unwrap_or(old.description),
        updated_at: app.now(),
        ..old
    };
    check_text("display_name", &new.display_name)?;
    check_text("description", &new.description)?;
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Removes one that is empty.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Organization>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let old = within(&audit, &rows, &id)?;
    audit.before(old.clone());
    caller.must_be("owner")?;
    let members = rows.list::<OrganizationMember>(Some(&id))?;
    let (templates, groups) = (rows.list::<Template>(Some(&id))?, rows.list::<Group>(Some(&id))?);
    if !members.is_empty() || !templates.is_empty() || !groups.is_empty() {
        return Err(Fault::Conflict("remove its members, groups and templates first".to_owned()));
    }
    rows.remove(&old)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}
