//! `/streams`: where the log's events go, and how that goes.

pub(crate) mod actions;
pub(crate) mod edit;
mod fault;
mod form;
pub(crate) mod new;
pub(crate) mod one;
mod state;

use annals_engine::{SinkKind, StreamError, StreamMaker, StreamStatus};
use annals_model::time::Time;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Done, ask};
use crate::App;
use crate::auth::PageCaller;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};
use crate::pages::{format, html, path_part, search_href};

use state::Badge;

#[derive(Template)]
#[template(path = "streams.html")]
struct StreamsPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    streams: Vec<StreamRow>,
}

struct StreamRow {
    href: String,
    name: String,
    kind: String,
    /// Who set it up, if not somebody on the page.
    maker: &'static str,
    query: String,
    query_href: String,
    format: String,
    badges: Vec<Badge>,
    is_alarm: bool,
    /// Since when and why nothing gets through.
    failure: String,
    waiting: String,
    behind: String,
    rate: String,
    delivered: String,
    dead_letters: u64,
}

impl StreamRow {
    fn new(status: &StreamStatus, now: Time) -> StreamRow {
        let stream = &status.stream;
        let progress = &stream.progress;
        let failure = progress.failing.map(|since| {
            let span = format::span(state::seconds_between(since, now));
            format!("For {span}: {}", progress.failure)
        });
        StreamRow {
            href: address(&stream.id.0),
            name: stream.name.clone(),
            kind: kind_label(&stream.kind),
            maker: maker_tag(stream.made_by),
            query_href: search_href(&stream.query, 1),
            query: stream.query.clone(),
            format: stream.format.clone(),
            badges: state::badges(status),
            is_alarm: progress.is_alerted,
            failure: failure.unwrap_or_default(),
            waiting: format::grouped(status.waiting),
            behind: state::behind(status),
            rate: state::rate(status.rate),
            delivered: format::grouped(progress.delivered),
            dead_letters: status.dead_letters.all,
        }
    }
}

/// The page of a stream.
fn address(id: &str) -> String {
    format!("/streams/{}", path_part(id))
}

/// What people call a kind of receiver.
fn kind_label(kind: &str) -> String {
    SinkKind::from_name(kind).map_or(kind, |kind| kind.label).to_owned()
}

fn maker_tag(maker: StreamMaker) -> &'static str {
    match maker {
        StreamMaker::Page => "",
        StreamMaker::Operator => "operator’s",
        StreamMaker::File => "annals.toml",
    }
}

/// What was done, in the words of streams where there are some.
fn sentence_of(done: &Done) -> &'static str {
    match done.name() {
        "added" => "Set up, and recorded in the log. A running server begins to send within a second.",
        "paused" => "Paused: nothing is sent until it is resumed, and nothing is lost meanwhile.",
        "resumed" => "Resumed: it goes on where it was.",
        "replayed" => "That part of the log is sent once more, beside what is new.",
        "replay-empty" => "No event of this stream lies there, so nothing is sent again.",
        "replays-ended" => "Given up: what was not sent again yet is not sent again.",
        "resent" => "Sent again with what is new.",
        "discarded" => "Given up, and recorded in the log: those events are not sent any more.",
        "rotated" => "Only the newest secret signs from now on.",
        _ => done.sentence(),
    }
}

/// Shows the streams, those with something to look at first.
pub(crate) async fn show_streams(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    let shell = Shell::new(&app, &principal, Section::Streams).await?;
    let (mut streams, now) =
        ask(&app, move |engine| Ok::<_, StreamError>((engine.streams(&principal)?, engine.now()))).await?;
    // The engine lists them by name, and the sort keeps that order among equals.
    streams.sort_by_key(state::rank);
    let streams = streams.iter().map(|status| StreamRow::new(status, now)).collect();
    html(StatusCode::OK, &StreamsPage { shell, done: sentence_of(&done), fault: String::new(), streams })
}
