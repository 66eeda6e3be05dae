//! The streams of the configuration file, and log lines of events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use annals_engine::{
    Engine, NewStream, Principal, SILENCE_SECONDS, SinkKind, SinkSettings, Stream, StreamChange, StreamError,
    StreamMaker, StreamPolicy, StreamStart,
};
use annals_model::formats::EventFormat;
use anyhow::Context as _;
use clap::ValueEnum;
use ipnet::IpNet;
use jiff::SignedDuration;
use serde::Deserialize;

use super::reach::read_network;
use crate::command::streams::{absolute_places, start};

/// Name of the stream that `--audit-log` makes.
const AUDIT_LOG: &str = "audit-log";

/// Flags about streams.
#[derive(Debug, clap::Args)]
pub(crate) struct StreamArgs {
    /// Write each new event as a log line to stdout, stderr, or a file
    #[arg(long, value_name = "TO", env = "ANNALS_AUDIT_LOG")]
    audit_log: Option<String>,
    /// Form of these lines; json is that of Coder [default: json]
    #[arg(long, value_enum, value_name = "FORM", env = "ANNALS_AUDIT_LOG_FORMAT")]
    audit_log_format: Option<LineFormat>,
    /// Bytes after which the file is rotated; ten older ones are kept [default: 104857600]
    #[arg(long, value_name = "BYTES", env = "ANNALS_AUDIT_LOG_ROTATE")]
    audit_log_rotate: Option<u64>,
    /// Private network that streams set up on the page may reach, such as 10.0.0.0/8; may be given several times
    #[arg(long, value_name = "CIDR", env = "ANNALS_STREAM_NETWORKS", value_delimiter = ',', value_parser = read_network)]
    stream_networks: Vec<IpNet>,
    /// How often a stream's manifest is signed while events are delivered [default: 10m]
    #[arg(long, value_name = "AGE", env = "ANNALS_MANIFEST_EVERY")]
    manifest_every: Option<SignedDuration>,
}

/// Form of log lines of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LineFormat {
    /// For people
    Human,
    /// As Coder's logger writes them
    Json,
    /// As Coder before version 2 wrote them
    Classic,
    /// For Google Cloud Logging
    Stackdriver,
    /// As the API of Annals shows events
    Native,
    /// Open Cybersecurity Schema Framework
    Ocsf,
    /// Elastic Common Schema
    Ecs,
}

impl LineFormat {
    fn format(self) -> EventFormat {
        match self {
            LineFormat::Human => EventFormat::Human,
            LineFormat::Json => EventFormat::Coder,
            LineFormat::Classic => EventFormat::Classic,
            LineFormat::Stackdriver => EventFormat::Stackdriver,
            LineFormat::Native => EventFormat::Native,
            LineFormat::Ocsf => EventFormat::Ocsf,
            LineFormat::Ecs => EventFormat::Ecs,
        }
    }
}

/// The same in the configuration file.
#[derive(Debug, Default)]
pub(crate) struct StreamsFile {
    pub(crate) audit_log: Option<String>,
    pub(crate) audit_log_format: Option<LineFormat>,
    pub(crate) audit_log_rotate: Option<u64>,
    pub(crate) stream_networks: Vec<String>,
    pub(crate) manifest_every: Option<SignedDuration>,
    pub(crate) streams: Vec<StreamFile>,
}

/// A table `[[stream]]` of the configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamFile {
    name: String,
    kind: String,
    #[serde(default)]
    query: String,
    format: Option<String>,
    parallel: Option<u64>,
    silence: Option<SignedDuration>,
    /// Where it begins when it is new: `now`, `beginning`, `seq:N`, or a time.
    from: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, SettingFile>,
}

/// The value of a setting.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a number, true, false, or { file = \"PATH\" }")]
enum SettingFile {
    Text(String),
    Number(u64),
    Switch(bool),
    File(FileValue),
}

/// A value that stands in a file of its own, such as a secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileValue {
    file: PathBuf,
}

impl SettingFile {
    fn read(&self) -> anyhow::Result<String> {
        Ok(match self {
            SettingFile::Text(text) => text.clone(),
            SettingFile::Number(number) => number.to_string(),
            SettingFile::Switch(is_on) => is_on.to_string(),
            SettingFile::File(FileValue { file }) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read `{}`", file.display()))?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        })
    }
}

/// The networks that streams of the page may reach.
pub(crate) fn networks(args: &StreamArgs, file: &StreamsFile) -> anyhow::Result<Vec<IpNet>> {
    if !args.stream_networks.is_empty() {
        return Ok(args.stream_networks.clone());
    }
    let read =
        |text: &String| read_network(text).map_err(|expected| anyhow::anyhow!("stream_networks: {expected}"));
    file.stream_networks.iter().map(read).collect()
}

/// How the server sends streams.
pub(crate) fn policy(args: &StreamArgs, file: &StreamsFile) -> anyhow::Result<StreamPolicy> {
    let mut policy = StreamPolicy::default();
    if let Some(every) = args.manifest_every.or(file.manifest_every) {
        let every = Duration::try_from(every).context("--manifest-every is negative")?;
        anyhow::ensure!(every >= Duration::from_secs(1), "--manifest-every is shorter than 1s");
        policy.manifest_every = every;
    }
    Ok(policy)
}

/// Makes the streams of the log what the file and the flags say. One that stood there once and does not any more is paused: what it did not send is not
/// lost, and somebody decides.
pub(crate) fn apply(engine: &Engine, args: &StreamArgs, file: &StreamsFile) -> anyhow::Result<()> {
    let mut names = Vec::new();
    if let Some(to) = args.audit_log.as_ref().or(file.audit_log.as_ref()) {
        let format = args.audit_log_format.or(file.audit_log_format).unwrap_or(LineFormat::Json);
        let mut settings = SinkSettings::default();
        settings.set("to", to);
        absolute_places("log", &mut settings)?;
        if let Some(bytes) = args.audit_log_rotate.or(file.audit_log_rotate) {
            settings.set("rotate_bytes", &bytes.to_string());
        }
        let new = NewStream {
            name: AUDIT_LOG,
            kind: "log",
            query: "",
            format: format.format(),
            parallel: 1,
            silence_seconds: SILENCE_SECONDS,
            settings,
            start: StreamStart::Now,
            is_paused: false,
        };
        put(engine, &new).context("--audit-log")?;
        names.push(AUDIT_LOG.to_owned());
    }
    for stream in &file.streams {
        anyhow::ensure!(
            !names.contains(&stream.name.to_lowercase()),
            "two streams of the configuration file are called `{}`; give each a name of its own",
            stream.name
        );
        put_file(engine, stream)
            .with_context(|| format!("the stream `{}` in the configuration file", stream.name))?;
        names.push(stream.name.to_lowercase());
    }
    let operator = Principal::operator();
    for status in engine.streams(&operator)? {
        let stream = status.stream;
        let is_gone = stream.made_by == StreamMaker::File && !names.contains(&stream.name.to_lowercase());
        if is_gone && !stream.is_paused {
            tracing::warn!(
                stream = stream.name,
                "the stream stands in the configuration file no more, and is paused until it does; annals streams delete removes it"
            );
            engine.leave_out_stream(&operator, &stream.id)?;
        }
    }
    Ok(())
}

fn put_file(engine: &Engine, stream: &StreamFile) -> anyhow::Result<()> {
    let mut settings = SinkSettings::default();
    for (name, value) in &stream.settings {
        settings.set(name, &value.read().with_context(|| name.clone())?);
    }
    absolute_places(&stream.kind, &mut settings)?;
    let format = stream.format.as_deref().map(str::parse).transpose()?.unwrap_or(EventFormat::Native);
    let silence = stream.silence.map(|silence| u64::try_from(silence.as_secs())).transpose();
    let from = stream.from.as_deref().map(start).transpose();
    let new = NewStream {
        name: &stream.name,
        kind: &stream.kind,
        query: &stream.query,
        format,
        parallel: stream.parallel.unwrap_or(1),
        silence_seconds: silence.context("silence is negative")?.unwrap_or(SILENCE_SECONDS),
        settings,
        start: from.map_err(|expected| anyhow::anyhow!("from: {expected}"))?.unwrap_or(StreamStart::Now),
        is_paused: false,
    };
    put(engine, &new)
}

/// Makes a stream, or makes it what it should be.
fn put(engine: &Engine, new: &NewStream<'_>) -> anyhow::Result<()> {
    let operator = Principal::operator();
    let result = match engine.stream_named(&operator, new.name) {
        Err(StreamError::Unknown { .. }) => engine.create_stream_of_file(&operator, new),
        Err(error) => Err(error),
        Ok(found) => {
            check_same(&found, new)?;
            // The stream is there: trouble with it must not keep the log from taking events.
            if let Err(error) = change(engine, &operator, &found, new) {
                tracing::error!(stream = new.name, error = format!("{error:#}"), "the stream stays as it is");
            }
            if found.is_left_out {
                engine.pause_stream(&operator, &found.id, false)?;
            } else if found.is_paused {
                tracing::warn!(stream = new.name, "the stream is paused; annals streams resume has it go on");
            }
            return Ok(());
        }
    };
    match result {
        Err(StreamError::Query(errors)) => anyhow::bail!("query: {errors}"),
        other => Ok(other.map(drop)?),
    }
}

/// What stands in the file must be the stream that is there.
fn check_same(found: &Stream, new: &NewStream<'_>) -> anyhow::Result<()> {
    anyhow::ensure!(
        found.made_by == StreamMaker::File,
        "a stream of that name was made on the page or by the command line; give this one another name, or delete that one"
    );
    anyhow::ensure!(
        found.kind == new.kind,
        "it is of kind `{}` in the log and of kind `{}` here; give it another name, or delete it first: annals streams delete",
        found.kind,
        new.kind
    );
    Ok(())
}

fn change(engine: &Engine, operator: &Principal, found: &Stream, new: &NewStream<'_>) -> anyhow::Result<()> {
    // Also what does not stand there: it goes back to its default.
    let known = SinkKind::from_name(new.kind).map(|kind| kind.settings).unwrap_or_default();
    let mut settings: Vec<(String, String)> = known
        .iter()
        .map(|setting| (setting.name.to_owned(), new.settings.get(setting.name).to_owned()))
        .collect();
    let given = new.settings.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.extend(given.filter(|(name, _)| !known.iter().any(|setting| setting.name == name)));
    let change = StreamChange {
        name: None,
        query: Some(new.query),
        format: Some(new.format),
        parallel: Some(new.parallel),
        silence_seconds: Some(new.silence_seconds),
        settings,
    };
    match engine.change_stream_of_file(operator, found, &change) {
        Err(StreamError::Query(errors)) => anyhow::bail!("query: {errors}"),
        other => Ok(other.map(drop)?),
    }
}
