//! `GET /api/v2/audit/export`: every matching event, as a file.

use annals_engine::{Export, ExportFormat, ExportRequest};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tracing::{debug, error};

use crate::App;
use crate::api::parameters::Parameters;
use crate::auth::{Caller, blocking};
use crate::error::{ApiError, Problem};
use crate::streamed::{Chunks, streamed};

/// Events line by line.
const NDJSON: &str = "application/x-ndjson";
/// How many events come, exactly.
const ANNALS_COUNT: HeaderName = HeaderName::from_static("annals-count");
/// The last event of the log when the export began.
const ANNALS_LAST_SEQ: HeaderName = HeaderName::from_static("annals-last-seq");

/// Exports every matching event by rising seq.
///
/// Recorded as an event before its first byte.
#[utoipa::path(
    get, path = "/api/v2/audit/export", tag = "audit",
    params(
        ("q" = Option<String>, Query, description = "Query text"),
        ("format" = Option<String>, Query, description = "`ndjson` (default): one event a line, as `GET /api/v2/audit/{id}` shows it. `csv`: RFC 4180; a cell that begins with `=`, `+`, `-`, `@`, tab or CR gets an apostrophe in front. `parquet`: one file for DuckDB, Spark and others, whole or without a footer. One line an event for other programs: `coder`, `classic`, `stackdriver`, `human`, `ocsf`, `ecs`"),
        ("after_seq" = Option<u64>, Query, description = "Go on behind this seq; CSV has no line of column names then, and Parquet is a file of its own"),
    ),
    responses(
        (status = 200, description = "The events; cut off visibly if they are not all", content_type = "application/x-ndjson", body = String,
            headers(
                ("Annals-Count" = u64, description = "Events to come, exactly"),
                ("Annals-Last-Seq" = u64, description = "Last seq of the log when the export began, where it ends; absent if the log is empty"),
            )),
        (status = 400, description = "The query or a parameter is wrong", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 503, description = "Four exports run already, or the export cannot be recorded now", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn export_events(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let query = parameters.text("q");
    let format = parameters.parsed::<ExportFormat>("format", &ExportFormat::names("or"));
    let format = format.unwrap_or(ExportFormat::NDJSON);
    let after_seq = parameters.parsed::<u64>("after_seq", "a seq such as 1234");
    parameters.finish()?;
    let turn = app.exporting.clone().try_acquire_owned().map_err(|_| ApiError::TooManyExports)?;
    let export = blocking(&app, move |engine| {
        engine.export(&principal, &ExportRequest { query: &query, after_seq, format })
    })
    .await??;
    let headers = headers(&app, &export);
    let (chunks, body) = streamed(turn);
    tokio::spawn(write(app, export, chunks));
    Ok((headers, body).into_response())
}

fn headers(app: &App, export: &Export) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = match (export.format(), export.has_head()) {
        (ExportFormat::Lines(format), _) if format.is_json() => NDJSON,
        (ExportFormat::Lines(_), _) => "text/plain; charset=utf-8",
        (ExportFormat::Csv, true) => "text/csv; charset=utf-8; header=present",
        (ExportFormat::Csv, false) => "text/csv; charset=utf-8; header=absent",
        (ExportFormat::Parquet, _) => "application/vnd.apache.parquet",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(ANNALS_COUNT, export.count().into());
    if let Some(last_seq) = export.last_seq() {
        headers.insert(ANNALS_LAST_SEQ, last_seq.into());
    }
    // Such as `audit-20261122T120000Z.csv`: no character that a file system or a header dislikes.
    let time: String = app.engine.now().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let (day, clock) = (time.get(..9).unwrap_or(&time), time.get(9..15).unwrap_or_default());
    let name = format!("attachment; filename=\"audit-{day}{clock}Z.{}\"", export.format().ending());
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    headers
}

/// Makes and sends batches until all is sent or the reader has gone. Two batches are held at most, besides the one being made.
async fn write(app: App, mut export: Export, chunks: Chunks) {
    loop {
        let made = blocking(&app, move |engine| {
            let mut out = Vec::new();
            let more = engine.export_batch(&mut export, &mut out);
            (export, out, more)
        });
        let Ok((goes_on, out, more)) = made.await else { return };
        export = goes_on;
        if chunks.send(out).await.is_err() {
            debug!("the reader of an export left before its end");
            return;
        }
        match more {
            Ok(true) => {}
            Ok(false) => {
                // Nobody is there to hear it, if it fails.
                let _ = chunks.end().await;
                return;
            }
            // The reader sees that the answer is cut off, and goes on behind the last line, or asks for the file again.
            Err(cause) => return error!(error = %cause, "an export was cut off"),
        }
    }
}
