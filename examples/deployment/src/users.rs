//! Users: made, changed, suspended and removed by user admins; passwords changed by themselves.

use std::sync::Arc;

use annals_client::{Audit, Event};
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
use crate::resources::{GitSshKey, Job, Task, User, Workspace, view};
use crate::sessions::{end_sessions, user_at};
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

/// A user to be added, whose texts were looked at and whose password is hashed.
pub(crate) struct CheckedUser {
    new: NewUser,
    hashed_password: String,
}

impl NewUser {
    pub(crate) fn checked(self) -> Result<CheckedUser, Fault> {
        check_name(&self.username)?;
        check_text("email", &self.email)?;
        check_text("name", &self.name)?;
        check_roles(&self.roles)?;
        let hashed_password = password::hash(&self.password)?;
        Ok(CheckedUser { new: self, hashed_password })
    }
}

/// Adds a user, with a key for Git.
pub(crate) fn create_user(
    app: &App,
    rows: &Transaction<'_>,
    CheckedUser { new, hashed_password }: CheckedUser,
) -> Result<(User, GitSshKey), Fault> {
    must_be_free(rows, &new.email)?;
    let now = app.now();
    let user = User {
        id: new_id(),
        username: new.username,
        email: new.email,
        name: new.name,
        avatar_url: String::new(),
        status: "active".to_owned(),
        rbac_roles: new.roles,
        hashed_password,
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
    Ok((user, key))
}

/// By its address somebody gets a new password.
fn must_be_free(rows: &Transaction<'_>, email: &str) -> Result<(), Fault> {
    match user_at(rows, email)? {
        Some(_) => Err(Fault::Conflict("somebody has this email already".to_owned())),
        None => Ok(()),
    }
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
    let new = body.checked()?;
    let rows = app.begin()?;
    let (user, key) = create_user(&app, &rows, new)?;
    rows.commit()?;
    audit.context().event(Event::change("create", None, Some(&key))?);
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
    /// The password that somebody has who sets a new one for themselves.
    old_password: Option<String>,
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
    // Before the transaction: hashing takes time, in which others may work.
    let passwords = match (&body.password, &body.old_password) {
        (Some(new), old) => Some((password::hash(new)?, old.clone())),
        (None, _) => None,
    };
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &name)?;
    audit.before(user.clone());
    let is_self = caller.user.id == user.id;
    if !is_self || body.status.is_some() {
        caller.must_manage(&user)?;
    }
    if body.roles.is_some() {
        caller.must_be("owner")?;
    }
    let mut new = User { updated_at: app.now(), ..user.clone() };
    if let Some((hashed_password, old_password)) = passwords {
        caller.must_be_themselves()?;
        let old_password = old_password.unwrap_or_default();
        if is_self && !password::verify(&old_password, Some(&user.hashed_password)) {
            return Err(Fault::Conflict("`old_password` is not the password that you have".to_owned()));
        }
        new.hashed_password = hashed_password;
    }
    if let Some(email) = body.email.filter(|email| !email.eq_ignore_ascii_case(&user.email)) {
        must_be_free(&rows, &email)?;
        new.email = email;
    }
    new.name = body.name.unwrap_or(new.name);
    new.avatar_url = body.avatar_url.unwrap_or(new.avatar_url);
    for (what, text) in [("name", &new.name), ("email", &new.email), ("avatar_url", &new.avatar_url)] {
        check_text(what, text)?;
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
    if !is_active_owner(&new) {
        must_not_be_last_owner(&rows, &user)?;
    }
    rows.put(&new)?;
    let is_shut_out = new.status != "active" || new.hashed_password != user.hashed_password;
    let ended = if is_shut_out { Some(end_sessions(&rows, &new.id)?) } else { None };
    rows.commit()?;
    audit.after(new.clone());
    if let Some(ended) = ended {
        ended.record(audit.context())?;
    }
    Ok(Json(view(&new)))
}

fn is_active_owner(user: &User) -> bool {
    user.status == "active" && user.rbac_roles.iter().any(|role| role == "owner")
}

/// Somebody must be left who can manage the deployment.
fn must_not_be_last_owner(rows: &Transaction<'_>, user: &User) -> Result<(), Fault> {
    let owners = rows.list::<User>(None)?.iter().filter(|other| is_active_owner(other)).count();
    match is_active_owner(user) && owners == 1 {
        true => {
            Err(Fault::Conflict("this is the last active owner; make somebody else one first".to_owned()))
        }
        false => Ok(()),
    }
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
    caller.must_manage(&user)?;
    must_not_be_last_owner(&rows, &user)?;
    if rows.list::<Workspace>(Some(&user.id))?.iter().any(|workspace| workspace.is_running) {
        return Err(Fault::Conflict("stop the user's workspaces first".to_owned()));
    }
    let asked = Caller::asked(audit.context());
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

/// Bytes of a text: what a log takes of a name. A longer one would keep every later event of its user out of the log.
const TEXT_BYTES_MAX: usize = 4_000;

/// Refuses a text that is too long, or of which somebody could make lines of a log.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Fault> {
    match text.len() <= TEXT_BYTES_MAX && !text.chars().any(|c| c.is_control() && c != '\n') {
        true => Ok(()),
        false => Err(Fault::BadRequest(format!(
            "`{what}` has at most {TEXT_BYTES_MAX} bytes, none of them control characters"
        ))),
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
