//! The pages, rendered on the server. They work without a script; htmx only saves page loads.

pub(crate) mod audit;
pub(crate) mod event;
pub(crate) mod login;
pub(crate) mod query_help;
pub(crate) mod setup;
pub(crate) mod tracked;

use axum::response::Redirect;

/// The start is the log.
pub(crate) async fn show_start() -> Redirect {
    Redirect::to("/audit")
}
