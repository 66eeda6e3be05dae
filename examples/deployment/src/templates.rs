//! Templates and their versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, new_id, within};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::resources::{Template, TemplateVersion, Workspace, view};
use crate::users::{check_name, check_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTemplate {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    icon: String,
    default_ttl: u64,
    readme: String,
}

/// Lists the templates of an organization.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    caller.must_belong(&rows, &organization)?;
    Ok(Json(rows.list::<Template>(Some(&organization))?.iter().map(view).collect()))
}

/// Adds a template with its first version.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut version_audit: Audit<TemplateVersion>,
    mut audit: Audit<Template>,
    Path(organization): Path<String>,
    Json(body): Json<NewTemplate>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let organization = within(&audit, &rows, &organization)?;
    audit.with("resource_target", body.name.clone());
    caller.must_be("template-admin")?;
    check_name(&body.name)?;
    for (what, text) in
        [("display_name", &body.display_name), ("description", &body.description), ("icon", &body.icon)]
    {
        check_text(what, text)?;
    }
    let (now, id) = (app.now(), new_id());
    let version = TemplateVersion {
        id: new_id(),
        template_id: id.clone(),
        name: "v1".to_owned(),
        readme: body.readme,
        created_by: caller.user.id.clone(),
        job_id: new_id(),
        is_broken: false,
        organization_id: organization.id.clone(),
        created_at: now,
        updated_at: now,
    };
    let template = Template {
        id,
        name: body.name,
        display_name: body.display_name,
        description: body.description,
        icon: body.icon,
        active_version_id: version.id.clone(),
        provisioner: "terraform".to_owned(),
        default_ttl: body.default_ttl,
        min_autostart_interval: 0,
        allow_user_cancel_workspace_jobs: true,
        is_private: false,
        user_acl: BTreeMap::new(),
        group_acl: BTreeMap::new(),
        created_by: caller.user.id,
        deleted: false,
        organization_id: organization.id,
        created_at: now,
        updated_at: now,
    };
    rows.put(&version)?;
    rows.put(&template)?;
    rows.commit()?;
    version_audit.with("additional_fields", json!({"template_name": template.name})).after(version);
    audit.with("resource_icon", template.icon.clone()).after(template.clone());
    Ok((StatusCode::CREATED, Json(view(&template))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVersion {
    name: String,
    readme: String,
    /// What a provisioner would find out: starting a workspace from it fails.
    #[serde(default)]
    is_broken: bool,
}

/// Adds a version, which is used when the template is told so.
pub(crate) async fn create_version(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<TemplateVersion>,
    Path(id): Path<String>,
    Json(body): Json<NewVersion>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let template: Template = rows.get(&id)?;
    within(&audit, &rows, &template.organization_id)?;
    audit.with("resource_target", body.name.clone());
    audit.with("additional_fields", json!({"template_name": template.name}));
    caller.must_be("template-admin")?;
    check_name(&body.name)?;
    let version = TemplateVersion {
        id: new_id(),
        template_id: template.id,
        name: body.name,
        readme: body.readme,
        created_by: caller.user.id,
        job_id: new_id(),
        is_broken: body.is_broken,
        organization_id: template.organization_id,
        created_at: app.now(),
        updated_at: app.now(),
    };
    rows.put(&version)?;
    rows.commit()?;
    audit.after(version.clone());
    Ok((StatusCode::CREATED, Json(view(&version))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateChange {
    display_name: Option<String>,
    description: Option<String>,
    default_ttl: Option<u64>,
    is_private: Option<bool>,
    active_version_id: Option<String>,
    /// Rights by the id of a user; an empty list takes them away.
    #[serde(default)]
    user_acl: BTreeMap<String, Vec<String>>,
    /// Rights by the id of a group; an empty list takes them away.
    #[serde(default)]
    group_acl: BTreeMap<String, Vec<String>>,
}

/// Changes one: what is named in the body.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Template>,
    Path(id): Path<String>,
    Json(body): Json<TemplateChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: Template = rows.get(&id)?;
    within(&audit, &rows, &old.organization_id)?;
    audit.with("resource_icon", old.icon.clone()).before(old.clone());
    caller.must_be("template-admin")?;
    let mut new = Template { updated_at: app.now(), ..old };
    if let Some(version_id) = body.active_version_id {
        let version: TemplateVersion = rows.get(&version_id)?;
        if version.template_id != new.id {
            return Err(Fault::BadRequest("the version is of another template".to_owned()));
        }
        new.active_version_id = version_id;
    }
    new.display_name = body.display_name.unwrap_or(new.display_name);
    new.description = body.description.unwrap_or(new.description);
    new.default_ttl = body.default_ttl.unwrap_or(new.default_ttl);
    new.is_private = body.is_private.unwrap_or(new.is_private);
    check_text("display_name", &new.display_name)?;
    check_text("description", &new.description)?;
    for (rights, changes) in [(&mut new.user_acl, body.user_acl), (&mut new.group_acl, body.group_acl)] {
        rights.extend(changes);
        rights.retain(|_, rights| !rights.is_empty());
    }
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Removes one that no workspace uses, with its versions.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Template>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let old: Template = rows.get(&id)?;
    within(&audit, &rows, &old.organization_id)?;
    audit.with("resource_icon", old.icon.clone()).before(old.clone());
    caller.must_be("template-admin")?;
    if rows.list::<Workspace>(None)?.iter().any(|workspace| workspace.template_id == old.id) {
        return Err(Fault::Conflict("workspaces use the template".to_owned()));
    }
    for version in rows.list::<TemplateVersion>(Some(&old.id))? {
        rows.remove(&version)?;
    }
    rows.remove(&old)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}
