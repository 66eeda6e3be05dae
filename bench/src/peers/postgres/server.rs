//! A private PostgreSQL server whose data stay for the next run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Memory for its own cache, and what belongs to a server of that size; the rest as PostgreSQL comes.
const SETTINGS: &str = "shared_buffers = 2GB
effective_cache_size = 12GB
random_page_cost = 1.1
max_wal_size = 8GB
checkpoint_timeout = 30min
wal_level = minimal
max_wal_senders = 0
max_connections = 200
listen_addresses = '127.0.0.1'
log_min_messages = error
";

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    data: PathBuf,
    port: u16,
}

impl Server {
    /// Starts the server of a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub fn start(dir: &Path) -> anyhow::Result<Server> {
        let bin = newest_bin().context("PostgreSQL is not installed")?;
        let data = dir.join("data");
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let server = Server { bin, data, port };
        if !server.data.join("PG_VERSION").exists() {
            std::fs::create_dir_all(dir)?;
            if is_root() {
                // The server refuses to run as root.
                run(Command::new("chown").arg("postgres").arg(dir))?;
            }
            run(server.command("initdb").args([
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
                "-A",
                "trust",
                "-U",
                "bench",
            ]))?;
            let settings = server.data.join("postgresql.auto.conf");
            std::fs::write(&settings, SETTINGS)?;
        }
        // Left over from a run that was killed.
        drop(run(server.command("pg_ctl").args(["-m", "immediate", "-w", "stop"])));
        let options = format!("-c port={port} -c unix_socket_directories=");
        run(server
            .command("pg_ctl")
            .args(["-w", "-t", "120", "start", "-o", &options, "-l"])
            .arg(server.data.join("log")))?;
        Ok(server)
    }

    /// Where clients connect.
    pub fn address(&self) -> String {
        format!("postgres://bench@127.0.0.1:{}/postgres", self.port)
    }

    /// Its main process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid"))?;
        Ok(file.lines().next().context("a process id")?.trim().parse()?)
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The current directory may be one that this user cannot enter.
        command.current_dir(std::env::temp_dir()).arg("-D").arg(&self.data);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(run(self.command("pg_ctl").args(["-m", "fast", "-w", "-t", "120", "stop"])));
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    // The server outlives `pg_ctl`; nobody may wait for it to close its outputs.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

fn newest_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    bins.filter(|(_, bin)| bin.join("initdb").exists()).max().map(|(_, bin)| bin)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
