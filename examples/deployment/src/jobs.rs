//! The queue: what requests ask for and is done after them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::{App, new_id, organization_member};
use crate::builds::{self, Audits};
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::members::leave_groups;
use crate::resources::{
    Asked, GitSshKey, Job, Organization, OrganizationMember, Secret, Task, User, Workspace, view,
};
use crate::sessions::end_sessions;

/// Lists what waits.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Fault> {
    caller.must_be("owner")?;
    Ok(Json(app.begin()?.list::<Job>(None)?.iter().map(view).collect()))
}

/// Puts a job into the queue.
pub(crate) fn queue(
    app: &App,
    rows: &Transaction<'_>,
    title: String,
    task: Task,
    asked: Asked,
) -> Result<Job, Fault> {
    let kind = match task {
        Task::Build { .. } => "workspace_build",
        Task::DeleteUser { .. } => "user_deletion",
    };
    let position = next_position(rows)?;
    let job =
        Job { id: new_id(), title, kind: kind.to_owned(), task, position, asked, created_at: app.now() };
    rows.put(&job)?;
    Ok(job)
}

/// Behind all that waits.
fn next_position(rows: &Transaction<'_>) -> Result<u64, Fault> {
    Ok(rows.list::<Job>(None)?.iter().map(|job| job.position + 1).max().unwrap_or(0))
}

/// Does what waits, the oldest first. True if there was something.
pub(crate) fn run_next(app: &App) -> Result<bool, Fault> {
    let jobs = app.begin()?.list::<Job>(None)?;
    let Some(job) = jobs.into_iter().min_by_key(|job| job.position) else { return Ok(false) };
    let done = match &job.task {
        Task::Build { workspace_id, transition, reason } => {
            builds::run(app, &job, workspace_id, transition, reason)
        }
        Task::DeleteUser { user_id } => delete_user(app, &job, user_id),
    };
    if let Err(error) = done {
        tracing::error!(error = &error as &dyn std::error::Error, job = job.id, "a job failed");
        // Others do not wait for one that cannot be done.
        let rows = app.begin()?;
        rows.take(&job)?;
        rows.commit()?;
    }
    Ok(true)
}

fn delete_user(app: &App, job: &Job, user_id: &str) -> Result<(), Fault> {
    let rows = app.begin()?;
    if !rows.take(job)? {
        return Ok(());
    }
    if let Some(workspace) = rows.list::<Workspace>(Some(user_id))?.first() {
        // Their workspaces go first; the job waits in the queue behind that.
        match builds::queue(app, &rows, workspace, "delete", "initiator", job.asked.clone()) {
            Err(Fault::Conflict(_)) => {}
            queued => drop(queued?),
        }
        rows.put(&Job { position: next_position(&rows)?, ..job.clone() })?;
        return rows.commit();
    }
    let Some(user) = rows.find::<User>(user_id)? else { return rows.commit() };
    let organizations = rows.list::<Organization>(None)?;
    let left = leave_groups(&rows, None, user_id)?;
    let members = rows.list::<OrganizationMember>(None)?;
    let members: Vec<_> = members.into_iter().filter(|member| member.user_id == user_id).collect();
    for member in &members {
        rows.remove(member)?;
    }
    let ended = end_sessions(&rows, user_id)?;
    let secrets = rows.list::<Secret>(Some(user_id))?;
    for secret in &secrets {
        rows.remove(secret)?;
    }
    let key = rows.find::<GitSshKey>(user_id)?;
    if let Some(key) = &key {
        rows.remove(key)?;
    }
    rows.remove(&user)?;
    rows.commit()?;

    let mut audits = Audits::new(app, job, None, json!({"job_id": job.id}), Value::Null);
    let organization = |id: &str| {
        let found = organizations.iter().find(|organization| organization.id == id);
        found.map_or(Value::Null, organization_member)
    };
    for (before, after) in left {
        audits.within(organization(&before.organization_id));
        audits.record("write", 200, Some(before), Some(after), &[]);
    }
    for member in members {
        audits.within(organization(&member.organization_id));
        audits.record("delete", 200, Some(member), None, &[]);
    }
    audits.within(Value::Null);
    for token in ended.named() {
        audits.record("delete", 200, Some(token.clone()), None, &[]);
    }
    for secret in secrets {
        audits.record("delete", 200, Some(secret), None, &[]);
    }
    if let Some(key) = key {
        audits.record("delete", 200, Some(key), None, &[]);
    }
    audits.record("delete", 200, Some(user), None, &[]);
    audits.result
}
