//! `GET /healthz` and `/readyz`: for orchestrators, without a credential and without facts about the log.

use axum::extract::State;
use axum::http::StatusCode;
use tracing::error;

use crate::App;
use crate::auth::blocking;

/// Says that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "It answers")))]
pub(crate) async fn show_health() -> &'static str {
    "ok\n"
}

/// Says whether the log takes and finds events.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "It is ready"), (status = 503, description = "The database does not answer, or the log takes no events")),
)]
pub(crate) async fn show_readiness(State(app): State<App>) -> (StatusCode, &'static str) {
    // Told to the operator when it was found, and on every page.
    if app.engine.refusal().is_some() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the log takes no events; see its page or the server's log\n",
        );
    }
    match blocking(&app, |engine| engine.ready()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        Ok(Err(cause)) => {
            error!(error = %cause, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}
