//! `GET /login/oidc` and `GET /login/oidc/callback`: to the provider and back.
//!
//! The state goes through the browser twice: in the address, by way of the provider, and in a cookie. Only the browser that
//! began has both, so nobody can make another's browser log in as themselves. The engine gives each state out once.

use annals_engine::{
    EngineError, OidcLoginError, Origin, PendingOidc, SESSION_SECONDS, SecretText, Settings, TakenOidc,
};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use openidconnect::RedirectUrl;
use openidconnect::url::Url;
use serde::Deserialize;
use tracing::{info, warn};

use super::form::{set_cookie, set_session};
use super::login::{Wanted, next_path};
use super::page_error::PageError;
use crate::App;
use crate::auth::{From, Line, blocking, cookie};
use crate::error::ApiError;
use crate::oidc::{AccessUrl, OidcConfig, OidcError, Secrets, to_identity};

/// Keeps the state of the log-in that this browser began last.
const STATE_COOKIE: &str = "annals_oidc";
/// How long someone may take at the provider; the engine forgets the state then, too.
const STATE_SECONDS: u32 = 10 * 60;
/// Where the provider sends the browser back to.
const CALLBACK_PATH: &str = "/login/oidc/callback";

/// What a provider sends back.
#[derive(Deserialize)]
pub(crate) struct Callback {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    iss: Option<String>,
    error: Option<String>,
}

/// Sends the browser to the provider.
pub(crate) async fn begin(
    State(app): State<App>,
    From(origin): From,
    line: Line,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    if let Err(retry_after_seconds) = blocking(&app, move |engine| engine.may_begin_oidc(&origin)).await?? {
        return Err(PageError::TooManyAttempts { retry_after_seconds });
    }
    let settings = app.settings().await?;
    let config = app.oidc_config(&settings).ok_or(PageError::OidcOff)?;
    let redirect = open_redirect(&app, &settings, &line, &headers)?;
    let [state, nonce, verifier] = [(); 3].map(|()| SecretText::fresh());
    let secrets = Secrets { state: state.reveal(), nonce: nonce.reveal(), verifier: verifier.reveal() };
    let address = app.oidc.authorization_url(&config, &redirect, &secrets).await.map_err(|error| {
        warn!(%error, issuer = config.issuer.as_str(), "nobody can log in by OIDC now");
        PageError::OidcAway { name: config.options.name.clone() }
    })?;
    let cookie = state.clone();
    blocking(&app, move |engine| {
        engine.begin_oidc(&PendingOidc {
            state: state.reveal(),
            nonce: nonce.reveal(),
            verifier: verifier.reveal(),
            next: wanted.path(),
        })
    })
    .await??;
    let mut response = Redirect::to(&address).into_response();
    set_cookie(&app, &mut response, STATE_COOKIE, cookie.reveal(), STATE_SECONDS);
    Ok(response)
}

/// Why nobody is logged in, for the operator's log.
enum Failure {
    /// The fault lies with the request or the provider, and is recorded here.
    Attempt(String),
    /// The engine has recorded it already.
    Recorded,
    /// Something of ours failed.
    Page(PageError),
}

impl std::convert::From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure::Page(error.into())
    }
}

impl std::convert::From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        Failure::Page(error.into())
    }
}

/// Takes the browser back from the provider, and logs in.
pub(crate) async fn end(
    State(app): State<App>,
    From(origin): From,
    line: Line,
    headers: HeaderMap,
    callback: Result<Query<Callback>, QueryRejection>,
) -> Result<Response, PageError> {
    let settings = app.settings().await?;
    let config = app.oidc_config(&settings).ok_or(PageError::OidcOff)?;
    let redirect = open_redirect(&app, &settings, &line, &headers)?;
    let callback = callback.map(|Query(callback)| callback).ok();
    let result = log_in(&app, &config, &redirect, &headers, callback, &origin).await;
    let failed = PageError::OidcFailed { name: config.options.name.clone() };
    let mut response = match result {
        Ok((secret, next)) => {
            let mut response = Redirect::to(next_path(&next)).into_response();
            set_session(&app, &mut response, secret.reveal(), SESSION_SECONDS);
            response
        }
        Err(Failure::Attempt(why)) => {
            info!(why, "a log-in by OIDC failed");
            blocking(&app, move |engine| engine.refuse_oidc(&config.options.name, &origin)).await?;
            failed.into_response()
        }
        Err(Failure::Recorded) => failed.into_response(),
        Err(Failure::Page(error)) => error.into_response(),
    };
    // Used up, whatever came of it.
    set_cookie(&app, &mut response, STATE_COOKIE, "", 0);
    Ok(response)
}

async fn log_in(
    app: &App,
    config: &OidcConfig,
    redirect: &RedirectUrl,
    headers: &HeaderMap,
    callback: Option<Callback>,
    origin: &Origin,
) -> Result<(SecretText, String), Failure> {
    let attempt = |why: &str| Failure::Attempt(why.to_owned());
    let callback = callback.ok_or_else(|| attempt("the callback cannot be read"))?;
    let began = cookie(app, headers, STATE_COOKIE);
    let began = began.ok_or_else(|| attempt("this browser began no log-in, or too long ago"))?;
    // Both come from this request: there is no secret of ours to guess.
    if began != callback.state {
        return Err(attempt("the state is not the one that this browser began with"));
    }
    let state = callback.state.clone();
    let taken = blocking(app, move |engine| engine.take_oidc(&state)).await??;
    let taken: TakenOidc = taken.ok_or_else(|| attempt("the state is unknown, used or too old"))?;
    if let Some(code) = &callback.error {
        return Err(attempt(&format!("the provider refused: {}", known_error(code))));
    }
    if callback.code.is_empty() {
        return Err(attempt("the callback holds no code"));
    }
    let of_provider = |error: OidcError| Failure::Attempt(error.to_string());
    app.oidc.check_issuer(config, callback.iss.as_deref()).await.map_err(of_provider)?;
    let secrets = Secrets { state: &callback.state, nonce: &taken.nonce, verifier: &taken.verifier };
    let identity = app.oidc.identify(config, redirect, &secrets, callback.code).await.map_err(of_provider)?;
    let (identity, policy, origin) =
        (to_identity(config, &identity), config.options.policy.clone(), origin.clone());
    let result = blocking(app, move |engine| engine.log_in_oidc(&identity, &policy, &origin)).await?;
    match result {
        Ok(secret) => Ok((secret, taken.next)),
        Err(OidcLoginError::Engine(error)) => Err(error.into()),
        Err(error) => {
            info!(why = %error, "a log-in by OIDC failed");
            Err(Failure::Recorded)
        }
    }
}

/// Codes of RFC 6749 and OpenID Connect; anything else could hold anything.
fn known_error(code: &str) -> &'static str {
    const KNOWN: [&str; 11] = [
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    ];
    KNOWN.into_iter().find(|known| *known == code).unwrap_or("another error")
}

/// The address of the callback, if a session may be handed out there.
fn open_redirect(
    app: &App,
    settings: &Settings,
    line: &Line,
    headers: &HeaderMap,
) -> Result<RedirectUrl, PageError> {
    if !line.is_private {
        return Err(PageError::OpenLine);
    }
    let base = base(app, settings, headers).ok_or(PageError::OidcNoAddress)?;
    RedirectUrl::new(format!("{base}{CALLBACK_PATH}")).map_err(|_| PageError::OidcNoAddress)
}

/// The address under which this browser reaches us: the configured one, or on this machine the one it asked for.
fn base(app: &App, settings: &Settings, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = app.access_url(settings) {
        return Some(url.as_str().to_owned()).filter(|_| url.is_private());
    }
    if !app.address.ip().is_loopback() {
        return None;
    }
    let scheme = if app.config.tls.is_some() { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // A cookie is kept for the name in the address bar; `localhost` and 127.0.0.1 are two.
    let asked: Option<AccessUrl> = format!("{scheme}://{host}").parse().ok();
    let is_ours = |url: &AccessUrl| {
        let url = Url::parse(url.as_str()).ok();
        url.is_some_and(|url| {
            let name = url.host_str().unwrap_or_default();
            let is_local = name == "localhost" || name == app.address.ip().to_string();
            is_local && url.port_or_known_default() == Some(app.address.port())
        })
    };
    let asked = asked.filter(is_ours).map(|url| url.as_str().to_owned());
    Some(asked.unwrap_or_else(|| format!("{scheme}://{}", app.address)))
}
