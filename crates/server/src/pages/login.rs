//! `GET` and `POST /login`, `POST /logout`.

use annals_engine::{LoginError, SESSION_SECONDS};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::form::{SmallForm, set_session};
use super::page_error::PageError;
use super::shell::{Banners, VERSION};
use super::{encoded, html};
use crate::App;
use crate::auth::{self, From, Line, PageCaller, blocking, hashing};
use crate::oidc::AccessUrl;

/// Where someone wanted to go when they were asked to sign in.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

impl Wanted {
    /// A path of this site, or the log.
    pub(super) fn path(&self) -> &str {
        next_path(&self.next)
    }
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
    /// The other way to sign in.
    oidc: Option<OidcLink>,
    banners: Banners,
    /// What signing in accepts, or empty.
    terms: String,
}

/// A link to the other site that knows the people.
struct OidcLink {
    name: String,
    href: String,
}

impl<'p> LoginPage<'p> {
    async fn new(app: &App, line: &Line, next: &'p str) -> Result<LoginPage<'p>, PageError> {
        let is_refused = !line.is_private;
        let settings = app.settings().await?;
        let oidc = app.oidc_config(&settings).filter(|_| line.is_private).map(|config| {
            // To the address to which the provider sends people back: cookies stay with a name.
            let base = app.access_url(&settings);
            let base = base.as_ref().map(AccessUrl::as_str).unwrap_or_default();
            OidcLink { name: config.options.name, href: format!("{base}/login/oidc?next={}", encoded(next)) }
        });
        let terms = if settings.is_on("terms_enabled") {
            settings.get("terms_text").to_owned()
        } else {
            String::new()
        };
        let banners = Banners::new(&settings);
        Ok(LoginPage {
            version: VERSION,
            next,
            username: "",
            has_failed: false,
            is_refused,
            oidc,
            banners,
            terms,
        })
    }
}

/// Shows the form.
pub(crate) async fn show_login(
    State(app): State<App>,
    caller: Result<PageCaller, Response>,
    line: Line,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let next = wanted.path();
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
    let status = if line.is_private { StatusCode::OK } else { StatusCode::FORBIDDEN };
    html(status, &LoginPage::new(&app, &line, next).await?)
}

/// Signs in.
pub(crate) async fn log_in(
    State(app): State<App>,
    From(origin): From,
    line: Line,
    SmallForm(form): SmallForm<LoginForm>,
) -> Result<Response, PageError> {
    let next = next_path(&form.next).to_owned();
    if !line.is_private {
        return html(StatusCode::FORBIDDEN, &LoginPage::new(&app, &line, &next).await?);
    }
    let (username, password) = (form.username.clone(), form.password);
    let result = hashing(&app, move |engine| engine.log_in(&username, &password, &origin)).await?;
    match result {
        Ok(secret) => {
            let mut response = Redirect::to(&next).into_response();
            set_session(&app, &mut response, secret.reveal(), SESSION_SECONDS);
            Ok(response)
        }
        Err(LoginError::Mismatch) => {
            let page = LoginPage::new(&app, &line, &next).await?;
            let page = LoginPage { username: &form.username, has_failed: true, ..page };
            html(StatusCode::UNAUTHORIZED, &page)
        }
        Err(LoginError::TooMany { retry_after_seconds }) => {
            Err(PageError::TooManyAttempts { retry_after_seconds })
        }
        Err(LoginError::Engine(error)) => Err(error.into()),
        Err(error) => Err(PageError::Login(error)),
    }
}

/// Signs out; without a session there is nothing to end, and the page is the same.
pub(crate) async fn log_out(
    State(app): State<App>,
    caller: Result<PageCaller, Response>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let (Ok(PageCaller(principal)), Some(secret)) = (caller, auth::session(&app, &headers)) {
        blocking(&app, move |engine| engine.log_out(&principal, &secret)).await??;
    }
    let mut response = Redirect::to("/login").into_response();
    set_session(&app, &mut response, "", 0);
    Ok(response)
}

/// A path of this site to go on to, or the log. Never another site, and never a page that leads back here.
pub(super) fn next_path(next: &str) -> &str {
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 8 * 1024
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let leads_back = matches!(path, "/logout" | "/setup") || path == "/login" || path.starts_with("/login/");
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
            "/login/oidc",
            "/login/oidc/callback?state=x",
            "/logout",
            "/setup?secret=x",
        ] {
            assert_eq!(next_path(next), "/audit", "{next:?}");
        }
    }
}
