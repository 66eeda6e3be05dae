//! What happens to every request and reply.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{debug, warn};

use crate::App;
use crate::error::ApiError;

/// Only our own scripts, styles and images; no frames, no plug-ins, forms to ourselves only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const PERMISSIONS_POLICY_NAME: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY_NAME: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY_NAME: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Nothing of a device is needed.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), usb=()";
/// For a year, browsers come back by HTTPS only.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Adds the headers that keep a browser from doing more than a page needs.
pub(crate) async fn security_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (PERMISSIONS_POLICY_NAME, PERMISSIONS_POLICY),
        // No window of another site shares a group with ours, and none embeds what we answer.
        (OPENER_POLICY_NAME, "same-origin"),
        (RESOURCE_POLICY_NAME, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if app.config.tls.is_some() {
        // A proxy that speaks TLS says this for itself.
        let value = HeaderValue::from_static(STRICT_TRANSPORT_SECURITY);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    // Events are personal data: no shared or disk cache keeps them. Assets set their own.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a request that changes something and that another site's page sent with our cookie.
pub(crate) async fn refuse_foreign_forms(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !has_token(request.headers()) && is_foreign(request.headers()) {
        return ApiError::ForeignOrigin.into_response();
    }
    next.run(request).await
}

/// A token is never sent by a browser on its own, as other kinds of `Authorization` are.
fn has_token(headers: &HeaderMap) -> bool {
    crate::auth::token(headers).is_some()
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        return !matches!(site, "same-origin" | "none");
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").map(|(_, rest)| rest) != Some(host),
        // Neither header: not a browser of this decade, and without a cookie of ours it gets nowhere.
        _ => false,
    }
}

/// Writes a line for each request: the route, not the path or query, which hold personal data.
pub(crate) async fn log_requests(matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = matched.as_ref().map_or("-", MatchedPath::as_str).to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let duration_ms = started.elapsed().as_secs_f64() * 1_000.0;
    if response.status().is_server_error() {
        warn!(%method, route, status, duration_ms, "request");
    } else {
        debug!(%method, route, status, duration_ms, "request");
    }
    response
}
