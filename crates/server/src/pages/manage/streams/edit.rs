//! `/streams/{id}/edit`: changing a stream.

use annals_engine::{Principal, SinkKind, StreamChange, StreamError, StreamId, StreamMaker, StreamStatus};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::fault::{Faults, refusal};
use super::form::{Draft, FormPage, Purpose, Values, chapters, draft, normal, setting_field};
use super::{address, one};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::{CERTIFICATES_BYTES_MAX, SmallForm};
use crate::pages::html;
use crate::pages::manage::{ask, done};
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};

/// Shows the form with what the stream is now.
pub(crate) async fn show_edit(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let status = status(&app, &principal, &id).await?;
    if let Some(error) = not_for_the_page(&status) {
        let (code, fault) = refusal(error)?;
        return one::with_fault(&app, principal, id, code, fault).await;
    }
    let kind = kind(&status)?;
    page(&app, &principal, StatusCode::OK, &status, kind, &stored(kind, &status), Faults::default()).await
}

async fn status(app: &App, principal: &Principal, id: &str) -> Result<StreamStatus, PageError> {
    let (caller, id) = (principal.clone(), StreamId(id.to_owned()));
    ask(app, move |engine| engine.stream_status(&caller, &id)).await
}

/// A kind that this program does not know is one of a newer.
fn kind(status: &StreamStatus) -> Result<&'static SinkKind, PageError> {
    let name = &status.stream.kind;
    SinkKind::from_name(name).ok_or_else(|| StreamError::UnknownKind { kind: name.clone() }.into())
}

/// Why the page offers no change; the engine would refuse it.
fn not_for_the_page(status: &StreamStatus) -> Option<StreamError> {
    let name = status.stream.name.clone();
    match status.stream.made_by {
        StreamMaker::Page => None,
        StreamMaker::Operator => Some(StreamError::Operators { name }),
        StreamMaker::File => Some(StreamError::OfFile { name }),
    }
}

/// Minutes, rounded up: whoever works on the command line may have set seconds.
fn minutes(seconds: u64) -> u64 {
    seconds.div_ceil(60)
}

/// What the stream is, as values of the form.
fn stored(kind: &SinkKind, status: &StreamStatus) -> Values {
    let stream = &status.stream;
    let mut values = Values::new();
    for (name, value) in [
        ("name", stream.name.clone()),
        ("query", stream.query.clone()),
        ("format", stream.format.clone()),
        ("parallel", stream.parallel.to_string()),
        ("silence", minutes(stream.silence_seconds).to_string()),
    ] {
        values.insert(name.to_owned(), value);
    }
    for setting in kind.settings {
        values.insert(setting_field(setting.name), status.settings.get(setting.name).to_owned());
    }
    values
}

async fn page(
    app: &App,
    principal: &Principal,
    code: StatusCode,
    status: &StreamStatus,
    kind: &'static SinkKind,
    values: &Values,
    mut faults: Faults,
) -> Result<Response, PageError> {
    let shell = Shell::new(app, principal, Section::Streams).await?;
    let purpose = Purpose::Edit { kept: &status.secret_names };
    let chapters = chapters(kind, purpose, values, &mut faults);
    let address = address(&status.stream.id.0);
    let page = FormPage {
        shell,
        done: "",
        fault: faults.take_rest(),
        title: format!("Change {}", status.stream.name),
        action: format!("{address}/edit"),
        back: address,
        button: "Save",
        kind,
        chapters,
    };
    html(code, &page)
}

/// Changes a stream; it goes on where it is.
pub(crate) async fn change_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(sent): SmallForm<Values, CERTIFICATES_BYTES_MAX>,
) -> Result<Response, PageError> {
    if principal.may_manage().is_err() {
        // Refused by the engine, which puts that on record.
        let caller = principal.clone();
        let change = StreamChange::default();
        return match blocking(&app, move |engine| engine.change_stream(&caller, &StreamId(id), &change))
            .await?
        {
            Ok(_) => Ok(done("/streams", "nothing")),
            Err(error) => Err(error.into()),
        };
    }
    let status = status(&app, &principal, &id).await?;
    let kind = kind(&status)?;
    let values = normal(kind.settings, sent);
    let mut faults = Faults::default();
    let draft = draft(kind.settings, &values, &mut faults);
    if !faults.is_empty() {
        return page(&app, &principal, StatusCode::UNPROCESSABLE_ENTITY, &status, kind, &values, faults)
            .await;
    }
    let settings = changed(kind, &status, &draft, &values);
    let is_same_silence = draft.silence_seconds == minutes(status.stream.silence_seconds) * 60;
    let caller = principal.clone();
    let stream_id = status.stream.id.clone();
    let result = blocking(&app, move |engine| {
        let change = StreamChange {
            name: Some(&draft.name),
            query: Some(&draft.query),
            format: Some(draft.format),
            parallel: Some(draft.parallel),
            silence_seconds: Some(draft.silence_seconds).filter(|_| !is_same_silence),
            settings,
        };
        engine.change_stream(&caller, &stream_id, &change)
    })
    .await?;
    match result {
        Ok(_) => Ok(done(&address(&id), "saved")),
        Err(error @ (StreamError::Operators { .. } | StreamError::OfFile { .. })) => {
            let (code, fault) = refusal(error)?;
            one::with_fault(&app, principal, id, code, fault).await
        }
        Err(error) => {
            let code = faults.add_error(error)?;
            page(&app, &principal, code, &status, kind, &values, faults).await
        }
    }
}

/// The settings that are others now. An empty secret stays as it is, unless the form says to take it back.
fn changed(kind: &SinkKind, status: &StreamStatus, draft: &Draft, values: &Values) -> Vec<(String, String)> {
    let is_changed = |name: &str, value: &str| match kind.is_secret(name) {
        true => !value.is_empty() || values.contains_key(&format!("remove.{}", setting_field(name))),
        // Off is what a switch is that was never set.
        false if value == "false" && status.settings.get(name).is_empty() => false,
        false => status.settings.get(name) != value,
    };
    draft.settings.iter().filter(|(name, value)| is_changed(name, value)).cloned().collect()
}
