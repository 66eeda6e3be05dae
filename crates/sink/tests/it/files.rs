//! Files in a directory.

use std::io::Read as _;
use std::path::Path;

use crate::fixture::{events, odd_events, open, surroundings, try_open};

#[test]
fn a_batch_is_a_file_of_its_hour_and_takes_its_own_place() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("archive");
    let mut sink = open("files", &[("directory", place.to_str().unwrap())]);
    let batch = odd_events(7);
    sink.send(&batch).unwrap();
    sink.settle().unwrap();
    let name = &object(&place, "2025/11/13/02", "00000000000000000007-00000000000000000014-", ".ndjson.gz");
    let bytes = std::fs::read(place.join(name)).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        batch.iter().map(|event| event.line.as_str()).collect::<Vec<_>>()
    );
    sink.send(&batch).unwrap();
    assert_eq!(std::fs::read(place.join(name)).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(place.join("2025/11/13/02")).unwrap().count(), 1);
    sink.put_manifest("00000000000000000014", "signed\n").unwrap();
    let manifest = object(&place, "manifests", "00000000000000000014-", ".txt");
    assert_eq!(std::fs::read(place.join(manifest)).unwrap(), b"signed\n");
    assert!(sink.put_manifest("../escape", "x").is_err());
    private(&place.join(name));
}

/// The path of the only object that begins and ends so, with sixteen digits of a hash between.
fn object(place: &Path, dir: &str, begin: &str, end: &str) -> String {
    let names = std::fs::read_dir(place.join(dir)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_one = |name: &String| {
        let hash = name.strip_prefix(begin).and_then(|name| name.strip_suffix(end));
        hash.is_some_and(|hash| hash.len() == 16 && hash.chars().all(|digit| digit.is_ascii_hexdigit()))
    };
    let found: Vec<String> = names.filter(is_one).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    format!("{dir}/{}", found[0])
}

#[test]
fn streams_and_forms_of_one_directory_do_not_replace_each_other() {
    let dir = tempfile::tempdir().unwrap();
    for (stream, format) in [("a", "native"), ("a", "ocsf"), ("b", "native"), ("a", "native")] {
        let mut at = surroundings();
        (at.stream, at.format) = (stream.to_owned(), format);
        let mut sink = try_open("files", &[("directory", dir.path().to_str().unwrap())], &at).unwrap();
        sink.send(&events(1..3)).unwrap();
        sink.put_manifest("1-2", "signed\n").unwrap();
    }
    for below in ["2025/11/13/02", "manifests"] {
        assert_eq!(std::fs::read_dir(dir.path().join(below)).unwrap().count(), 3, "{below}");
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn lines_for_people_end_in_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut at = surroundings();
    at.is_json = false;
    let values = [("directory", dir.path().to_str().unwrap()), ("gzip", "false")];
    try_open("files", &values, &at).unwrap().send(&events(1..3)).unwrap();
    let name = object(dir.path(), "2025/11/13/02", "00000000000000000001-00000000000000000002-", ".log");
    assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap().lines().count(), 2);
}

#[test]
fn a_directory_that_cannot_be_used_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for place in ["relative/path", file.join("below").to_str().unwrap()] {
        assert!(try_open("files", &[("directory", place)], &surroundings()).is_err(), "{place}");
    }
}
