//! What is done with a stream by one button: pausing, replaying, looking after dead letters, secrets, deleting.

use annals_engine::{Engine, Principal, StreamError, StreamId};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::fault::{Faults, refusal};
use super::form::start;
use super::{address, one};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::SmallForm;
use crate::pages::manage::done;
use crate::pages::page_error::PageError;

/// Runs a change and goes back to the page of the stream, which says what was done.
async fn act(
    app: &App,
    principal: Principal,
    id: String,
    work: impl FnOnce(&Engine, &Principal, &StreamId) -> Result<&'static str, StreamError> + Send + 'static,
) -> Result<Response, PageError> {
    let (caller, stream) = (principal.clone(), StreamId(id.clone()));
    match blocking(app, move |engine| work(engine, &caller, &stream)).await? {
        Ok(what) => Ok(done(&address(&id), what)),
        Err(error) => {
            let (status, fault) = refusal(error)?;
            one::with_fault(app, principal, id, status, fault).await
        }
    }
}

/// Sends nothing until it is resumed.
pub(crate) async fn pause_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    act(&app, principal, id, |engine, caller, id| engine.pause_stream(caller, id, true).map(|_| "paused"))
        .await
}

/// Goes on where it was paused.
pub(crate) async fn resume_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    act(&app, principal, id, |engine, caller, id| engine.pause_stream(caller, id, false).map(|_| "resumed"))
        .await
}

/// Deletes a stream with its dead letters and manifests.
pub(crate) async fn delete_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, stream) = (principal.clone(), StreamId(id.clone()));
    match blocking(&app, move |engine| engine.delete_stream(&caller, &stream)).await? {
        Ok(_) => Ok(done("/streams", "deleted")),
        Err(error) => {
            let (status, fault) = refusal(error)?;
            one::with_fault(&app, principal, id, status, fault).await
        }
    }
}

/// What to send once more.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct ReplayForm {
    #[serde(default)]
    pub(super) from: String,
    #[serde(default)]
    pub(super) from_date: String,
    #[serde(default)]
    pub(super) from_seq: String,
    #[serde(default)]
    pub(super) until_seq: String,
    #[serde(default)]
    pub(super) query: String,
}

/// Sends a part of the log once more.
pub(crate) async fn replay_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<ReplayForm>,
) -> Result<Response, PageError> {
    let mut faults = Faults::default();
    let from = start(&form.from, &form.from_date, &form.from_seq, &mut faults);
    let until = form.until_seq.trim();
    let end = (!until.is_empty()).then(|| until.parse::<u64>().map(|seq| seq.saturating_add(1)));
    let end = end.transpose().unwrap_or_else(|_| {
        faults.add("until_seq", "The last seq must be a whole number, or empty.");
        None
    });
    if !faults.is_empty() && principal.may_manage().is_ok() {
        let (status, fault) = (StatusCode::UNPROCESSABLE_ENTITY, faults.take_rest());
        return one::with_replay(&app, principal, id, status, fault, form).await;
    }
    let (caller, stream, query) = (principal.clone(), StreamId(id.clone()), form.query.clone());
    let result =
        blocking(&app, move |engine| engine.replay_stream(&caller, &stream, from, end, &query)).await?;
    match result {
        Ok(0) => Ok(done(&address(&id), "replay-empty")),
        Ok(_) => Ok(done(&address(&id), "replayed")),
        Err(error) => {
            let (status, fault) = refusal(error)?;
            one::with_replay(&app, principal, id, status, fault, form).await
        }
    }
}

/// Gives up the replays that are not done.
pub(crate) async fn cancel_replays(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    act(&app, principal, id, |engine, caller, id| {
        let count = engine.cancel_replays(caller, id)?;
        Ok(if count == 0 { "nothing" } else { "replays-ended" })
    })
    .await
}

/// Which dead letter; all if it is empty.
#[derive(Deserialize)]
pub(crate) struct LetterForm {
    #[serde(default)]
    seq: String,
}

impl LetterForm {
    /// Which one, or none for all.
    fn seq(&self) -> Result<Option<u64>, StreamError> {
        let seq = self.seq.trim();
        let read = (!seq.is_empty()).then(|| seq.parse()).transpose();
        read.map_err(|_| StreamError::BadNumber {
            what: "seq: a whole number, or nothing for all".to_owned(),
        })
    }
}

/// Sends dead letters again.
pub(crate) async fn resend_dead_letters(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<LetterForm>,
) -> Result<Response, PageError> {
    act(&app, principal, id, move |engine, caller, id| {
        let count = engine.resend_dead_letters(caller, id, form.seq()?)?;
        Ok(if count == 0 { "nothing" } else { "resent" })
    })
    .await
}

/// Gives dead letters up.
pub(crate) async fn discard_dead_letters(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<LetterForm>,
) -> Result<Response, PageError> {
    act(&app, principal, id, move |engine, caller, id| {
        let count = engine.discard_dead_letters(caller, id, form.seq()?)?;
        Ok(if count == 0 { "nothing" } else { "discarded" })
    })
    .await
}

/// Makes a new secret for a webhook and shows it once; the older ones sign too.
pub(crate) async fn rotate_secret(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, stream) = (principal.clone(), StreamId(id.clone()));
    match blocking(&app, move |engine| engine.rotate_stream_secret(&caller, &stream)).await? {
        Ok(secret) => one::with_secret(&app, principal, id, &secret, false).await,
        Err(error) => {
            let (status, fault) = refusal(error)?;
            one::with_fault(&app, principal, id, status, fault).await
        }
    }
}

/// Has only the newest secret sign.
pub(crate) async fn finish_rotation(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    act(&app, principal, id, |engine, caller, id| engine.end_secret_rotation(caller, id).map(|()| "rotated"))
        .await
}
