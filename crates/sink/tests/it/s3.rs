//! A bucket of a server that checks signatures.

use std::io::Read as _;
use std::path::Path;

use annals_sink::Sink;
use annals_store::{Objects, ObjectsLocation};
use annals_testparts::S3;

use crate::fixture::{events, later, odd_events, open, surroundings, try_open};

fn value(s3: &S3, name: &str) -> String {
    s3.env().into_iter().find(|(known, _)| known == name).unwrap().1
}

fn sink(s3: &S3, secret_key: &str) -> Box<dyn Sink> {
    open(
        "s3",
        &[
            ("bucket", s3.url().strip_prefix("s3://").unwrap()),
            ("prefix", "annals/test"),
            ("endpoint", &value(s3, "AWS_ENDPOINT_URL")),
            ("access_key", &value(s3, "AWS_ACCESS_KEY_ID")),
            ("secret_key", secret_key),
            ("allow_http", "true"),
        ],
    )
}

/// Reads the only object whose path begins so.
fn read(s3: &S3, path: &str, cache: &Path) -> Vec<u8> {
    let (dir, begin) = path.rsplit_once('/').unwrap();
    let names = std::fs::read_dir(s3.bucket_dir().join("annals/test").join(dir)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: Vec<String> = names.filter(|name| name.starts_with(begin)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let name = found[0].as_str();
    let location: ObjectsLocation = format!("{}/annals/test/{dir}", s3.url()).parse().unwrap();
    Objects::open_with_settings(&location, cache, &s3.env()).unwrap().read_all(name).unwrap().to_vec()
}

#[test]
fn a_batch_is_an_object_also_after_the_server_was_away() {
    let (mut s3, cache) = (S3::start(), tempfile::tempdir().unwrap());
    let mut sink = sink(&s3, &value(&s3, "AWS_SECRET_ACCESS_KEY"));
    let batch = odd_events(7);
    sink.send(&batch).unwrap();
    sink.send(&batch).unwrap();
    sink.put_manifest("14", "signed\n").unwrap();
    let name = "2025/11/13/02/00000000000000000007-00000000000000000014-";
    let mut text = String::new();
    flate2::read::GzDecoder::new(read(&s3, name, cache.path()).as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        batch.iter().map(|event| event.line.as_str()).collect::<Vec<_>>()
    );
    assert_eq!(read(&s3, "manifests/14-", cache.path()), b"signed\n");
    s3.stop();
    later(sink.send(&events(15..16)));
    s3.start_again();
    sink.send(&events(15..16)).unwrap();
    assert!(!read(&s3, "2025/11/13/02/00000000000000000015-00000000000000000015-", cache.path()).is_empty());
}

#[test]
fn a_wrong_key_is_not_the_events_fault_and_not_shown() {
    let s3 = S3::start();
    let (reason, _) = later(sink(&s3, "wrong-secret-key").send(&events(1..2)));
    assert!(reason.contains("check the keys") && !reason.contains("wrong-secret-key"), "{reason}");
}

#[test]
fn plain_http_and_the_servers_own_rights_are_asked_for() {
    let endpoint = ("endpoint", "http://127.0.0.1:9");
    let keys = [("access_key", "a"), ("secret_key", "b")];
    let plain = [("bucket", "b"), endpoint, keys[0], keys[1]];
    assert_eq!(try_open("s3", &plain, &surroundings()).map(drop).unwrap_err().name, "endpoint");
    assert_eq!(try_open("s3", &[("bucket", "b")], &surroundings()).map(drop).unwrap_err().name, "access_key");
    let mut operator = surroundings();
    operator.any_network = true;
    assert!(try_open("s3", &[("bucket", "b")], &operator).is_ok());
    let no_certificate = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n";
    assert!(try_open("s3", &[("bucket", "b"), ("ca", no_certificate)], &operator).is_err());
}
