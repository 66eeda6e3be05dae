//! Each kind of receiver: down, slow, breaking off, answering 4xx and 5xx, restarting; and the server killed.

use std::io::Read as _;

use annals_testparts::{Fault, Receiver, Rsyslog, S3};

use super::site::{Site, files_below};

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// What is not in the log: events of streams about themselves come besides.
const QUERY: &str = "resource_type:template";

/// Receivers over HTTP go wrong in every way while events come.
fn survives(mut site: Site, mut receiver: Receiver) {
    site.start();
    site.emit(60);
    receiver.set_fault_times(Fault::Status(500), 2);
    site.emit(60);
    receiver.set_fault_times(Fault::Cut, 1);
    site.emit(60);
    receiver.set_fault_times(Fault::RetryAfter(429, "1"), 1);
    site.emit(60);
    receiver.set_fault_times(Fault::Slow(1), 2);
    site.emit(60);
    receiver.set_fault_times(Fault::Status(401), 1);
    site.emit(60);
    receiver.set_fault_times(Fault::Drop, 1);
    site.emit(60);
    receiver.stop();
    site.emit(60);
    site.wait("siem", "failing", |status| status["state"] == "failing");
    site.kill();
    site.start();
    receiver.start_again();
    site.emit(60);
    site.kill();
    site.start();
    site.emit(60);
    let status = site.wait_until_idle("siem");
    assert_eq!(status["dead_letters"], 0, "{status}");
    assert_eq!(status["failure"], "", "{status}");
    site.compare(QUERY, &receiver.received());
    let report = site.reconcile("siem", &receiver.received());
    assert_eq!((&report["complete"], &report["expected"]), (&true.into(), &600.into()), "{report}");
}

#[test]
fn a_webhook_gets_every_event() {
    let receiver = Receiver::webhook(WEBHOOK_SECRET);
    let site = Site::new();
    let url = format!("url={}", receiver.url());
    let secret = format!("secret={WEBHOOK_SECRET}");
    site.annals(&[
        "streams", "create", "siem", "--kind", "webhook", "--set", &url, "--set", &secret, "--query", QUERY,
    ]);
    survives(site, receiver);
}

#[test]
fn splunk_gets_every_event() {
    let receiver = Receiver::splunk(true);
    let site = Site::new();
    let url = format!("url={}", receiver.url());
    let token = format!("token={}", receiver.token());
    site.annals(&[
        "streams", "create", "siem", "--kind", "splunk", "--set", &url, "--set", &token, "--query", QUERY,
    ]);
    survives(site, receiver);
}

#[test]
fn a_collector_of_opentelemetry_gets_every_event() {
    let receiver = Receiver::otlp();
    let site = Site::new();
    let url = format!("url={}", receiver.url());
    site.annals(&[
        "streams", "create", "siem", "--kind", "otlp", "--set", &url, "--query", QUERY, "--format", "ecs",
    ]);
    survives(site, receiver);
}

/// Syslog has no answers: the server is away, killed in mid-stream, and started again.
#[test]
fn rsyslog_gets_every_event_over_tcp_and_tls() {
    let mut rsyslog = Rsyslog::start();
    let mut site = Site::new();
    let address = format!("address={}", rsyslog.address());
    let create = ["streams", "create", "plain", "--kind", "syslog", "--query", QUERY];
    site.annals(&[&create[..], &["--set", &address, "--set", "transport=tcp"]].concat());
    let (address, ca) = (format!("address={}", rsyslog.tls_address()), format!("ca={}", rsyslog.authority()));
    let settings = ["--set", &address, "--set", &ca, "--set", "transport=tls"];
    let create = ["streams", "create", "tls", "--kind", "syslog", "--query", QUERY, "--format", "ocsf"];
    site.annals(&[&create[..], &settings[..]].concat());
    site.start();
    site.emit(300);
    rsyslog.stop();
    site.emit(300);
    for stream in ["plain", "tls"] {
        site.wait(stream, "failing", |status| status["state"] == "failing");
    }
    rsyslog.start_again();
    site.emit(300);
    site.kill();
    site.start();
    site.emit(300);
    for stream in ["plain", "tls"] {
        site.wait_until_idle(stream);
    }
    // It writes them down a moment after it got them, and both streams into one file.
    let expected = site.ids(QUERY).len();
    let begun = std::time::Instant::now();
    loop {
        let mut received = rsyslog.received();
        received.sort();
        let count = received.len();
        received.dedup();
        if received.len() == expected && count >= 2 * expected {
            break;
        }
        assert!(begun.elapsed().as_secs() < 60, "{} of {expected}, {count} in all", received.len());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for stream in ["plain", "tls"] {
        let report = site.reconcile(stream, &rsyslog.received());
        assert_eq!(report["complete"], true, "{report}");
    }
}

#[test]
fn a_bucket_gets_every_event() {
    let mut s3 = S3::start();
    let mut site = Site::new();
    let env = s3.env();
    let value = |name: &str| env.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let settings = [
        format!("bucket={}", s3.url().trim_start_matches("s3://")),
        format!("endpoint={}", value("AWS_ENDPOINT_URL")),
        format!("access_key={}", value("AWS_ACCESS_KEY_ID")),
        format!("secret_key={}", value("AWS_SECRET_ACCESS_KEY")),
        "allow_http=true".to_owned(),
        "prefix=siem".to_owned(),
        "linger=1".to_owned(),
        "timeout=2".to_owned(),
    ];
    let mut create = vec!["streams", "create", "siem", "--kind", "s3", "--query", QUERY];
    create.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
    site.annals(&create);
    site.start();
    site.emit(100);
    s3.stop();
    site.emit(100);
    site.wait("siem", "failing", |status| status["state"] == "failing");
    site.kill();
    s3.start_again();
    site.start();
    site.emit(100);
    site.wait_until_idle("siem");
    let dir = site.place("bucket");
    let received = read_objects(&s3, &dir);
    site.compare(QUERY, &received);
    let report = site.annals(&["streams", "reconcile", "siem", "--file", dir.to_str().unwrap()]);
    assert_eq!((&report["complete"], &report["expected"]), (&true.into(), &300.into()), "{report}");
}

/// Reads the objects of a stream, copies them to a directory, and returns their events by name of the object.
fn read_objects(s3: &S3, dir: &std::path::Path) -> Vec<(String, u64)> {
    let mut received = Vec::new();
    for path in files_below(&s3.bucket_dir().join("siem")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".gz") {
            continue;
        }
        std::fs::create_dir_all(dir).unwrap();
        std::fs::copy(&path, dir.join(name)).unwrap();
        received.extend(read_gzip(&path));
    }
    received
}

/// Id and seq of each line.
pub(super) fn read_gzip(path: &std::path::Path) -> Vec<(String, u64)> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let read = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["id"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap())
    };
    text.lines().map(read).collect()
}
