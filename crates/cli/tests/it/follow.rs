//! `annals tail` and `annals export` with the real binary: in place and over a server that is killed meanwhile.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Server, annals, annals_ok, binary, create_token};

/// Long enough for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running command whose lines are read as they come; killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

impl Running {
    fn start(args: &[&str]) -> Running {
        let mut command = Command::new(binary());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let notes = lines_of(child.stderr.take().unwrap());
        Running { child, lines, notes }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    fn note_with(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let note = self.notes.recv_timeout(PATIENCE).unwrap();
            if note.contains(text) {
                return note;
            }
            assert!(Instant::now() < until, "`{text}` was not said");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn import(data: &Path, name: &str, events: impl Iterator<Item = String>) {
    let file = data.with_extension(name);
    std::fs::write(&file, events.collect::<Vec<_>>().join("\n")).unwrap();
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    annals_ok(&["import", file, "--format", "native", "--data", data]);
}

fn event(target: &str, more: &str) -> String {
    format!(r#"{{"action":"write","resource_type":"template","resource_target":"{target}"{more}}}"#)
}

/// A server on a port that it is told, so that it comes back where it was.
fn serve_at(data: &Path, port: u16) -> Server {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut child = Command::new(binary())
            .args(["serve", "--log", "error", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        if first.contains("http://") {
            return Server::of_child(child, &format!("http://127.0.0.1:{port}"));
        }
        drop(child.wait());
        assert!(Instant::now() < until, "port {port} stays taken");
    }
}

#[test]
fn tail_prints_what_comes_and_survives_the_death_of_the_server() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let token = create_token(&data, "read");
    import(&data, "0", [event("before", "")].into_iter());
    let mut server = Server::start(&data);
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let url = server.url.clone();
    let to = ["--server", &url, "--token", &token];
    let tail = Running::start(
        &[&["tail", "resource_type:template", "--json", "--after-seq", "0"], &to[..]].concat(),
    );
    let target = |line: String| {
        let event: Value = serde_json::from_str(&line).unwrap();
        event["resource_target"].as_str().unwrap().to_owned()
    };
    assert_eq!(target(tail.line()), "before");
    // Taken by another process, on the same data directory.
    import(&data, "1", [event("a", ""), event("b", "")].into_iter());
    assert_eq!([target(tail.line()), target(tail.line())], ["a", "b"]);
    server.kill();
    tail.note_with("connecting again");
    import(&data, "2", [event("while-away", "")].into_iter());
    let server = serve_at(&data, port);
    tail.note_with("connected again");
    assert_eq!(target(tail.line()), "while-away");
    import(&data, "3", [event("after", "")].into_iter());
    assert_eq!(target(tail.line()), "after");
    assert_eq!(
        tail.lines.recv_timeout(Duration::from_millis(700)),
        Err(RecvTimeoutError::Timeout),
        "none twice"
    );

    // A token that is revoked ends it with what the server says.
    let tokens: Value =
        serde_json::from_str(&annals_ok(&["token", "list", "--data", data.to_str().unwrap(), "--json"]))
            .unwrap();
    let id = tokens["tokens"][0]["id"].as_str().unwrap();
    annals_ok(&["token", "revoke", id, "--data", data.to_str().unwrap()]);
    let refused: Value = serde_json::from_str(&tail.line()).unwrap();
    assert!(refused["message"].as_str().unwrap().contains("(401)"), "{refused}");
    drop(server);
}

#[test]
fn tail_in_place_follows_other_processes() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    import(&data, "0", [event("one", ",\"user\":{\"username\":\"demo-dev-1\"}")].into_iter());
    let place = data.to_str().unwrap();
    let tail = Running::start(&[
        "tail",
        "resource_type:template",
        "--after-seq",
        "0",
        "--limit",
        "2",
        "--data",
        place,
    ]);
    // Seq 0 is the first event itself: it is the only one, so nothing lies behind it yet.
    assert_eq!(tail.lines.recv_timeout(Duration::from_millis(1_500)), Err(RecvTimeoutError::Timeout));
    import(&data, "1", (0..3).map(|n| event(&format!("t-{n}"), "")));
    for n in 0..2 {
        let line = tail.line();
        assert!(line.ends_with(&format!("someone unauthenticated updated template t-{n}")), "{line}");
    }
    assert_eq!(tail.lines.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "the limit ends it");

    let bad = annals(&["tail", "nokey:1", "--data", place]);
    assert_eq!(bad.status.code(), Some(2));
    let beyond = annals(&["tail", "--after-seq", "999", "--data", place]);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&beyond.stderr).contains("seq 999 is not in this log"));
}

#[test]
fn an_export_in_place_is_what_the_server_sends() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let token = create_token(&data, "read");
    import(
        &data,
        "0",
        (0..40).map(|n| event(&format!("t-{n}"), ",\"user_agent\":\"two\\nlines, \\\"quoted\\\"\"")),
    );
    let place = data.to_str().unwrap();
    let server = Server::start(&data);
    for format in ["ndjson", "csv", "coder", "classic", "stackdriver", "human", "ocsf", "ecs"] {
        let command = ["export", "resource_type:template", "--format", format];
        let here = annals_ok(&[&command[..], &["--data", place]].concat());
        let there = annals_ok(&[&command[..], &["--server", &server.url, "--token", &token]].concat());
        assert!(here == there && !here.is_empty(), "{format}");

        let file = root.path().join(format!("export.{format}"));
        let out = ["--data", place, "--out", file.to_str().unwrap()];
        let said = annals_ok(&[&command[..], &out[..], &["--json"]].concat());
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["count"], 40);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), here);
        let again = annals(&[&command[..], &out[..]].concat());
        assert_eq!(again.status.code(), Some(1), "no file is written over");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), here);
        // Cut off anywhere, it goes on to the same file.
        for bytes in [here.len(), here.len() - 1, here.len() / 2, here.len() / 3 + 7, 300, 20, 0] {
            std::fs::write(&file, &here.as_bytes()[..bytes]).unwrap();
            annals_ok(&[&command[..], &out[..], &["--resume"]].concat());
            assert!(std::fs::read_to_string(&file).unwrap() == here, "{format} cut behind {bytes} bytes");
        }
        let other = if format == "csv" { "ndjson" } else { "csv" };
        let wrong = annals(&[
            "export",
            "--format",
            other,
            "--out",
            file.to_str().unwrap(),
            "--resume",
            "--data",
            place,
        ]);
        assert_eq!(wrong.status.code(), Some(1), "a file of another format is not gone on with");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), here);
    }
    let recorded =
        annals_ok(&["search", "resource_type:audit_log action:export", "--count", "--data", place]);
    assert_eq!(recorded.trim(), (8 * 10).to_string(), "each is an event, also in place");

    let absent = root.path().join("absent.ndjson");
    let bad = annals(&["export", "nokey:1", "--out", absent.to_str().unwrap(), "--data", place]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(!absent.exists());
}

/// What is exported as Coder writes it, this program and every other reader of Coder's log understands.
#[test]
fn an_export_as_coder_writes_it_is_read_as_coders_log() {
    let root = tempfile::tempdir().unwrap();
    let [data, copy] = ["data", "copy"].map(|name| root.path().join(name));
    let change = r#","diff":{"name":{"old":"a","new":"b"},"default_ttl":{"old":null,"new":12345678901234567890}},"ip":"192.0.2.7","user":{"id":"01000000-0000-4000-8000-000000000001","username":"demo-lead","email":"demo-lead@example.test"}"#;
    import(&data, "0", (0..20).map(|n| event(&format!("t-{n}"), change)));
    let [data, copy] = [data.to_str().unwrap(), copy.to_str().unwrap()];
    let lines = annals_ok(&["--data", data, "export", "resource_type:template", "--format", "coder"]);
    let file = root.path().join("coder.log");
    std::fs::write(&file, lines).unwrap();
    annals_ok(&["--data", copy, "import", file.to_str().unwrap()]);
    let read = |place: &str| {
        let found = annals_ok(&["--data", place, "search", "resource_type:template", "--json"]);
        let mut found: Value = serde_json::from_str(&found).unwrap();
        for event in found["audit_logs"].as_array_mut().unwrap() {
            // What the line has no place for, and what belongs to the log.
            let event = event.as_object_mut().unwrap();
            for name in ["seq", "received", "source", "source_seq", "actor_type", "additional_fields"] {
                event.remove(name);
            }
        }
        found
    };
    assert!(read(copy) == read(data), "{} and {}", read(copy)["audit_logs"][0], read(data)["audit_logs"][0]);
}

#[test]
fn an_export_goes_on_after_the_server_was_killed() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let token = create_token(&data, "read");
    let note = "x".repeat(1_500);
    let more = format!(",\"additional_fields\":{{\"note\":\"{note}\"}}");
    import(&data, "0", (0..20_000).map(|n| event(&format!("t-{n}"), &more)));
    for format in ["ndjson", "csv"] {
        let mut server = Server::start(&data);
        let file = root.path().join(format!("export.{format}"));
        let path = file.to_str().unwrap();
        let command = ["export", "resource_type:template", "--format", format];
        let out = ["--out", path, "--server", &server.url, "--token", &token];
        let mut export = Running::start(&[&command[..], &out[..]].concat());
        let until = Instant::now() + PATIENCE;
        while std::fs::metadata(&file).map_or(0, |meta| meta.len()) < 2_000_000 {
            assert!(Instant::now() < until, "the export does not begin");
            std::thread::sleep(Duration::from_millis(2));
        }
        server.kill();
        let ended = export.child.wait().unwrap();
        assert_eq!(ended.code(), Some(1), "a part is not taken for the whole");
        export.note_with("--resume goes on");
        let part = std::fs::read(&file).unwrap();

        let server = Server::start(&data);
        let to = ["--server", &server.url, "--token", &token];
        let whole = annals_ok(&[&command[..], &to[..]].concat());
        assert!(part.len() < whole.len() && whole.as_bytes().starts_with(&part), "{} bytes came", part.len());
        annals_ok(&[&command[..], &["--out", path, "--resume"], &to[..]].concat());
        assert!(std::fs::read_to_string(&file).unwrap() == whole, "{format}");
    }
}
