//! Starts, stops and removals of workspaces. A request queues a job; what came of it is recorded when the job is done.

use std::sync::Arc;

use annals_client::{Audit, Auditable};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, new_id, organization_member, workspace_fields};
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
    let is_transition = ["start", "stop", "delete"].contains(&body.transition.as_str());
    let transition = if is_transition { &body.transition } else { "build" };
    audit.action("enqueue").with("resource_target", format!("{transition} workspace {}", workspace.name));
    caller.must_be_or(&owner.id, "owner")?;
    let reason = if body.reason.is_empty() { "initiator" } else { &body.reason };
    if !is_transition || !REASONS.contains(&reason) {
        return Err(Fault::BadRequest(format!(
            "a transition is `start`, `stop` or `delete`, a reason one of {}",
            REASONS.join(", ")
        )));
    }
    if body.transition != "delete" && workspace.is_running == (body.transition == "start") {
        let state = if workspace.is_running { "runs" } else { "is stopped" };
        return Err(Fault::Conflict(format!("the workspace {state} already")));
    }
    let job = queue(&app, &rows, &workspace, &body.transition, reason, Caller::asked(audit.context()))?;
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
    if !rows.take(job)? {
        return Ok(());
    }
    let Some(workspace) = rows.find::<Workspace>(workspace_id)? else { return rows.commit() };
    let owner: User = rows.get(&workspace.owner_id)?;
    let template: Template = rows.get(&workspace.template_id)?;
    let version: TemplateVersion = rows.get(&template.active_version_id)?;
    let organization: Organization = rows.get(&workspace.organization_id)?;
    let last = rows.named::<WorkspaceBuild>(&workspace.id, &workspace.build_number.to_string())?;
    let is_done = transition != "start" || !version.is_broken;
    let build = WorkspaceBuild {
        id: new_id(),
        workspace_id: workspace.id.clone(),
        template_version_id: version.id,
        build_number: workspace.build_number + 1,
        transition: transition.to_owned(),
        reason: reason.to_owned(),
        job_id: job.id.clone(),
        created_at: app.now(),
    };
    let has_started = transition == "start" && is_done;
    let new = Workspace {
        is_running: if is_done { transition == "start" } else { workspace.is_running },
        dormant_at: match reason {
            "dormancy" => Some(app.now()),
            _ if has_started => None,
            _ => workspace.dormant_at,
        },
        build_number: build.build_number,
        last_used_at: if transition == "start" { app.now() } else { workspace.last_used_at },
        ..workspace.clone()
    };
    rows.put(&build)?;
    let urls = match transition {
        "delete" => remove(&rows, &new)?,
        _ => {
            rows.put(&new)?;
            Vec::new()
        }
    };
    if !is_done {
        // What a failed start leaves behind is cleared away.
        queue(app, &rows, &new, "stop", "failedstop", Asked::default())?;
    }
    rows.commit()?;

    let status = if is_done { 200 } else { 500 };
    let mut fields = workspace_fields(&workspace, &owner.username);
    fields["build_number"] = build.build_number.to_string().into();
    fields["build_reason"] = reason.into();
    if !job.asked.is_by_somebody() {
        fields["automatic_actor"] = "coder".into();
        fields["automatic_subsystem"] = if reason == "dormancy" { "dormancy" } else { "autobuild" }.into();
    }
    let organization = organization_member(&organization);
    let mut audits = Audits::new(app, job, Some(&owner), fields, organization);
    if let Some(action) = of_itself(reason) {
        audits.record(action, status, Some(workspace.clone()), Some(new.clone()), &[]);
    } else if new.dormant_at != workspace.dormant_at {
        audits.record("write", status, Some(workspace.clone()), Some(new.clone()), &[]);
    }
    let members = [("resource_target", workspace.name.as_str()), ("build_reason", reason)];
    audits.record(transition, status, last, Some(build), &members);
    for url in urls {
        audits.record("delete", status, Some(url), None, &[]);
    }
    if transition == "delete" {
        audits.record("delete", status, Some(workspace), None, &[]);
    }
    audits.result
}

/// What a workspace does by itself, in the words of the older document.
fn of_itself(reason: &str) -> Option<&'static str> {
    match reason {
        "autostart" => Some("auto_start"),
        "autostop" | "task_auto_pause" => Some("auto_off"),
        _ => None,
    }
}

/// Events of one job: all are given away, whatever becomes of one, and the first that was not taken is said at the end. What was done is done by then: a
/// process that dies between the commit and here loses its events, as any that records after the fact.
pub(crate) struct Audits<'j> {
    app: &'j App,
    job: &'j Job,
    owner: Option<&'j User>,
    fields: Value,
    organization: Value,
    pub(crate) result: Result<(), Fault>,
}

impl<'j> Audits<'j> {
    pub(crate) fn new(
        app: &'j App,
        job: &'j Job,
        owner: Option<&'j User>,
        fields: Value,
        organization: Value,
    ) -> Audits<'j> {
        Audits { app, job, owner, fields, organization, result: Ok(()) }
    }

    pub(crate) fn within(&mut self, organization: Value) {
        self.organization = organization;
    }

    pub(crate) fn record<T: Auditable>(
        &mut self,
        action: &str,
        status: u16,
        before: Option<T>,
        after: Option<T>,
        members: &[(&str, &str)],
    ) {
        let mut audit = self.app.background::<T>(("jobs", action), &self.job.asked, self.owner);
        audit = audit.with("additional_fields", self.fields.clone());
        if !self.organization.is_null() {
            audit = audit.with("organization", self.organization.clone());
        }
        for (name, value) in members {
            audit = audit.with(name, *value);
        }
        if let Some(before) = before {
            audit = audit.before(before);
        }
        if let Some(after) = after {
            audit = audit.after(after);
        }
        let recorded = audit.finish(status).map_err(Fault::from);
        if self.result.is_ok() {
            self.result = recorded;
        }
    }
}

/// Takes a workspace away with what belongs to it; returns its dev URLs.
fn remove(rows: &Transaction<'_>, workspace: &Workspace) -> Result<Vec<DevUrl>, Fault> {
    for build in rows.list::<WorkspaceBuild>(Some(&workspace.id))? {
        rows.remove(&build)?;
    }
    let urls = rows.list::<DevUrl>(Some(&workspace.id))?;
    for url in &urls {
        rows.remove(url)?;
    }
    rows.remove(workspace)?;
    Ok(urls)
}
