//! `GET /api/v2/audit/stream`: events as they come, as server-sent events.

use std::time::Duration;

use annals_engine::{News, SearchError};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::{debug, error};

use crate::App;
use crate::api::parameters::Parameters;
use crate::auth::{LastingCaller, blocking};
use crate::error::{ApiError, Problem, Validation};
use crate::streamed::{Chunks, Gone, streamed};

/// Silence after which a line says that the stream lives: proxies close what is silent for a minute.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How often the credential is looked at again.
const CREDENTIAL_CHECK: Duration = Duration::from_secs(5);
/// Pause between two looks for events: under load many commits make one look.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Pause while the database does not answer.
const UNAVAILABLE_PAUSE: Duration = Duration::from_secs(1);
/// Events of one look.
const LOOK_EVENTS_MAX: usize = 256;
/// What a browser sends when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that know it hand each event on at once.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follows the log.
///
/// Server-sent events: `id` is the seq, `data` the event as `GET /api/v2/audit/{id}` shows it. Begins behind the newest event unless told
/// otherwise.
#[utoipa::path(
    get, path = "/api/v2/audit/stream", tag = "audit",
    params(
        ("q" = Option<String>, Query, description = "Query text"),
        ("after_seq" = Option<u64>, Query, description = "Begin behind this seq"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Begin behind this seq; stands above `after_seq`"),
    ),
    responses(
        (status = 200, description = "Events by rising seq, without end; ends when the credential ends or its sight changes", content_type = "text/event-stream", body = String),
        (status = 400, description = "The query or a parameter is wrong", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
        (status = 503, description = "64 streams are open already", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn stream_events(
    State(app): State<App>,
    caller: LastingCaller,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    caller.principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let query = parameters.text("q");
    let after_seq = parameters.parsed::<u64>("after_seq", "a seq such as 1234");
    parameters.finish()?;
    let after_seq = last_event_id(&headers)?.or(after_seq);
    let place = app.streams.clone().try_acquire_owned().map_err(|_| ApiError::TooManyStreams)?;
    // From here on: what is committed after the look below is news.
    let news = app.engine.news();
    let (principal, text) = (caller.principal.clone(), query.clone());
    let after_seq = blocking(&app, move |engine| engine.follow(&principal, &text, after_seq)).await??;
    let (chunks, body) = streamed(place);
    tokio::spawn(Stream { app, caller, query, after_seq, news, chunks }.run());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (NO_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || Validation::new("Last-Event-ID", "not a seq; it is the `id` of the last event received");
    seq.map(Some).ok_or_else(|| ApiError::Parameters(vec![wrong()]))
}

/// One open stream.
struct Stream {
    app: App,
    caller: LastingCaller,
    query: String,
    /// The last seq that was looked at.
    after_seq: Option<u64>,
    news: News,
    chunks: Chunks,
}

impl Stream {
    /// Runs until the reader has gone, the credential has ended, or the server stops.
    async fn run(mut self) {
        let mut stopping = self.app.stopping.subscribe();
        let ended = tokio::select! {
            ended = self.follow() => ended,
            _ = stopping.wait_for(|stopping| *stopping) => Ended::Whole,
        };
        if let Ended::Whole = ended {
            // Nobody is there to hear it, if it fails.
            let _ = self.chunks.end().await;
        }
    }

    async fn follow(&mut self) -> Ended {
        // With the place to go on from at once: whoever is cut off before the first event misses nothing.
        if self.say_place("retry: 2000\n").await.is_err() {
            return Ended::Cut;
        }
        let (mut said, mut checked) = (Instant::now(), Instant::now());
        loop {
            let looked = Instant::now();
            if checked.elapsed() >= CREDENTIAL_CHECK {
                match self.caller.is_still_let_in(&self.app).await {
                    Ok(true) => checked = looked,
                    Ok(false) => return Ended::Whole,
                    Err(cause) => match self.pause(cause).await {
                        Some(ended) => return ended,
                        // Nothing is shown as long as it is not known to whom.
                        None => continue,
                    },
                }
            }
            let is_at_end = match self.look().await {
                Ok((events, is_at_end)) => {
                    if !events.is_empty() {
                        said = looked;
                        if self.chunks.send(events).await.is_err() {
                            return Ended::Cut;
                        }
                    }
                    is_at_end
                }
                Err(cause) => match self.pause(cause).await {
                    Some(ended) => return ended,
                    None => false,
                },
            };
            if said.elapsed() >= SILENCE_MAX {
                said = Instant::now();
                if self.say_place(": nothing new\n").await.is_err() {
                    return Ended::Cut;
                }
            }
            if is_at_end {
                tokio::select! {
                    () = self.news.wait() => tokio::time::sleep_until(looked + LOOK_PAUSE).await,
                    () = self.chunks.closed() => return Ended::Cut,
                }
            }
        }
    }

    /// The next events as they go over the line, and whether the end of the log was reached.
    async fn look(&mut self) -> Result<(Vec<u8>, bool), ApiError> {
        let (principal, query, after_seq) =
            (self.caller.principal.clone(), self.query.clone(), self.after_seq);
        let (followed, events) = blocking(&self.app, move |engine| {
            let mut events = Vec::new();
            let followed = engine.events_after(&principal, &query, after_seq, LOOK_EVENTS_MAX, |found| {
                let event = found.into_audit_log()?;
                events.extend_from_slice(format!("id: {}\ndata: ", event.seq).as_bytes());
                let written = serde_json::to_writer(&mut events, &event);
                events.extend_from_slice(b"\n\n");
                Ok(written)
            })?;
            Ok::<_, SearchError>((followed, events))
        })
        .await??;
        self.after_seq = followed.looked_until;
        followed.events.into_iter().collect::<Result<(), _>>()?;
        Ok((events, followed.is_at_end))
    }

    /// Says how far it looked: with an `id` and no `data` it is no event, and a browser comes back with it.
    async fn say_place(&self, first: &str) -> Result<(), Gone> {
        let id = self.after_seq.map(|seq| format!("id: {seq}\n")).unwrap_or_default();
        self.chunks.send(format!("{first}{id}\n").into_bytes()).await
    }

    /// Waits where the database does not answer now: a browser does not come back to a server that refuses it once.
    async fn pause(&self, cause: ApiError) -> Option<Ended> {
        if !cause.is_unavailable() {
            error!(error = %cause, "a stream was cut off");
            return Some(Ended::Cut);
        }
        debug!(error = %cause, "a stream waits");
        tokio::select! {
            () = tokio::time::sleep(UNAVAILABLE_PAUSE) => None,
            () = self.chunks.closed() => Some(Ended::Cut),
        }
    }
}

/// How a stream ended.
enum Ended {
    /// As it should.
    Whole,
    /// The reader has gone, or something failed.
    Cut,
}
