//! What people do with streams: dead letters, pauses, replays, secrets, files, alerts.

use std::collections::HashSet;

use annals_testparts::{Fault, Receiver};

use super::faults::read_gzip;
use super::site::{Site, files_below};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const QUERY: &str = "resource_type:template";

fn webhook(site: &Site, receiver: &Receiver, more: &[&str]) {
    let (url, secret) = (format!("url={}", receiver.url()), format!("secret={SECRET}"));
    let create =
        ["streams", "create", "hook", "--kind", "webhook", "--set", &url, "--set", &secret, "--query", QUERY];
    site.annals(&[&create[..], more].concat());
}

fn seqs(received: &[(String, u64)]) -> Vec<u64> {
    received.iter().map(|(_, seq)| *seq).collect()
}

#[test]
fn one_event_that_is_refused_holds_up_no_other_and_can_be_sent_again() {
    let (mut site, receiver) = (Site::new(), Receiver::webhook(SECRET));
    // In batches, so that the one at fault has to be found.
    webhook(&site, &receiver, &["--set", "batch=50"]);
    let bad = uuid::Uuid::from_u128(33).to_string();
    receiver.set_fault(Fault::Refuse(&bad));
    site.start();
    site.emit(100);
    let status = site.wait_until_idle("hook");
    assert_eq!((&status["dead_letters"], &status["delivered"]), (&1.into(), &99.into()), "{status}");
    assert_eq!(receiver.received().len(), 99);
    let letters = site.annals(&["streams", "dead-letters", "list", "hook"]);
    let seq = letters["dead_letters"][0]["seq"].as_u64().unwrap();
    let reason = letters["dead_letters"][0]["reason"].as_str().unwrap();
    assert_eq!(site.ids(QUERY)[&seq], bad);
    assert!(reason.contains("400") || reason.contains("422"), "{reason}");
    let report = site.reconcile("hook", &receiver.received());
    assert_eq!(report["missing"][0]["dead_letter"], true, "{report}");
    // Sent again while it is still refused, then after the receiver was mended.
    let resend = ["streams", "dead-letters", "resend", "hook"];
    assert_eq!(site.annals(&resend)["resent"], 1);
    let attempts =
        || site.annals(&["streams", "dead-letters", "list", "hook"])["dead_letters"][0]["attempts"].clone();
    site.wait("hook", "refused again", |_| attempts() == 2);
    receiver.set_fault(Fault::None);
    site.annals(&resend);
    site.wait("hook", "without dead letters", |status| status["dead_letters"] == 0);
    assert_eq!(seqs(&receiver.received()).last(), Some(&seq));
    assert_eq!(site.reconcile("hook", &receiver.received())["complete"], true);
}

#[test]
fn a_receiver_that_refuses_everything_makes_no_dead_letters_of_the_log() {
    let (mut site, receiver) = (Site::new(), Receiver::webhook(SECRET));
    webhook(&site, &receiver, &["--set", "batch=100"]);
    receiver.set_fault(Fault::Status(422));
    site.start();
    site.emit(500);
    let status = site.wait("hook", "failing", |status| status["state"] == "failing");
    assert!(status["failure"].as_str().unwrap().contains("refuses every event"), "{status}");
    assert!(status["dead_letters"].as_u64().unwrap() <= 100, "{status}");
    receiver.set_fault(Fault::None);
    site.wait_until_idle("hook");
    site.annals(&["streams", "dead-letters", "resend", "hook"]);
    site.wait("hook", "without dead letters", |status| status["dead_letters"] == 0);
    let received: HashSet<String> = receiver.received().into_iter().map(|(id, _)| id).collect();
    assert_eq!(received.len(), 500);
}

#[test]
fn a_paused_stream_goes_on_where_it_was_and_a_replay_comes_beside_it() {
    let (mut site, receiver) = (Site::new(), Receiver::webhook(SECRET));
    webhook(&site, &receiver, &["--set", "batch=50"]);
    site.start();
    site.emit(50);
    site.wait_until_idle("hook");
    site.annals(&["streams", "pause", "hook"]);
    // The server looks every second.
    std::thread::sleep(std::time::Duration::from_secs(4));
    site.emit(50);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(receiver.received().len(), 50, "a paused stream sends nothing");
    assert_eq!(site.annals(&["streams", "show", "hook"])["waiting"], 50);
    site.annals(&["streams", "resume", "hook"]);
    site.wait_until_idle("hook");
    site.compare(QUERY, &receiver.received());
    let all = seqs(&receiver.received());
    assert_eq!(all.len(), 100);
    // By seq and query: every fifth is a deletion.
    let begin = format!("seq:{}", all[50]);
    let replay = ["streams", "replay", "hook", "--from", &begin, "action:delete"];
    assert_eq!(site.annals(&replay)["event_count"], 10);
    site.wait_until_idle("hook");
    let again = seqs(&receiver.received()).split_off(100);
    assert_eq!(again, (0..10).map(|n| all[50 + 5 * n + 4]).collect::<Vec<_>>());
    // By time.
    assert_eq!(site.annals(&["streams", "replay", "hook", "--from", "2020-01-01"])["event_count"], 100);
    site.wait_until_idle("hook");
    assert_eq!(seqs(&receiver.received()).split_off(110), all);
    let message = site.annals_fails(&["streams", "replay", "hook", "--from", "seq:999999"]);
    assert!(message.contains("has not sent seq 999999"), "{message}");
    let changes = site.annals(&["search", "resource_type:stream action:write resource_target:hook"]);
    assert_eq!(changes["count"], 4, "a pause, its end and two replays");
}

#[test]
fn what_is_missing_at_the_receiver_is_found_and_sent() {
    let mut site = Site::new();
    let out = site.place("out");
    let directory = format!("directory={}", out.display());
    site.annals(&[
        "streams", "create", "files", "--kind", "files", "--set", &directory, "--set", "linger=0", "--query",
        QUERY,
    ]);
    site.start();
    for _ in 0..3 {
        site.emit(40);
        site.wait_until_idle("files");
    }
    let files: Vec<_> = files_below(&out)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    let lost = read_gzip(&files[1]);
    std::fs::remove_file(&files[1]).unwrap();
    let place = out.to_str().unwrap();
    let message = site.annals_fails(&["streams", "reconcile", "files", "--file", place]);
    assert!(
        message.contains(&format!("{} are missing", lost.len())) && message.contains(&lost[0].0),
        "{message}"
    );
    let counted = site.annals_fails(&["streams", "reconcile", "files", "--count", "119"]);
    assert!(counted.contains("1 are missing"), "{counted}");
    let sent = site.annals_fails(&["--json", "streams", "reconcile", "files", "--file", place, "--send"]);
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent["sent"], lost.len());
    site.wait("files", "without dead letters", |status| status["dead_letters"] == 0);
    let report = site.annals(&["streams", "reconcile", "files", "--file", place]);
    assert_eq!((&report["complete"], &report["received"]), (&true.into(), &120.into()), "{report}");
    // A manifest of each window lies beside the events, signed.
    let manifests = site.annals(&["streams", "manifests", "files"]);
    let counted: u64 = manifests["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["event_count"].as_u64().unwrap())
        .sum();
    assert!(counted <= 120 && counted > 0, "{manifests}");
    let begun = std::time::Instant::now();
    while files_below(&out.join("manifests")).is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "no manifest comes");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let manifest = &files_below(&out.join("manifests"))[0];
    let key = site.annals(&["epoch", "list"])["epochs"][0]["verifier"].as_str().unwrap().to_owned();
    let gone = "incomplete";
    // Everything is there, then one event is not, then nobody's key, then another text.
    judge(manifest, &[&out], &key, 0, "good");
    let rest = site.place("rest");
    std::fs::create_dir(&rest).unwrap();
    let all: Vec<(String, u64)> = files_below(&out)
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .flat_map(|path| read_gzip(path))
        .collect();
    let text = std::fs::read_to_string(manifest).unwrap();
    let of = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<u64>().unwrap()
    };
    let window = of("first_seq ")..=of("last_seq ");
    let ids: Vec<&str> =
        all.iter().filter(|(_, seq)| window.contains(seq)).map(|(id, _)| id.as_str()).collect();
    assert!(ids.len() > 1, "{text}");
    std::fs::write(rest.join("ids"), ids[1..].join("\n")).unwrap();
    judge(manifest, &[&rest.join("ids")], &key, 2, gone);
    let other = uuid::Uuid::from_u128(77_777).to_string();
    std::fs::write(rest.join("ids"), [&ids[1..], &[other.as_str()][..]].concat().join("\n")).unwrap();
    judge(manifest, &[&rest.join("ids")], &key, 2, gone);
    let forged = site.place("forged.txt");
    std::fs::write(&forged, text.replacen("count ", "count 1", 1)).unwrap();
    judge(&forged, &[], &key, 1, "tampered");
}

/// What both verifiers say of a manifest.
fn judge(manifest: &std::path::Path, received: &[&std::path::Path], key: &str, code: i32, says: &str) {
    let manifest = manifest.to_str().unwrap();
    let mut arguments = vec!["verify", manifest, "--trust", key];
    for place in received {
        arguments.extend(["--received", place.to_str().unwrap()]);
    }
    let output = crate::support::annals(&arguments);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "{said}");
    // The other verifier reads one file.
    let mut whole = tempfile::NamedTempFile::new().unwrap();
    for path in received
        .iter()
        .flat_map(|place| if place.is_dir() { files_below(place) } else { vec![place.to_path_buf()] })
    {
        if !path.to_str().unwrap().contains("manifests") {
            std::io::Write::write_all(&mut whole, &std::fs::read(path).unwrap()).unwrap();
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/verify.py");
    let mut command = std::process::Command::new("python3");
    command.args([script, manifest, "--trust", key]);
    if !received.is_empty() {
        command.arg("--received").arg(whole.path());
    }
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "docs/verify.py: {said}");
    assert!(said.contains(says), "{said}");
}

#[test]
fn a_stream_that_stalls_is_an_event_and_so_is_its_recovery() {
    let (mut site, mut receiver) = (Site::new(), Receiver::webhook(SECRET));
    webhook(&site, &receiver, &["--silence", "1s"]);
    receiver.stop();
    site.start();
    site.emit(3);
    let status = site.wait("hook", "stalled", |status| status["stalled"] == true);
    assert!(status["failure"].as_str().unwrap().contains("refused"), "{status}");
    let stalls = site.annals(&["search", "resource_type:stream action:stall"]);
    assert_eq!(stalls["count"], 1, "{stalls}");
    assert_eq!(stalls["audit_logs"][0]["description"], "event stream {target} delivers nothing any more");
    let log = site.log();
    let token = crate::support::create_token(&log, "metrics");
    let wanted =
        ["annals_stream_failing{stream=\"hook\"} 1", "annals_stream_waiting_events{stream=\"hook\"} 3"];
    let begun = std::time::Instant::now();
    let metrics = loop {
        let output = std::process::Command::new("curl")
            .args(["-s", "-H", &format!("Authorization: Bearer {token}"), &format!("{}/metrics", site.url())])
            .output()
            .unwrap();
        let metrics = String::from_utf8(output.stdout).unwrap();
        if wanted.iter().all(|wanted| metrics.lines().any(|line| line == *wanted)) {
            break metrics;
        }
        assert!(begun.elapsed().as_secs() < 60, "{wanted:?} are missing in {metrics}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    annals_testparts::check_metrics(&metrics);
    receiver.start_again();
    site.wait_until_idle("hook");
    assert_eq!(site.annals(&["search", "resource_type:stream action:recover"])["count"], 1);
    assert_eq!(receiver.received().len(), 3);
}

#[test]
fn secrets_are_nowhere_to_be_read_and_are_changed_while_events_flow() {
    let (mut site, receiver) = (Site::new(), Receiver::webhook(SECRET));
    webhook(&site, &receiver, &["--set", "headers=Authorization: Bearer very-secret-header"]);
    site.start();
    site.emit(10);
    site.wait_until_idle("hook");
    let rotated = site.annals(&["streams", "rotate-secret", "hook"]);
    let new = rotated["secret"].as_str().unwrap();
    assert!(new.starts_with("whsec_") && new != SECRET);
    site.emit(10);
    // The receiver knows the old one alone.
    site.wait_until_idle("hook");
    site.annals(&["streams", "rotate-secret", "hook", "--finish"]);
    // The server looks every second.
    std::thread::sleep(std::time::Duration::from_secs(4));
    site.emit(10);
    let status = site.wait("hook", "failing", |status| status["state"] == "failing");
    assert!(status["failure"].as_str().unwrap().contains("40"), "{status}");
    let shown = status.to_string() + &site.annals(&["search", "resource_type:stream"]).to_string();
    site.terminate();
    let mut stored = Vec::new();
    for path in files_below(&site.log()) {
        stored.extend(std::fs::read(path).unwrap());
    }
    for secret in [SECRET, new, "very-secret-header"] {
        assert!(!shown.contains(secret));
        let is_stored = stored.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_stored, "a secret is in the files of the log");
    }
}

#[test]
fn log_lines_go_to_standard_output_and_error() {
    for (to, format, begins) in
        [("stdout", "json", "{\"ts\":"), ("stderr", "human", "20"), ("stderr", "stackdriver", "{\"")]
    {
        let root = tempfile::tempdir().unwrap();
        let token = crate::support::create_token(&root.path().join("log"), "ingest");
        let (out, err) = (root.path().join("out"), root.path().join("err"));
        let mut server = std::process::Command::new(crate::support::binary())
            .current_dir(root.path())
            .args(["serve", "--data", "log", "--listen", "127.0.0.1:0", "--log", "error"])
            .args(["--audit-log", to, "--audit-log-format", format])
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(&err).unwrap())
            .stdin(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let wait = |path: &std::path::Path, is_right: &dyn Fn(&str) -> bool| -> String {
            let begun = std::time::Instant::now();
            loop {
                let text = std::fs::read_to_string(path).unwrap();
                if let Some(line) = text.lines().find(|line| is_right(line)) {
                    return line.to_owned();
                }
                assert!(begun.elapsed().as_secs() < 60, "{to} {format}: {text}");
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        };
        let listens = wait(&out, &|line| line.starts_with("Annals listens on "));
        let url = listens.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let client = annals_client::Client::new(url.split("/audit").next().unwrap(), &token).unwrap();
        let event = r#"{"action":"write","resource_type":"template","resource_target":"marked"}"#.to_owned();
        tokio::runtime::Runtime::new().unwrap().block_on(client.append_ndjson(event, false)).unwrap();
        let place = if to == "stdout" { &out } else { &err };
        let line = wait(place, &|line| line.contains("marked"));
        assert!(line.starts_with(begins) && line.contains("audit_log"), "{line}");
        server.kill().unwrap();
        server.wait().unwrap();
    }
}

#[test]
fn streams_of_the_configuration_file_follow_it() {
    let mut site = Site::new();
    let config = site.place("annals.toml");
    let first = format!(
        "audit_log = \"lines.log\"\naudit_log_format = \"classic\"\n\n[[stream]]\nname = \"archive\"\nkind = \"files\"\nfrom = \"beginning\"\nquery = \"{QUERY}\"\n\
         format = \"ecs\"\n[stream.settings]\ndirectory = \"{}\"\nlinger = 0\n",
        site.place("archive").display()
    );
    std::fs::write(&config, &first).unwrap();
    site.start();
    site.emit(20);
    site.wait_until_idle("archive");
    site.wait_until_idle("audit-log");
    site.terminate();
    let lines = std::fs::read_to_string(site.place("lines.log")).unwrap();
    let actions: Vec<String> = lines
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["message"]["fields"]["audit_log"]["action"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(actions.iter().filter(|action| *action == "delete").count(), 4, "{actions:?}");
    // Changed, then taken out of the file.
    std::fs::write(&config, first.replace("format = \"ecs\"", "format = \"coder\"")).unwrap();
    site.start();
    assert_eq!(site.annals(&["streams", "show", "archive"])["format"], "coder");
    let message = site.annals_fails(&["streams", "change", "archive", "--format", "ocsf"]);
    assert!(message.contains("annals.toml"), "{message}");
    site.terminate();
    std::fs::write(&config, "").unwrap();
    site.start();
    let status = site.annals(&["streams", "show", "archive"]);
    assert_eq!((&status["state"], &status["delivered"]), (&"paused".into(), &20.into()));
    site.terminate();
    // It goes on when it stands there again.
    std::fs::write(&config, first.replace("format = \"ecs\"", "format = \"coder\"")).unwrap();
    site.start();
    site.emit(5);
    let status = site.wait("archive", "delivering", |status| status["delivered"] == 25);
    assert_eq!(status["paused"], false);
    site.terminate();
    std::fs::write(&config, format!("{first}[[stream]]\nname = \"ARCHIVE\"\nkind = \"log\"\n")).unwrap();
    let log = site.log();
    let arguments = ["serve", "--data", log.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let command = |place: &std::path::Path| {
        let mut command = std::process::Command::new(crate::support::binary());
        command.current_dir(place).args(arguments).output().unwrap()
    };
    let said = String::from_utf8_lossy(&command(config.parent().unwrap()).stderr).into_owned();
    assert!(said.contains("two streams"), "{said}");
    std::fs::write(&config, "[[stream]]\nname = \"x\"\nkind = \"webhook\"\nquery = \"acton:delete\"\n")
        .unwrap();
    let log = site.log();
    let output = std::process::Command::new(crate::support::binary())
        .current_dir(config.parent().unwrap())
        .args(["serve", "--data", log.to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the stream `x`"), "{said}");
}
