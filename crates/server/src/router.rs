//! Every route, by who may call it.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

use crate::{App, api, assets, error, middleware, pages};

/// How long one request may take, its body included. A batch of 8 MiB needs a second on a slow line.
const REQUEST_SECONDS: u64 = 30;

pub(crate) fn router(app: App) -> Router {
    // For everyone: health, log-in, set-up, assets.
    let open = Router::new()
        .route("/healthz", get(api::health::show_health))
        .route("/readyz", get(api::health::show_readiness))
        .route("/login", get(pages::login::show_login).post(pages::login::log_in))
        .route("/setup", get(pages::setup::show_setup).post(pages::setup::set_up))
        .route("/assets/{name}", get(assets::show_asset))
        .route("/favicon.ico", get(assets::show_favicon));

    // For tokens and sessions; each handler asks the engine, which asks the principal.
    let api = Router::new()
        .route("/api/v2/audit", get(api::search::search_events))
        .route("/api/v2/audit/events", post(api::events::append_events))
        .route(
            "/api/v2/audit/resources",
            get(api::resources::show_resources).put(api::resources::register_resources),
        )
        .route("/api/v2/audit/histogram", get(api::counts::show_histogram))
        .route("/api/v2/audit/facets", get(api::counts::show_facets))
        .route("/metrics", get(api::metrics::show_metrics))
        .route("/api/v2/audit/{id}", get(api::search::show_event))
        .route("/api/openapi.json", get(api::openapi::show_openapi));

    // For people in a browser.
    let pages = Router::new()
        .route("/", get(pages::show_start))
        .route("/logout", post(pages::login::log_out))
        .route("/audit", get(pages::audit::show_audit))
        .route("/audit/events/{id}", get(pages::event::show_event))
        .route("/audit/tracked", get(pages::tracked::show_tracked))
        .route("/audit/query-help", get(pages::query_help::show_query_help));

    Router::new()
        .merge(open)
        .merge(api)
        .merge(pages)
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(axum::middleware::from_fn(middleware::refuse_foreign_forms))
        .layer(axum::middleware::from_fn(middleware::security_headers))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(REQUEST_SECONDS),
        ))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(axum::middleware::from_fn(middleware::log_requests))
        .with_state(app)
}
