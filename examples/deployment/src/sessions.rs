//! Logging in and out, the first user, and forgotten passwords.

use std::sync::Arc;

use annals_client::{Audit, AuditContext, Event};
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
    let user: Option<User> = app.begin()?.named("", &body.username)?;
    if let Some(user) = &user {
        audit.with("actor_type", actor_type(user)).with("resource_id", user.id.clone());
        audit.context().with("user", actor(user));
    }
    // Hashing takes time, in which others may work.
    let is_right = password::verify(&body.password, user.as_ref().map(|user| user.hashed_password.as_str()));
    let user = user.filter(|_| is_right).ok_or(Fault::WrongPassword)?;
    let rows = app.begin()?;
    let now: Option<User> = rows.find(&user.id)?;
    let is_same = |now: &User| now.status == "active" && now.hashed_password == user.hashed_password;
    let user = now.filter(is_same).ok_or(Fault::WrongPassword)?;
    rows.put(&User { last_seen_at: app.now(), ..user.clone() })?;
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
    caller.must_be_themselves()?;
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
    audit.with("actor_type", "anonymous");
    let new = NewUser { roles: vec!["owner".to_owned()], ..body }.checked()?;
    let rows = app.begin()?;
    // The last owner cannot go, so there is a first user once only.
    if !rows.list::<User>(None)?.is_empty() {
        return Err(Fault::Forbidden);
    }
    let (user, key) = create_user(&app, &rows, new)?;
    let token = begin_session(&app, &rows, &user)?;
    rows.commit()?;
    audit.context().with("user", actor(&user));
    audit.with("actor_type", "user").with("resource_id", user.id.clone());
    audit.context().event(Event::change("create", None, Some(&user))?);
    audit.context().event(Event::change("create", None, Some(&key))?);
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
        app.send(body.email, passcode);
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
    let hashed_password = password::hash(&body.password)?;
    let rows = app.begin()?;
    let user = user_at(&rows, &body.email)?.ok_or(Fault::WrongPassword)?;
    audit.with("resource_target", user.username.clone()).before(user.clone());
    let is_in_time = user.one_time_passcode_expires_at.is_some_and(|expires| expires > app.now());
    if !is_in_time || password::hash_token(&body.one_time_passcode) != user.hashed_one_time_passcode {
        return Err(Fault::WrongPassword);
    }
    audit.context().with("user", actor(&user));
    audit.with("actor_type", actor_type(&user));
    let new = User {
        hashed_password,
        hashed_one_time_passcode: String::new(),
        one_time_passcode_expires_at: None,
        ..user
    };
    rows.put(&new)?;
    let ended = end_sessions(&rows, &new.id)?;
    rows.commit()?;
    audit.after(new);
    ended.record(audit.context())?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tokens that went with what opened them.
pub(crate) struct Ended(Vec<ApiKey>);

impl Ended {
    /// Sessions go with an event of their user; tokens with a name have events of their own.
    pub(crate) fn record(&self, context: &AuditContext) -> Result<(), Fault> {
        for key in self.named() {
            context.event(Event::change("delete", Some(key), None)?);
        }
        Ok(())
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter().filter(|key| !key.token_name.is_empty())
    }
}

/// Ends all sessions of a user, and takes back their tokens.
pub(crate) fn end_sessions(rows: &Transaction<'_>, user_id: &str) -> Result<Ended, Fault> {
    let keys = rows.list::<ApiKey>(Some(user_id))?;
    for key in &keys {
        rows.remove(key)?;
    }
    Ok(Ended(keys))
}

/// Who has an address; no two have the same.
pub(crate) fn user_at(rows: &Transaction<'_>, email: &str) -> Result<Option<User>, Fault> {
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
