//! One process sends a stream at a time, and another takes over; killing it at any moment loses nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use annals_client::Client;
use annals_testparts::{Postgres, Receiver};
use serde_json::Value;

use super::site::Site;
use crate::support::{Server, binary};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn killed_twelve_times_a_server_loses_no_event_and_keeps_the_order() {
    let (mut site, receiver) = (Site::new(), Receiver::webhook(SECRET));
    let (url, secret) = (format!("url={}", receiver.url()), format!("secret={SECRET}"));
    let create = ["streams", "create", "hook", "--kind", "webhook", "--set", &url, "--set", &secret];
    site.annals(&[&create[..], &["--query", "resource_type:template", "--set", "batch=7"]].concat());
    for round in 0..12 {
        site.start();
        site.emit(150);
        // At another moment each time.
        std::thread::sleep(Duration::from_millis(40 * round));
        site.kill();
    }
    site.start();
    site.wait_until_idle("hook");
    site.compare("resource_type:template", &receiver.received());
    assert!(receiver.received().len() >= 1_800);
}

/// Two servers over one PostgreSQL and one directory of segments.
#[test]
fn another_replica_takes_over() {
    let postgres = Postgres::start_private();
    let receiver = Receiver::webhook(SECRET);
    let root = tempfile::tempdir().unwrap();
    let url = postgres.url("streams");
    let command = |name: &str| {
        let mut command = Command::new(binary());
        command.env("ANNALS_DATABASE_URL", &url).env("ANNALS_DATA", root.path().join(name));
        command
            .env("ANNALS_OBJECTS", root.path().join("segments"))
            .env("ANNALS_KEY_DIR", root.path().join("key"));
        command
    };
    let json = |arguments: &[&str]| -> Value {
        let output = command("operator").args(arguments).arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{arguments:?}: {error} in {text}{}", String::from_utf8_lossy(&output.stderr))
        })
    };
    let token = json(&["token", "create", "--kind", "ingest", "--name", "test"])["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let (address, secret) = (format!("url={}", receiver.url()), format!("secret={SECRET}"));
    let create = ["streams", "create", "hook", "--kind", "webhook", "--set", &address, "--set", &secret];
    json(&[&create[..], &["--query", "resource_type:template", "--set", "batch=10"]].concat());
    let start = |name: &str| Server::start_with(command(name), &root.path().join(name));
    let mut servers = vec![start("one"), start("two")];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut next_id = 0_u128;
    for round in 0..4 {
        for server in &servers {
            let lines: Vec<String> = (0..50)
                .map(|_| {
                    next_id += 1;
                    let id = uuid::Uuid::from_u128(next_id);
                    format!(
                        r#"{{"id":"{id}","action":"write","resource_type":"template","resource_target":"t"}}"#
                    )
                })
                .collect();
            let client = Client::new(&server.url, &token).unwrap();
            runtime.block_on(client.append_ndjson(lines.join("\n"), false)).unwrap();
        }
        // The one that has sent so far, at first; then the other.
        let mut killed = servers.remove(0);
        killed.kill();
        servers.push(start(if round % 2 == 0 { "one" } else { "two" }));
    }
    let begun = Instant::now();
    loop {
        let status = json(&["streams", "show", "hook"]);
        if status["state"] == "idle" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut ids: Vec<String> = receiver.received().into_iter().map(|(id, _)| id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 400, "{count} arrived");
    // Each kill may repeat what was not taken down yet, a window at most; two senders at once would repeat everything.
    assert!(count < 800, "{count} arrived: more than one process sends");
}
