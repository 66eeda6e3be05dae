//! `GET /api/v2/audit/evidence`: events with their proofs, as a file.

use std::fs::File;
use std::io::Read as _;

use annals_engine::EvidenceError;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tracing::{debug, error};

use crate::App;
use crate::api::parameters::Parameters;
use crate::auth::{Caller, blocking};
use crate::error::{ApiError, Problem};
use crate::streamed::{Chunks, streamed};

/// Events of one file over HTTP; more are taken where the log is, by `annals export --evidence`.
const EVENTS_MAX: u64 = 50_000;
/// Bytes of the file that are sent at once.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Shows events with their proofs: a gzipped tar that `annals verify` and docs/verify.py check offline.
///
/// A query of `seq:FROM..TO` alone, or none, also proves that nothing in between is missing. Only for those who see the whole site. Recorded as an
/// event before its first byte.
#[utoipa::path(
    get, path = "/api/v2/audit/evidence", tag = "proof",
    params(("q" = Option<String>, Query, description = "Query text; at most 50,000 events")),
    responses(
        (status = 200, description = "Evidence, format `annals-evidence/1`", content_type = "application/gzip"),
        (status = 400, description = "The query or a parameter is wrong", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller does not see the whole site", body = Problem),
        (status = 404, description = "Nothing was signed yet", body = Problem),
        (status = 422, description = "Too many events", body = Problem),
        (status = 503, description = "Four exports run already", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_evidence(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    principal.may_see_all("take evidence out of the log")?;
    let mut parameters = Parameters::new(pairs);
    let query = parameters.text("q");
    parameters.finish()?;
    let turn = app.exporting.clone().try_acquire_owned().map_err(|_| ApiError::TooManyExports)?;
    let made = blocking(&app, move |engine| {
        // The turn lasts as long as the work, also when nobody waits for it any more.
        let made = engine.evidence_file(&principal, &query, EVENTS_MAX);
        made.map(|(file, report)| {
            (turn, file.metadata().map(|metadata| metadata.len()).unwrap_or(0), file, report)
        })
    });
    let (turn, bytes, file, report) = made.await??;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let name = format!(
        "attachment; filename=\"evidence-{}-events-checkpoint-{}.tar.gz\"",
        report.events, report.checkpoint
    );
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    let (chunks, body) = streamed(turn);
    tokio::spawn(send(app, file, chunks));
    Ok((headers, body).into_response())
}

async fn send(app: App, mut file: File, chunks: Chunks) {
    loop {
        let read = blocking(&app, move |_| {
            let mut bytes = Vec::new();
            let read = (&mut file).take(CHUNK_BYTES).read_to_end(&mut bytes);
            (file, bytes, read)
        });
        let Ok((rest, bytes, read)) = read.await else { return };
        file = rest;
        match read {
            Ok(0) => {
                // Nobody is there to hear it, if it fails.
                let _ = chunks.end().await;
                return;
            }
            Ok(_) => {
                if chunks.send(bytes).await.is_err() {
                    debug!("the reader of evidence left before its end");
                    return;
                }
            }
            Err(cause) => return error!(error = %cause, "evidence was cut off"),
        }
    }
}

impl From<EvidenceError> for ApiError {
    fn from(error: EvidenceError) -> ApiError {
        match error {
            EvidenceError::Export(error) => error.into(),
            EvidenceError::NotSigned => ApiError::NothingSigned,
            error @ EvidenceError::Dropped { .. } => {
                ApiError::Parameters(vec![crate::error::Validation::new("q", error.to_string())])
            }
            EvidenceError::TooMany { count, max } => ApiError::TooMuchEvidence { count, max },
            error => {
                error!(cause = %error, "evidence could not be made");
                ApiError::Panicked
            }
        }
    }
}
