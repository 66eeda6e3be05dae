//! Log lines in files.

use std::path::Path;

use annals_sink::Sink;

use crate::fixture::{deliver, event, events, later, odd_events, open, surroundings, try_open};

fn sink(path: &Path, more: &[(&str, &str)]) -> Box<dyn Sink> {
    open("log", &[&[("to", path.to_str().unwrap())], more].concat())
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn written(events: &[annals_sink::Outgoing]) -> Vec<String> {
    events.iter().map(|event| event.line.clone()).collect()
}

#[test]
fn lines_arrive_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let events = odd_events(1);
    deliver(&mut sink(&path, &[]), &events, 3).unwrap();
    assert_eq!(lines(&path), written(&events));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_unfinished_line_is_ended_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    for (left, kept) in [("{\"a\":1}\n{\"b", 2), ("{\"b", 1), ("", 0), ("{\"a\":1}\n", 1)] {
        let path = dir.path().join("audit.log");
        std::fs::write(&path, left).unwrap();
        deliver(&mut sink(&path, &[]), &events(1..2), 1).unwrap();
        let found = lines(&path);
        let expected: Vec<_> = left.lines().map(str::to_owned).chain(written(&events(1..2))).collect();
        assert_eq!((found.len(), found), (kept + 1, expected), "{left}");
    }
}

#[test]
fn a_file_is_opened_at_the_first_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    drop(sink(&path, &[]));
    assert!(!path.exists());
    std::fs::write(&path, "{\"unfinished").unwrap();
    let mut sink = sink(&path, &[]);
    sink.settle().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"unfinished");
}

#[cfg(unix)]
#[test]
fn two_streams_do_not_write_to_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let rotation = [("rotate_bytes", "1024"), ("keep", "100")];
    let (mut one, mut other) = (sink(&path, &rotation), sink(&path, &rotation));
    let text = "x".repeat(400);
    let all: Vec<_> = (1..=20).map(|seq| event(seq, &text)).collect();
    for batch in all[..10].chunks(1) {
        deliver(&mut one, batch, 1).unwrap();
        // Also while the file is renamed.
        let (reason, _) = later(other.send(batch));
        assert!(reason.contains("another stream writes to it"), "{reason}");
    }
    drop(one);
    deliver(&mut other, &all[10..], 3).unwrap();
    let mut found: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().flat_map(|entry| lines(&entry.unwrap().path())).collect();
    let mut expected = written(&all);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// As a program does that rotates logs and cannot tell the writer of it.
#[test]
fn a_file_that_was_copied_and_cut_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let mut sink = sink(&path, &[]);
    deliver(&mut sink, &events(1..3), 1).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    deliver(&mut sink, &events(3..5), 1).unwrap();
    assert_eq!(lines(&path), written(&events(3..5)));
}

#[test]
fn full_files_are_renamed_and_the_oldest_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let text = "x".repeat(400);
    let all: Vec<_> = (1..=10).map(|seq| event(seq, &text)).collect();
    deliver(&mut sink(&path, &[("rotate_bytes", "1200"), ("keep", "2")]), &all, 3).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    let older = [dir.path().join("audit.log.2"), dir.path().join("audit.log.1"), path];
    let found: Vec<String> = older.iter().flat_map(|path| lines(path)).collect();
    assert_eq!(found, written(&all[4..]));
    // One event may be larger than a file.
    deliver(&mut sink(&older[2], &[("rotate_bytes", "1024")]), &[event(11, &"y".repeat(5_000))], 1).unwrap();
    assert_eq!(lines(&older[2]).len(), 1);
}

#[test]
fn a_file_that_was_moved_or_deleted_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("audit.log"), dir.path().join("moved"));
    let mut sink = sink(&path, &[]);
    deliver(&mut sink, &events(1..3), 1).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    deliver(&mut sink, &events(3..5), 1).unwrap();
    assert_eq!((lines(&moved), lines(&path)), (written(&events(1..3)), written(&events(3..5))));
    std::fs::remove_file(&path).unwrap();
    deliver(&mut sink, &events(5..6), 1).unwrap();
    assert_eq!(lines(&path), written(&events(5..6)));
    std::fs::write(&path, "").unwrap();
    deliver(&mut sink, &events(6..7), 1).unwrap();
    assert_eq!(lines(&path), written(&events(6..7)));
}

#[test]
fn what_is_no_file_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    for path in
        [dir.path().to_str().unwrap(), "relative.log", "/dev/null", "/missing/directory/audit.log", "/"]
    {
        assert!(try_open("log", &[("to", path)], &surroundings()).is_err(), "{path}");
    }
    assert!(try_open("log", &[], &surroundings()).is_ok());
}
