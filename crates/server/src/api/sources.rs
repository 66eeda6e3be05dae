//! `GET /api/v2/audit/sources`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::App;
use crate::auth::{Caller, blocking};
use crate::error::{ApiError, Problem};

/// What one source has sent, and what of it is missing.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SourceJson {
    /// Its name, as its events have it.
    source: String,
    /// Events that came.
    events: u64,
    /// When the first one was received, RFC 3339.
    first: String,
    /// When the last one was received.
    last: String,
    /// Seconds since then.
    silent_seconds: i64,
    /// Highest `source_seq`; absent if it does not number its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_source_seq: Option<u64>,
    /// Events whose number had come before.
    repeats: u64,
    /// Numbers that were left out and have not come since.
    missing: u64,
    /// Where: first and last number of each gap, the newest 1,000.
    gaps: Vec<(u64, u64)>,
}

/// Lists the sources of events: gaps, repeats and silence.
#[utoipa::path(
    get, path = "/api/v2/audit/sources", tag = "audit",
    responses(
        (status = 200, description = "The sources by name, 1,000 at most", body = Vec<SourceJson>),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller does not see the whole site", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn list_sources(
    State(app): State<App>,
    Caller(principal): Caller,
) -> Result<Json<Vec<SourceJson>>, ApiError> {
    let sources = blocking(&app, move |engine| engine.sources(&principal)).await??;
    let json = |source: annals_engine::Source| SourceJson {
        events: source.state.events,
        first: source.state.first.to_string(),
        last: source.state.last.to_string(),
        silent_seconds: source.silent_us / 1_000_000,
        last_source_seq: source.state.last_seq,
        repeats: source.state.repeats,
        missing: source.state.missing,
        gaps: source.state.gaps,
        source: source.state.name,
    };
    Ok(Json(sources.into_iter().map(json).collect()))
}
