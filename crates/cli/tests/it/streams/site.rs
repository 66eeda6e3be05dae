//! A log with a server that can be killed, and what its streams' receivers should have.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use annals_client::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Server, annals, annals_ok, binary, create_token};

/// Longer than any pause of a stream, on a busy machine.
const WAIT: Duration = Duration::from_secs(180);

pub(super) struct Site {
    root: tempfile::TempDir,
    server: Option<Server>,
    runtime: Runtime,
    token: String,
    next_id: u128,
}

impl Site {
    pub(super) fn new() -> Site {
        let root = tempfile::tempdir().unwrap();
        let token = create_token(&root.path().join("log"), "ingest");
        Site { root, server: None, runtime: Runtime::new().unwrap(), token, next_id: 0 }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.path().join("log")
    }

    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn start(&mut self) {
        let mut command = Command::new(binary());
        // Its own directory, so that nobody's annals.toml is read.
        command.current_dir(self.root.path());
        command.env("ANNALS_SEGMENT_EVENTS", "256").env("ANNALS_MANIFEST_EVERY", "1s");
        self.server = Some(Server::start_with(command, &self.log()));
    }

    /// Ends it as the power does.
    pub(super) fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// Ends it as an orchestrator does.
    pub(super) fn terminate(&mut self) {
        assert!(self.server.take().unwrap().terminate());
    }

    pub(super) fn url(&self) -> &str {
        &self.server.as_ref().unwrap().url
    }

    /// Has the log take events, all of which it acknowledges.
    pub(super) fn emit(&mut self, count: u128) {
        let lines: Vec<String> = (0..count)
            .map(|_| {
                self.next_id += 1;
                let (number, id) = (self.next_id, uuid::Uuid::from_u128(self.next_id));
                let action = if number % 5 == 0 { "delete" } else { "write" };
                format!(
                    r#"{{"id":"{id}","action":"{action}","resource_type":"template","resource_target":"t\" ] \\ ü {number}"}}"#
                )
            })
            .collect();
        let client = Client::new(self.url(), &self.token).unwrap();
        self.runtime.block_on(client.append_ndjson(lines.join("\n"), false)).unwrap();
    }

    /// Runs a command on the log, beside the server; what it prints, whether it finds that all is well or not.
    pub(super) fn annals(&self, arguments: &[&str]) -> Value {
        let log = self.log();
        let mut all = vec!["--data", log.to_str().unwrap(), "--json"];
        all.extend(arguments);
        let output = annals(&all);
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&output)
            .unwrap_or_else(|error| panic!("annals {arguments:?}: {error} in {output}"))
    }

    /// What a command says that must not succeed.
    pub(super) fn annals_fails(&self, arguments: &[&str]) -> String {
        let log = self.log();
        let mut all = vec!["--data", log.to_str().unwrap()];
        all.extend(arguments);
        let output = annals(&all);
        assert!(!output.status.success(), "annals {arguments:?} succeeds");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Waits until a stream is as `is_right` wants it.
    pub(super) fn wait(&self, stream: &str, what: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.annals(&["streams", "show", stream]);
            if is_right(&status) {
                return status;
            }
            assert!(begun.elapsed() < WAIT, "{stream} never becomes {what}: {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn wait_until_idle(&self, stream: &str) -> Value {
        self.wait(stream, "idle", |status| status["state"] == "idle")
    }

    /// Ids of the events that a query finds, by seq.
    pub(super) fn ids(&self, query: &str) -> BTreeMap<u64, String> {
        let log = self.log();
        let lines = annals_ok(&["export", "--data", log.to_str().unwrap(), query]);
        let read = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["seq"].as_u64().unwrap(), event["id"].as_str().unwrap().to_owned())
        };
        lines.lines().map(read).collect()
    }

    /// Compares what a receiver has, in the order of its arrival, with what the log says: everything is there, and the first arrivals of the
    /// events are in the order of the log.
    pub(super) fn compare(&self, query: &str, received: &[(String, u64)]) {
        let expected = self.ids(query);
        let mut seen = HashSet::new();
        let first: Vec<u64> =
            received.iter().filter(|(id, _)| seen.insert(id.clone())).map(|(_, seq)| *seq).collect();
        assert!(first.is_sorted(), "the order is not that of the log: {first:?}");
        for (id, seq) in received {
            assert_eq!(expected.get(seq), Some(id), "seq {seq} is another event in the log");
        }
        let missing: Vec<_> = expected.values().filter(|id| !seen.contains(*id)).collect();
        assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), expected.len());
    }

    /// Compares by the command for it.
    pub(super) fn reconcile(&self, stream: &str, received: &[(String, u64)]) -> Value {
        let file = self.place(&format!("received-{stream}"));
        let lines: Vec<&str> = received.iter().map(|(id, _)| id.as_str()).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        self.annals(&["streams", "reconcile", stream, "--file", file.to_str().unwrap()])
    }
}

/// Every file below a directory but manifests, by name.
pub(super) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
