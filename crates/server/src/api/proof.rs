//! Proofs over HTTP: receipts of events, and the tree as C2SP tlog-tiles.

use std::time::{Duration, Instant};

use annals_engine::{RECEIPT_WAIT, Standing};
use annals_model::id::EventId;
use annals_tlog::{Checkpoint, Hash, TileLevel, TilePath};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::App;
use crate::api::parameters::Parameters;
use crate::auth::{Caller, blocking};
use crate::error::{ApiError, Problem};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// What never changes may be kept for ever, by whoever was let in.
const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
/// What changes with the next checkpoint.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");

/// Pause between two wishes for a checkpoint.
const ASK_AGAIN: Duration = Duration::from_millis(300);

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, NOT_KEPT)], body).into_response()
}

fn event_id(id: &str) -> Result<EventId, ApiError> {
    uuid::Uuid::try_parse(id).map(EventId::new).map_err(|_| ApiError::UnknownEvent)
}

/// Waits until a checkpoint covers an event, at most [`RECEIPT_WAIT`].
pub(super) async fn wait_for_checkpoint(app: &App, seq: u64) -> Result<(), ApiError> {
    if !blocking(app, |engine| engine.is_signed()).await?? {
        return Err(ApiError::NoCheckpointYet { seq });
    }
    let until = Instant::now() + RECEIPT_WAIT;
    loop {
        if app.engine.refusal().is_some() || Instant::now() >= until {
            return Err(ApiError::NoCheckpointYet { seq });
        }
        // Asked again and again: a wish may have been heard just before the event was taken.
        let is_covered = match app.engine.ask_for_checkpoint() {
            Some(mut signed) => {
                let covered = tokio::time::timeout(ASK_AGAIN, signed.wait_for(|size| *size > seq)).await;
                covered.is_ok_and(|covered| covered.is_ok())
            }
            // Another server signs; what it signed stands in the database.
            None => {
                tokio::time::sleep(ASK_AGAIN).await;
                blocking(app, move |engine| engine.is_covered(seq)).await??
            }
        };
        if is_covered {
            return Ok(());
        }
    }
}

/// Shows the receipt of an event: a file that proves offline that it stands in the log. Waits for the next checkpoint, some tenths of a second.
#[utoipa::path(
    get, path = "/api/v2/audit/{id}/receipt", tag = "proof",
    params(
        ("id" = String, Path, description = "UUID of the event"),
        ("values" = Option<bool>, Query, description = "false: leave out personal values; the proof stays the same"),
    ),
    responses(
        (status = 200, description = "A C2SP tlog-proof; `extra` holds the record as JSON, format `annals-record/1`", content_type = "text/plain", body = String),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 404, description = "There is no such event, or it is not in sight", body = Problem),
        (status = 503, description = "No checkpoint covers it yet", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_receipt(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let shows_values = parameters.parsed::<bool>("values", "true or false").unwrap_or(true);
    parameters.finish()?;
    let id = event_id(&id)?;
    for is_last in [false, true] {
        let principal = principal.clone();
        let receipt = blocking(&app, move |engine| engine.receipt(&principal, id, shows_values)).await??;
        match receipt.ok_or(ApiError::UnknownEvent)? {
            Ok(receipt) => {
                let mut response = text(receipt.to_string());
                let name = format!("attachment; filename=\"{}.tlog-proof\"", id.uuid());
                if let Ok(name) = HeaderValue::from_str(&name) {
                    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
                }
                return Ok(response);
            }
            Err(seq) if is_last => return Err(ApiError::NoCheckpointYet { seq }),
            Err(seq) => wait_for_checkpoint(&app, seq).await?,
        }
    }
    unreachable!("the second round returns")
}

/// Where an event stands in the tree.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ProofJson {
    /// Its seq, the number of its leaf.
    seq: u64,
    /// Hash of its leaf, base64.
    leaf: String,
    /// The first checkpoint that covers it; absent if there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<CheckpointJson>,
    /// From the leaf towards the root, base64.
    path: Vec<String>,
}

/// A signed checkpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CheckpointJson {
    /// Its number, from 1.
    number: u64,
    /// Name of the log.
    origin: String,
    /// Events that it covers.
    size: u64,
    /// Root of the tree over them, base64.
    root: String,
    /// When it was signed, RFC 3339.
    signed: String,
    /// The signed note.
    note: String,
}

fn base64_of(hash: &Hash) -> String {
    STANDARD.encode(hash.as_bytes())
}

fn proof_json(standing: Standing) -> ProofJson {
    let Standing { seq, leaf, checkpoint } = standing;
    let (checkpoint, path) = match checkpoint {
        None => (None, Vec::new()),
        Some((stored, path)) => {
            let text = stored.note.split("\n\n").next().map(|text| format!("{text}\n")).unwrap_or_default();
            let read = text.parse::<Checkpoint>().ok();
            let json = read.map(|read| CheckpointJson {
                number: stored.number,
                origin: read.origin().to_owned(),
                size: stored.size,
                root: base64_of(&read.root()),
                signed: stored.signed.to_string(),
                note: stored.note,
            });
            (json, path.iter().map(base64_of).collect())
        }
    };
    ProofJson { seq, leaf: base64_of(&leaf), checkpoint, path }
}

/// Shows where an event stands in the tree: leaf hash, first checkpoint, path to its root. For a program that computes the path itself.
#[utoipa::path(
    get, path = "/api/v2/audit/{id}/proof", tag = "proof",
    params(("id" = String, Path, description = "UUID of the event")),
    responses(
        (status = 200, description = "Where it stands", body = ProofJson),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 404, description = "There is no such event, or it is not in sight", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_proof(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Json<ProofJson>, ApiError> {
    principal.may_read()?;
    let id = event_id(&id)?;
    let standing = blocking(&app, move |engine| engine.standing(&principal, id)).await??;
    Ok(Json(proof_json(standing.ok_or(ApiError::UnknownEvent)?)))
}

/// Shows the last signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(
    get, path = "/tlog/checkpoint", tag = "proof",
    responses(
        (status = 200, description = "A signed note", content_type = "text/plain", body = String),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 404, description = "Nothing was signed yet", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_checkpoint(
    State(app): State<App>,
    Caller(principal): Caller,
) -> Result<Response, ApiError> {
    let checkpoint = blocking(&app, move |engine| engine.checkpoint(&principal)).await??;
    Ok(text(checkpoint.ok_or(ApiError::NothingSigned)?.note))
}

/// Shows that the log of one size continues that of an older size.
#[utoipa::path(
    get, path = "/tlog/consistency", tag = "proof",
    params(
        ("old" = u64, Query, description = "Events of the older checkpoint"),
        ("new" = u64, Query, description = "Events of the newer checkpoint"),
    ),
    responses(
        (status = 200, description = "Hashes of the RFC 9162 proof, base64, one a line", content_type = "text/plain", body = String),
        (status = 400, description = "A parameter is wrong, or nothing so large is signed", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 410, description = "The older checkpoint is of fewer events than retention took out of the log", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_consistency(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let old = parameters.parsed::<u64>("old", "events of the older checkpoint");
    let new = parameters.parsed::<u64>("new", "events of the newer checkpoint");
    parameters.finish()?;
    let wrong =
        |name: &str, what: &str| ApiError::Parameters(vec![crate::error::Validation::new(name, what)]);
    let old = old.ok_or_else(|| wrong("old", "missing: events of the older checkpoint"))?;
    let new = new.ok_or_else(|| wrong("new", "missing: events of the newer checkpoint"))?;
    let proof = blocking(&app, move |engine| engine.consistency(&principal, old, new)).await??;
    let proof =
        proof.ok_or_else(|| wrong("new", "at least `old`, at most the events of /tlog/checkpoint"))?;
    Ok(text(proof.iter().map(|hash| format!("{}\n", base64_of(hash))).collect()))
}

/// Shows a tile of the tree (C2SP tlog-tiles): `/tlog/tile/0/x001/067`, `/tlog/tile/0/000.p/5`, `/tlog/tile/entries/000`.
#[utoipa::path(
    get, path = "/tlog/tile/{path}", tag = "proof",
    params(("path" = String, Path, description = "Level and number, as C2SP tlog-tiles writes them")),
    responses(
        (status = 200, description = "Hashes, 32 bytes each; or leaves, each behind its length in two bytes", content_type = "application/octet-stream"),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log, or, for leaves, not all of it", body = Problem),
        (status = 404, description = "There is no such tile, or no checkpoint covers it", body = Problem),
        (status = 410, description = "Retention took its events out of the log", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_tile(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    principal.may_read()?;
    let unknown = || ApiError::UnknownRoute {
        path: format!("/tlog/tile/{}", path.chars().take(100).collect::<String>()),
    };
    let tile: TilePath = format!("tile/{path}").parse().map_err(|_| unknown())?;
    let bytes = blocking(&app, move |engine| engine.tile(&principal, &tile)).await??.ok_or_else(unknown)?;
    let keeping = if tile.level() == TileLevel::Entries { NOT_KEPT } else { FOR_EVER };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CACHE_CONTROL, keeping),
    ];
    Ok((headers, bytes).into_response())
}
