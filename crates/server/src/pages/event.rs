//! `GET /audit/events/{id}`: one event at its own address, or as the opened part of its row.

use annals_engine::Principal;
use annals_model::id::EventId;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::detail::Detail;
use super::diff_tree::Part;
use super::diff_view::Side;
use super::page_error::PageError;
use super::proof_line::{ProofLine, ProofState};
use super::row::{Piece, Row};
use super::shell::{Section, Shell};
use super::zone::Zone;
use super::{format, html, wants_part};
use crate::App;
use crate::auth::{PageCaller, blocking};

/// The page of one event.
#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    shell: Shell,
    title: String,
    time: String,
    row: Row,
    detail: Detail,
}

/// The detail alone, to stand in a list.
#[derive(Template)]
#[template(path = "detail.html")]
struct DetailPartial {
    detail: Detail,
}

/// Shows one event.
pub(crate) async fn show_event(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    zone: Zone,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let is_part = wants_part(&headers);
    let result = event(&app, principal, &id, is_part, zone).await;
    match result {
        Ok(response) => response,
        Err(error) if is_part => error.into_part(),
        Err(error) => axum::response::IntoResponse::into_response(error),
    }
}

async fn event(
    app: &App,
    principal: Principal,
    id: &str,
    is_part: bool,
    zone: Zone,
) -> Result<Response, PageError> {
    principal.may_read()?;
    let id = uuid::Uuid::try_parse(id).map_err(|_| PageError::UnknownEvent)?;
    let shell = Shell::new(app, &principal, Section::Audit).await?;
    let found = blocking(app, move |engine| {
        let id = EventId::new(id);
        engine.event(&principal, id, |found| {
            let time = format::long_time(found.event.time);
            let proof = ProofLine::new(engine, &principal, id, found.added.seq, &zone);
            Ok((Row::new(&found, &zone), Detail::new(&found, proof, !is_part), time))
        })
    })
    .await??;
    let (mut row, detail, time) = found.ok_or(PageError::UnknownEvent)?;
    if is_part {
        return html(StatusCode::OK, &DetailPartial { detail });
    }
    row.is_open = true;
    let title = row.sentence.plain();
    html(StatusCode::OK, &EventPage { shell, title, time, row, detail })
}
