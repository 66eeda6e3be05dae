//! `/license`: what this deployment was licensed for.

use annals_engine::{LicenseError, LicenseState, Principal};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::{Done, Moment, ask, done, sentence};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::SmallForm;
use crate::pages::html;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};

#[derive(Template)]
#[template(path = "license.html")]
struct LicensePage {
    shell: Shell,
    done: &'static str,
    fault: String,
    is_required: bool,
    takes_events: bool,
    licenses: Vec<LicenseRow>,
}

struct LicenseRow {
    id: String,
    holder: String,
    features: String,
    added: Moment,
    expires: Moment,
    grace_ends: Moment,
    /// Whether the signature is right, where that is known.
    is_signed: Option<bool>,
    is_expired: bool,
}

/// The field of a new license.
#[derive(Deserialize)]
pub(crate) struct LicenseForm {
    #[serde(default)]
    license: String,
}

/// Shows the licenses and whether one is needed.
pub(crate) async fn show_license(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    page(&app, principal, StatusCode::OK, |page| page.done = done.sentence()).await
}

async fn page(
    app: &App,
    principal: Principal,
    status: StatusCode,
    fill: impl FnOnce(&mut LicensePage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::License).await?;
    let (licenses, state, now) = ask(app, move |engine| {
        Ok::<_, LicenseError>((engine.licenses(&principal)?, engine.license_state()?, engine.now()))
    })
    .await?;
    let licenses = licenses.into_iter().map(|license| LicenseRow {
        id: license.id,
        holder: license.claims.sub.clone(),
        features: license.claims.features.join(", "),
        added: Moment::new(license.added),
        expires: Moment::new(license.claims.expires()),
        grace_ends: Moment::new(license.claims.grace_ends()),
        is_signed: license.is_signed,
        is_expired: license.claims.expires() <= now,
    });
    let mut page = LicensePage {
        shell,
        done: "",
        fault: String::new(),
        is_required: state != LicenseState::NotRequired,
        takes_events: state.takes_events(),
        licenses: licenses.collect(),
    };
    fill(&mut page);
    html(status, &page)
}

/// Adds a license.
pub(crate) async fn add_license(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<LicenseForm>,
) -> Result<Response, PageError> {
    let caller = principal.clone();
    let result = blocking(&app, move |engine| engine.add_license(&caller, &form.license, None)).await?;
    after(&app, principal, result.map(|_| ()), "added").await
}

/// Removes a license.
pub(crate) async fn remove_license(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let caller = principal.clone();
    let result = blocking(&app, move |engine| engine.remove_license(&caller, &id)).await?;
    after(&app, principal, result, "removed").await
}

async fn after(
    app: &App,
    principal: Principal,
    result: Result<(), LicenseError>,
    what: &str,
) -> Result<Response, PageError> {
    match result {
        Ok(()) => Ok(done("/license", what)),
        Err(LicenseError::Forbidden(error)) => Err(error.into()),
        Err(LicenseError::Engine(error)) => Err(error.into()),
        Err(error) => {
            let fault = sentence(&error.to_string());
            page(&app.clone(), principal, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}

impl From<LicenseError> for PageError {
    fn from(error: LicenseError) -> PageError {
        match error {
            LicenseError::Forbidden(error) => error.into(),
            LicenseError::Engine(error) => error.into(),
            // The rest are answers to forms, which show them.
            _ => PageError::UnknownThing,
        }
    }
}
