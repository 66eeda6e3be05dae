//! The pages, rendered on the server. They work without a script; htmx only saves page loads.
//!
//! A handler asks the engine, makes a view of owned texts, and a template prints it. Everything that an event or a
//! caller says reaches a page through the escaping of the templates.

pub(crate) mod audit;
mod client_name;
pub(crate) mod complete;
mod detail;
mod diff_tree;
mod diff_view;
pub(crate) mod event;
pub(crate) mod forgotten;
mod form;
mod format;
pub(crate) mod history;
mod json_text;
pub(crate) mod login;
pub(crate) mod manage;
pub(crate) mod oidc;
mod overview;
mod page_error;
mod proof_line;
pub(crate) mod query_help;
mod query_text;
mod row;
pub(crate) mod searches;
pub(crate) mod setup;
mod shell;
pub(crate) mod sources;
pub(crate) mod tracked;
mod zone;

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::ApiError;
use page_error::PageError;

/// The start is the log.
pub(crate) async fn show_start() -> Redirect {
    Redirect::to("/audit")
}

/// What stands in the query of an address as it is, so that addresses stay readable.
const PLAIN_IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b',')
    .remove(b'/');

/// What stands in one part of a path as it is.
const PLAIN_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text as one part of a path.
fn path_part(text: &str) -> String {
    utf8_percent_encode(text, PLAIN_IN_PATH).to_string()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN_IN_QUERY).to_string()
}

/// The address of a search; page 1 and an empty query are left out.
fn search_href(query: &str, page: u64) -> String {
    match (query.is_empty(), page) {
        (true, 0 | 1) => "/audit".to_owned(),
        (true, page) => format!("/audit?page={page}"),
        (false, 0 | 1) => format!("/audit?filter={}", encoded(query)),
        (false, page) => format!("/audit?filter={}&page={page}", encoded(query)),
    }
}

fn html(status: StatusCode, template: &impl Template) -> Result<Response, PageError> {
    let text = template.render().map_err(ApiError::from)?;
    // One address, two bodies: a page, or a part of one for htmx.
    Ok((status, [(header::VARY, "HX-Request")], Html(text)).into_response())
}

/// Whether htmx asks for a part of a page. A boosted link and a step back in the history want the whole.
fn wants_part(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
        && !headers.contains_key("hx-boosted")
        && !headers.contains_key("hx-history-restore-request")
}
