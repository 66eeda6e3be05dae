//! Workspaces: made, changed, listed. What starts and stops them is in `builds.rs`.

use std::sync::Arc;

use annals_client::{Audit, Auditable, Event};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::app::{App, new_id, within, workspace_fields};
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::resources::{OrganizationMember, Template, User, Workspace, WorkspaceProvider, view};
use crate::users::check_name;
use crate::{automation, builds};

/// Workspaces of one user at most.
const WORKSPACES_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWorkspace {
    name: String,
    template_id: String,
    autostart_schedule: Option<String>,
    ttl: Option<u64>,
}

/// Lists those that the caller may see: their own, or all.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let scope = (!caller.is_owner()).then_some(caller.user.id.as_str());
    Ok(Json(rows.list::<Workspace>(scope)?.iter().map(view).collect()))
}

/// Adds one and queues its first start.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Workspace>,
    Path(user): Path<String>,
    Json(body): Json<NewWorkspace>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.with("resource_target", body.name.clone());
    let rows = app.begin()?;
    let owner = caller.user_named(&rows, &user)?;
    caller.must_be_or(&owner.id, "owner")?;
    let template: Template = rows.get(&body.template_id)?;
    let organization = within(&audit, &rows, &template.organization_id)?;
    let member: OrganizationMember = rows.get(&format!("{}/{}", organization.id, owner.id))?;
    if member.roles.iter().any(|role| role == "organization-workspace-creation-ban") {
        return Err(Fault::Forbidden);
    }
    check_name(&body.name)?;
    check_schedule(body.autostart_schedule.as_deref())?;
    if rows.list::<Workspace>(Some(&owner.id))?.len() >= WORKSPACES_MAX {
        return Err(Fault::Conflict(format!("a user has at most {WORKSPACES_MAX} workspaces")));
    }
    let providers = rows.list::<WorkspaceProvider>(None)?;
    if !providers.is_empty() && providers.iter().all(|provider| provider.is_cordoned) {
        return Err(Fault::Conflict("every workspace provider is cordoned".to_owned()));
    }
    let now = app.now();
    let workspace = Workspace {
        id: new_id(),
        name: body.name,
        owner_id: owner.id.clone(),
        ttl: Some(checked_ttl(body.ttl.unwrap_or(template.default_ttl))?),
        template_id: template.id,
        autostart_schedule: body.autostart_schedule,
        dormant_at: None,
        organization_id: organization.id,
        is_running: false,
        build_number: 0,
        deleted: false,
        last_used_at: now,
        created_at: now,
        updated_at: now,
    };
    rows.put(&workspace)?;
    let job = builds::queue(&app, &rows, &workspace, "start", "initiator", Caller::asked(audit.context()))?;
    rows.commit()?;
    if caller.is_owner() && caller.user.id != owner.id {
        audit.context().with("on_behalf_of", crate::app::actor(&owner));
    }
    let mut enqueued = Event::change("enqueue", None, Some(&job))?;
    enqueued = enqueued.with("additional_fields", workspace_fields(&workspace, &owner.username));
    audit.context().event(enqueued);
    // The members that Coder's events of this kind have, all of them.
    let fields = json!({"workspace_name": "", "workspace_id": "", "workspace_owner": owner.username, "build_number": "", "build_reason": ""});
    audit.with("additional_fields", fields).after(workspace.clone());
    Ok((StatusCode::CREATED, Json(view(&workspace))))
}

/// A member that is absent, null or a value.
type Said<T> = Option<Option<T>>;

fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Said<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceChange {
    name: Option<String>,
    #[serde(default, deserialize_with = "said")]
    autostart_schedule: Said<String>,
    #[serde(default, deserialize_with = "said")]
    ttl: Said<u64>,
    /// Sets it to sleep, or wakes it.
    dormant: Option<bool>,
}

/// Changes one: what is named in the body.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Workspace>,
    Path(id): Path<String>,
    Json(body): Json<WorkspaceChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let (old, owner) = find(&rows, &id)?;
    of_workspace(&mut audit, &rows, &caller, &old, &owner)?;
    audit.before(old.clone());
    caller.must_be_or(&owner.id, "owner")?;
    let mut new = Workspace { updated_at: app.now(), ..old };
    if let Some(name) = body.name {
        check_name(&name)?;
        new.name = name;
    }
    if let Some(schedule) = body.autostart_schedule {
        check_schedule(schedule.as_deref())?;
        new.autostart_schedule = schedule;
    }
    new.ttl = body.ttl.unwrap_or(new.ttl).map(checked_ttl).transpose()?;
    if let Some(dormant) = body.dormant {
        new.dormant_at = dormant.then(|| app.now());
    }
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// The workspace and who owns it.
pub(crate) fn find(rows: &Transaction<'_>, id: &str) -> Result<(Workspace, User), Fault> {
    let workspace: Workspace = rows.get(id)?;
    let owner = rows.get(&workspace.owner_id)?;
    Ok((workspace, owner))
}

/// What every event about a workspace or a part of it says: where it is, whose it is, and in whose name an owner works on what is another's. Anybody else
/// is refused, and acts in nobody's name.
pub(crate) fn of_workspace<T: Auditable>(
    audit: &mut Audit<T>,
    rows: &Transaction<'_>,
    caller: &Caller,
    workspace: &Workspace,
    owner: &User,
) -> Result<(), Fault> {
    in_workspace(audit, rows, workspace, owner)?;
    if caller.is_owner() && caller.user.id != owner.id {
        audit.with("on_behalf_of", crate::app::actor(owner));
    }
    Ok(())
}

/// The same of what guests do in a workspace.
pub(crate) fn in_workspace<T: Auditable>(
    audit: &mut Audit<T>,
    rows: &Transaction<'_>,
    workspace: &Workspace,
    owner: &User,
) -> Result<(), Fault> {
    within(audit, rows, &workspace.organization_id)?;
    audit.with("additional_fields", workspace_fields(workspace, &owner.username));
    Ok(())
}

/// Nanoseconds of a year at most, which also fits in what counts them.
fn checked_ttl(ttl: u64) -> Result<u64, Fault> {
    const TTL_MAX: u64 = 365 * 24 * 3_600 * 1_000_000_000;
    if ttl <= TTL_MAX { Ok(ttl) } else { Err(Fault::BadRequest(format!("a ttl is at most {TTL_MAX} ns"))) }
}

fn check_schedule(schedule: Option<&str>) -> Result<(), Fault> {
    match schedule.map(automation::Schedule::parse) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(Fault::BadRequest(
            "a schedule is `MINUTE HOUR * * WEEKDAYS` in UTC, such as `30 7 * * 1-5`".to_owned(),
        )),
    }
}
