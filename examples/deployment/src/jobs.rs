//! The queue: what requests ask for and is done after them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::{App, People, new_id};
use crate::builds;
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::members::leave_groups;
use crate::resources::{
    ApiKey, Asked, GitSshKey, Group, Job, OrganizationMember, Secret, Task, User, Workspace, view,
};

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
    match &job.task {
        Task::Build { workspace_id, transition, reason } => {
            builds::run(app, &job, workspace_id, transition, reason)?;
        }
        Task::DeleteUser { user_id } => delete_user(app, &job, user_id)?,
    }
    Ok(true)
}

fn delete_user(app: &App, job: &Job, user_id: &str) -> Result<(), Fault> {
    let rows = app.begin()?;
    let workspaces = rows.list::<Workspace>(Some(user_id))?;
    if let Some(workspace) = workspaces.first() {
        // Their workspaces go first; the job waits in the queue behind that.
        match builds::queue(app, &rows, workspace, "delete", "initiator", job.asked.clone()) {
            Err(Fault::Conflict(_)) => {}
            queued => drop(queued?),
        }
        rows.put(&Job { position: next_position(&rows)?, ..job.clone() })?;
        return rows.commit();
    }
    rows.remove(job)?;
    let Some(user) = rows.find::<User>(user_id)? else { return rows.commit() };
    let people = People::find(&rows, &job.asked, user_id)?;
    let left = leave_groups(&rows, None, user_id)?;
    let members = rows.list::<OrganizationMember>(None)?;
    let members: Vec<_> = members.into_iter().filter(|member| member.user_id == user_id).collect();
    for member in &members {
        rows.remove(member)?;
    }
    for key in rows.list::<ApiKey>(Some(user_id))? {
        rows.remove(&key)?;
    }
    for secret in rows.list::<Secret>(Some(user_id))? {
        rows.remove(&secret)?;
    }
    if let Some(key) = rows.find::<GitSshKey>(user_id)? {
        rows.remove(&key)?;
    }
    rows.remove(&user)?;
    rows.commit()?;

    let fields = json!({"job_id": job.id});
    for (before, after) in left {
        let audit =
            app.background::<Group>(("jobs", "write"), &job.asked, &people).before(before).after(after);
        audit.with("additional_fields", fields.clone()).finish(200)?;
    }
    for member in members {
        let audit = app.background(("jobs", "delete"), &job.asked, &people).before(member);
        audit.with("additional_fields", fields.clone()).finish(200)?;
    }
    let audit = app.background(("jobs", "delete"), &job.asked, &people).before(user);
    audit.with("additional_fields", fields).finish(200)?;
    Ok(())
}
