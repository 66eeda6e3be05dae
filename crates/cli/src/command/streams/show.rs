//! What `annals streams` prints.

use annals_engine::{
    DeadLetter, Engine, Principal, Reconciliation, SINK_KINDS, Stream, StreamMaker, StreamStatus,
};
use serde_json::{Value, json};

use super::{expects, kind_named};
use crate::output;

/// Missing events that are listed for people; `--json` lists all.
const MISSING_SHOWN: usize = 20;
/// Manifests that are listed.
const MANIFESTS_SHOWN: usize = 1_000;

pub(super) fn stream_json(stream: &Stream) -> Value {
    let progress = &stream.progress;
    json!({
        "id": stream.id.0, "name": stream.name, "kind": stream.kind, "query": stream.query, "format": stream.format,
        "parallel": stream.parallel, "silence_seconds": stream.silence_seconds,
        "settings": serde_json::from_str::<Value>(&stream.settings).unwrap_or_default(),
        "has_secrets": !stream.secrets.is_empty(), "made_by": maker(stream.made_by), "paused": stream.is_paused,
        "created": stream.created, "first_seq": stream.first_seq, "next_seq": progress.next_seq,
        "delivered": progress.delivered, "acknowledged": progress.acknowledged, "failing_since": progress.failing,
        "failed_attempts": progress.attempts, "failure": progress.failure, "stalled": progress.is_alerted,
    })
}

fn silence(seconds: u64) -> String {
    match seconds {
        0 => "never counts as stalled".to_owned(),
        seconds if seconds % 60 == 0 => format!("stalled after {} min", seconds / 60),
        seconds => format!("stalled after {seconds} s"),
    }
}

fn maker(maker: StreamMaker) -> &'static str {
    match maker {
        StreamMaker::Page => "page",
        StreamMaker::Operator => "operator",
        StreamMaker::File => "file",
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a lag need no more than 52 bits")]
fn status_json(status: &StreamStatus) -> Value {
    let mut shown = stream_json(&status.stream);
    let replays: Vec<Value> = status
        .replays
        .iter()
        .map(|replay| {
            json!({"query": replay.query, "first_seq": replay.first_seq, "next_seq": replay.next_seq,
                   "end_seq": replay.end_seq, "delivered": replay.delivered, "created": replay.created})
        })
        .collect();
    shown["state"] = status.state.name().into();
    shown["waiting"] = status.waiting.into();
    shown["lag_seconds"] = (status.lag_us as f64 / 1_000_000.0).into();
    shown["dead_letters"] = status.dead_letters.all.into();
    shown["dead_letters_due"] = status.dead_letters.due.into();
    shown["replays"] = replays.into();
    shown
}

pub(super) fn list(streams: &[StreamStatus], json: bool) -> anyhow::Result<()> {
    if json {
        let streams: Vec<Value> = streams.iter().map(status_json).collect();
        return output::line(json!({"streams": streams}));
    }
    if streams.is_empty() {
        output::note("there is no stream; annals streams create --help shows how to set one up");
    }
    for status in streams {
        let StreamStatus { stream, waiting, dead_letters, .. } = status;
        let letters = match dead_letters.all {
            0 => String::new(),
            count => format!("  {count} dead letters"),
        };
        output::line(format_args!(
            "{:24}  {:8}  {:8}  {:>10} delivered  {waiting:>8} waiting{letters}",
            stream.name,
            stream.kind,
            status.state.name(),
            stream.progress.delivered
        ))?;
        if !stream.progress.failure.is_empty() {
            output::line(format_args!("    {}", stream.progress.failure))?;
        }
    }
    Ok(())
}

pub(super) fn one(status: &StreamStatus, json: bool) -> anyhow::Result<()> {
    if json {
        return output::line(status_json(status));
    }
    let StreamStatus { stream, .. } = status;
    let progress = &stream.progress;
    let row = |name: &str, value: &str| output::line(format_args!("{name:16} {value}"));
    row("name", &stream.name)?;
    row("kind", &stream.kind)?;
    row("state", status.state.name())?;
    row("query", if stream.query.is_empty() { "all events" } else { &stream.query })?;
    row("format", &stream.format)?;
    row("parallel", &stream.parallel.to_string())?;
    row("silence", &silence(stream.silence_seconds))?;
    for (name, value) in status.settings.iter() {
        let lines = value.lines().count();
        let value = if lines > 1 { format!("({lines} lines)") } else { value.to_owned() };
        row(&format!("  {name}"), &value)?;
    }
    if !stream.secrets.is_empty() {
        row("  secrets", "kept encrypted, not shown")?;
    }
    row("set up by", maker(stream.made_by))?;
    row("first seq", &stream.first_seq.to_string())?;
    row("next seq", &progress.next_seq.to_string())?;
    row("delivered", &progress.delivered.to_string())?;
    row("waiting", &status.waiting.to_string())?;
    row(
        "dead letters",
        &format!("{} ({} are sent again)", status.dead_letters.all, status.dead_letters.due),
    )?;
    for replay in &status.replays {
        row(
            "replay",
            &format!(
                "at seq {}, from {} to {}",
                replay.next_seq,
                replay.first_seq,
                replay.end_seq.saturating_sub(1)
            ),
        )?;
    }
    if let Some(time) = progress.acknowledged {
        row("acknowledged", &time.to_string())?;
    }
    if let Some(time) = progress.failing {
        row("failing since", &time.to_string())?;
        row("reason", &progress.failure)?;
    }
    Ok(())
}

pub(super) fn kinds(kind: Option<&str>, json: bool) -> anyhow::Result<u8> {
    let kinds: Vec<_> = match kind {
        Some(name) => vec![kind_named(name)?],
        None => SINK_KINDS.iter().collect(),
    };
    if json {
        let kinds: Vec<Value> = kinds
            .iter()
            .map(|kind| {
                let settings: Vec<Value> = kind
                    .settings
                    .iter()
                    .map(|setting| {
                        json!({"name": setting.name, "about": setting.about, "expects": expects(setting.kind),
                               "default": setting.default, "required": setting.is_required,
                               "secret": setting.kind.is_secret()})
                    })
                    .collect();
                json!({"kind": kind.name, "about": kind.about, "operator_only": kind.is_local, "settings": settings})
            })
            .collect();
        output::line(json!({"kinds": kinds}))?;
        return Ok(output::GOOD);
    }
    for found in &kinds {
        output::line(format_args!("{:10} {}", found.name, found.about))?;
        if kind.is_none() {
            continue;
        }
        for setting in found.settings {
            let state = match (setting.is_required, setting.default) {
                (true, _) => "required".to_owned(),
                (false, "") => String::new(),
                (false, default) => format!("default {default}"),
            };
            output::line(format_args!("  {:20} {:24} {state}", setting.name, expects(setting.kind)))?;
            output::line(format_args!("  {:20} {}", "", setting.about))?;
        }
    }
    Ok(output::GOOD)
}

pub(super) fn dead_letters(letters: &[DeadLetter], json: bool) -> anyhow::Result<()> {
    if json {
        let letters: Vec<Value> = letters
            .iter()
            .map(|letter| {
                json!({"seq": letter.seq, "reason": letter.reason, "attempts": letter.attempts,
                       "refused": letter.refused, "due": letter.is_due})
            })
            .collect();
        return output::line(json!({"dead_letters": letters}));
    }
    if letters.is_empty() {
        output::note("there are no dead letters");
    }
    for letter in letters {
        let due = if letter.is_due { "  (is sent again)" } else { "" };
        let DeadLetter { seq, refused, attempts, reason, .. } = letter;
        output::line(format_args!("seq {seq:>12}  {refused}  attempts {attempts}  {reason}{due}"))?;
    }
    Ok(())
}

pub(super) fn manifests(
    engine: &Engine,
    stream: &Stream,
    number: Option<u64>,
    json: bool,
) -> anyhow::Result<()> {
    let operator = Principal::operator();
    if let Some(number) = number {
        let found = engine.stream_manifest(&operator, &stream.id, number)?;
        let found = found.filter(|found| !found.note.is_empty());
        anyhow::ensure!(
            found.is_some(),
            "{} has no signed manifest {number}: annals streams manifests {} lists them",
            stream.name,
            stream.name
        );
        let note = found.map(|found| found.note).unwrap_or_default();
        return if json { output::line(json!({"manifest": note})) } else { output::line(note.trim_end()) };
    }
    let manifests = engine.stream_manifests(&operator, &stream.id, MANIFESTS_SHOWN)?;
    if json {
        let manifests: Vec<Value> = manifests
            .iter()
            .map(|manifest| {
                json!({"number": manifest.number, "first_seq": manifest.first_seq, "last_seq": manifest.last_seq,
                       "event_count": manifest.event_count, "signed": !manifest.note.is_empty(),
                       "created": manifest.created})
            })
            .collect();
        return output::line(json!({"manifests": manifests}));
    }
    if manifests.is_empty() {
        output::note(
            "no window is closed yet; a running server closes one every ten minutes while events are delivered",
        );
    }
    for manifest in &manifests {
        let state = if manifest.note.is_empty() { "not signed yet" } else { "signed" };
        output::line(format_args!(
            "{:>6}  seq {:>10} to {:>10}  {:>8} events  {}  {state}",
            manifest.number, manifest.first_seq, manifest.last_seq, manifest.event_count, manifest.created
        ))?;
    }
    Ok(())
}

pub(super) fn reconciliation(
    found: &Reconciliation,
    unread_lines: u64,
    sent: usize,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        let missing: Vec<Value> = found
            .missing
            .iter()
            .map(|missing| json!({"seq": missing.seq, "id": missing.id.to_string(), "dead_letter": missing.is_dead_letter}))
            .collect();
        return output::line(json!({
            "first_seq": found.first_seq, "last_seq": found.end_seq.checked_sub(1), "expected": found.expected,
            "received": found.received, "repeats": found.repeats, "foreign": found.foreign,
            "unreadable_lines": unread_lines, "missing": missing, "sent": sent, "complete": found.is_complete(),
        }));
    }
    let Reconciliation { first_seq, end_seq, expected, received, repeats, foreign, .. } = found;
    output::line(format_args!(
        "seq {first_seq} to {}: {expected} events, the receiver has {received}",
        end_seq.saturating_sub(1)
    ))?;
    if *repeats > 0 {
        output::line(format_args!("{repeats} came more than once, as at-least-once delivery allows"))?;
    }
    if *foreign > 0 {
        output::line(format_args!("{foreign} ids are not of this stream in this range"))?;
    }
    if unread_lines > 0 {
        output::line(format_args!("{unread_lines} lines name no event"))?;
    }
    for missing in found.missing.iter().take(MISSING_SHOWN) {
        let dead = if missing.is_dead_letter { "  (refused: among the dead letters)" } else { "" };
        output::line(format_args!("missing: seq {}  {}{dead}", missing.seq, missing.id))?;
    }
    if found.missing.len() > MISSING_SHOWN {
        output::line(format_args!("and {} more; --json lists all", found.missing.len() - MISSING_SHOWN))?;
    }
    match (found.is_complete(), sent) {
        (true, _) => output::line("nothing is missing"),
        (false, 0) if found.missing.is_empty() => output::line(format_args!(
            "{} are missing; --file with what the receiver has says which",
            expected.saturating_sub(*received)
        )),
        (false, 0) => output::line(format_args!("{} are missing; --send sends them", found.missing.len())),
        (false, sent) if sent < found.missing.len() => output::line(format_args!(
            "{sent} of {} are sent; run it again for the others",
            found.missing.len()
        )),
        (false, sent) => output::line(format_args!("{sent} are sent")),
    }
}
