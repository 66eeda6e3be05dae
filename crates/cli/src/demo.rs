//! `annals demo`: a log with the history of a simulated deployment, and a server on it.

mod names;
mod random;
mod simulation;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annals_engine::{
    Engine, NewOrganization, NewPerson, NewToken, Options, OrganizationRole, PartialBatch, Principal, Role,
    SealPolicy, SigningPolicy, TokenKind,
};
use annals_server::{BoundServer, Config};
use anyhow::Context as _;

use self::random::Random;
use self::simulation::{SimulatedEvent, Simulation};
use crate::command::serve::run_until_signal;
use crate::output;

/// Where the demo listens when nothing is said.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2662);
/// Events of one append.
const BATCH_EVENTS: usize = 1_000;
/// The people who may log in: name, role, password, what they see.
const PEOPLE: [(&str, Role, &str, &str); 4] = [
    ("demo-auditor", Role::Auditor, "demo-auditor-2662", "reads the log"),
    ("demo-admin", Role::SiteManager, "demo-admin-2662", "reads the log and manages access"),
    (ORGANIZATION_AUDITOR, Role::Member, "demo-org-auditor-2662", "reads the events of one organization"),
    ("demo-member", Role::Member, "demo-member-2662", "sees no log"),
];
/// Who sees the first organization of the deployment only.
const ORGANIZATION_AUDITOR: &str = "demo-org-auditor";

/// Show a log with the events of a simulated deployment
///
/// Makes a new log, fills it with the history of a made-up deployment, starts a server on it and prints how to look at
/// it. New events keep coming in until Ctrl-C. Without --data, everything is gone afterwards.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  annals demo
  annals demo --days 365 --events 50000
  annals demo --data ./demo-data --listen 127.0.0.1:8080 --seed 7")]
pub(crate) struct DemoArgs {
    /// Address to listen on [default: 127.0.0.1:2662, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Directory for the log, new or empty; kept afterwards [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Days of history
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) days: u32,
    /// Events of the history, about
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) events: u32,
    /// Another number gives another deployment
    #[arg(long, value_name = "N", default_value_t = 2_662)]
    pub(crate) seed: u64,
}

/// Makes the log, fills it and serves it until Ctrl-C.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let temporary = match &args.data {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new().prefix("annals-demo-").tempdir().context("no temporary directory")?,
        ),
    };
    let dir = match (&args.data, &temporary) {
        (Some(dir), _) => dir.as_path(),
        (None, Some(temporary)) => temporary.path(),
        (None, None) => unreachable!("a directory is temporary unless it is named"),
    };
    refuse_other_logs(dir)?;
    let seal = SealPolicy { in_background: true, ..SealPolicy::default() };
    let engine = Engine::create_or_open(
        dir,
        Options { seal, signing: Some(SigningPolicy::default()), ..Options::default() },
    )
    .with_context(|| format!("cannot make a log in `{}`", dir.display()))?;
    let engine = Arc::new(engine);
    let mut simulation = Simulation::new(args.seed);
    let history = simulation.history(engine.now().as_micros(), args.days, args.events);
    for batch in history.chunks(BATCH_EVENTS) {
        append(&engine, batch)?;
    }
    // So that the first event that is opened stands in a checkpoint.
    let _ = engine.ask_for_checkpoint();
    let access = Access::create(&engine, simulation.first_organization())?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let server = bind(&engine, args.listen).await?;
        access.print(server.address(), history.len(), args)?;
        let trickle = tokio::spawn(trickle(Arc::clone(&engine), simulation, Random::new(args.seed)));
        let result = run_until_signal(server).await;
        trickle.abort();
        result
    });
    drop(runtime);
    engine.stop();
    match &args.data {
        Some(dir) => output::note(format_args!("the log is kept in `{}`", dir.display())),
        None => output::note("stopped; the log of the demo is removed"),
    }
    result
}

/// Made-up events must never get into a log of real ones.
fn refuse_other_logs(dir: &Path) -> anyhow::Result<()> {
    let is_empty = match dir.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", dir.display())),
        Ok(mut entries) => entries.next().is_none(),
    };
    anyhow::ensure!(
        is_empty,
        "`{0}` is not empty; the demo fills a log of its own. To look at an earlier demo: annals serve --data {0}",
        dir.display()
    );
    Ok(())
}

/// Takes the address; if it is the default one and taken, any other of this machine.
async fn bind(engine: &Arc<Engine>, listen: Option<SocketAddr>) -> anyhow::Result<BoundServer> {
    let config = |listen| Config { listen, ..Config::default() };
    let first = annals_server::bind(Arc::clone(engine), config(listen.unwrap_or(LISTEN))).await;
    match (first, listen) {
        (Ok(server), _) => Ok(server),
        (Err(error), Some(_)) => Err(error.into()),
        (Err(_), None) => {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Ok(annals_server::bind(Arc::clone(engine), config(any)).await?)
        }
    }
}

fn append(engine: &Engine, events: &[SimulatedEvent]) -> anyhow::Result<()> {
    let lines: Vec<&str> = events.iter().map(|event| event.line.as_str()).collect();
    let body = lines.join("\n");
    engine.append(&Principal::operator(), body.as_bytes(), PartialBatch::Refuse)?.wait_blocking()?;
    Ok(())
}

/// Lets something happen every one to five seconds.
async fn trickle(engine: Arc<Engine>, mut simulation: Simulation, mut random: Random) {
    loop {
        let pause_ms = random.between(1_000, 5_000).unsigned_abs();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let events = simulation.live(engine.now().as_micros());
        let body = events.iter().map(|event| event.line.as_str()).collect::<Vec<_>>().join("\n");
        let appended = match engine.append(&Principal::operator(), body.as_bytes(), PartialBatch::Refuse) {
            Ok(pending) => pending.wait().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = appended {
            tracing::debug!(error = %error, "a simulated event was not recorded");
        }
    }
}

/// What opens the log.
struct Access {
    read_token: String,
    ingest_token: String,
}

impl Access {
    fn create(engine: &Engine, organization: NewOrganization<'_>) -> anyhow::Result<Access> {
        let operator = Principal::operator();
        for (username, role, password, _) in PEOPLE {
            let email = format!("{username}@example.test");
            let person = NewPerson { username, email: &email, name: "", password, role };
            engine.add_person(&operator, &person)?;
        }
        let organization = engine.create_organization(&operator, &organization)?;
        let auditor = engine.person_named(&operator, ORGANIZATION_AUDITOR)?;
        engine.add_member(&operator, &organization.id, &auditor.id, OrganizationRole::Auditor)?;
        let token = |kind, name, owner| -> anyhow::Result<String> {
            let token = engine.create_token(&operator, &NewToken { kind, name, owner, expires: None })?;
            Ok(token.reveal().to_owned())
        };
        Ok(Access {
            read_token: token(TokenKind::Read, "demo-read", Some("demo-auditor"))?,
            ingest_token: token(TokenKind::Ingest, "demo-ingest", None)?,
        })
    }

    fn print(&self, address: SocketAddr, event_count: usize, args: &DemoArgs) -> anyhow::Result<()> {
        let Access { read_token, ingest_token } = self;
        let url = format!("http://{address}");
        output::line(format_args!(
            "{event_count} events of a made-up deployment over {} days; new ones keep coming in.\n",
            args.days
        ))?;
        output::line(format_args!("  {url}/audit\n"))?;
        for (username, _, password, sight) in PEOPLE {
            output::line(format_args!("  {username:<16} password {password:<22} {sight}"))?;
        }
        output::line(format_args!(
            "\nRead it by program:\n  curl -s -H 'Authorization: Bearer {read_token}' '{url}/api/v2/audit?q=outcome:denied&limit=3'"
        ))?;
        output::line(format_args!(
            "\nRecord an event:\n  curl -s -H 'Authorization: Bearer {ingest_token}' '{url}/api/v2/audit/events' \\\n    \
             -d '{{\"action\":\"create\",\"resource_type\":\"workspace\",\"resource_target\":\"hello\",\"user\":{{\"username\":\"me\"}}}}'"
        ))?;
        output::line("\nCtrl-C stops.")
    }
}

#[cfg(test)]
mod tests;
