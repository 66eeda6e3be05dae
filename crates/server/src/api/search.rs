//! `GET /api/v2/audit` and `GET /api/v2/audit/{id}`.

use annals_engine::{Cursor, SearchRequest};
use annals_model::audit_log::AuditLog;
use annals_model::id::EventId;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::App;
use crate::api::parameters::Parameters;
use crate::auth::{Caller, blocking};
use crate::error::{ApiError, Problem};

/// One page of events, in Coder's shape.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditLogs {
    /// The page, newest first by time, then by seq.
    #[schema(value_type = Vec<AuditLog>)]
    audit_logs: Vec<Box<RawValue>>,
    /// All matching events, exactly.
    count: u64,
    /// 0: counts are never capped.
    count_cap: u64,
    /// Cursor of the next page for `after`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// How words of the query were read, where that may surprise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Searches events.
#[utoipa::path(
    get, path = "/api/v2/audit", tag = "audit",
    params(
        ("q" = Option<String>, Query, description = "Query text, such as `resource_type:workspace action:delete`"),
        ("limit" = Option<u32>, Query, description = "Rows, 1 to 1000; 0 or absent: 100"),
        ("offset" = Option<u64>, Query, description = "Rows to skip"),
        ("after" = Option<String>, Query, description = "Cursor: `next` of the page before"),
    ),
    responses(
        (status = 200, description = "One page and the exact count", body = AuditLogs),
        (status = 400, description = "The query or a parameter is wrong", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn search_events(
    State(app): State<App>,
    Caller(principal): Caller,
    uri: Uri,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let query = parameters.text("q");
    let limit = parameters.limit();
    let offset = parameters.parsed::<u32>("offset", "a number from 0 to 4294967295").unwrap_or(0);
    let after = parameters.parsed::<Cursor>("after", "a cursor; use `next` of an earlier page");
    // Coder checks the form of `after_id` and then ignores it.
    parameters.parsed::<uuid::Uuid>("after_id", "a UUID");
    parameters.finish()?;

    let next_query = query.clone();
    let results = blocking(&app, move |engine| {
        let request = SearchRequest { query: &query, limit, offset: u64::from(offset), after };
        engine.search(&principal, &request, |found| Ok(to_json(&found.into_audit_log()?)))
    })
    .await??;
    let audit_logs = results.events.into_iter().collect::<Result<_, _>>()?;
    let next = results.next.map(|cursor| cursor.to_string());
    let link = next.as_ref().map(|next| next_link(&uri, &next_query, limit, next));
    let body = AuditLogs { audit_logs, count: results.count, count_cap: 0, next, notes: results.notes };
    let mut response = axum::Json(body).into_response();
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

fn to_json(event: &AuditLog<'_>) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(event)
}

fn next_link(uri: &Uri, query: &str, limit: usize, next: &str) -> String {
    let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
    format!("<{}?q={query}&limit={limit}&after={next}>; rel=\"next\"", uri.path())
}

/// Shows one event.
#[utoipa::path(
    get, path = "/api/v2/audit/{id}", tag = "audit",
    params(("id" = String, Path, description = "UUID of the event")),
    responses(
        (status = 200, description = "The event", body = AuditLog),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 404, description = "There is no such event, or it is not in sight", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_event(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Box<RawValue>>, ApiError> {
    principal.may_read()?;
    let id = uuid::Uuid::try_parse(&id).map_err(|_| ApiError::UnknownEvent)?;
    let found = blocking(&app, move |engine| {
        engine.event(&principal, EventId::new(id), |found| Ok(to_json(&found.into_audit_log()?)))
    })
    .await??;
    Ok(axum::Json(found.ok_or(ApiError::UnknownEvent)??))
}
