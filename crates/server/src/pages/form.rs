//! What browsers send and keep: bodies of forms, small ones only, and cookies.

use axum::body::Body;
use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::page_error::PageError;
use crate::App;
use crate::auth::{SESSION_COOKIE, cookie_name};

/// Bytes of a form: the longest password, percent-encoded, fits with room to spare.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a form with certificates: each text of a stream's settings has 64 KiB at most, and three of them are certificates and keys.
pub(super) const CERTIFICATES_BYTES_MAX: usize = 256 * 1024;

/// The fields of a posted form.
pub(crate) struct SmallForm<T, const BYTES_MAX: usize = FORM_BYTES_MAX>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for SmallForm<T, BYTES_MAX> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<SmallForm<T, BYTES_MAX>, PageError> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, BYTES_MAX)
            .await
            .map_err(|_| PageError::FormUnreadable { status: StatusCode::PAYLOAD_TOO_LARGE })?;
        let request = Request::from_parts(parts, Body::from(bytes));
        let form = Form::from_request(request, state).await;
        let Form(fields) = form.map_err(|rejection| PageError::FormUnreadable {
            status: axum::response::IntoResponse::into_response(rejection).status(),
        })?;
        Ok(SmallForm(fields))
    }
}

/// Gives the browser the session cookie, or with an empty secret takes it away.
pub(super) fn set_session(app: &App, response: &mut Response, secret: &str, age_seconds: u32) {
    set_cookie(app, response, SESSION_COOKIE, secret, age_seconds);
}

/// Gives the browser a cookie that no script reads and that no form of another site sends.
pub(super) fn set_cookie(app: &App, response: &mut Response, name: &str, value: &str, age_seconds: u32) {
    let name = cookie_name(app, name);
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={age_seconds}{secure}");
    if let Ok(cookie) = cookie.parse() {
        response.headers_mut().append(axum::http::header::SET_COOKIE, cookie);
    }
}
