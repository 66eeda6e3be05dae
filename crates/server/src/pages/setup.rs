//! `GET` and `POST /setup`: the first person, by the link that the server prints.

use annals_engine::{AccessError, NewPerson, Role, SESSION_SECONDS};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::form::{SmallForm, set_session};
use super::html;
use super::manage::sentence;
use super::page_error::PageError;
use super::shell::VERSION;
use crate::App;
use crate::auth::{From, Line, blocking, hashing};

/// What the link holds.
#[derive(Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    secret: String,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(crate) struct SetupForm {
    #[serde(default)]
    secret: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

#[derive(Template, Default)]
#[template(path = "setup.html")]
struct SetupPage {
    version: &'static str,
    secret: String,
    username: String,
    /// What is wrong with what was sent, or empty.
    fault: String,
    is_name_wrong: bool,
    is_refused: bool,
}

/// Shows the form to whoever has the link.
pub(crate) async fn show_setup(
    State(app): State<App>,
    line: Line,
    Query(link): Query<Link>,
) -> Result<Response, PageError> {
    let secret = link.secret.clone();
    if !blocking(&app, move |engine| engine.is_setup_secret(&secret)).await?? {
        return Err(PageError::BadSetupLink);
    }
    let is_refused = !line.is_private;
    let status = if is_refused { StatusCode::FORBIDDEN } else { StatusCode::OK };
    html(status, &SetupPage { version: VERSION, secret: link.secret, is_refused, ..SetupPage::default() })
}

/// Adds the first person and signs them in.
pub(crate) async fn set_up(
    State(app): State<App>,
    From(origin): From,
    line: Line,
    SmallForm(form): SmallForm<SetupForm>,
) -> Result<Response, PageError> {
    let page = SetupPage {
        version: VERSION,
        secret: form.secret.clone(),
        username: form.username.clone(),
        ..SetupPage::default()
    };
    if !line.is_private {
        return html(StatusCode::FORBIDDEN, &SetupPage { is_refused: true, ..page });
    }
    if form.password != form.again {
        let fault = "The two passwords differ.".to_owned();
        return html(StatusCode::UNPROCESSABLE_ENTITY, &SetupPage { fault, ..page });
    }
    let result = hashing(&app, move |engine| {
        let username = form.username.trim();
        let person =
            NewPerson { username, email: "", name: "", password: &form.password, role: Role::SiteManager };
        engine.set_up(&form.secret, &person, &origin)?;
        match engine.log_in(username, &form.password, &origin) {
            Ok(secret) => Ok::<_, AccessError>(Some(secret)),
            // They are there, and sign in by themselves.
            Err(_) => Ok(None),
        }
    })
    .await?;
    match result {
        Ok(secret) => {
            let mut response = Redirect::to("/audit").into_response();
            if let Some(secret) = secret {
                set_session(&app, &mut response, secret.reveal(), SESSION_SECONDS);
            }
            Ok(response)
        }
        Err(AccessError::BadSetupLink) => Err(PageError::BadSetupLink),
        Err(AccessError::Engine(error)) => Err(error.into()),
        Err(error) => {
            let is_name_wrong =
                matches!(error, AccessError::BadName { .. } | AccessError::UsernameTaken { .. });
            let fault = sentence(&error.to_string());
            html(StatusCode::UNPROCESSABLE_ENTITY, &SetupPage { fault, is_name_wrong, ..page })
        }
    }
}
