//! The release binary as a server, and requests to it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::measure::cpu_seconds;

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    /// Kept open: the server may write more lines, and ends if nobody can read them.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts the server on a log and waits until it says where it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(binary: &str, data: &Path) -> anyhow::Result<Server> {
        let mut child = Command::new(binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--log", "error"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let first = lines.next_line().await?.context("the server prints its address")?;
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).context("an address")?;
        let base = url.split("/audit").next().context("an address")?.trim_end_matches('/').to_owned();
        Ok(Server { child, base, _lines: lines })
    }

    /// Address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Its process.
    ///
    /// # Errors
    /// If it has ended.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server runs")
    }

    /// Waits until the server has nothing more to do, such as sealing, two minutes at most.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn wait_until_idle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let (mut before, mut quiet) = (cpu_seconds(self.pid()?, false)?, 0);
        // The thread that seals looks once a second.
        while quiet < 3 && begun.elapsed() < Duration::from_secs(120) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = cpu_seconds(self.pid()?, false)?;
            quiet = if now - before < 0.05 { quiet + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    /// Ends the server at once.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// The threads that requests are sent from.
///
/// # Errors
/// If they cannot be started.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// A client that keeps so many connections open.
///
/// # Errors
/// If it cannot be made.
pub fn client(connections: usize) -> anyhow::Result<reqwest::Client> {
    // Nothing here speaks TLS, but what the engine needs of the same library asks for a provider. That one is installed
    // already is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(reqwest::Client::builder().pool_max_idle_per_host(connections).build()?)
}

/// Makes a token of a kind for the log in a directory, which is created if it is not there.
///
/// # Errors
/// If the binary fails.
pub async fn token(binary: &str, data: &Path, kind: &str) -> anyhow::Result<String> {
    let made = Command::new(binary)
        .args(["token", "create", "--kind", kind, "--name", "bench", "--data"])
        .arg(data)
        .output()
        .await?;
    anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}
