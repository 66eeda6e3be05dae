//! `GET /metrics`: numbers for Prometheus, for tokens of kind `metrics` and site managers.

use annals_engine::MetricsFormat;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::auth::{Caller, blocking};
use crate::error::ApiError;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shows the metrics.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses(
        (status = 200, description = "OpenMetrics if the scraper accepts it, else the older text format", content_type = "text/plain"),
        (status = 401, description = "No or unknown credential"),
        (status = 403, description = "The caller may not see the metrics"),
    ),
    security(("token" = []), ("session" = [])),
)]
pub(crate) async fn show_metrics(
    State(app): State<App>,
    Caller(principal): Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (format, content_type) = if accept.contains("application/openmetrics-text") {
        (MetricsFormat::OpenMetrics, OPEN_METRICS)
    } else {
        (MetricsFormat::Prometheus, PROMETHEUS)
    };
    let text = blocking(&app, move |engine| engine.metrics(&principal, format)).await??;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}
