//! `annals serve`.

mod reach;
mod streams;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_engine::{Engine, Options, Principal, RetentionReport, SealPolicy, SigningPolicy, StreamService};
use annals_server::BoundServer;
use anyhow::Context as _;
use clap::ValueEnum;
use jiff::SignedDuration;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use self::reach::{OidcFile, ReachArgs, ReachFile};
use self::streams::{LineFormat, StreamArgs, StreamFile, StreamsFile};
use crate::command::license::read_key;
use crate::command::read_policies;
use crate::command::retention::days;
use crate::output;
use crate::target::{TargetArgs, open_or_create_engine};

/// Run the server on a data directory; a new one is created.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each flag may stand in the environment or in annals.toml, under the same name: a flag wins over the
environment, the environment over the file.

Examples:
  annals serve
  annals serve --data /var/lib/annals --listen 127.0.0.1:2662 --policy /etc/annals/policy.toml
  annals serve --listen 0.0.0.0:443 --tls-cert /etc/annals/cert.pem --tls-key /etc/annals/key.pem
  annals serve --database-url postgres://annals@db.example/annals --objects s3://audit/annals"
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    reach: ReachArgs,
    /// Registry document (TOML) that extends or overrides what is built in; may be given several times
    #[arg(long, value_name = "FILE", env = "ANNALS_POLICY", value_delimiter = ',')]
    policy: Vec<PathBuf>,
    /// Take unknown resource types and actions; their diffs hold no values
    #[arg(long, env = "ANNALS_ALLOW_UNKNOWN")]
    allow_unknown: bool,
    /// Address of the audited deployment; with it the names of resources are linked
    #[arg(long, value_name = "URL", env = "ANNALS_DEPLOYMENT_URL")]
    deployment_url: Option<String>,
    /// Take new events only with a license that the owner of this public key (PEM) signed
    #[arg(long, value_name = "FILE", env = "ANNALS_REQUIRE_LICENSE")]
    require_license: Option<PathBuf>,
    /// Events of a sealed segment, a power of two from 256 to 262144 [default: 262144]
    #[arg(long, value_name = "N", env = "ANNALS_SEGMENT_EVENTS")]
    segment_events: Option<u32>,
    /// Age at which events are sealed although a segment is not full, such as 30m or 2h [default: 1h]
    #[arg(long, value_name = "AGE", env = "ANNALS_SEAL_AFTER")]
    seal_after: Option<SignedDuration>,
    /// Name of the log on its checkpoints, such as audit.example.com/log; taken when its key is made
    #[arg(long, value_name = "NAME", env = "ANNALS_ORIGIN")]
    origin: Option<String>,
    /// How often a checkpoint is signed while events come [default: 10s]
    #[arg(long, value_name = "AGE", env = "ANNALS_CHECKPOINT_EVERY")]
    checkpoint_every: Option<SignedDuration>,
    /// Keep events for so many days, such as 365d, unless `annals retention` has another rule for them; what is over is dropped every hour
    #[arg(long, value_name = "DAYS", env = "ANNALS_RETAIN", value_parser = days)]
    retain: Option<u32>,
    #[command(flatten)]
    streams: StreamArgs,
    /// Configuration file [default: annals.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "ANNALS_CONFIG")]
    config: Option<PathBuf>,
    /// Form of the log lines of the server itself
    #[arg(long, value_enum, env = "ANNALS_LOG_FORMAT", default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as annals_server=debug
    #[arg(long, value_name = "FILTER", env = "ANNALS_LOG", default_value = "info")]
    log: String,
}

/// How often it is looked for events whose time is over.
const RETENTION_EVERY: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    database_url: Option<String>,
    objects: Option<String>,
    listen: Option<SocketAddr>,
    #[serde(default)]
    policy: Vec<PathBuf>,
    #[serde(default)]
    allow_unknown: bool,
    deployment_url: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    #[serde(default)]
    behind_tls_proxy: bool,
    #[serde(default)]
    trusted_proxy: Vec<String>,
    access_url: Option<String>,
    #[serde(default)]
    oidc: OidcFile,
    require_license: Option<PathBuf>,
    segment_events: Option<u32>,
    seal_after: Option<SignedDuration>,
    key_dir: Option<PathBuf>,
    origin: Option<String>,
    checkpoint_every: Option<SignedDuration>,
    retain: Option<String>,
    audit_log: Option<String>,
    audit_log_format: Option<LineFormat>,
    audit_log_rotate: Option<u64>,
    #[serde(default)]
    stream_networks: Vec<String>,
    manifest_every: Option<SignedDuration>,
    #[serde(default)]
    stream: Vec<StreamFile>,
}

pub(crate) fn run(args: &ServeArgs, target: &TargetArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        target.server.is_none(),
        "`annals serve` is the server; --server and ANNALS_SERVER are for the other commands"
    );
    start_log(&args.log, args.log_format)?;
    let file = read_config(args.config.as_deref())?;
    let target = TargetArgs {
        data: target.data.clone().or(file.data),
        database_url: target.database_url.clone().or(file.database_url),
        objects: target.objects.clone().or(file.objects),
        key_dir: target.key_dir.clone().or(file.key_dir),
        ..target.clone()
    };
    let file_retain = file.retain.clone();
    let streams = StreamsFile {
        audit_log: file.audit_log,
        audit_log_format: file.audit_log_format,
        audit_log_rotate: file.audit_log_rotate,
        stream_networks: file.stream_networks,
        manifest_every: file.manifest_every,
        streams: file.stream,
    };
    let stream_policy = streams::policy(&args.streams, &streams)?;
    let location = target.location()?;
    let policies = if args.policy.is_empty() { &file.policy } else { &args.policy };
    let options = Options {
        allow_unknown: args.allow_unknown || file.allow_unknown,
        registry_documents: Some(read_policies(policies)?),
        deployment_url: args.deployment_url.clone().or(file.deployment_url),
        require_license: args
            .require_license
            .as_deref()
            .or(file.require_license.as_deref())
            .map(read_key)
            .transpose()?,
        signing: Some(signing_policy(
            args.origin.clone().or(file.origin),
            args.checkpoint_every.or(file.checkpoint_every),
        )?),
        seal: seal_policy(args.segment_events.or(file.segment_events), args.seal_after.or(file.seal_after))?,
        stream_networks: streams::networks(&args.streams, &streams)?,
        ..Options::default()
    };
    let reach = ReachFile {
        listen: file.listen,
        tls_cert: file.tls_cert,
        tls_key: file.tls_key,
        behind_tls_proxy: file.behind_tls_proxy,
        trusted_proxy: file.trusted_proxy,
        access_url: file.access_url,
        oidc: file.oidc,
    };
    let config = reach::config(&args.reach, reach)?;
    let engine = Arc::new(open_or_create_engine(&location, options)?);
    let retain = match (args.retain, &file_retain) {
        (Some(retain), _) => Some(retain),
        (None, Some(text)) => Some(days(text).map_err(|expected| anyhow::anyhow!("retain: {expected}"))?),
        (None, None) => None,
    };
    if let Some(retain) = retain {
        // A log that takes no events is still read.
        if engine.refusal().is_none() {
            keep_for(&engine, retain)?;
        }
    }
    if engine.refusal().is_none() {
        streams::apply(&engine, &args.streams, &streams)?;
    }
    // Asked before the asynchronous part: the engine may wait for its database.
    let setup_secret = engine.setup_secret()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let server = annals_server::bind(Arc::clone(&engine), config).await?;
        let url = server.url();
        if let Some(refusal) = engine.refusal() {
            output::line(format_args!("warning: this log takes no events: {refusal}"))?;
        }
        output::line(format_args!("Annals listens on {url}/audit, data in {}", location.database))?;
        if let Some(secret) = setup_secret {
            output::line(format_args!("Nobody can log in yet. Add the first site manager, once, at"))?;
            output::line(format_args!("  {url}/setup?secret={}", secret.reveal()))?;
        }
        let sending = StreamService::start(Arc::clone(&engine), stream_policy)?;
        let dropping = retain.map(|_| tokio::spawn(drop_what_is_over(Arc::clone(&engine))));
        // Before the log stops, which ends with the last request.
        let result = run_until_signal(server, sending.stopper()).await;
        tokio::task::spawn_blocking(move || drop(sending)).await?;
        if let Some(dropping) = dropping {
            dropping.abort();
        }
        result
    })
}

/// Makes the rule for all events, unless it is there as it should be.
fn keep_for(engine: &Engine, retain: u32) -> anyhow::Result<()> {
    let (rules, _) = engine.retention(&Principal::operator())?;
    if !rules.iter().any(|rule| rule.query.is_empty() && rule.days == retain) {
        engine.add_retention_rule(&Principal::operator(), "", retain)?;
    }
    Ok(())
}

/// Drops every hour what is over by any rule.
async fn drop_what_is_over(engine: Arc<Engine>) {
    loop {
        let engine = Arc::clone(&engine);
        let run =
            tokio::task::spawn_blocking(move || engine.run_retention(&Principal::operator(), &mut |_, _| {}));
        match run.await {
            Ok(Ok(report)) if report.events > 0 || report.segments_pruned > 0 => {
                let RetentionReport { events, segments, segments_pruned, .. } = report;
                tracing::info!(events, segments, segments_pruned, "dropped what was over");
                if !report.forgotten.versions {
                    tracing::warn!(
                        "the bucket does not let us list or delete older versions of segments; they may hold what was dropped"
                    );
                }
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what is over could not be dropped, and is tried again"),
            Err(error) => tracing::warn!(%error, "dropping what is over ended by a panic"),
        }
        tokio::time::sleep(RETENTION_EVERY).await;
    }
}

fn signing_policy(origin: Option<String>, every: Option<SignedDuration>) -> anyhow::Result<SigningPolicy> {
    let mut policy = SigningPolicy { origin, ..SigningPolicy::default() };
    if let Some(every) = every {
        anyhow::ensure!(
            every >= SignedDuration::from_millis(100),
            "--checkpoint-every is shorter than 100ms"
        );
        policy.interval = every.try_into().context("--checkpoint-every is negative")?;
    }
    Ok(policy)
}

fn seal_policy(events: Option<u32>, age: Option<SignedDuration>) -> anyhow::Result<SealPolicy> {
    let mut policy = SealPolicy { in_background: true, ..SealPolicy::default() };
    if let Some(events) = events {
        anyhow::ensure!(
            events.is_power_of_two() && (256..=262_144).contains(&events),
            "--segment-events {events} is no power of two from 256 to 262144"
        );
        policy.aged_events = (events / 4).max(256);
        policy.events = events;
    }
    if let Some(age) = age {
        policy.age = age.try_into().context("--seal-after is negative")?;
    }
    Ok(policy)
}

/// Runs a server until the system or Ctrl-C asks it to stop; says so before it stops.
pub(crate) async fn run_until_signal(
    server: BoundServer,
    stopping: impl FnOnce() + Send + 'static,
) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping();
    };
    Ok(server.run(stop).await?)
}

fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log `{filter}` is no filter"))?;
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log of the server: {error}"))
}

fn read_config(named: Option<&Path>) -> anyhow::Result<File> {
    let file = named.unwrap_or_else(|| Path::new("annals.toml"));
    if named.is_none() && !file.exists() {
        return Ok(File::default());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    toml::from_str(&text).with_context(|| format!("`{}` is no configuration of Annals", file.display()))
}
