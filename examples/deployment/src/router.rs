//! Every route, grouped by what it is about.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, patch, post, put};

use crate::app::App;
use crate::{
    builds, caller, connections, dev_urls, groups, jobs, members, organizations, providers, secrets,
    sessions, settings, ssh_keys, templates, tokens, users, workspaces,
};

/// Bytes of a request: a readme or policy of a thousand lines. Two of them, old and new, fit in an event, which has 256 KiB.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The routes without the layer that records. Without a session: log-in, the first user, a forgotten password.
pub(crate) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/users/first", post(sessions::register_first))
        .route("/users/login", post(sessions::log_in))
        .route("/users/logout", post(sessions::log_out))
        .route("/users/otp/request", post(sessions::ask_for_reset))
        .route("/users/otp/change-password", post(sessions::reset))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{user}", get(users::show).patch(users::write).delete(users::delete))
        .route("/users/{user}/gitsshkey", get(ssh_keys::show).put(ssh_keys::write))
        .route("/users/{user}/keys/tokens", get(tokens::list).post(tokens::create))
        .route("/users/{user}/keys/{key}", delete(tokens::delete))
        .route("/users/{user}/workspaces", post(workspaces::create))
        .route("/organizations", get(organizations::list).post(organizations::create))
        .route("/organizations/{id}", patch(organizations::write).delete(organizations::delete))
        .route("/organizations/{id}/members", get(members::list))
        .route(
            "/organizations/{id}/members/{user}",
            post(members::create).put(members::write).delete(members::delete),
        )
        .route("/organizations/{id}/groups", get(groups::list).post(groups::create))
        .route("/groups/{id}", patch(groups::write).delete(groups::delete))
        .route("/organizations/{id}/templates", get(templates::list).post(templates::create))
        .route("/templates/{id}", patch(templates::write).delete(templates::delete))
        .route("/templates/{id}/versions", post(templates::create_version))
        .route("/workspaces", get(workspaces::list))
        .route("/workspaces/{id}", patch(workspaces::write))
        .route("/workspaces/{id}/builds", post(builds::create))
        .route("/workspaces/{id}/connections", post(connections::begin).delete(connections::end))
        .route("/workspaces/{id}/dev-urls", get(dev_urls::list).post(dev_urls::create))
        .route("/dev-urls/{id}", patch(dev_urls::write).delete(dev_urls::delete))
        .route("/dev-urls/{id}/open", post(dev_urls::open))
        .route("/secrets", get(secrets::list).post(secrets::create))
        .route("/secrets/{id}", patch(secrets::write).delete(secrets::delete))
        .route("/secrets/{id}/value", get(secrets::show_value))
        .route("/workspace-providers", get(providers::list).post(providers::create))
        .route("/workspace-providers/{id}/cordon", put(providers::cordon))
        .route("/workspace-providers/{id}/uncordon", put(providers::uncordon))
        .route("/jobs", get(jobs::list))
        .nest("/settings", settings())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), caller::stamp))
        .with_state(app);
    Router::new().nest("/api/v2", api)
}

fn settings() -> Router<Arc<App>> {
    use settings::{self as s, show, write};
    Router::new()
        .route("/infrastructure", get(show::<s::Infrastructure>).patch(write::<s::Infrastructure>))
        .route("/features", get(show::<s::Features>).patch(write::<s::Features>))
        .route("/extensions", get(show::<s::Extensions>).patch(write::<s::Extensions>))
        .route("/dev-url-access", get(show::<s::DevUrlAccess>).patch(write::<s::DevUrlAccess>))
        .route("/oauth-configs", get(show::<s::OauthConfigs>).patch(write::<s::OauthConfigs>))
        .route("/system-banner", get(show::<s::SystemBanner>).patch(write::<s::SystemBanner>))
        .route("/appearance", get(show::<s::Appearance>).patch(write::<s::Appearance>))
        .route("/telemetry", get(show::<s::Telemetry>).patch(write::<s::Telemetry>))
        .route("/template-policy", get(show::<s::TemplatePolicy>).put(s::upload_policy))
}
