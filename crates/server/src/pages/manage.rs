//! The pages under Manage beside the log: people, organizations, tokens, streams, settings, license; and one's own account.
//!
//! Every change is a form that is sent and answered with the page again, or with the fault beside the form. The engine checks who
//! may do what and records it; a page only shows what came of it.

pub(crate) mod account;
pub(crate) mod groups;
pub(crate) mod license;
pub(crate) mod organizations;
pub(crate) mod people;
pub(crate) mod settings;
pub(crate) mod streams;
pub(crate) mod tokens;

use annals_engine::{AccessError, EngineError, Session, Token};
use annals_model::time::Time;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::client_name::ClientName;
use super::encoded;
use super::page_error::PageError;

/// What a page says above its content after a change.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    /// Which change it was, as the address has it.
    pub(super) fn name(&self) -> &str {
        &self.done
    }

    /// The sentence for a change; only ours, so that a link cannot put words on the page.
    fn sentence(&self) -> &'static str {
        match self.done.as_str() {
            "saved" => "Saved, and recorded in the log.",
            "added" => "Added, and recorded in the log.",
            "removed" => "Removed, and recorded in the log.",
            "deleted" => "Deleted, and recorded in the log.",
            "suspended" => "Suspended: no sign-in, sessions ended, tokens refused.",
            "activated" => "Activated again.",
            "signed-out" => "Signed out.",
            "revoked" => "Revoked: the token is refused from now on.",
            "password" => "The password was changed, and other sessions were ended.",
            "nothing" => "Nothing was different.",
            _ => "",
        }
    }
}

/// Goes to a page of ours that says what was done.
pub(super) fn done(path: &str, what: &str) -> Response {
    Redirect::to(&format!("{path}?done={}", encoded(what))).into_response()
}

/// Separates what the person can put right, as a sentence, from what is no matter of the form.
fn fault<T>(result: Result<T, AccessError>) -> Result<Result<T, String>, PageError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(AccessError::Forbidden(error)) => Err(error.into()),
        Err(AccessError::Engine(error)) => Err(error.into()),
        Err(error) => Ok(Err(sentence(&error.to_string()))),
    }
}

/// A message with a capital and a period, and without marks of code.
pub(super) fn sentence(message: &str) -> String {
    let message = message.replace('`', "");
    let mut letters = message.chars();
    let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{capital}{}.", letters.as_str())
}

/// A time to the minute, in UTC, as text and for machines.
struct Moment {
    text: String,
    machine: String,
}

impl Moment {
    fn new(time: Time) -> Moment {
        let machine = time.to_string();
        let text = machine.get(..16).unwrap_or(&machine).replace('T', " ");
        Moment { text, machine }
    }
}

/// A session as a row.
struct SessionRow {
    id: String,
    client: String,
    ip: String,
    method: &'static str,
    created: Moment,
    last_seen: Moment,
    is_current: bool,
}

impl SessionRow {
    fn new(session: &Session, current: Option<&str>) -> SessionRow {
        let id = session.id.0.clone();
        SessionRow {
            client: ClientName::read(&session.user_agent).short(),
            ip: session.ip.clone(),
            method: session.method.name(),
            created: Moment::new(session.created),
            last_seen: Moment::new(session.last_seen),
            is_current: current == Some(id.as_str()),
            id,
        }
    }
}

/// A token as a row.
struct TokenRow {
    id: String,
    name: String,
    kind: &'static str,
    owner: String,
    created: Moment,
    expires: Option<Moment>,
    is_expired: bool,
    last_used: Option<Moment>,
}

impl TokenRow {
    fn new(token: &Token, owner: String, now: Time) -> TokenRow {
        TokenRow {
            id: token.id.0.clone(),
            name: token.name.clone(),
            kind: token.kind.name(),
            owner,
            created: Moment::new(token.created),
            expires: token.expires.map(Moment::new),
            is_expired: token.is_expired(now),
            last_used: token.last_used.map(Moment::new),
        }
    }
}

/// Days from a form: when something ends; nothing if the field is empty.
fn expiry(days: &str, now: Time) -> Result<Option<Time>, String> {
    let days = days.trim();
    if days.is_empty() {
        return Ok(None);
    }
    match days.parse::<u16>() {
        Ok(days) if days > 0 => {
            let us = now.as_micros().saturating_add(i64::from(days) * 86_400_000_000);
            Ok(Some(Time::from_micros_saturating(us)))
        }
        _ => {
            Err("Days must be a number from 1 to 65535, or nothing for a token that does not end.".to_owned())
        }
    }
}

impl From<AccessError> for PageError {
    fn from(error: AccessError) -> PageError {
        match error {
            AccessError::Forbidden(error) => error.into(),
            AccessError::Engine(error) => error.into(),
            AccessError::UnknownPerson { .. }
            | AccessError::UnknownOrganization { .. }
            | AccessError::UnknownGroup { .. } => PageError::UnknownThing,
            error => PageError::from(crate::error::ApiError::from(error)),
        }
    }
}

/// Waits for a call of the engine and puts its error in the place of the page.
async fn ask<T: Send + 'static, E: Into<PageError> + Send + 'static>(
    app: &crate::App,
    work: impl FnOnce(&annals_engine::Engine) -> Result<T, E> + Send + 'static,
) -> Result<T, PageError> {
    crate::auth::blocking(app, work).await?.map_err(Into::into)
}

/// The clock of the engine, for a form.
async fn now(app: &crate::App) -> Result<Time, PageError> {
    ask(app, |engine| Ok::<_, EngineError>(engine.now())).await
}
