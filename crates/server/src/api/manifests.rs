//! `GET /api/v2/audit/streams/{name}/manifests`: the signed statements of what a stream delivered.

use annals_engine::StreamManifest;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::App;
use crate::auth::{Caller, blocking};
use crate::error::{ApiError, Problem};

/// Manifests that are listed: at one every ten minutes, those of a week.
const LISTED_MAX: usize = 1_000;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// One manifest of a stream.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ManifestJson {
    /// Its number among those of the stream, from 1.
    number: u64,
    /// The first seq of its window.
    first_seq: u64,
    /// The last seq of its window.
    last_seq: u64,
    /// Events in the window that the stream takes.
    event_count: u64,
    /// Whether it is signed and can be fetched.
    signed: bool,
    /// When the window was closed, RFC 3339.
    created: String,
}

impl ManifestJson {
    fn new(manifest: &StreamManifest) -> ManifestJson {
        ManifestJson {
            number: manifest.number,
            first_seq: manifest.first_seq,
            last_seq: manifest.last_seq,
            event_count: manifest.event_count,
            signed: !manifest.note.is_empty(),
            created: manifest.created.to_string(),
        }
    }
}

/// Lists the manifests of a stream, the newest first.
#[utoipa::path(
    get, path = "/api/v2/audit/streams/{name}/manifests", tag = "audit",
    params(("name" = String, Path, description = "Name or id of the stream")),
    responses(
        (status = 200, description = "The newest 1,000", body = Vec<ManifestJson>),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller does not see the whole site", body = Problem),
        (status = 404, description = "There is no such stream", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn list_manifests(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<ManifestJson>>, ApiError> {
    let manifests = blocking(&app, move |engine| {
        let id = engine.stream_id_named(&principal, &name)?;
        engine.stream_manifests(&principal, &id, LISTED_MAX)
    })
    .await??;
    Ok(Json(manifests.iter().map(ManifestJson::new).collect()))
}

/// Shows a manifest as it was signed: a signed note, which the receiver checks without the log.
#[utoipa::path(
    get, path = "/api/v2/audit/streams/{name}/manifests/{number}", tag = "audit",
    params(
        ("name" = String, Path, description = "Name or id of the stream"),
        ("number" = u64, Path, description = "Number of the manifest, from 1"),
    ),
    responses(
        (status = 200, description = "A C2SP signed note", content_type = "text/plain", body = String),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller does not see the whole site", body = Problem),
        (status = 404, description = "There is no such stream, or no such manifest that is signed", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_manifest(
    State(app): State<App>,
    Caller(principal): Caller,
    Path((name, number)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let found = blocking(&app, move |engine| {
        let id = engine.stream_id_named(&principal, &name)?;
        let found = match number.parse() {
            Ok(number) => engine.stream_manifest(&principal, &id, number)?,
            Err(_) => None,
        };
        let found = found.filter(|manifest| !manifest.note.is_empty());
        found.ok_or(ApiError::UnknownManifest { stream: name, number })
    })
    .await??;
    let disposition = format!("attachment; filename=\"manifest-{}.txt\"", found.number);
    let mut response = found.note.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT);
    // A number is all that the name holds, so it is always a header's value.
    if let Ok(disposition) = disposition.parse() {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
