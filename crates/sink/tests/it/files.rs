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
    let name = "2025/11/13/02/00000000000000000007-00000000000000000014.ndjson.gz";
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
    assert_eq!(std::fs::read(place.join("manifests/00000000000000000014.txt")).unwrap(), b"signed\n");
    assert!(sink.put_manifest("../escape", "x").is_err());
    private(&place.join(name));
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
    let name = "2025/11/13/02/00000000000000000001-00000000000000000002.log";
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
