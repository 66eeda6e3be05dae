//! Tokens of users, for programs.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::ToSpan as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, new_id};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::password::new_token;
use crate::resources::{ApiKey, view};
use crate::users::check_name;

/// Days that a token is good for at most.
const LIFETIME_DAYS_MAX: i64 = 365;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    token_name: String,
    lifetime_days: i64,
}

/// Lists the tokens of a user; sessions have no name.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &user)?;
    caller.must_be_or(&user.id, "owner")?;
    let keys = rows.list::<ApiKey>(Some(&user.id))?;
    Ok(Json(keys.iter().filter(|key| !key.token_name.is_empty()).map(view).collect()))
}

/// Makes one, and shows it once.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<ApiKey>,
    Path(user): Path<String>,
    Json(body): Json<NewToken>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    audit.with("resource_target", body.token_name.clone());
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &user)?;
    // Nobody makes a token by which they act as another.
    caller.must_be_themselves()?;
    if user.id != caller.user.id {
        return Err(Fault::Forbidden);
    }
    check_name(&body.token_name)?;
    if !(1..=LIFETIME_DAYS_MAX).contains(&body.lifetime_days) {
        return Err(Fault::BadRequest(format!("a token lives 1 to {LIFETIME_DAYS_MAX} days")));
    }
    let (token, hashed_secret) = new_token();
    let key = ApiKey {
        id: new_id(),
        user_id: user.id,
        token_name: body.token_name,
        hashed_secret,
        created_at: app.now(),
        expires_at: app.now() + (24 * body.lifetime_days).hours(),
    };
    rows.put(&key)?;
    rows.commit()?;
    audit.after(key.clone());
    Ok((StatusCode::CREATED, Json(json!({"id": key.id, "key": token}))))
}

/// Takes one back.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<ApiKey>,
    Path((user, id)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &user)?;
    let key: ApiKey = rows.named(&user.id, &id)?.ok_or(Fault::NotFound("token"))?;
    audit.before(key.clone());
    caller.must_be_or(&user.id, "owner")?;
    rows.remove(&key)?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}
