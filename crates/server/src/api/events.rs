//! `POST /api/v2/audit/events`.

use annals_engine::{Appended, PartialBatch, Principal};
use annals_model::event::NewEvent;
use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};

use crate::App;
use tracing::warn;

use crate::api::parameters::Parameters;
use crate::api::proof::wait_for_checkpoint;
use crate::auth::{Caller, blocking};
use crate::body;
use crate::error::{ApiError, Problem};

/// Events of one request that get receipts.
const RECEIPTS_MAX: usize = 100;

/// Records events: one object, an array, or one object a line (NDJSON), also gzip or zstd.
///
/// The reply comes when the events are on disk. A batch with a bad event is refused whole, unless `partial=true`.
#[utoipa::path(
    post, path = "/api/v2/audit/events", tag = "audit",
    params(
        ("partial" = Option<bool>, Query, description = "Take the good events and list the rest"),
        ("receipt" = Option<bool>, Query, description = "Wait for the next signed checkpoint, some tenths of a second, and return a receipt of each event; at most 100 events"),
    ),
    request_body(content(
        (NewEvent = "application/json"),
        (NewEvent = "application/x-ndjson"),
    ), description = "One event, an array of events, or one event a line"),
    responses(
        (status = 201, description = "The events are recorded", body = Appended),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not send events", body = Problem),
        (status = 409, description = "An id is in the log with other content; nothing was recorded", body = Problem),
        (status = 413, description = "The body or the batch is too large", body = Problem),
        (status = 415, description = "Unknown content encoding", body = Problem),
        (status = 422, description = "Events have faults; nothing was recorded", body = Problem),
        (status = 503, description = "Too much is waiting, or the server is stopping; try again", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    ),
    security(("token" = []), ("coder_token" = [])),
)]
pub(crate) async fn append_events(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Appended>), ApiError> {
    // Before the body is read: who may not send gets no work done.
    principal.may_ingest()?;
    let mut parameters = Parameters::new(pairs);
    let partial = parameters.parsed::<bool>("partial", "true or false").unwrap_or(false);
    let wants_receipts = parameters.parsed::<bool>("receipt", "true or false").unwrap_or(false);
    parameters.finish()?;
    let partial = if partial { PartialBatch::Take } else { PartialBatch::Refuse };
    let raw = body::read(&headers, body).await?;
    let sender = principal.clone();
    let pending = blocking(&app, move |engine| -> Result<_, ApiError> {
        let decoded = raw.decode()?;
        if wants_receipts {
            let count = engine.count_texts(&decoded)?;
            if count > RECEIPTS_MAX {
                return Err(ApiError::TooManyReceipts { count, max: RECEIPTS_MAX });
            }
        }
        Ok(engine.append(&sender, &decoded, partial)?)
    })
    .await??;
    let mut appended = pending.wait().await?;
    if let Some(last) = appended.events.iter().map(|event| event.seq).max().filter(|_| wants_receipts) {
        // The events are recorded, whatever becomes of their receipts: an answer without one says so by its absence.
        if wait_for_checkpoint(&app, last).await.is_ok() {
            appended = with_receipts(&app, principal, appended).await?;
        }
    }
    Ok((StatusCode::CREATED, Json(appended)))
}

async fn with_receipts(
    app: &App,
    principal: Principal,
    mut appended: Appended,
) -> Result<Appended, ApiError> {
    blocking(app, move |engine| {
        for event in &mut appended.events {
            match engine.receipt_of_sent(&principal, event) {
                Ok(receipt) => event.receipt = receipt.map(|receipt| receipt.to_string()),
                Err(cause) => warn!(%cause, seq = event.seq, "no receipt could be made"),
            }
        }
        appended
    })
    .await
}
