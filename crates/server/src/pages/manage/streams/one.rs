//! `/streams/{id}`: one stream, and what can be done with it.

use std::str::FromStr as _;

use annals_engine::{
    DeadLetter, Principal, Replay, SecretText, SinkKind, SinkSettingKind, StreamError, StreamId, StreamMaker,
    StreamManifest, StreamStatus,
};
use annals_model::formats::EventFormat;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::actions::ReplayForm;
use super::form::format_words;
use super::state::{self, Badge};
use super::{address, kind_label, maker_tag, sentence_of};
use crate::App;
use crate::auth::PageCaller;
use crate::pages::detail::found_by;
use crate::pages::manage::{Done, ask};
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};
use crate::pages::zone::Zone;
use crate::pages::{format, html, path_part, search_href};

/// Dead letters that are listed; the command line lists all.
const DEAD_LETTERS_MAX: usize = 100;
/// Manifests that are listed; the API has more.
const MANIFESTS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "stream.html")]
struct StreamPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    /// A secret that was made, shown this once, and whether it is the stream's first.
    made: Option<(String, bool)>,
    path: String,
    name: String,
    kind: String,
    maker: &'static str,
    is_paused: bool,
    is_stalled: bool,
    is_webhook: bool,
    /// The page may change and delete it.
    may_change: bool,
    is_of_file: bool,
    badges: Vec<Badge>,
    /// Since when nothing gets through, and why.
    failure: Option<Failure>,
    changes_href: String,
    facts: Vec<Fact>,
    settings: Vec<Fact>,
    letter_count: u64,
    due_count: u64,
    letters: Vec<LetterRow>,
    letters_are_cut: bool,
    replays: Vec<ReplayRow>,
    replay: ReplayForm,
    next_seq: u64,
    manifests: Vec<ManifestRow>,
    manifests_are_cut: bool,
}

struct Failure {
    since: Moment,
    span: String,
    attempts: u64,
    reason: String,
}

struct Moment {
    text: String,
    machine: String,
}

/// A name and what stands for it.
struct Fact {
    name: String,
    value: Value,
}

enum Value {
    Text(String),
    /// A text as the machine has it.
    Code(String),
    /// Several lines, behind a summary.
    Lines(usize, String),
    Search(String, String),
    Time(Moment),
    None(&'static str),
}

struct LetterRow {
    seq: u64,
    href: String,
    refused: Moment,
    reason: String,
    attempts: u64,
    is_due: bool,
}

struct ReplayRow {
    first_seq: String,
    last_seq: String,
    query: String,
    percent: u64,
    delivered: String,
    created: Moment,
}

struct ManifestRow {
    number: u64,
    href: String,
    first_seq: String,
    last_seq: String,
    event_count: String,
    created: Moment,
    is_signed: bool,
}

impl Moment {
    fn new(time: annals_model::time::Time, zone: &Zone) -> Moment {
        Moment { text: format::moment(time, zone), machine: time.to_string() }
    }
}

impl LetterRow {
    fn new(letter: &DeadLetter, zone: &Zone) -> LetterRow {
        LetterRow {
            seq: letter.seq,
            href: search_href(&format!("seq:{}", letter.seq), 1),
            refused: Moment::new(letter.refused, zone),
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            is_due: letter.is_due,
        }
    }
}

impl ReplayRow {
    fn new(replay: &Replay, zone: &Zone) -> ReplayRow {
        let whole = replay.end_seq.saturating_sub(replay.first_seq).max(1);
        let part = replay.next_seq.saturating_sub(replay.first_seq).min(whole);
        ReplayRow {
            first_seq: format::grouped(replay.first_seq),
            last_seq: format::grouped(replay.end_seq.saturating_sub(1)),
            query: replay.query.clone(),
            percent: u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(100),
            delivered: format::grouped(replay.delivered),
            created: Moment::new(replay.created, zone),
        }
    }
}

impl ManifestRow {
    fn new(manifest: &StreamManifest, zone: &Zone) -> ManifestRow {
        let id = path_part(&manifest.stream_id.0);
        ManifestRow {
            number: manifest.number,
            href: format!("/api/v2/audit/streams/{id}/manifests/{}", manifest.number),
            first_seq: format::grouped(manifest.first_seq),
            last_seq: format::grouped(manifest.last_seq),
            event_count: format::grouped(manifest.event_count),
            created: Moment::new(manifest.created, zone),
            is_signed: !manifest.note.is_empty(),
        }
    }
}

/// How it goes.
fn facts(status: &StreamStatus, zone: &Zone) -> Vec<Fact> {
    let (stream, progress) = (&status.stream, &status.stream.progress);
    let waiting = match (status.waiting, state::behind(status)) {
        (0, _) => Value::None("nothing"),
        (count, behind) => {
            let comma = if behind.is_empty() { "" } else { ", " };
            Value::Text(format!("{} {}{comma}{behind}", format::grouped(count), events(count)))
        }
    };
    let maker = match stream.made_by {
        StreamMaker::Page => "a site manager",
        StreamMaker::Operator => "the operator",
        StreamMaker::File => "the operator, in annals.toml",
    };
    let acknowledged = progress.acknowledged.map(|time| Value::Time(Moment::new(time, zone)));
    [
        ("Waiting", waiting),
        ("Rate", Value::Text(state::rate(status.rate))),
        (
            "Delivered",
            Value::Text(format!("{} {}", format::grouped(progress.delivered), events(progress.delivered))),
        ),
        ("Last acknowledged", acknowledged.unwrap_or(Value::None("nothing yet"))),
        ("Next seq", Value::Text(format::grouped(progress.next_seq))),
        ("Began at seq", Value::Text(format::grouped(stream.first_seq))),
        ("Set up", Value::Time(Moment::new(stream.created, zone))),
        ("Set up by", Value::Text(maker.to_owned())),
    ]
    .map(|(name, value)| Fact { name: name.to_owned(), value })
    .into()
}

fn events(count: u64) -> &'static str {
    if count == 1 { "event" } else { "events" }
}

/// What it is; of secrets only that they are kept.
fn settings(status: &StreamStatus) -> Vec<Fact> {
    let stream = &status.stream;
    let format = EventFormat::from_str(&stream.format);
    let query = match stream.query.as_str() {
        "" => Value::None("all events"),
        query => Value::Search(query.to_owned(), search_href(query, 1)),
    };
    let parallel = match stream.parallel {
        1 => "one batch after the other, in order".to_owned(),
        count => format!("{count} batches at the same time, not in order"),
    };
    let silence = match stream.silence_seconds {
        0 => "never".to_owned(),
        seconds => format!("after {} without delivery", format::span(seconds)),
    };
    let mut facts: Vec<Fact> = [
        ("Events", query),
        ("Form", Value::Text(format.map_or(stream.format.clone(), |format| format_words(format).to_owned()))),
        ("Sending", Value::Text(parallel)),
        ("Counts as stalled", Value::Text(silence)),
    ]
    .map(|(name, value)| Fact { name: name.to_owned(), value })
    .into();
    let kind = SinkKind::from_name(&stream.kind);
    for setting in kind.map_or(&[][..], |kind| kind.settings) {
        let value = match status.settings.get(setting.name) {
            _ if status.secret_names.contains(&setting.name) => Value::None("kept, not shown"),
            _ if setting.kind.is_secret() => continue,
            "" => continue,
            value if value.contains('\n') => Value::Lines(value.lines().count(), value.to_owned()),
            "true" => Value::Text("yes".to_owned()),
            "false" => Value::Text("no".to_owned()),
            value if matches!(setting.kind, SinkSettingKind::Number { .. } | SinkSettingKind::Choice(_)) => {
                Value::Text(value.to_owned())
            }
            value => Value::Code(value.to_owned()),
        };
        facts.push(Fact { name: setting.label.to_owned(), value });
    }
    facts
}

/// Shows a stream.
pub(crate) async fn show_stream(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    zone: Zone,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    detail(&app, principal, id, &zone, StatusCode::OK, |page| page.done = sentence_of(&done)).await
}

/// The page with what is wrong.
pub(super) async fn with_fault(
    app: &App,
    principal: Principal,
    id: String,
    status: StatusCode,
    fault: String,
) -> Result<Response, PageError> {
    detail(app, principal, id, &Zone::utc(), status, |page| page.fault = fault).await
}

/// The page with what is wrong with a replay, and the replay as it was asked for.
pub(super) async fn with_replay(
    app: &App,
    principal: Principal,
    id: String,
    status: StatusCode,
    fault: String,
    form: ReplayForm,
) -> Result<Response, PageError> {
    detail(app, principal, id, &Zone::utc(), status, |page| (page.fault, page.replay) = (fault, form)).await
}

/// The page with a secret that was made, this once.
pub(super) async fn with_secret(
    app: &App,
    principal: Principal,
    id: String,
    secret: &SecretText,
    is_first: bool,
) -> Result<Response, PageError> {
    let made = Some((secret.reveal().to_owned(), is_first));
    detail(app, principal, id, &Zone::utc(), StatusCode::OK, |page| page.made = made).await
}

async fn detail(
    app: &App,
    principal: Principal,
    id: String,
    zone: &Zone,
    code: StatusCode,
    fill: impl FnOnce(&mut StreamPage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::Streams).await?;
    let (status, letters, manifests, now) = ask(app, move |engine| {
        let status = engine.stream_status(&principal, &StreamId(id))?;
        let id = &status.stream.id;
        let letters = engine.dead_letters(&principal, id, 0, DEAD_LETTERS_MAX)?;
        let manifests = engine.stream_manifests(&principal, id, MANIFESTS_MAX + 1)?;
        Ok::<_, StreamError>((status, letters, manifests, engine.now()))
    })
    .await?;
    let stream = &status.stream;
    let failure = stream.progress.failing.map(|since| Failure {
        since: Moment::new(since, zone),
        span: format::span(state::seconds_between(since, now)),
        attempts: stream.progress.attempts,
        reason: stream.progress.failure.clone(),
    });
    let mut page = StreamPage {
        shell,
        done: "",
        fault: String::new(),
        made: None,
        path: address(&stream.id.0),
        name: stream.name.clone(),
        kind: kind_label(&stream.kind),
        maker: maker_tag(stream.made_by),
        is_paused: stream.is_paused,
        is_stalled: stream.progress.is_alerted,
        is_webhook: stream.kind == "webhook",
        may_change: stream.made_by == StreamMaker::Page,
        is_of_file: stream.made_by == StreamMaker::File,
        badges: state::badges(&status),
        failure,
        changes_href: found_by("resource_id", &stream.id.0),
        facts: facts(&status, zone),
        settings: settings(&status),
        letter_count: status.dead_letters.all,
        due_count: status.dead_letters.due,
        letters_are_cut: status.dead_letters.all > letters.len() as u64,
        letters: letters.iter().map(|letter| LetterRow::new(letter, zone)).collect(),
        replays: status.replays.iter().map(|replay| ReplayRow::new(replay, zone)).collect(),
        replay: ReplayForm::default(),
        next_seq: stream.progress.next_seq,
        manifests_are_cut: manifests.len() > MANIFESTS_MAX,
        manifests: manifests
            .iter()
            .take(MANIFESTS_MAX)
            .map(|manifest| ManifestRow::new(manifest, zone))
            .collect(),
    };
    fill(&mut page);
    html(code, &page)
}
