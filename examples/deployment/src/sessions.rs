//! Logging in and out, the first user, and forgotten passwords.

use std::sync::{Arc, PoisonError};

use annals_client::{Audit, AuditContext};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::ToSpan as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, actor, actor_type};
use crate::caller::Caller;
use crate::database::Transaction;
use crate::fault::Fault;
use crate::password;
use crate::resources::{ApiKey, User, view};
use crate::users::{NewUser, create_user};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    username: String,
    password: String,
}

/// Exchanges name and password for a token. Attempts are recorded, also with names that nobody has.
pub(crate) async fn log_in(
    State(app): State<Arc<App>>,
    mut audit: Audit<ApiKey>,
    Json(body): Json<LogIn>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.action("login").with("resource_target", body.username.clone()).with("actor_type", "anonymous");
    let rows = app.begin()?;
    let user: Option<User> = rows.named("", &body.username)?;
    if let Some(user) = &user {
        audit.with("actor_type", actor_type(user)).with("resource_id", user.id.clone());
        audit.context().with("user", actor(user));
    }
    let is_right = password::verify(&body.password, user.as_ref().map(|user| user.hashed_password.as_str()));
    let mut user = user.filter(|user| is_right && user.status == "active").ok_or(Fault::WrongPassword)?;
    user.last_seen_at = app.now();
    rows.put(&user)?;
    let token = begin_session(&app, &rows, &user)?;
    rows.commit()?;
    Ok((StatusCode::CREATED, Json(json!({"session_token": token}))))
}

/// Ends the session.
pub(crate) async fn log_out(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<ApiKey>,
) -> Result<StatusCode, Fault> {
    audit.action("logout").with("resource_target", caller.user.username.clone());
    audit.with("resource_id", caller.user.id.clone());
    let rows = app.begin()?;
    rows.remove(&caller.key)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the first user, an owner, and logs them in. Refused once there is a user.
pub(crate) async fn register_first(
    State(app): State<Arc<App>>,
    mut audit: Audit<ApiKey>,
    Json(body): Json<NewUser>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.action("register").with("resource_target", body.username.clone());
    let rows = app.begin()?;
    if !rows.list::<User>(None)?.is_empty() {
        audit.with("actor_type", "anonymous");
        return Err(Fault::Forbidden);
    }
    let user =
        create_user(&app, &rows, audit.context(), NewUser { roles: vec!["owner".to_owned()], ..body })?;
    let token = begin_session(&app, &rows, &user)?;
    rows.commit()?;
    audit.context().with("user", actor(&user));
    audit.with("resource_id", user.id.clone());
    Ok((StatusCode::CREATED, Json(json!({"user": view(&user), "session_token": token}))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskForReset {
    email: String,
}

/// Sends a code to the address by which a new password can be set. Whether anybody has the address is not told.
pub(crate) async fn ask_for_reset(
    State(app): State<Arc<App>>,
    mut audit: Audit<User>,
    Json(body): Json<AskForReset>,
) -> Result<StatusCode, Fault> {
    audit.action("request_password_reset").with("resource_target", body.email.clone());
    audit.with("actor_type", "anonymous");
    let rows = app.begin()?;
    if let Some(user) = user_at(&rows, &body.email)? {
        let (passcode, hashed) = password::new_token();
        let expires = app.now() + 20.minutes();
        let new = User {
            hashed_one_time_passcode: hashed,
            one_time_passcode_expires_at: Some(expires),
            ..user.clone()
        };
        rows.put(&new)?;
        rows.commit()?;
        app.outbox.lock().unwrap_or_else(PoisonError::into_inner).push((body.email, passcode));
        audit.with("resource_target", user.username.clone()).before(user).after(new);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    email: String,
    one_time_passcode: String,
    password: String,
}

/// Sets a new password by such a code.
pub(crate) async fn reset(
    State(app): State<Arc<App>>,
    mut audit: Audit<User>,
    Json(body): Json<Reset>,
) -> Result<StatusCode, Fault> {
    audit.action("write").with("resource_target", body.email.clone()).with("actor_type", "anonymous");
    let rows = app.begin()?;
    let user = user_at(&rows, &body.email)?.ok_or(Fault::WrongPassword)?;
    audit.with("resource_target", user.username.clone()).before(user.clone());
    let is_in_time = user.one_time_passcode_expires_at.is_some_and(|expires| expires > app.now());
    if !is_in_time || password::hash_token(&body.one_time_passcode) != user.hashed_one_time_passcode {
        return Err(Fault::WrongPassword);
    }
    say_who(audit.context(), &user);
    audit.with("actor_type", actor_type(&user));
    let new = User {
        hashed_password: password::hash(&body.password)?,
        hashed_one_time_passcode: String::new(),
        one_time_passcode_expires_at: None,
        ..user
    };
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new);
    Ok(StatusCode::NO_CONTENT)
}

fn say_who(context: &AuditContext, user: &User) {
    context.with("user", actor(user));
}

fn user_at(rows: &Transaction<'_>, email: &str) -> Result<Option<User>, Fault> {
    Ok(rows.list::<User>(None)?.into_iter().find(|user| user.email.eq_ignore_ascii_case(email)))
}

/// A token that is good for a week.
fn begin_session(app: &App, rows: &Transaction<'_>, user: &User) -> Result<String, Fault> {
    let (token, hashed_secret) = password::new_token();
    let key = ApiKey {
        id: crate::app::new_id(),
        user_id: user.id.clone(),
        token_name: String::new(),
        hashed_secret,
        created_at: app.now(),
        expires_at: app.now() + (7 * 24).hours(),
    };
    rows.put(&key)?;
    Ok(token)
}
