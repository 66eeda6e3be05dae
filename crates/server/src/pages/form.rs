//! Bodies of forms: small ones only.

use axum::body::Body;
use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::page_error::PageError;

/// Bytes of a form: the longest password, percent-encoded, fits with room to spare.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// The fields of a posted form.
pub(crate) struct SmallForm<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for SmallForm<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<SmallForm<T>, PageError> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, FORM_BYTES_MAX)
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

/// The name of the cookie, its value and what a browser must know about it.
pub(super) fn set_session(response: &mut Response, secret: &str, age_seconds: u32, is_secure: bool) {
    let name = crate::auth::SESSION_COOKIE;
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{name}={secret}; HttpOnly; SameSite=Lax; Path=/; Max-Age={age_seconds}{secure}");
    if let Ok(cookie) = cookie.parse() {
        response.headers_mut().append(axum::http::header::SET_COOKIE, cookie);
    }
}
