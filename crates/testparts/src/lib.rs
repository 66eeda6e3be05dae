//! Parts that tests use: a private PostgreSQL, private S3 servers, DuckDB, promtool, an OpenID Connect provider, a browser, and
//! receivers of event streams: rsyslog, OpenTelemetry, Splunk's protocol, webhooks.
//!
//! It knows nothing about Annals, and nothing that ships depends on it. A server listens on a free port of the loopback
//! address, keeps its data in a directory under the system's temporary one, and ends with the test's process, however
//! that ends. What is not installed is an error that names `tools/need-test-parts`, never a skipped test.
//!
//! Read [`Postgres`] first.
//!
//! ```no_run
//! let postgres = annals_testparts::Postgres::start();
//! let url = postgres.url("my_test");
//! assert!(url.starts_with("postgres://"));
//! ```

mod browser;
mod duckdb;
mod oidc;
mod postgres;
mod promtool;
mod receiver;
mod rsyslog;
mod s3;
mod versioned_s3;
mod watcher;

pub use browser::{Browser, axe_script};
pub use duckdb::duckdb;
pub use oidc::OidcProvider;
pub use postgres::Postgres;
pub use promtool::check_metrics;
pub use receiver::{Fault, Receiver};
pub use rsyslog::Rsyslog;
pub use s3::S3;
pub use versioned_s3::VersionedS3;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use watcher::Watcher;

/// How long the start of a server may take on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

/// Returns a TCP port of the loopback address that nobody uses at this moment.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback address has a free port");
    listener.local_addr().expect("a listener has an address").port()
}

/// Where `tools/need-test-parts` puts what Debian does not have.
fn cache_dir() -> PathBuf {
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.expect("HOME or XDG_CACHE_HOME is set").join("annals-test-parts")
}

/// Makes a new directory under the temporary one.
fn new_dir(kind: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("annals-{kind}-{}-{number}", std::process::id()));
    // Left by an earlier process of the same number, if it is there at all.
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir).expect("the temporary directory can be written to");
    dir
}

/// Starts a server in a process group of its own and waits until it listens on a port. The watcher ends it, and whatever it
/// started.
fn start_server(command: &mut Command, port: u16) -> (Child, Watcher) {
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut server = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = format!("-{}", server.id());
    let watcher = Watcher::new(Command::new("sh"), "kill -9 \"$1\"", &[&group]);
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = server.try_wait().ok().flatten();
        assert!(ended.is_none() && begun.elapsed() < START_MAX, "{command:?} does not start: {ended:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, watcher)
}

/// Runs a program to its end and returns what it wrote.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

#[expect(clippy::disallowed_methods, reason = "tests are set up by the environment, not by a command line")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
