//! The spool against a plain list, and against damage.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::{Reader, Spool, SpoolError};

const WAIT: Duration = Duration::from_millis(20);

fn open(dir: &Path, file_bytes: u64) -> (Spool, Reader) {
    Spool::open_with(dir, "app-1", 1 << 20, file_bytes).unwrap()
}

fn event(n: u64, size: usize) -> String {
    format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(size))
}

/// What is expected on the wire.
fn wire(n: u64, size: usize, number: u64) -> String {
    let event = event(n, size);
    format!(r#"{},"source":"app-1","source_seq":{number}}}"#, event.strip_suffix('}').unwrap())
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        size: usize,
    },
    /// Read so many, and be done with so many of them.
    Send {
        events: usize,
        done: usize,
    },
    OpenAgain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_usize..600).prop_map(|size| Step::Append { size }),
        2 => (1_usize..9, 0_usize..9).prop_map(|(events, done)| Step::Send { events, done }),
        1 => Just(Step::OpenAgain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_spool_gives_what_was_put_in(steps in prop::collection::vec(step(), 1..80), file_bytes in 100_u64..3_000) {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, mut reader) = open(dir.path(), file_bytes);
        let mut expected: VecDeque<String> = VecDeque::new();
        let mut next = 1;
        for step in steps {
            match step {
                Step::Append { size } => {
                    let number = spool.append(event(next, size).as_bytes(), WAIT).unwrap();
                    prop_assert_eq!(number, next);
                    expected.push_back(wire(next, size, number));
                    next += 1;
                }
                Step::Send { events, done } => {
                    let batch = reader.batch(&spool, events, 1_000).unwrap();
                    prop_assert_eq!(batch.len() > 0, !expected.is_empty());
                    for (at, expected) in expected.iter().enumerate().take(batch.len()) {
                        prop_assert_eq!(batch.event(at).1, expected);
                    }
                    let done = done.min(batch.len());
                    prop_assert_eq!(batch.lines(done).lines().count(), done);
                    reader.advance(&spool, &batch, done).unwrap();
                    expected.drain(..done);
                }
                Step::OpenAgain => {
                    drop((spool, reader));
                    (spool, reader) = open(dir.path(), file_bytes);
                    prop_assert_eq!(spool.end(), next);
                }
            }
        }
        let mut left = Vec::new();
        loop {
            let batch = reader.batch(&spool, 5, 700).unwrap();
            if batch.len() == 0 {
                break;
            }
            left.extend((0..batch.len()).map(|at| batch.event(at).1.to_owned()));
            reader.advance(&spool, &batch, batch.len()).unwrap();
        }
        prop_assert_eq!(left, Vec::from(expected));
        let files = std::fs::read_dir(dir.path()).unwrap();
        let kept = files.filter(|file| file.as_ref().unwrap().path().extension().is_some()).count();
        prop_assert!(kept <= 1, "what was sent is deleted: {} files", kept);
    }
}

/// Three events in one file; its path and bytes.
fn three(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let (spool, _) = open(dir, 5_000);
    for n in 1..=3 {
        spool.append(event(n, 30).as_bytes(), WAIT).unwrap();
    }
    let path = dir.join("00000000000000000001.spool");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(usize::try_from(spool.files()[0].1).unwrap());
    (path, bytes)
}

fn all(dir: &Path) -> (Vec<u64>, u64) {
    let (spool, mut reader) = open(dir, 5_000);
    let batch = reader.batch(&spool, 100, 1 << 20).unwrap();
    let numbers = (0..batch.len()).map(|at| batch.event(at).0).collect();
    (numbers, spool.end())
}

#[test]
fn an_event_that_was_not_written_whole_was_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = three(dir.path());
    let record = (bytes.len() - 8) / 3;
    for (cut, filled) in (0..bytes.len()).flat_map(|cut| [(cut, 0), (cut, 3_000)]) {
        if cut < 8 && filled > 0 {
            continue;
        }
        // What was not written is not there, or zeros.
        let mut written = bytes[..cut].to_vec();
        written.resize(cut + filled, 0);
        std::fs::write(&path, written).unwrap();
        let whole = (cut.saturating_sub(8) / record) as u64;
        assert_eq!(all(dir.path()), ((1..=whole).collect(), whole + 1), "{cut} bytes");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 8 + whole * record as u64);
    }
    assert!(!path.with_extension("damaged").exists());
}

#[test]
fn damage_takes_no_event_before_it_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = three(dir.path());
    let record = (bytes.len() - 8) / 3;
    for at in 8..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let (numbers, _) = all(dir.path());
        let before = (at - 8) / record;
        assert!(numbers.len() >= before && numbers.len() < 3, "byte {at}: {numbers:?}");
        assert_eq!(numbers[..before], [1, 2, 3][..before]);
    }
    assert!(path.with_extension("damaged").exists());
    std::fs::write(&path, b"ANSP\0\0\0\x02").unwrap();
    assert!(matches!(Spool::open(dir.path(), "app-1", 100), Err(SpoolError::Foreign { .. })));
}

#[test]
fn a_cursor_that_is_gone_or_damaged_sends_again() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    {
        let (spool, mut reader) = open(dir.path(), 5_000);
        let batch = reader.batch(&spool, 2, 1 << 20).unwrap();
        reader.advance(&spool, &batch, 2).unwrap();
    }
    assert_eq!(all(dir.path()), (vec![3], 4));
    let cursor = dir.path().join("cursor");
    let mut bytes = std::fs::read(&cursor).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&cursor, &bytes).unwrap();
    assert_eq!(all(dir.path()), (vec![1, 2, 3], 4));
    std::fs::remove_file(&cursor).unwrap();
    assert_eq!(all(dir.path()), (vec![1, 2, 3], 4));
}

#[test]
fn a_source_that_the_server_would_refuse_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in ["", " ", "annals", "Annals", &"x".repeat(257)] {
        let error = Spool::open(dir.path(), wrong, 1_000).unwrap_err();
        assert!(matches!(error, SpoolError::Source { .. }), "{error}");
    }
    assert!(Spool::open(dir.path(), &"\u{1}".repeat(256), 1_000).is_ok());
}

#[test]
fn a_full_spool_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = Spool::open_with(dir.path(), "app-1", 1_000, 300).unwrap();
    assert!(matches!(Spool::open(dir.path(), "app-1", 1_000), Err(SpoolError::InUse { .. })));
    let mut taken = 0;
    let full = loop {
        match spool.append(event(1, 50).as_bytes(), WAIT) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SpoolError::Full { .. }) && taken > 3, "{full} behind {taken}");
    // Whoever waits gets the room that the sender makes.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| spool.append(event(1, 50).as_bytes(), Duration::from_secs(20)));
        std::thread::sleep(WAIT);
        loop {
            let batch = reader.batch(&spool, 100, 1 << 20).unwrap();
            if batch.len() == 0 {
                break;
            }
            reader.advance(&spool, &batch, batch.len()).unwrap();
        }
        assert_eq!(waiting.join().unwrap().unwrap(), taken + 1);
    });
}
