//! Users: made, changed, suspended and removed by user admins; passwords changed by themselves.

use std::sync::Arc;

use annals_client::{Audit, AuditContext, Event};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, new_id};
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::password;
use crate::resources::{Job, Task, User, Workspace, view};
use crate::{jobs, ssh_keys};

/// Roles that a user can have in the whole deployment.
const ROLES: [&str; 5] = ["owner", "user-admin", "template-admin", "auditor", "member"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    pub(crate) username: String,
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) is_service_account: bool,
}

/// Adds a user, with a key for Git.
pub(crate) fn create_user(
    app: &App,
    rows: &Transaction<'_>,
    context: &AuditContext,
    new: NewUser,
) -> Result<User, Fault> {
    check_name(&new.username)?;
    check_roles(&new.roles)?;
    let now = app.now();
    let user = User {
        id: new_id(),
        username: new.username,
        email: new.email,
        name: new.name,
        avatar_url: String::new(),
        status: "active".to_owned(),
        rbac_roles: new.roles,
        hashed_password: password::hash(&new.password)?,
        hashed_one_time_passcode: String::new(),
        one_time_passcode_expires_at: None,
        login_type: "password".to_owned(),
        is_service_account: new.is_service_account,
        deleted: false,
        last_seen_at: Timestamp::UNIX_EPOCH,
        created_at: now,
        updated_at: now,
    };
    rows.put(&user)?;
    let key = ssh_keys::new_key(&user.id, now);
    rows.put(&key)?;
    context.event(Event::change("create", None, Some(&key))?);
    Ok(user)
}

/// Lists users.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Fault> {
    let users = app.begin()?.list::<User>(None)?;
    let is_shown = |user: &&User| caller.user.id == user.id || caller.must_be("user-admin").is_ok();
    Ok(Json(users.iter().filter(is_shown).map(view).collect()))
}

/// Shows one.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, Fault> {
    let user = caller.user_named(&app.begin()?, &name)?;
    caller.must_be_or(&user.id, "user-admin")?;
    Ok(Json(view(&user)))
}

/// Adds one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<User>,
    Json(body): Json<NewUser>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.with("resource_target", body.username.clone());
    caller.must_be("user-admin")?;
    if !body.roles.is_empty() {
        caller.must_be("owner")?;
    }
    let rows = app.begin()?;
    let user = create_user(&app, &rows, audit.context(), body)?;
    rows.commit()?;
    audit.after(user.clone());
    Ok((StatusCode::CREATED, Json(view(&user))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    name: Option<String>,
    email: Option<String>,
    avatar_url: Option<String>,
    password: Option<String>,
    /// `active` or `suspended`.
    status: Option<String>,
    roles: Option<Vec<String>>,
}

/// Changes one: what is named in the body.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<User>,
    Path(name): Path<String>,
    Json(body): Json<UserChange>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &name)?;
    audit.before(user.clone());
    caller.must_be_or(&user.id, "user-admin")?;
    if body.status.is_some() {
        caller.must_be("user-admin")?;
    }
    if body.roles.is_some() {
        caller.must_be("owner")?;
    }
    let mut new = User { updated_at: app.now(), ..user };
    for (field, value) in
        [(&mut new.name, body.name), (&mut new.email, body.email), (&mut new.avatar_url, body.avatar_url)]
    {
        if let Some(value) = value {
            *field = value;
        }
    }
    if let Some(password) = body.password {
        new.hashed_password = password::hash(&password)?;
    }
    if let Some(status) = body.status {
        if !["active", "suspended"].contains(&status.as_str()) {
            return Err(Fault::BadRequest("a status is `active` or `suspended`".to_owned()));
        }
        new.status = status;
    }
    if let Some(roles) = body.roles {
        check_roles(&roles)?;
        new.rbac_roles = roles;
    }
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

/// Queues the removal of a user.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Job>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &name)?;
    let title = format!("delete user {}", user.username);
    audit.action("enqueue").with("resource_target", title.clone());
    caller.must_be("user-admin")?;
    if rows.list::<Workspace>(Some(&user.id))?.iter().any(|workspace| workspace.is_running) {
        return Err(Fault::Conflict("stop the user's workspaces first".to_owned()));
    }
    let asked = caller.asked(audit.context());
    let job = jobs::queue(&app, &rows, title, Task::DeleteUser { user_id: user.id }, asked)?;
    rows.commit()?;
    audit.after(job.clone());
    Ok((StatusCode::ACCEPTED, Json(json!({"job_id": job.id}))))
}

fn check_roles(roles: &[String]) -> Result<(), Fault> {
    match roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        Some(role) => Err(Fault::BadRequest(format!("`{role}` is no role; there are {}", ROLES.join(", ")))),
        None => Ok(()),
    }
}

/// Names are words of letters, digits, `-` and `_`, so that they fit in paths and queries.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(is_good) {
        true => Ok(()),
        false => {
            Err(Fault::BadRequest(format!("`{name}` is no name: letters, digits, `-` and `_`, at most 64")))
        }
    }
}
