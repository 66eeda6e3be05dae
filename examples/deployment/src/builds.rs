//! Starts, stops and removals of workspaces. A request queues a job; what came of it is recorded when the job is done.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, People, new_id, organization_member, workspace_fields};
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::jobs;
use crate::resources::{
    Asked, DevUrl, Job, Organization, Task, Template, TemplateVersion, User, Workspace, WorkspaceBuild,
};
use crate::workspaces::{find, of_workspace};

/// Why a workspace is built, where a user asks for it. The others are the system's own.
const REASONS: [&str; 8] = [
    "initiator",
    "dashboard",
    "cli",
    "ssh_connection",
    "vscode_connection",
    "jetbrains_connection",
    "task_manual_pause",
    "task_resume",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBuild {
    /// `start`, `stop` or `delete`.
    transition: String,
    #[serde(default)]
    reason: String,
}

/// Queues a build.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Job>,
    Path(id): Path<String>,
    Json(body): Json<NewBuild>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let (workspace, owner) = find(&rows, &id)?;
    of_workspace(&mut audit, &rows, &caller, &workspace, &owner)?;
    audit
        .action("enqueue")
        .with("resource_target", format!("{} workspace {}", body.transition, workspace.name));
    caller.must_be_or(&owner.id, "owner")?;
    let reason = if body.reason.is_empty() { "initiator" } else { &body.reason };
    if !["start", "stop", "delete"].contains(&body.transition.as_str()) || !REASONS.contains(&reason) {
        return Err(Fault::BadRequest(format!(
            "a transition is `start`, `stop` or `delete`, a reason one of {}",
            REASONS.join(", ")
        )));
    }
    if body.transition != "delete" && workspace.is_running == (body.transition == "start") {
        let state = if workspace.is_running { "runs" } else { "is stopped" };
        return Err(Fault::Conflict(format!("the workspace {state} already")));
    }
    let job = queue(&app, &rows, &workspace, &body.transition, reason, caller.asked(audit.context()))?;
    rows.commit()?;
    audit.after(job.clone());
    Ok((StatusCode::ACCEPTED, Json(json!({"job_id": job.id}))))
}

/// Puts a build into the queue, one at a time for a workspace.
pub(crate) fn queue(
    app: &App,
    rows: &Transaction<'_>,
    workspace: &Workspace,
    transition: &str,
    reason: &str,
    asked: Asked,
) -> Result<Job, Fault> {
    let waits =
        |job: &Job| matches!(&job.task, Task::Build { workspace_id, .. } if *workspace_id == workspace.id);
    if rows.list::<Job>(None)?.iter().any(waits) {
        return Err(Fault::Conflict("the workspace is being built".to_owned()));
    }
    let task = Task::Build {
        workspace_id: workspace.id.clone(),
        transition: transition.to_owned(),
        reason: reason.to_owned(),
    };
    jobs::queue(app, rows, format!("{transition} workspace {}", workspace.name), task, asked)
}

/// Does the build of a job, and records what came of it.
pub(crate) fn run(
    app: &App,
    job: &Job,
    workspace_id: &str,
    transition: &str,
    reason: &str,
) -> Result<(), Fault> {
    let rows = app.begin()?;
    rows.remove(job)?;
    let Some(workspace) = rows.find::<Workspace>(workspace_id)? else { return rows.commit() };
    let owner: User = rows.get(&workspace.owner_id)?;
    let template: Template = rows.get(&workspace.template_id)?;
    let version: TemplateVersion = rows.get(&template.active_version_id)?;
    let organization: Organization = rows.get(&workspace.organization_id)?;
    let people = People::find(&rows, &job.asked, &workspace.owner_id)?;
    let last = rows.named::<WorkspaceBuild>(&workspace.id, &workspace.build_number.to_string())?;
    let is_done = transition != "start" || !version.is_broken;
    let build = WorkspaceBuild {
        id: new_id(),
        workspace_id: workspace.id.clone(),
        template_version_id: version.id,
        build_number: workspace.build_number + 1,
        transition: transition.to_owned(),
        reason: reason.to_owned(),
        initiator_id: job.asked.by.clone().unwrap_or_default(),
        job_id: job.id.clone(),
        created_at: app.now(),
    };
    let new = Workspace {
        is_running: if is_done { transition == "start" } else { workspace.is_running },
        dormant_at: if transition == "start" { None } else { workspace.dormant_at },
        build_number: build.build_number,
        last_used_at: if transition == "start" { app.now() } else { workspace.last_used_at },
        ..workspace.clone()
    };
    rows.put(&build)?;
    match transition {
        "delete" => remove(&rows, &new)?,
        _ => rows.put(&new)?,
    }
    if !is_done {
        // What a failed start leaves behind is cleared away.
        queue(app, &rows, &new, "stop", "failedstop", Asked::default())?;
    }
    rows.commit()?;

    let mut fields = workspace_fields(&workspace, &owner.username);
    fields["build_number"] = build.build_number.to_string().into();
    fields["build_reason"] = reason.into();
    if job.asked.by.is_none() {
        fields["automatic_actor"] = "coder".into();
        fields["automatic_subsystem"] = "autobuild".into();
    }
    let organization = organization_member(&organization);
    let mut audit = app
        .background(("autobuild", transition), &job.asked, &people)
        .with("additional_fields", fields.clone())
        .with("organization", organization.clone())
        .with("resource_target", workspace.name.clone())
        .with("build_reason", reason);
    if let Some(last) = last {
        audit = audit.before(last);
    }
    audit.after(build).finish(if is_done { 200 } else { 500 })?;
    if transition == "delete" {
        let audit = app.background(("autobuild", "delete"), &job.asked, &people).before(workspace);
        audit.with("additional_fields", fields).with("organization", organization).finish(200)?;
    }
    Ok(())
}

/// Takes a workspace away with what belongs to it.
fn remove(rows: &Transaction<'_>, workspace: &Workspace) -> Result<(), Fault> {
    for build in rows.list::<WorkspaceBuild>(Some(&workspace.id))? {
        rows.remove(&build)?;
    }
    for url in rows.list::<DevUrl>(Some(&workspace.id))? {
        rows.remove(&url)?;
    }
    rows.remove(workspace)
}
