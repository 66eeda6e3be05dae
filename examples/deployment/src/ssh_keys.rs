//! The keys with which workspaces reach Git: one for each user, made anew when they wish.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde_json::Value;

use crate::app::App;
use crate::caller::Caller;
use crate::fault::Fault;
use crate::password::hash_token;
use crate::resources::{GitSshKey, view};

/// A key for nothing but this example: the text has the form of one, and opens no door.
pub(crate) fn new_key(user_id: &str, now: Timestamp) -> GitSshKey {
    let private_key = uuid::Uuid::new_v4().simple().to_string();
    let digits = hash_token(&private_key);
    GitSshKey {
        user_id: user_id.to_owned(),
        public_key: format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} example", &digits[..43]),
        private_key,
        created_at: now,
        updated_at: now,
    }
}

/// Shows the public part.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &name)?;
    caller.must_be_or(&user.id, "user-admin")?;
    Ok(Json(view(&rows.get::<GitSshKey>(&user.id)?)))
}

/// Makes a new one.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<GitSshKey>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let user = caller.user_named(&rows, &name)?;
    let old: GitSshKey = rows.get(&user.id)?;
    audit.before(old.clone());
    caller.must_be_themselves()?;
    caller.must_be_or(&user.id, "owner")?;
    let new = GitSshKey { created_at: old.created_at, ..new_key(&user.id, app.now()) };
    rows.put(&new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}
