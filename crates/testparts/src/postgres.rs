//! A PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::watcher::Watcher;
use crate::{free_port, new_dir, run, variable};

const USER: &str = "annals";
const PASSWORD: &str = "annals-password";

/// A PostgreSQL server for tests: the one that `TEST_POSTGRES_URL` names, else a private one made of the newest binaries
/// under `/usr/lib/postgresql`, with fsync, passwords and TLS switched on.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Somebody else's server, by its address.
    Given(String),
    Private {
        dir: PathBuf,
        port: u16,
        _watcher: Watcher,
    },
}

impl Postgres {
    /// Uses the server of `TEST_POSTGRES_URL`, or starts a private one.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn start() -> Postgres {
        match variable("TEST_POSTGRES_URL") {
            Some(url) => Postgres { bin: bin(), place: Place::Given(url) },
            None => Postgres::start_private(),
        }
    }

    /// Starts a private server, which may be stopped and restarted.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn start_private() -> Postgres {
        let bin = bin();
        let dir = new_dir("postgres");
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(&dir));
        }
        std::fs::write(dir.join("password"), PASSWORD).expect("the directory was just made");
        let data = dir.join("data");
        run(as_server(&bin.join("initdb"))
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username", USER])
            .arg("--pwfile")
            .arg(dir.join("password"))
            .arg("-D")
            .arg(&data));
        make_certificate(&data);
        let script = "\"$1\" -D \"$2/data\" -m immediate -w stop; rm -rf \"$2\"";
        let arguments = [text(&bin.join("pg_ctl")), text(&dir)];
        let watcher = Watcher::new(as_server(Path::new("sh")), script, &[&arguments[0], &arguments[1]]);
        let place = Place::Private { dir, port: free_port(), _watcher: watcher };
        let postgres = Postgres { bin, place };
        postgres.start_again();
        postgres
    }

    /// Makes a database of that name and returns its address. The name is made unique among processes; in a server that
    /// is not private the database stays.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn url(&self, database: &str) -> String {
        let name = format!("test_{}_{database}", std::process::id());
        let sql = format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0");
        self.sql("postgres", &sql);
        self.address(&name)
    }

    /// Runs SQL as the owner in a database, by its whole name or address.
    ///
    /// # Panics
    /// If it fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let address = if database.contains("://") { database.to_owned() } else { self.address(database) };
        run(Command::new(self.bin.join("psql")).args(["-XAtq", "-v", "ON_ERROR_STOP=1", &address, "-c", sql]))
    }

    /// File of the certificate that a private server shows, PEM.
    ///
    /// # Panics
    /// If the server is not private.
    pub fn certificate(&self) -> PathBuf {
        self.private().0.join("data/server.crt")
    }

    /// Stops a private server at once, as a crash would: open connections are cut, the next start recovers.
    ///
    /// # Panics
    /// If the server is not private.
    pub fn stop(&self) {
        let (dir, _) = self.private();
        run(as_server(&self.bin.join("pg_ctl"))
            .args(["-m", "immediate", "-w", "stop", "-D"])
            .arg(dir.join("data")));
    }

    /// Starts a stopped private server on the same port.
    ///
    /// # Panics
    /// If the server is not private, or does not start.
    pub fn start_again(&self) {
        let (dir, port) = self.private();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='{}' -c ssl=on",
            dir.display()
        );
        let mut start = as_server(&self.bin.join("pg_ctl"));
        start
            .args(["-w", "start", "-o", &options, "-l"])
            .arg(dir.join("log"))
            .arg("-D")
            .arg(dir.join("data"));
        // The server outlives `pg_ctl`; nobody may wait for it to close its outputs.
        start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let status = start.status().expect("pg_ctl was just used");
        let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        assert!(status.success(), "PostgreSQL does not start: {}", log());
    }

    /// Stops a private server at once and starts it again.
    ///
    /// # Panics
    /// If the server is not private, or does not start.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    fn private(&self) -> (&Path, u16) {
        match &self.place {
            Place::Private { dir, port, .. } => (dir, *port),
            Place::Given(_) => panic!("the server of TEST_POSTGRES_URL is not ours to stop"),
        }
    }

    fn address(&self, database: &str) -> String {
        match &self.place {
            Place::Private { port, .. } => {
                format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
            }
            Place::Given(url) => {
                let (front, options) = url.split_once('?').unwrap_or((url, ""));
                let path_at = front.find("://").map_or(0, |at| at + 3);
                let server = front[path_at..].find('/').map_or(front, |at| &front[..path_at + at]);
                let mark = if options.is_empty() { "" } else { "?" };
                format!("{server}/{database}{mark}{options}")
            }
        }
    }
}

/// The directory of the newest binaries.
fn bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max();
    newest.expect("PostgreSQL is not installed; run tools/need-test-parts").1
}

/// A command that runs as a user who may run the server.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    // The current directory may be one that this user cannot enter.
    command.current_dir(std::env::temp_dir());
    command
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

fn make_certificate(data: &Path) {
    let (key, certificate) = (data.join("server.key"), data.join("server.crt"));
    run(as_server(Path::new("openssl"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=annals test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate));
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary and system directories have plain names").to_owned()
}
