//! `annals streams`.

mod received;
mod show;

use std::path::PathBuf;

use annals_engine::{
    Engine, Missing, NewStream, Options, Principal, SILENCE_SECONDS, SINK_KINDS, SecretText, SinkKind,
    SinkSettingKind, SinkSettings, Stream, StreamChange, StreamError, StreamStart,
};
use annals_model::formats::EventFormat;
use annals_model::time::Time;
use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::SignedDuration;
use serde_json::json;

pub(crate) use self::received::read_received;
use crate::command::query;
use crate::command::user::say;
use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Send events to receivers: Splunk, webhooks, syslog, OTLP, S3, files. Works on the data directory, also while a server runs on it, which does the sending.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A value @FILE is read from a file and @- from standard input, so that secrets stay out of the history of the shell.

Examples:
  annals streams kinds splunk
  annals streams create siem --kind splunk --set url=https://splunk.example:8088 --set token=@token.txt
  annals streams create deletions --kind webhook --set url=https://hooks.example/annals --query action:delete
  annals streams create archive --kind s3 --set bucket=audit --format ocsf --from beginning
  annals streams list
  annals streams replay siem --from 2026-01-01
  annals streams dead-letters resend siem
  annals streams reconcile siem --file received.ndjson --send"
)]
pub(crate) struct StreamsArgs {
    #[command(subcommand)]
    command: StreamsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StreamsCommand {
    /// List the streams: what each does, what waits, what was refused
    List,
    /// Show one stream with its settings; secrets are not shown
    Show {
        /// Stream
        name: String,
    },
    /// List the kinds of receivers, or the settings of one
    Kinds {
        /// Kind
        kind: Option<String>,
    },
    /// Set a stream up
    #[command(after_help = "Examples:
  annals streams create siem --kind splunk --set url=https://splunk.example:8088 --set token=@token.txt
  annals streams create siem --kind syslog --set address=siem.example:6514 --set transport=tls --format ecs
  annals streams create log --kind log --set to=/var/log/annals/audit.log --format coder")]
    Create {
        /// What to call it
        name: String,
        /// Kind of receiver: annals streams kinds says what each does
        #[arg(long, value_parser = kinds())]
        kind: String,
        #[command(flatten)]
        what: What,
        /// Where to begin: now, beginning, seq:N, or a time such as 2026-01-01
        #[arg(long, value_name = "PLACE", default_value = "now", value_parser = start)]
        from: StreamStart,
        /// Send nothing until `annals streams resume`
        #[arg(long)]
        paused: bool,
    },
    /// Change a stream; it goes on where it is
    Change {
        /// Stream
        name: String,
        /// New name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        #[command(flatten)]
        what: What,
    },
    /// Send nothing until `resume`; nothing is lost meanwhile
    Pause {
        /// Stream
        name: String,
    },
    /// Go on where it was paused
    Resume {
        /// Stream
        name: String,
    },
    /// Delete a stream with its dead letters and manifests
    Delete {
        /// Stream
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Send a part of the log once more, beside what is new
    #[command(after_help = "Examples:
  annals streams replay siem --from 2026-01-01
  annals streams replay siem --from seq:1200 --until-seq 1300
  annals streams replay siem --from beginning resource_type:workspace action:delete")]
    Replay {
        /// Stream
        name: String,
        /// Where to begin: beginning, seq:N, or a time such as 2026-01-01
        #[arg(long, value_name = "PLACE", value_parser = start, required_unless_present = "cancel")]
        from: Option<StreamStart>,
        /// The last seq; where the stream is now, if absent
        #[arg(long, value_name = "SEQ")]
        until_seq: Option<u64>,
        /// Give up the replays that are not done
        #[arg(long, conflicts_with_all = ["from", "until_seq", "query"])]
        cancel: bool,
        /// Which of the stream's events; all if absent
        query: Vec<String>,
    },
    /// Look after events that the receiver refused
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// List the signed manifests of a stream, or print one; annals verify checks one
    #[command(after_help = "Examples:
  annals streams manifests siem
  annals streams manifests siem --number 7 > manifest-7.txt")]
    Manifests {
        /// Stream
        name: String,
        /// Print this one, with its signature
        #[arg(long, value_name = "N")]
        number: Option<u64>,
    },
    /// Compare what the receiver has with what the log says it should have
    #[command(
        after_help = "A file or directory of received events may hold any form that Annals sends, one event a line, also gzipped, or one id a line.
The exit code is 0 if nothing is missing, 1 if something is.

Examples:
  annals streams reconcile siem --file received.ndjson
  annals streams reconcile siem --file /var/audit --from-seq 1000 --until-seq 1999 --send
  annals streams reconcile siem --count 4812 --manifest 7"
    )]
    Reconcile {
        /// Stream
        name: String,
        /// What the receiver has: a file, a directory of files, or - for standard input
        #[arg(long, value_name = "FILE", required_unless_present = "count", conflicts_with = "count")]
        file: Option<PathBuf>,
        /// How many events the receiver has, each counted once
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// The first seq to compare; where the stream began, if absent
        #[arg(long, value_name = "SEQ")]
        from_seq: Option<u64>,
        /// The last seq to compare; where the stream is now, if absent
        #[arg(long, value_name = "SEQ")]
        until_seq: Option<u64>,
        /// Compare the window of this manifest
        #[arg(long, value_name = "N", conflicts_with_all = ["from_seq", "until_seq"])]
        manifest: Option<u64>,
        /// Send what is missing
        #[arg(long, requires = "file", conflicts_with = "count")]
        send: bool,
    },
    /// Make a new secret for the signatures of a webhook; the old one signs too until --finish
    RotateSecret {
        /// Stream
        name: String,
        /// The receiver knows the new secret: forget the old ones
        #[arg(long)]
        finish: bool,
    },
}

#[derive(Debug, clap::Subcommand)]
enum DeadLettersCommand {
    /// List them, with what the receiver said
    List {
        /// Stream
        name: String,
        /// The first seq to list
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        from_seq: u64,
        /// How many to list
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Send them again, or one
    Resend {
        /// Stream
        name: String,
        /// Only the event of this seq
        #[arg(long)]
        seq: Option<u64>,
    },
    /// Give them up, or one: their events are not sent any more
    Discard {
        /// Stream
        name: String,
        /// Only the event of this seq
        #[arg(long)]
        seq: Option<u64>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What a stream is.
#[derive(Debug, clap::Args)]
struct What {
    /// A setting of the receiver; may be given several times: annals streams kinds KIND lists them; NAME= takes one back
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Which events; all if empty
    #[arg(long)]
    query: Option<String>,
    /// Form of an event [default: native]
    #[arg(long, value_parser = formats())]
    format: Option<EventFormat>,
    /// Batches on their way at the same time; more than 1 gives up the order [default: 1]
    #[arg(long, value_name = "N")]
    parallel: Option<u64>,
    /// How long nothing may get through before that is an event in the log, such as 15m; 0s for ever [default: 15m]
    #[arg(long, value_name = "TIME")]
    silence: Option<SignedDuration>,
}

impl What {
    fn says_something(&self) -> bool {
        !self.set.is_empty()
            || self.query.is_some()
            || self.format.is_some()
            || self.parallel.is_some()
            || self.silence.is_some()
    }

    fn silence_seconds(&self) -> anyhow::Result<Option<u64>> {
        let seconds = self.silence.map(|silence| u64::try_from(silence.as_secs()));
        seconds.transpose().context("--silence is negative")
    }
}

/// The kinds of receivers, so that completions and suggestions know them.
fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(SINK_KINDS.iter().map(|kind| kind.name))
}

fn formats() -> impl TypedValueParser<Value = EventFormat> {
    PossibleValuesParser::new(EventFormat::ALL.map(EventFormat::name))
        .try_map(|name| name.parse::<EventFormat>())
}

/// Reads `NAME=VALUE`, where `@FILE` stands for what a file holds.
fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("NAME=VALUE is expected, such as url=https://siem.example")?;
    let value = match value.strip_prefix('@') {
        None => value.to_owned(),
        Some("-") => {
            std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"))?
        }
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
    };
    // The line end of a file is not part of a token; texts of several lines keep theirs.
    let is_line = value.trim_end().lines().count() <= 1;
    let value = if is_line { value.trim_end_matches(['\r', '\n']).to_owned() } else { value };
    Ok((name.trim().to_owned(), value))
}

/// Files and directories are meant from where the command runs, also after a restart of the server somewhere else.
pub(crate) fn absolute_places(kind: &str, settings: &mut SinkSettings) -> anyhow::Result<()> {
    if !SinkKind::from_name(kind).is_some_and(|kind| kind.is_local) {
        return Ok(());
    }
    for name in ["to", "directory"] {
        let place = settings.get(name).to_owned();
        if !place.is_empty() && !matches!(place.as_str(), "stdout" | "stderr") {
            let path =
                std::path::absolute(&place).with_context(|| format!("`{place}` is no place for files"))?;
            settings.set(name, &path.display().to_string());
        }
    }
    Ok(())
}

/// Reads where a stream begins.
pub(crate) fn start(text: &str) -> Result<StreamStart, String> {
    match text {
        "now" => return Ok(StreamStart::Now),
        "beginning" => return Ok(StreamStart::Beginning),
        _ => {}
    }
    if let Some(seq) = text.strip_prefix("seq:") {
        return seq
            .parse()
            .map(StreamStart::Seq)
            .map_err(|_| "seq:N with a whole number is expected".to_owned());
    }
    let day =
        text.parse::<jiff::civil::Date>().ok().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let time = day.map(|zoned| zoned.timestamp()).or_else(|| text.parse().ok());
    let expected =
        "now, beginning, seq:N, a day such as 2026-01-01 or a time such as 2026-01-01T12:00:00Z is expected";
    let time: jiff::Timestamp = time.ok_or(expected)?;
    Ok(StreamStart::Time(Time::from_micros_saturating(time.as_microsecond())))
}

fn open(target: &TargetArgs) -> anyhow::Result<Engine> {
    anyhow::ensure!(
        target.server.is_none(),
        "streams are managed where the log is: --data DIR, or --database-url; on a server, on its page Streams"
    );
    open_engine(&target.location()?, Options::default())
}

pub(crate) fn run(args: &StreamsArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    if let StreamsCommand::Kinds { kind } = &args.command {
        return show::kinds(kind.as_deref(), json);
    }
    let engine = open(target)?;
    let operator = Principal::operator();
    let find = |name: &str| engine.stream_named(&operator, name);
    match &args.command {
        StreamsCommand::Kinds { .. } => unreachable!("answered without a log"),
        StreamsCommand::List => show::list(&engine.streams(&operator)?, json)?,
        StreamsCommand::Show { name } => {
            show::one(&engine.stream_status(&operator, &find(name)?.id)?, json)?;
        }
        StreamsCommand::Create { name, kind, what, from, paused } => {
            let mut settings = SinkSettings::default();
            for (name, value) in &what.set {
                anyhow::ensure!(settings.get(name).is_empty(), "--set {name} is given twice");
                settings.set(name, value);
            }
            absolute_places(kind, &mut settings)?;
            let query = what.query.as_deref().unwrap_or_default();
            let new = NewStream {
                name,
                kind,
                query,
                format: what.format.unwrap_or(EventFormat::Native),
                parallel: what.parallel.unwrap_or(1),
                silence_seconds: what.silence_seconds()?.unwrap_or(SILENCE_SECONDS),
                settings,
                start: *from,
                is_paused: *paused,
            };
            match engine.create_stream(&operator, &new) {
                Err(StreamError::Query(errors)) => return query::report(&errors, query, json),
                made => {
                    let (made, secret) = made?;
                    let secret = secret.as_ref().map(SecretText::reveal);
                    say_secret(secret, json);
                    say_made(&made, secret, json)?;
                }
            }
        }
        StreamsCommand::Change { name, rename, what } => {
            let change = StreamChange {
                name: rename.as_deref(),
                query: what.query.as_deref(),
                format: what.format,
                parallel: what.parallel,
                silence_seconds: what.silence_seconds()?,
                settings: what.set.clone(),
            };
            let says_something = rename.is_some() || what.says_something();
            anyhow::ensure!(
                says_something,
                "say what to change: --rename, --query, --format, --parallel, --silence or --set"
            );
            let id = find(name)?.id;
            match engine.change_stream(&operator, &id, &change) {
                Err(StreamError::Query(errors)) => {
                    return query::report(&errors, what.query.as_deref().unwrap_or_default(), json);
                }
                changed => {
                    let changed = changed?;
                    say(json, show::stream_json(&changed), format_args!("changed {}", changed.name))?;
                }
            }
        }
        StreamsCommand::Pause { name } => {
            let stream = engine.pause_stream(&operator, &find(name)?.id, true)?;
            say(
                json,
                show::stream_json(&stream),
                format_args!("{} sends nothing until it is resumed", stream.name),
            )?;
        }
        StreamsCommand::Resume { name } => {
            let stream = engine.pause_stream(&operator, &find(name)?.id, false)?;
            say(
                json,
                show::stream_json(&stream),
                format_args!("{} goes on at seq {}", stream.name, stream.progress.next_seq),
            )?;
        }
        StreamsCommand::Delete { name, yes } => {
            let stream = find(name)?;
            anyhow::ensure!(
                *yes || output::confirmed(&format!("Delete the stream {}?", stream.name))?,
                "nothing was deleted; --yes does it without asking"
            );
            let stream = engine.delete_stream(&operator, &stream.id)?;
            say(json, json!({"deleted": stream.name}), format_args!("deleted {}", stream.name))?;
        }
        StreamsCommand::Replay { name, cancel: true, .. } => {
            let count = engine.cancel_replays(&operator, &find(name)?.id)?;
            say(json, json!({"cancelled": count}), format_args!("gave up {count} replays"))?;
        }
        StreamsCommand::Replay { name, from, until_seq, query, .. } => {
            let query = query.join(" ");
            let from = from.unwrap_or(StreamStart::Beginning);
            let end = until_seq.map(|seq| seq.saturating_add(1));
            match engine.replay_stream(&operator, &find(name)?.id, from, end, &query) {
                Err(StreamError::Query(errors)) => return query::report(&errors, &query, json),
                count => {
                    let count = count?;
                    say(
                        json,
                        json!({"event_count": count}),
                        format_args!("{count} events are sent once more"),
                    )?;
                }
            }
        }
        StreamsCommand::DeadLetters(command) => dead_letters(&engine, command, json)?,
        StreamsCommand::Manifests { name, number } => {
            show::manifests(&engine, &find(name)?, *number, json)?;
        }
        StreamsCommand::Reconcile { name, .. } => {
            return reconcile(&engine, &find(name)?, &args.command, json);
        }
        StreamsCommand::RotateSecret { name, finish } => rotate_secret(&engine, &find(name)?, *finish, json)?,
    }
    Ok(output::GOOD)
}

fn say_secret(secret: Option<&str>, json: bool) {
    if let Some(secret) = secret.filter(|_| !json) {
        output::note("The receiver checks signatures with this secret; it is not shown again:");
        output::note(format_args!("  {secret}"));
    }
}

fn say_made(stream: &Stream, secret: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut shown = show::stream_json(stream);
    if let Some(secret) = secret {
        shown["secret"] = secret.into();
    }
    let place = stream.progress.next_seq;
    say(json, shown, format_args!("made {}; a running server begins to send at seq {place}", stream.name))
}

fn dead_letters(engine: &Engine, command: &DeadLettersCommand, json: bool) -> anyhow::Result<()> {
    let operator = Principal::operator();
    let find = |name: &str| engine.stream_named(&operator, name);
    match command {
        DeadLettersCommand::List { name, from_seq, limit } => {
            let stream = find(name)?;
            show::dead_letters(&engine.dead_letters(&operator, &stream.id, *from_seq, *limit)?, json)
        }
        DeadLettersCommand::Resend { name, seq } => {
            let count = engine.resend_dead_letters(&operator, &find(name)?.id, *seq)?;
            say(json, json!({"resent": count}), format_args!("{count} events are sent again"))
        }
        DeadLettersCommand::Discard { name, seq, yes } => {
            let stream = find(name)?;
            anyhow::ensure!(
                *yes || output::confirmed("Give them up? They are not sent any more.")?,
                "nothing was given up; --yes does it without asking"
            );
            let count = engine.discard_dead_letters(&operator, &stream.id, *seq)?;
            say(json, json!({"discarded": count}), format_args!("gave up {count} dead letters"))
        }
    }
}

fn reconcile(engine: &Engine, stream: &Stream, command: &StreamsCommand, json: bool) -> anyhow::Result<u8> {
    let StreamsCommand::Reconcile { file, count, from_seq, until_seq, manifest, send, .. } = command else {
        unreachable!("called for this command alone")
    };
    let operator = Principal::operator();
    let (mut from, mut end) = (*from_seq, until_seq.map(|seq| seq.saturating_add(1)));
    if let Some(number) = manifest {
        let found = engine.stream_manifest(&operator, &stream.id, *number)?;
        let found = found.with_context(|| format!("{} has no manifest {number}", stream.name))?;
        (from, end) = (Some(found.first_seq), Some(found.last_seq + 1));
    }
    let (received, unread_lines) = read_received(file.as_deref(), *count, None, json)?;
    let found = engine.reconcile_stream(&operator, &stream.id, from, end, &received)?;
    let missing: &[Missing] = &found.missing;
    let sent = if *send { engine.send_missing(&operator, &stream.id, missing)? } else { 0 };
    show::reconciliation(&found, unread_lines, sent, json)?;
    Ok(if found.is_complete() { output::GOOD } else { output::FAILED })
}

fn rotate_secret(engine: &Engine, stream: &Stream, finish: bool, json: bool) -> anyhow::Result<()> {
    let operator = Principal::operator();
    if finish {
        engine.end_secret_rotation(&operator, &stream.id)?;
        let text = format_args!("only the newest secret of {} signs now", stream.name);
        return say(json, json!({"finished": true}), text);
    }
    let secret = engine.rotate_stream_secret(&operator, &stream.id)?;
    say_secret(Some(secret.reveal()), json);
    say(
        json,
        json!({"secret": secret.reveal()}),
        format_args!(
            "both secrets sign from now on; once the receiver knows the new one: annals streams rotate-secret {} --finish",
            stream.name
        ),
    )
}

/// The kind of that name.
fn kind_named(name: &str) -> anyhow::Result<&'static SinkKind> {
    let names: Vec<&str> = SINK_KINDS.iter().map(|kind| kind.name).collect();
    SinkKind::from_name(name)
        .with_context(|| format!("`{name}` is no kind of receiver; there are {}", names.join(", ")))
}

/// What a setting holds, in words.
fn expects(kind: SinkSettingKind) -> String {
    match kind {
        SinkSettingKind::Line => "text".to_owned(),
        SinkSettingKind::Text => "text of several lines".to_owned(),
        SinkSettingKind::Secret => "secret".to_owned(),
        SinkSettingKind::SecretText => "secret of several lines".to_owned(),
        SinkSettingKind::Number { min, max } => format!("{min} to {max}"),
        SinkSettingKind::Choice(words) => words.join(" | "),
        SinkSettingKind::Switch => "true | false".to_owned(),
    }
}
