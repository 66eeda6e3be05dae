//! An application that gives events away and its server, both killed again and again: every event that was taken is recorded, once.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use annals_client::{Auditor, AuditorOptions, Client, Event};
use serde_json::Value;

use crate::support::{annals_ok, binary, create_token};

/// Tells a test process that it is the application.
const SPOOL: &str = "ANNALS_TEST_EMIT_SPOOL";
const ROUNDS: u32 = 12;

/// The application: emits until it is killed, and says of each event that it was taken. Without `ANNALS_TEST_EMIT_SPOOL` it is no application.
#[test]
#[expect(clippy::disallowed_methods, reason = "no configuration: the test starts itself as the application")]
fn application() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(spool), Some(url), Some(token)) =
        (variable(SPOOL), variable("ANNALS_TEST_EMIT_URL"), variable("ANNALS_TEST_EMIT_TOKEN"))
    else {
        return;
    };
    let client = Client::new(&url, &token).unwrap();
    let options = AuditorOptions { retry_max: Duration::from_millis(200), ..AuditorOptions::new("app-1") };
    let auditor = Auditor::open(client, spool, options).unwrap();
    if variable("ANNALS_TEST_EMIT_NOTHING").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(auditor.flush(Duration::from_secs(60))), "{:?}", auditor.stats());
        return;
    }
    loop {
        let id = uuid::Uuid::now_v7().to_string();
        auditor.emit(&Event::new("write", "template", &id).with("id", id.as_str())).unwrap();
        println!("taken {id}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

struct Parts {
    dir: tempfile::TempDir,
    listen: String,
    token: String,
    taken: Vec<String>,
}

impl Parts {
    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("log")
    }

    fn serve(&self) -> Child {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", &self.listen, "--log", "error", "--data"]).arg(self.data());
        command.env("ANNALS_SEGMENT_EVENTS", "256");
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn application(&self, emits: bool) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "auditor::application", "--nocapture"]);
        command.env(SPOOL, self.dir.path().join("spool")).env("ANNALS_TEST_EMIT_TOKEN", &self.token);
        command.env("ANNALS_TEST_EMIT_URL", format!("http://{}", self.listen));
        if !emits {
            command.env("ANNALS_TEST_EMIT_NOTHING", "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Kills the application and notes what it had said.
    fn kill(&mut self, mut application: Child) {
        application.kill().unwrap();
        let lines = BufReader::new(application.stdout.take().unwrap()).lines();
        let ids =
            lines.map_while(Result::ok).filter_map(|line| Some(line.strip_prefix("taken ")?.to_owned()));
        // The last line may be cut.
        self.taken.extend(ids.filter(|id| id.len() == 36));
        application.wait().unwrap();
    }
}

fn kill(mut server: Child) {
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn what_an_application_was_told_is_taken_arrives_whoever_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("log");
    let token = create_token(&data, "ingest");
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut parts = Parts { dir, listen, token, taken: Vec::new() };
    let (mut server, mut application) = (parts.serve(), parts.application(true));
    for round in 0..ROUNDS {
        std::thread::sleep(Duration::from_millis(150 + u64::from(round * 37 % 200)));
        if round % 3 != 0 {
            parts.kill(application);
            application = parts.application(true);
        }
        if round % 3 != 1 {
            kill(server);
            server = parts.serve();
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    parts.kill(application);
    let begun = Instant::now();
    let drained = parts.application(false).wait_with_output().unwrap();
    assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stdout));
    assert!(begun.elapsed() < Duration::from_secs(60));
    kill(server);
    check(&parts.data(), &parts.taken);
}

/// Each id once, and the numbers of the source without gap.
fn check(data: &Path, taken: &[String]) {
    let export =
        annals_ok(&["export", "source:app-1", "--format", "ndjson", "--data", data.to_str().unwrap()]);
    let events: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: HashSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "an event is recorded twice");
    let missing: Vec<&String> = taken.iter().filter(|id| !ids.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), taken.len());
    assert!(taken.len() > 500, "the test tested little: {}", taken.len());
    let numbers: Vec<u64> = events.iter().map(|event| event["source_seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "in order and without gap");
}
