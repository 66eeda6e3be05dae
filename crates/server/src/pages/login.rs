//! `GET` and `POST /login`, `POST /logout`.

use annals_engine::{LoginError, Origin, SESSION_SECONDS};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::form::{SmallForm, set_session};
use super::page_error::PageError;
use super::shell::VERSION;
use super::{encoded, html};
use crate::App;
use crate::auth::{self, From, PageCaller, blocking, hashing};

/// Where someone wanted to go when they were asked to sign in.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'p> {
    version: &'static str,
    next: &'p str,
    username: &'p str,
    has_failed: bool,
    /// Passwords are not taken over an open line.
    is_refused: bool,
}

/// Shows the form.
pub(crate) async fn show_login(
    State(app): State<App>,
    caller: Result<PageCaller, Response>,
    From(origin): From,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let next = next_path(&wanted.next);
    if headers.contains_key("hx-request") {
        // A session ended while a page was open: the whole page signs in again, and comes back to where it was.
        let current = headers.get("hx-current-url").and_then(|url| url.to_str().ok()).unwrap_or_default();
        let path = current.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        let address = format!("/login?next={}", encoded(next_path(&path)));
        return Ok(([("hx-redirect", address)], ()).into_response());
    }
    if caller.is_ok() {
        return Ok(Redirect::to(next).into_response());
    }
    let is_refused = !may_send_password(&app, &origin);
    let status = if is_refused { StatusCode::FORBIDDEN } else { StatusCode::OK };
    html(status, &LoginPage { version: VERSION, next, username: "", has_failed: false, is_refused })
}

/// Signs in.
pub(crate) async fn log_in(
    State(app): State<App>,
    From(origin): From,
    SmallForm(form): SmallForm<LoginForm>,
) -> Result<Response, PageError> {
    let next = next_path(&form.next).to_owned();
    if !may_send_password(&app, &origin) {
        let page =
            LoginPage { version: VERSION, next: &next, username: "", has_failed: false, is_refused: true };
        return html(StatusCode::FORBIDDEN, &page);
    }
    let (username, password) = (form.username.clone(), form.password);
    let result = hashing(&app, move |engine| engine.log_in(&username, &password, &origin)).await?;
    match result {
        Ok(secret) => {
            let mut response = Redirect::to(&next).into_response();
            set_session(&mut response, secret.reveal(), SESSION_SECONDS, app.config.behind_tls_proxy);
            Ok(response)
        }
        Err(LoginError::Mismatch) => {
            let page = LoginPage {
                version: VERSION,
                next: &next,
                username: &form.username,
                has_failed: true,
                is_refused: false,
            };
            html(StatusCode::UNAUTHORIZED, &page)
        }
        Err(LoginError::Engine(error)) => Err(error.into()),
        Err(error) => Err(PageError::Login(error)),
    }
}

/// Signs out; without a session there is nothing to end, and the page is the same.
pub(crate) async fn log_out(
    State(app): State<App>,
    caller: Result<PageCaller, Response>,
    From(origin): From,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let (Ok(PageCaller(principal)), Some(secret)) = (caller, auth::session(&headers)) {
        blocking(&app, move |engine| engine.log_out(&principal, &secret, &origin)).await??;
    }
    let mut response = Redirect::to("/login").into_response();
    set_session(&mut response, "", 0, app.config.behind_tls_proxy);
    Ok(response)
}

/// Whether nobody on the way can read a password: the line ends on this machine, or a proxy speaks TLS.
pub(super) fn may_send_password(app: &App, origin: &Origin) -> bool {
    app.config.behind_tls_proxy || origin.ip.is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// A path of this site to go on to, or the log. Never another site, and never a page that leads back here.
fn next_path(next: &str) -> &str {
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 8 * 1024
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let leads_back = matches!(path, "/login" | "/logout" | "/setup");
    if is_path && !leads_back { next } else { "/audit" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for next in ["/audit", "/audit?filter=username%3Ame&page=2", "/audit/events/x#y", "/"] {
            assert_eq!(next_path(next), next);
        }
        for next in [
            "",
            "audit",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\tevil",
            "/\n/evil.example",
            "/\u{e9}",
            " /audit",
            "/login",
            "/login?next=/login",
            "/logout",
            "/setup?secret=x",
        ] {
            assert_eq!(next_path(next), "/audit", "{next:?}");
        }
    }
}
