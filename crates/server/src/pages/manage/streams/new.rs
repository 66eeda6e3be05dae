//! `/streams/new`: setting a stream up.

use annals_engine::{NewStream, Principal, SILENCE_SECONDS, SINK_KINDS, SinkKind, SinkSettings, StreamError};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::fault::{Faults, refusal};
use super::form::{
    Draft, FormPage, Purpose, Values, chapters, draft, is_made_if_empty, normal, parts, setting_field,
};
use super::{address, one};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::{CERTIFICATES_BYTES_MAX, SmallForm};
use crate::pages::html;
use crate::pages::manage::done;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};

/// The kinds to choose from.
#[derive(Template)]
#[template(path = "stream_kinds.html")]
struct KindsPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    /// Name, label, and what it is.
    kinds: Vec<(&'static str, &'static str, Vec<String>)>,
}

/// Which kind of stream.
#[derive(Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    kind: String,
}

/// Shows the form of a kind, or the kinds.
pub(crate) async fn show_new(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(chosen): Query<Chosen>,
) -> Result<Response, PageError> {
    principal.may_manage()?;
    let kind = SinkKind::from_name(&chosen.kind).filter(|kind| !kind.is_local);
    let Some(kind) = kind else {
        let (status, fault) = match chosen.kind.as_str() {
            "" => (StatusCode::OK, String::new()),
            name => refusal(not_for_the_page(name))?,
        };
        return kinds(&app, &principal, status, fault).await;
    };
    let mut values = Values::from(
        [("format", "native"), ("from", "now"), ("parallel", "1")]
            .map(|(name, value)| (name.into(), value.into())),
    );
    values.insert("silence".to_owned(), (SILENCE_SECONDS / 60).to_string());
    for setting in kind.settings {
        if matches!(
            setting.kind,
            annals_engine::SinkSettingKind::Choice(_) | annals_engine::SinkSettingKind::Switch
        ) {
            values.insert(setting_field(setting.name), setting.default.to_owned());
        }
    }
    page(&app, &principal, StatusCode::OK, kind, &values, Faults::default()).await
}

fn not_for_the_page(kind: &str) -> StreamError {
    match SinkKind::from_name(kind) {
        Some(kind) => StreamError::OperatorsKind { kind: kind.name.to_owned() },
        None => StreamError::UnknownKind { kind: kind.to_owned() },
    }
}

async fn kinds(
    app: &App,
    principal: &Principal,
    status: StatusCode,
    fault: String,
) -> Result<Response, PageError> {
    let shell = Shell::new(app, principal, Section::Streams).await?;
    let kinds = SINK_KINDS.iter().filter(|kind| !kind.is_local);
    let kinds = kinds.map(|kind| (kind.name, kind.label, parts(kind.about))).collect();
    html(status, &KindsPage { shell, done: "", fault, kinds })
}

async fn page(
    app: &App,
    principal: &Principal,
    status: StatusCode,
    kind: &'static SinkKind,
    values: &Values,
    mut faults: Faults,
) -> Result<Response, PageError> {
    let shell = Shell::new(app, principal, Section::Streams).await?;
    let chapters = chapters(kind, Purpose::New, values, &mut faults);
    let page = FormPage {
        shell,
        done: "",
        fault: faults.take_rest(),
        title: format!("New stream to {}", kind.label),
        action: "/streams".to_owned(),
        back: "/streams/new".to_owned(),
        button: "Set up",
        kind,
        chapters,
    };
    html(status, &page)
}

/// Sets a stream up. A secret that was made for it is shown this once.
pub(crate) async fn create_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(sent): SmallForm<Values, CERTIFICATES_BYTES_MAX>,
) -> Result<Response, PageError> {
    let name = sent.get("kind").cloned().unwrap_or_default();
    let kind = SinkKind::from_name(&name);
    let settings = kind.map_or(&[][..], |kind| kind.settings);
    let values = normal(settings, sent);
    let mut faults = Faults::default();
    let draft = draft(settings, &values, &mut faults);
    // Whoever may not is refused by the engine, which puts that on record.
    let may_manage = principal.may_manage().is_ok();
    if let Some(kind) = kind.filter(|_| may_manage && !faults.is_empty()) {
        add_all_faults(&app, &principal, kind, &draft, &mut faults).await?;
        return page(&app, &principal, StatusCode::UNPROCESSABLE_ENTITY, kind, &values, faults).await;
    }
    let caller = principal.clone();
    let result = blocking(&app, move |engine| {
        let new = NewStream {
            name: &draft.name,
            kind: &name,
            query: &draft.query,
            format: draft.format,
            parallel: draft.parallel,
            silence_seconds: draft.silence_seconds,
            settings: settings_of(&draft),
            start: draft.start,
            is_paused: draft.is_paused,
        };
        engine.create_stream(&caller, &new)
    })
    .await?;
    match (result, kind) {
        (Ok((stream, None)), _) => Ok(done(&address(&stream.id.0), "added")),
        (Ok((stream, Some(secret))), _) => {
            one::with_secret(&app, principal, stream.id.0, &secret, true).await
        }
        (Err(error), Some(kind)) if !kind.is_local => {
            let status = faults.add_error(error)?;
            page(&app, &principal, status, kind, &values, faults).await
        }
        (Err(error), _) => {
            let (status, fault) = refusal(error)?;
            kinds(&app, &principal, status, fault).await
        }
    }
}

fn settings_of(draft: &Draft) -> SinkSettings {
    let mut settings = SinkSettings::default();
    for (name, value) in &draft.settings {
        settings.set(name, value);
    }
    settings
}

/// Says everything that is wrong at once, where the form was not even read in full.
async fn add_all_faults(
    app: &App,
    principal: &Principal,
    kind: &'static SinkKind,
    draft: &Draft,
    faults: &mut Faults,
) -> Result<(), PageError> {
    if draft.name.is_empty() {
        faults.add_error(StreamError::BadName)?;
    }
    let (caller, query) = (principal.clone(), draft.query.clone());
    let checked = blocking(app, move |engine| engine.check_query(&caller, &query).map(|_| ())).await?;
    if let Err(errors) = checked {
        faults.add_error(StreamError::Query(errors))?;
    }
    if let Err(mut found) = kind.check(&settings_of(draft)) {
        let is_made = |name: &str| {
            let setting = kind.settings.iter().find(|setting| setting.name == name);
            let is_empty = draft.settings.iter().any(|(given, value)| given == name && value.is_empty());
            is_empty && setting.is_some_and(|setting| is_made_if_empty(kind, setting))
        };
        found.retain(|fault| !is_made(&fault.name));
        faults.add_error(StreamError::Settings(found))?;
    }
    Ok(())
}
