//! An S3 server that checks signatures.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::watcher::Watcher;
use crate::{free_port, new_dir, variable};

const ACCESS_KEY: &str = "annals-access-key";
const SECRET_KEY: &str = "annals-secret-key";
const BUCKET: &str = "annals-test";
/// Version that `tools/need-test-parts` installs.
const VERSION: &str = "0.14.1";
/// How long a start may take on a busy machine.
const START_MAX: Duration = Duration::from_secs(20);

/// A private S3 server with one bucket: `s3s-fs` over a directory.
#[derive(Debug)]
pub struct S3 {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    server: Option<(Child, Watcher)>,
    /// Removes the directory; dropped last.
    _watcher: Watcher,
}

impl S3 {
    /// Starts a server with an empty bucket.
    ///
    /// # Panics
    /// If `s3s-fs` is not installed or does not start.
    pub fn start() -> S3 {
        let dir = new_dir("s3");
        std::fs::create_dir(dir.join(BUCKET)).expect("the directory was just made");
        let place = dir.to_str().expect("temporary directories have plain names").to_owned();
        let watcher = Watcher::new(Command::new("sh"), "rm -rf \"$1\"", &[&place]);
        let mut s3 = S3 { program: program(), dir, port: free_port(), server: None, _watcher: watcher };
        s3.start_again();
        s3
    }

    /// Address of the bucket, as `s3://BUCKET`.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}")
    }

    /// The directory in which it keeps the objects of the bucket, as files.
    pub fn bucket_dir(&self) -> PathBuf {
        self.dir.join(BUCKET)
    }

    /// Environment variables that lead to the server.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Kills the server; the objects stay.
    pub fn stop(&mut self) {
        if let Some((mut server, watcher)) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
            drop(watcher);
        }
    }

    /// Starts a stopped server on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let port = self.port.to_string();
        let mut server = Command::new(&self.program)
            .args([
                "--access-key",
                ACCESS_KEY,
                "--secret-key",
                SECRET_KEY,
                "--host",
                "127.0.0.1",
                "--port",
                &port,
            ])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let id = server.id().to_string();
        let watcher = Watcher::new(Command::new("sh"), "kill -9 \"$1\"", &[&id]);
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = server.try_wait().ok().flatten();
            assert!(ended.is_none() && begun.elapsed() < START_MAX, "s3s-fs does not start: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.server = Some((server, watcher));
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> PathBuf {
    if let Some(named) = variable("ANNALS_TEST_S3S_FS") {
        return PathBuf::from(named);
    }
    let on_path = variable("PATH").unwrap_or_default();
    let installed = Some(crate::cache_dir().join(format!("s3s-fs-{VERSION}/bin")));
    let dirs = std::env::split_paths(&on_path).chain(installed);
    let found = dirs.map(|dir| dir.join("s3s-fs")).find(|program| program.is_file());
    found.expect("s3s-fs is not installed; run tools/need-test-parts")
}
