//! From headers to a [`Principal`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use annals_engine::{Credential, Engine, EngineError, Origin, Principal};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::App;
use crate::error::ApiError;

/// Coder's own header for a token.
pub(crate) const CODER_SESSION_TOKEN: HeaderName = HeaderName::from_static("coder-session-token");
/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "annals_session";

/// A caller of the API: whoever shows a token or a session.
pub(crate) struct Caller(pub(crate) Principal);

/// A person in a browser. Without a session they are sent to the log-in page.
pub(crate) struct PageCaller(pub(crate) Principal);

/// Where the request comes from.
pub(crate) struct From(pub(crate) Origin);

/// Passwords hashed at the same time.
pub(crate) const HASHING_MAX: usize = 2;
/// Facets and histograms counted at the same time.
pub(crate) const COUNTING_MAX: usize = 4;
/// How long a log-in waits for its turn; a person gives up soon after.
const HASHING_WAIT: Duration = Duration::from_secs(5);

enum Shown {
    Token(String),
    Session(String),
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, ApiError> {
        let shown = if parts.headers.contains_key(header::AUTHORIZATION) {
            token(&parts.headers).map(Shown::Token)
        } else {
            token(&parts.headers).map(Shown::Token).or_else(|| session(&parts.headers).map(Shown::Session))
        };
        let shown = shown.ok_or(ApiError::Unauthenticated)?;
        authenticate(app, shown).await?.map(Caller).ok_or(ApiError::Unauthenticated)
    }
}

impl FromRequestParts<App> for PageCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<PageCaller, Response> {
        let principal = match session(&parts.headers) {
            Some(secret) => {
                authenticate(app, Shown::Session(secret)).await.map_err(IntoResponse::into_response)?
            }
            None => None,
        };
        principal.map(PageCaller).ok_or_else(|| {
            let wanted = parts.uri.path_and_query().map_or("/audit", |path| path.as_str());
            let next = percent_encoding::utf8_percent_encode(wanted, percent_encoding::NON_ALPHANUMERIC);
            Redirect::to(&format!("/login?next={next}")).into_response()
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<From, Self::Rejection> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(From(Origin { ip: peer(parts), user_agent: user_agent.unwrap_or_default().to_owned() }))
    }
}

/// Address of the other end of the connection.
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

async fn authenticate(app: &App, shown: Shown) -> Result<Option<Principal>, ApiError> {
    blocking(app, move |engine| {
        let credential = match &shown {
            Shown::Token(secret) => Credential::Token(secret),
            Shown::Session(secret) => Credential::Session(secret),
        };
        engine.authenticate(credential)
    })
    .await?
    .map_err(|error: EngineError| error.into())
}

/// Runs a call that hashes a password. Each takes 19 MiB and tens of milliseconds of a core, and anyone may ask for it, so
/// few run at once and the others wait a little.
pub(crate) async fn hashing<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Engine) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let permit = tokio::time::timeout(HASHING_WAIT, app.hashing.acquire()).await;
    let Ok(Ok(_permit)) = permit else { return Err(ApiError::TooManyLogins) };
    blocking(app, work).await
}

/// Runs a call that looks at every segment. Few run at once, and the others wait for their turn as long as their request may
/// take. A turn lasts until the work has ended, also when nobody waits for its answer any more.
pub(crate) async fn counting<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Engine) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let turn = std::sync::Arc::clone(&app.counting).acquire_owned().await;
    let turn = turn.map_err(|_| ApiError::Panicked)?;
    blocking(app, move |engine| {
        let _turn = turn;
        work(engine)
    })
    .await
}

/// Runs a call of the engine, which may wait for the disk, off the threads that serve connections.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Engine) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let engine = std::sync::Arc::clone(&app.engine);
    tokio::task::spawn_blocking(move || work(&engine)).await.map_err(|_| ApiError::Panicked)
}

/// The token of a request. An `Authorization` of another kind is no token, and no other header makes up for it.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    headers.get(CODER_SESSION_TOKEN)?.to_str().ok().map(str::to_owned)
}

/// The secret of the session cookie.
pub(crate) fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value.to_owned())
        .filter(|value| !value.is_empty())
}
