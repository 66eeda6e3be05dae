//! `annals demo`: a log with the history of a small deployment that audits itself, and a server on it.
//!
//! The deployment is the one of `examples/deployment`; made-up people work with it, and its events come in by the SDK over HTTP, as an application's do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annals_client::{Auditor, AuditorOptions, Client};
use annals_deployment::Deployment;
use annals_deployment::simulation::{Organization, Simulation};
use annals_engine::{
    Engine, NewOrganization, NewPerson, NewToken, Options, OrganizationRole, Principal, Role, SealPolicy,
    SigningPolicy, StreamPolicy, StreamService, TokenKind,
};
use annals_server::{BoundServer, Config};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpListener;

use crate::command::serve::run_until_signal;
use crate::output;

/// Where the demo listens when nothing is said.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2662);
/// Bytes of events that may wait for the log: of a million, which a demo can have.
const SPOOL_BYTES_MAX: u64 = 4 << 30;
/// How long the log may take with what waits in the spool.
const FLUSH_MAX: Duration = Duration::from_secs(600);
/// How long the end waits for the last request of the deployment.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// The pause between two things that happen live.
const PAUSE: Duration = Duration::from_secs(3);
/// What happens live before anybody looks.
const FIRST_LIVE: usize = 12;
/// The people who may log in: name, role, password, what they see.
const PEOPLE: [(&str, Role, &str, &str); 4] = [
    ("demo-auditor", Role::Auditor, "demo-auditor-2662", "reads the log"),
    ("demo-admin", Role::SiteManager, "demo-admin-2662", "reads the log and manages access"),
    (ORGANIZATION_AUDITOR, Role::Member, "demo-org-auditor-2662", "reads the events of one organization"),
    ("demo-member", Role::Member, "demo-member-2662", "sees no log"),
];
/// Who sees the first organization of the deployment only.
const ORGANIZATION_AUDITOR: &str = "demo-org-auditor";

/// Show a log with the events of a small deployment
///
/// Makes a new log, starts a server on it and a deployment that audits itself with it. Made-up people have worked with
/// the deployment for some weeks, and go on until Ctrl-C. Without --data, everything is gone afterwards.
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
    /// Another number gives other people and events
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // So that the page Streams shows what streams do.
    let mut sending = StreamService::start(Arc::clone(&engine), StreamPolicy::default())?;
    let result = runtime.block_on(show(&engine, args));
    sending.stop();
    drop(runtime);
    engine.stop();
    match &args.data {
        Some(dir) => output::note(format_args!("the log is kept in `{}`", dir.display())),
        None => output::note("stopped; the log of the demo is removed"),
    }
    result
}

/// Serves the log, plays the history and lets people go on, until Ctrl-C.
async fn show(engine: &Arc<Engine>, args: &DemoArgs) -> anyhow::Result<()> {
    let server = bind(engine, args.listen).await?;
    let address = server.address();
    let mut serving = tokio::spawn(run_until_signal(server, || {}));
    let spool =
        tempfile::Builder::new().prefix("annals-demo-spool-").tempdir().context("no temporary directory")?;
    let auditor = auditor(engine, address, spool.path())?;
    // Made-up people come by way of this machine, and say where from.
    let deployment = Deployment::open(None, auditor.clone(), &["127.0.0.0/8".parse()?])?;
    let begun = begin(engine, &deployment, &auditor, address, args);
    let (simulation, listener) = tokio::select! {
        begun = begun => begun?,
        // Ctrl-C before all was ready.
        served = &mut serving => return served?,
    };
    let people = tokio::spawn(go_on(simulation));
    let api = tokio::spawn(async move { deployment.serve(listener, std::future::pending()).await });
    let result = serving.await?;
    people.abort();
    api.abort();
    auditor.close(CLOSE_MAX);
    result
}

/// Plays the history, lets some people in, and says how to look at it all.
async fn begin(
    engine: &Engine,
    deployment: &Deployment,
    auditor: &Auditor,
    address: SocketAddr,
    args: &DemoArgs,
) -> anyhow::Result<(Simulation, TcpListener)> {
    let mut simulation = play(engine, deployment, auditor, args).await?;
    let access = tokio::task::block_in_place(|| Access::create(engine, simulation.organization()))?;
    // So that the page does not begin with how the demo was made.
    for _ in 0..FIRST_LIVE {
        simulation.live().await;
    }
    auditor.flush(FLUSH_MAX).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    access.print(address, listener.local_addr()?, auditor.stats().emitted, args)?;
    Ok((simulation, listener))
}

/// What the deployment gives its events to.
fn auditor(engine: &Engine, address: SocketAddr, spool: &Path) -> anyhow::Result<Auditor> {
    let token = NewToken { kind: TokenKind::Ingest, name: "demo-deployment", owner: None, expires: None };
    let token = tokio::task::block_in_place(|| engine.create_token(&Principal::operator(), &token))?;
    // A server on all addresses is reached on this machine's own.
    let own = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let client = Client::new(&format!("http://{}", SocketAddr::new(own, address.port())), token.reveal())?;
    let options = AuditorOptions {
        documents: Deployment::documents(),
        spool_bytes_max: SPOOL_BYTES_MAX,
        ..AuditorOptions::new("demo-deployment")
    };
    Ok(Auditor::open(client, spool, options)?)
}

/// Plays the history, and waits until the log has it.
async fn play(
    engine: &Engine,
    deployment: &Deployment,
    auditor: &Auditor,
    args: &DemoArgs,
) -> anyhow::Result<Simulation> {
    // Hidden where nobody sits in front of it.
    let style = ProgressStyle::with_template("people work {bar:40} {pos}/{len} events")?;
    let bar = ProgressBar::new(u64::from(args.events)).with_style(style);
    let now = jiff::Timestamp::from_microsecond(engine.now().as_micros())?;
    let mut progress = |count: u64| bar.set_position(count);
    let simulation =
        Simulation::history(deployment, args.seed, now, args.days, args.events, &mut progress).await;
    bar.finish_and_clear();
    anyhow::ensure!(
        auditor.flush(FLUSH_MAX).await,
        "the log did not take the history: {:?}",
        auditor.stats()
    );
    let stats = auditor.stats();
    anyhow::ensure!(stats.rejected + stats.refused == 0, "the log refused events of the history: {stats:?}");
    // So that the first event that is opened stands in a checkpoint.
    let _ = engine.ask_for_checkpoint();
    Ok(simulation)
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

/// Lets something happen every few seconds.
async fn go_on(mut simulation: Simulation) {
    loop {
        tokio::time::sleep(PAUSE).await;
        simulation.live().await;
    }
}

/// What opens the log.
struct Access {
    read_token: String,
    ingest_token: String,
}

impl Access {
    fn create(engine: &Engine, organization: &Organization) -> anyhow::Result<Access> {
        let organization = NewOrganization {
            id: Some(&organization.id),
            name: organization.name,
            display_name: organization.display_name,
            ..NewOrganization::default()
        };
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

    fn print(
        &self,
        address: SocketAddr,
        deployment: SocketAddr,
        event_count: u64,
        args: &DemoArgs,
    ) -> anyhow::Result<()> {
        let Access { read_token, ingest_token } = self;
        let url = format!("http://{address}");
        output::line(format_args!(
            "{event_count} events of a small deployment over {} days; new ones keep coming in.\n",
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
        output::line(format_args!(
            "\nDo something in the deployment that is audited here:\n  curl -s http://{deployment}/api/v2/users/login -H 'Content-Type: application/json' \\\n    \
             -d '{{\"username\":\"demo-lead\",\"password\":\"a-wrong-password\"}}'"
        ))?;
        output::line("\nCtrl-C stops.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(refuse_other_logs(dir.path()).is_ok());
        assert!(refuse_other_logs(&dir.path().join("new")).is_ok());
        std::fs::write(dir.path().join("annals.db"), "").unwrap();
        assert!(refuse_other_logs(dir.path()).unwrap_err().to_string().contains("is not empty"));
    }
}
