//! Receivers of events over HTTP: OpenTelemetry, Splunk, webhooks.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::watcher::Watcher;
use crate::{cache_dir, free_port, new_dir, run, start_server};

/// Directory name of the Python packages in the cache of parts; `tools/need-test-parts` fills it.
const PACKAGES: &str = "receivers-1";
/// Directory name of Splunk's client in the cache of parts.
const SPLUNK_CLIENT: &str = "splunk-logging-0.11.1";
/// Sends texts by Splunk's client for Node; the port, the token, then the texts.
const SPLUNK_SENDER: &str = include_str!("../splunk/send.js");
/// The programs; the first is what the others have in common.
const PROGRAMS: [(&str, &str); 4] = [
    ("receiver.py", include_str!("../receivers/receiver.py")),
    ("otlp.py", include_str!("../receivers/otlp.py")),
    ("splunk.py", include_str!("../receivers/splunk.py")),
    ("webhook.py", include_str!("../receivers/webhook.py")),
];
const TOKEN: &str = "11111111-2222-4333-8444-555555555555";
const INDEX: &str = "audit";

/// What goes wrong at a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault<'f> {
    /// Nothing.
    None,
    /// It answers with this status and takes nothing.
    Status(u16),
    /// It answers with this status and asks to wait, by the text of `Retry-After`.
    RetryAfter(u16, &'f str),
    /// It answers with this status and a body.
    Says(u16, &'f str),
    /// It refuses a request that holds the event of this id.
    Refuse(&'f str),
    /// OTLP: it takes all but so many records, and says so.
    Partial(usize),
    /// It takes events, and answers only after so many seconds.
    Slow(u64),
    /// It takes events, and the connection breaks within the answer.
    Cut,
    /// It takes nothing, and the connection breaks before the answer.
    Drop,
    /// It leads elsewhere.
    Redirect(&'f str),
    /// Splunk: events are taken, but never acknowledged.
    Unacknowledged,
    /// Splunk: it answers with a code of the protocol.
    Code(u16),
}

/// A receiver of events: it writes down what it took, and goes wrong where a test asks for it.
#[derive(Debug)]
pub struct Receiver {
    kind: &'static str,
    arguments: Vec<String>,
    dir: PathBuf,
    port: u16,
    server: Option<(Child, Watcher)>,
    /// Removes the directory; dropped last.
    _watcher: Watcher,
}

impl Receiver {
    /// Starts a receiver of OpenTelemetry's logs, which reads them by the official messages.
    ///
    /// # Panics
    /// If its packages are not installed, or it does not start.
    pub fn otlp() -> Receiver {
        Receiver::start("otlp.py", &[])
    }

    /// Starts a receiver that speaks Splunk's protocol, with one token for the index `audit`, with or without acknowledgements.
    ///
    /// # Panics
    /// If it does not start.
    pub fn splunk(is_acknowledged: bool) -> Receiver {
        Receiver::start("splunk.py", &[TOKEN, INDEX, if is_acknowledged { "yes" } else { "no" }])
    }

    /// Starts a receiver of webhooks that verifies signatures with a secret.
    ///
    /// # Panics
    /// If its packages are not installed, or it does not start.
    pub fn webhook(secret: &str) -> Receiver {
        Receiver::start("webhook.py", &[secret])
    }

    fn start(kind: &'static str, arguments: &[&str]) -> Receiver {
        let packages = packages_dir();
        assert!(
            packages.join("standardwebhooks").exists(),
            "the receivers' packages are not in `{}`: tools/need-test-parts installs them",
            packages.display()
        );
        let dir = new_dir("receiver");
        for (name, program) in PROGRAMS {
            std::fs::write(dir.join(name), program).expect("the directory was just made");
        }
        let place = dir.to_str().expect("temporary directories have plain names").to_owned();
        let watcher = Watcher::new(Command::new("sh"), "rm -rf \"$1\"", &[&place]);
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut receiver =
            Receiver { kind, arguments, dir, port: free_port(), server: None, _watcher: watcher };
        receiver.start_again();
        receiver
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The token of a receiver that speaks Splunk's protocol.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Kills it; what it took stays written down.
    pub fn stop(&mut self) {
        if let Some((mut server, watcher)) = self.server.take() {
            drop(watcher);
            drop(server.wait());
        }
    }

    /// Starts it on the same port, without a fault.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", packages_dir())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(self.dir.join(self.kind))
            .arg(self.port.to_string())
            .arg(&self.dir)
            .args(&self.arguments)
            .stdin(Stdio::null());
        self.server = Some(start_server(&mut command, self.port));
    }

    /// From now on, this goes wrong with every request.
    ///
    /// # Panics
    /// If the receiver does not answer.
    pub fn set_fault(&self, fault: Fault<'_>) {
        self.tell(fault, "");
    }

    /// This goes wrong with the next requests, and nothing after.
    ///
    /// # Panics
    /// If the receiver does not answer.
    pub fn set_fault_times(&self, fault: Fault<'_>, times: u32) {
        self.tell(fault, &format!(",\"times\":{times}"));
    }

    /// Id and seq of the events that it took, in the order of their arrival, repetitions included.
    ///
    /// # Panics
    /// If what is written down cannot be read.
    pub fn received(&self) -> Vec<(String, u64)> {
        self.records().into_iter().map(|(id, seq, _)| (id, seq)).collect()
    }

    /// As [`Receiver::received`], with all that it knows of each event, as JSON.
    ///
    /// # Panics
    /// If what is written down cannot be read.
    pub fn records(&self) -> Vec<(String, u64, String)> {
        let written = std::fs::read_to_string(self.dir.join("received")).unwrap_or_default();
        let read = |line: &str| {
            let mut parts = line.splitn(3, ' ');
            let seq = parts.next()?.parse().ok()?;
            Some((parts.next()?.to_owned(), seq, parts.next()?.to_owned()))
        };
        written.lines().map(|line| read(line).expect("a line is SEQ ID JSON")).collect()
    }

    /// Path and headers of each request that it got, as JSON, those with faults included.
    pub fn requests(&self) -> Vec<String> {
        let written = std::fs::read_to_string(self.dir.join("requests")).unwrap_or_default();
        written.lines().map(str::to_owned).collect()
    }

    /// Sends texts to a receiver that speaks Splunk's protocol, by somebody else's client, and returns what that client says.
    ///
    /// # Panics
    /// If Node or the client is not installed, or the client fails.
    pub fn send_by_splunk_client(&self, token: &str, texts: &[&str]) -> String {
        let dir = cache_dir().join(SPLUNK_CLIENT);
        assert!(
            dir.join("node_modules").exists(),
            "Splunk's client is not in `{}`: tools/need-test-parts installs it",
            dir.display()
        );
        let mut command = Command::new("node");
        command.args(["--eval", SPLUNK_SENDER, "--", &self.port.to_string(), token]).args(texts);
        run(command.current_dir(dir))
    }

    fn tell(&self, fault: Fault<'_>, more: &str) {
        let body = match fault {
            Fault::None => "\"kind\":\"none\"".to_owned(),
            Fault::Status(status) => format!("\"kind\":\"status\",\"status\":{status}"),
            Fault::RetryAfter(status, after) => {
                format!("\"kind\":\"status\",\"status\":{status},\"retry_after\":\"{after}\"")
            }
            Fault::Says(status, body) => {
                format!("\"kind\":\"status\",\"status\":{status},\"body\":\"{body}\"")
            }
            Fault::Refuse(id) => format!("\"kind\":\"refuse\",\"id\":\"{id}\""),
            Fault::Partial(count) => format!("\"kind\":\"partial\",\"count\":{count}"),
            Fault::Slow(seconds) => format!("\"kind\":\"slow\",\"seconds\":{seconds}"),
            Fault::Cut => "\"kind\":\"cut\"".to_owned(),
            Fault::Drop => "\"kind\":\"drop\"".to_owned(),
            Fault::Redirect(location) => format!("\"kind\":\"redirect\",\"location\":\"{location}\""),
            Fault::Unacknowledged => "\"kind\":\"unacknowledged\"".to_owned(),
            Fault::Code(code) => format!("\"kind\":\"code\",\"code\":{code}"),
        };
        let body = format!("{{{body}{more}}}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the receiver listens");
        let head = "POST /test/fault HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("the receiver reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the receiver answers");
        assert!(answer.split(' ').nth(1) == Some("204"), "{body}: {answer}");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn packages_dir() -> PathBuf {
    cache_dir().join(PACKAGES)
}
