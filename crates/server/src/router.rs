//! Every route, by who may call it.

use std::time::Duration;

use axum::Router;
use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};
use tower_http::timeout::TimeoutLayer;

use crate::pages::manage::{account, groups, license, organizations, people, settings, streams, tokens};
use crate::{App, api, assets, error, middleware, pages};

/// How long one request may take, its body included, until its answer begins. A batch of 8 MiB needs a second on a slow line.
const REQUEST_SECONDS: u64 = 30;

/// Lists every route once: what is served, and what the test of who may call what goes through.
macro_rules! routes {
    ($($method:ident $path:literal $handler:path,)*) => {
        /// Method and path of every route.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn listed() -> Router<App> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

routes! {
    // For everyone: health, log-in, set-up, assets.
    get "/healthz" api::health::show_health,
    get "/readyz" api::health::show_readiness,
    get "/login" pages::login::show_login,
    post "/login" pages::login::log_in,
    get "/login/forgotten" pages::forgotten::show_forgotten,
    post "/login/forgotten" pages::forgotten::ask_for_password,
    get "/login/oidc" pages::oidc::begin,
    get "/login/oidc/callback" pages::oidc::end,
    get "/setup" pages::setup::show_setup,
    post "/setup" pages::setup::set_up,
    get "/assets/banners.css" assets::show_banner_colors,
    get "/assets/{name}" assets::show_asset,
    get "/favicon.ico" assets::show_favicon,

    // For tokens and sessions; each handler asks the engine, which asks the principal.
    get "/api/v2/audit" api::search::search_events,
    post "/api/v2/audit/events" api::events::append_events,
    get "/api/v2/audit/resources" api::resources::show_resources,
    put "/api/v2/audit/resources" api::resources::register_resources,
    get "/api/v2/audit/histogram" api::counts::show_histogram,
    get "/api/v2/audit/facets" api::counts::show_facets,
    get "/api/v2/audit/stream" api::stream::stream_events,
    get "/api/v2/audit/export" api::export::export_events,
    get "/metrics" api::metrics::show_metrics,
    get "/api/v2/audit/evidence" api::evidence::show_evidence,
    get "/api/v2/audit/sources" api::sources::list_sources,
    get "/api/v2/audit/streams/{name}/manifests" api::manifests::list_manifests,
    get "/api/v2/audit/streams/{name}/manifests/{number}" api::manifests::show_manifest,
    get "/api/v2/audit/{id}" api::search::show_event,
    get "/api/v2/audit/{id}/receipt" api::proof::show_receipt,
    get "/api/v2/audit/{id}/proof" api::proof::show_proof,
    get "/tlog/checkpoint" api::proof::show_checkpoint,
    get "/tlog/consistency" api::proof::show_consistency,
    get "/tlog/tile/{*path}" api::proof::show_tile,
    get "/api/openapi.json" api::openapi::show_openapi,

    // For people in a browser.
    get "/" pages::show_start,
    post "/logout" pages::login::log_out,
    get "/audit" pages::audit::show_audit,
    get "/audit/events/{id}" pages::event::show_event,
    get "/audit/complete" pages::complete::show_suggestions,
    get "/audit/history" pages::history::show_history,
    get "/audit/tracked" pages::tracked::show_tracked,
    get "/audit/query-help" pages::query_help::show_query_help,
    get "/sources" pages::sources::show_sources,
    get "/searches" pages::searches::show_searches,
    post "/searches" pages::searches::save_search,
    post "/searches/{id}" pages::searches::change_search,
    post "/searches/{id}/delete" pages::searches::delete_search,
    get "/account" account::show_account,
    post "/account/password" account::change_password,
    post "/account/sessions/{id}/end" account::end_session,
    post "/account/sign-out-elsewhere" account::end_sessions,
    post "/account/tokens" account::create_token,
    post "/account/tokens/{id}/revoke" account::revoke_token,

    // For site managers.
    get "/people" people::show_people,
    post "/people" people::add_person,
    get "/people/{id}" people::show_person,
    post "/people/{id}" people::change_person,
    post "/people/{id}/suspend" people::suspend_person,
    post "/people/{id}/activate" people::activate_person,
    post "/people/{id}/password" people::reset_password,
    post "/people/{id}/sign-out" people::sign_out_person,
    post "/people/{id}/delete" people::delete_person,
    post "/people/{id}/sessions/{session}/end" people::end_session,
    get "/organizations" organizations::show_organizations,
    post "/organizations" organizations::create_organization,
    get "/organizations/{id}" organizations::show_organization,
    post "/organizations/{id}" organizations::change_organization,
    post "/organizations/{id}/delete" organizations::delete_organization,
    post "/organizations/{id}/members" organizations::add_member,
    post "/organizations/{id}/members/{person}" organizations::change_member,
    post "/organizations/{id}/members/{person}/remove" organizations::remove_member,
    post "/organizations/{id}/groups" groups::create_group,
    get "/groups/{id}" groups::show_group,
    post "/groups/{id}" groups::change_group,
    post "/groups/{id}/delete" groups::delete_group,
    post "/groups/{id}/members" groups::add_member,
    post "/groups/{id}/members/{person}/remove" groups::remove_member,
    get "/tokens" tokens::show_tokens,
    post "/tokens" tokens::create_token,
    post "/tokens/{id}/revoke" tokens::revoke_token,
    get "/streams" streams::show_streams,
    post "/streams" streams::new::create_stream,
    get "/streams/new" streams::new::show_new,
    get "/streams/{id}" streams::one::show_stream,
    get "/streams/{id}/edit" streams::edit::show_edit,
    post "/streams/{id}/edit" streams::edit::change_stream,
    post "/streams/{id}/pause" streams::actions::pause_stream,
    post "/streams/{id}/resume" streams::actions::resume_stream,
    post "/streams/{id}/delete" streams::actions::delete_stream,
    post "/streams/{id}/replay" streams::actions::replay_stream,
    post "/streams/{id}/replay/cancel" streams::actions::cancel_replays,
    post "/streams/{id}/dead-letters/resend" streams::actions::resend_dead_letters,
    post "/streams/{id}/dead-letters/discard" streams::actions::discard_dead_letters,
    post "/streams/{id}/secret/rotate" streams::actions::rotate_secret,
    post "/streams/{id}/secret/finish" streams::actions::finish_rotation,
    get "/settings" settings::show_settings,
    post "/settings" settings::change_settings,
    get "/license" license::show_license,
    post "/license" license::add_license,
    post "/license/{id}/remove" license::remove_license,
}

/// Files to keep go as they are: exports are written as fast as they are read, and compressing takes three times as long as making them; Parquet
/// and evidence are compressed already.
fn is_no_file(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(header::CONTENT_DISPOSITION)
}

pub(crate) fn router(app: App) -> Router {
    listed()
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(axum::middleware::from_fn(middleware::refuse_foreign_forms))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::security_headers))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(REQUEST_SECONDS),
        ))
        .layer(
            // Streams of events are left out by default, as each event must go at once.
            CompressionLayer::new().compress_when(DefaultPredicate::new().and(is_no_file)),
        )
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(axum::middleware::from_fn(middleware::log_requests))
        .with_state(app)
}
