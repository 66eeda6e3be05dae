//! `GET` and `PUT /api/v2/audit/resources`: the registry.

use annals_engine::Registered;
use annals_model::limits::REGISTRY_BYTES_MAX;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;

use crate::App;
use crate::auth::{Caller, blocking};
use crate::body;
use crate::error::{ApiError, Problem};

/// Shows resource types with their fields and policies, actions and settings.
#[utoipa::path(
    get, path = "/api/v2/audit/resources", tag = "registry",
    responses(
        (status = 200, description = "The registry now in force", body = Object),
        (status = 401, description = "No or unknown credential", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_resources(
    State(app): State<App>,
    Caller(_): Caller,
) -> Result<Json<serde_json::Value>, ApiError> {
    let registry = blocking(&app, annals_engine::Engine::registry).await??;
    Ok(Json(registry.to_json()))
}

/// Registers the resource types and actions of an application: a TOML document.
///
/// It may add types, fields and actions and tighten a policy, never loosen one. The same document again changes nothing.
#[utoipa::path(
    put, path = "/api/v2/audit/resources", tag = "registry",
    request_body(content = String, content_type = "application/toml", description = "The document"),
    responses(
        (status = 200, description = "The document is in force", body = Registered),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not register", body = Problem),
        (status = 413, description = "The document is too large", body = Problem),
        (status = 422, description = "The document does not fit the registry", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn register_resources(
    State(app): State<App>,
    Caller(principal): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Registered>, ApiError> {
    principal.may_register()?;
    let raw = body::read(&headers, body).await?;
    let registered = blocking(&app, move |engine| -> Result<_, ApiError> {
        let bytes = raw.decode()?;
        if bytes.len() > REGISTRY_BYTES_MAX {
            return Err(ApiError::BodyTooLarge { bytes_max: REGISTRY_BYTES_MAX });
        }
        let unreadable = |_| ApiError::BodyUnreadable { detail: "the document is not UTF-8".to_owned() };
        let document = String::from_utf8(bytes).map_err(unreadable)?;
        Ok(engine.register(&principal, &document)?)
    });
    Ok(Json(registered.await??))
}
