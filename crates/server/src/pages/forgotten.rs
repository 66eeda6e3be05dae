//! `GET` and `POST /login/forgotten`: asks the site managers for a new password.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::form::SmallForm;
use super::html;
use super::page_error::PageError;
use super::shell::VERSION;
use crate::App;
use crate::auth::{From, blocking};

#[derive(Template)]
#[template(path = "forgotten.html")]
struct ForgottenPage {
    version: &'static str,
    is_sent: bool,
}

/// Who asks.
#[derive(Deserialize)]
pub(crate) struct ForgottenForm {
    #[serde(default)]
    username: String,
}

/// Shows the form.
pub(crate) async fn show_forgotten() -> Result<Response, PageError> {
    html(StatusCode::OK, &ForgottenPage { version: VERSION, is_sent: false })
}

/// Records the request. The answer is the same whether or not there is such a person.
pub(crate) async fn ask_for_password(
    State(app): State<App>,
    From(origin): From,
    SmallForm(form): SmallForm<ForgottenForm>,
) -> Result<Response, PageError> {
    blocking(&app, move |engine| engine.request_password_reset(&form.username, &origin)).await??;
    html(StatusCode::OK, &ForgottenPage { version: VERSION, is_sent: true })
}
