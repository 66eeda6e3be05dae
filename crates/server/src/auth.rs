//! From headers to a [`Principal`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use annals_engine::{Credential, Engine, EngineError, Origin, Principal};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::client_address::{self, is_forwarded, is_trusted};
use crate::error::ApiError;
use crate::{App, Config};

/// Coder's own header for a token.
pub(crate) const CODER_SESSION_TOKEN: HeaderName = HeaderName::from_static("coder-session-token");
/// Name of the session cookie. Over HTTPS it has a prefix, see [`cookie_name`].
pub(crate) const SESSION_COOKIE: &str = "annals_session";

/// A caller of the API: whoever shows a token or a session, at the address that they come from.
pub(crate) struct Caller(pub(crate) Principal);

/// A person in a browser. Without a session they are sent to the log-in page.
pub(crate) struct PageCaller(pub(crate) Principal);

/// Where the request comes from.
pub(crate) struct From(pub(crate) Origin);

/// The line between the client and the server.
pub(crate) struct Line {
    /// Nobody on the way can read it: it ends on this machine, or TLS is spoken.
    pub(crate) is_private: bool,
}

/// Passwords hashed at the same time.
pub(crate) const HASHING_MAX: usize = 2;
/// Facets and histograms counted at the same time.
pub(crate) const COUNTING_MAX: usize = 4;
/// Exports at the same time: each keeps a core busy.
pub(crate) const EXPORTING_MAX: usize = 4;
/// Streams at the same time.
pub(crate) const STREAMS_MAX: usize = 64;
/// How long a log-in waits for its turn; a person gives up soon after.
const HASHING_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone)]
enum Shown {
    Token(String),
    Session(String),
}

/// A caller of the API whose request lasts: what they showed is looked at again meanwhile.
pub(crate) struct LastingCaller {
    pub(crate) principal: Principal,
    shown: Shown,
}

impl LastingCaller {
    /// Says whether what was shown still lets in, with the same sight.
    pub(crate) async fn is_still_let_in(&self, app: &App) -> Result<bool, ApiError> {
        let now = authenticate(app, self.shown.clone()).await?;
        Ok(now.is_some_and(|now| now.has_sight_of(&self.principal)))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, ApiError> {
        let caller = LastingCaller::from_request_parts(parts, app).await?;
        Ok(Caller(caller.principal))
    }
}

impl FromRequestParts<App> for LastingCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<LastingCaller, ApiError> {
        let shown = if parts.headers.contains_key(header::AUTHORIZATION) {
            token(&parts.headers).map(Shown::Token)
        } else {
            token(&parts.headers)
                .map(Shown::Token)
                .or_else(|| session(app, &parts.headers).map(Shown::Session))
        };
        let shown = shown.ok_or(ApiError::Unauthenticated)?;
        let principal = authenticate(app, shown.clone()).await?.ok_or(ApiError::Unauthenticated)?;
        Ok(LastingCaller { principal: principal.at(origin(app, parts)), shown })
    }
}

impl FromRequestParts<App> for PageCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<PageCaller, Response> {
        let principal = match session(app, &parts.headers) {
            Some(secret) => {
                authenticate(app, Shown::Session(secret)).await.map_err(IntoResponse::into_response)?
            }
            None => None,
        };
        principal.map(|principal| PageCaller(principal.at(origin(app, parts)))).ok_or_else(|| {
            // The address of a form is no page to come back to.
            let is_page = parts.method == axum::http::Method::GET;
            let wanted =
                parts.uri.path_and_query().filter(|_| is_page).map_or("/audit", |path| path.as_str());
            let next = percent_encoding::utf8_percent_encode(wanted, percent_encoding::NON_ALPHANUMERIC);
            Redirect::to(&format!("/login?next={next}")).into_response()
        })
    }
}

impl FromRequestParts<App> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<From, Self::Rejection> {
        Ok(From(origin(app, parts)))
    }
}

fn origin(app: &App, parts: &Parts) -> Origin {
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let trusted = &app.config.trusted_proxies;
    let ip = peer(parts).map(|peer| client_address::client_address(peer, &parts.headers, trusted));
    Origin { ip, user_agent: user_agent.unwrap_or_default().to_owned() }
}

impl FromRequestParts<App> for Line {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Line, Self::Rejection> {
        Ok(Line { is_private: is_private(&app.config, peer(parts), &parts.headers) })
    }
}

fn is_private(config: &Config, peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let trusted = &config.trusted_proxies;
    let comes_from_proxy = || trusted.is_empty() || peer.is_some_and(|peer| is_trusted(peer, trusted));
    // A proxy on this machine that nobody declared hands on what came over an open line.
    let is_local = || peer.is_some_and(|ip| ip.to_canonical().is_loopback()) && !is_forwarded(headers);
    // A proxy that says so itself hands on what came over an open line.
    let says_http = headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"http"));
    let comes_from_proxy = || comes_from_proxy() && !says_http;
    config.tls.is_some() || (config.behind_tls_proxy && comes_from_proxy()) || is_local()
}

/// Address of the other end of the connection.
fn peer(parts: &Parts) -> Option<IpAddr> {
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
    let turn = std::sync::Arc::clone(&app.hashing).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(HASHING_WAIT, turn).await else {
        return Err(ApiError::TooManyLogins);
    };
    // The turn lasts as long as the work, also when nobody waits for its answer any more.
    blocking(app, move |engine| {
        let _turn = turn;
        work(engine)
    })
    .await
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
pub(crate) fn session(app: &App, headers: &HeaderMap) -> Option<String> {
    cookie(app, headers, SESSION_COOKIE)
}

/// The name under which a cookie is kept. With the prefix `__Host-` browsers take it over HTTPS only, and from no other host
/// of the same domain.
pub(crate) fn cookie_name(app: &App, name: &str) -> String {
    if app.config.is_https() { format!("__Host-{name}") } else { name.to_owned() }
}

/// The value of a cookie, unless it is empty.
pub(crate) fn cookie(app: &App, headers: &HeaderMap, name: &str) -> Option<String> {
    plain_cookie(headers, &cookie_name(app, name))
}

/// The same for a cookie that a script made, and that nothing is trusted to.
pub(crate) fn plain_cookie(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, peer: &str, forwarded: Option<&str>, expect: bool) {
        let mut headers = HeaderMap::new();
        if let Some(forwarded) = forwarded {
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        let found = is_private(config, Some(peer.parse().unwrap()), &headers);
        assert_eq!(found, expect, "{config:?} {peer} {forwarded:?}");
    }

    #[test]
    fn a_line_is_private_on_this_machine_or_by_tls() {
        let plain = Config::default();
        check(&plain, "127.0.0.1", None, true);
        check(&plain, "::1", None, true);
        check(&plain, "::ffff:127.0.0.1", None, true);
        check(&plain, "192.0.2.1", None, false);
        // Somebody's proxy on this machine, which nobody declared.
        check(&plain, "127.0.0.1", Some("192.0.2.1"), false);
        check(&plain, "192.0.2.1", Some("127.0.0.1"), false);

        let tls = Config { tls: Some(crate::TlsFiles::new("c", "k")), ..Config::default() };
        check(&tls, "192.0.2.1", None, true);
    }

    #[test]
    fn a_declared_proxy_makes_lines_private_and_named_proxies_only_theirs() {
        let any = Config { behind_tls_proxy: true, ..Config::default() };
        check(&any, "192.0.2.1", None, true);
        check(&any, "10.0.0.1", Some("192.0.2.1"), true);

        let named = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..any };
        check(&named, "10.0.0.1", Some("192.0.2.1"), true);
        check(&named, "192.0.2.1", Some("10.0.0.1"), false);
        check(&named, "127.0.0.1", None, true);
    }
}
