//! Several writers on one log, as several processes have it.

use annals_store::NewRecord;

use crate::fixture::{Fixture, append, check, record, seqs};

on_both! {
    two_writers_take_turns,
    writers_at_the_same_time_leave_a_dense_log,
    a_reader_sees_whole_commits_only,
    many_threads_share_the_connections,
}

fn two_writers_take_turns(fixture: &Fixture) {
    let (mut first, mut second) = (fixture.store.log_writer().unwrap(), fixture.store.log_writer().unwrap());
    for number in 0..600 {
        let writer = if number % 3 == 0 { &mut first } else { &mut second };
        writer.begin().unwrap().commit(&[&record(number, "{}")]).unwrap();
    }
    assert_eq!(check(&fixture.store).unwrap().size, 600);
}

fn writers_at_the_same_time_leave_a_dense_log(fixture: &Fixture) {
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let store = fixture.open_again();
                let mut writer = store.log_writer().unwrap();
                for count in 1..40 {
                    let mut append = writer.begin().unwrap();
                    let first = append.head().size;
                    let mut seen = 0;
                    append.tail_from(0, |row| seen += u64::from(row.count())).unwrap();
                    assert_eq!(seen, first, "under the lock the whole tail is to be seen");
                    let records: Vec<NewRecord> =
                        (first..first + count).map(|number| record(number, "{}")).collect();
                    append.commit(&records.iter().collect::<Vec<_>>()).unwrap();
                }
            });
        }
    });
    let size = 3 * (1..40).sum::<u64>();
    assert_eq!(seqs(&fixture.store, 0), (0..size).collect::<Vec<_>>());
    assert_eq!(check(&fixture.store).unwrap().root, crate::fixture::frontier(size).root());
}

fn a_reader_sees_whole_commits_only(fixture: &Fixture) {
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (0..50).for_each(|at| append(&fixture.store, at * 10..at * 10 + 10)));
        while !writing.is_finished() {
            let (before, mut rows) = (fixture.store.head().unwrap().size, 0);
            fixture.store.tail_from(0, |row| rows += u64::from(row.count())).unwrap();
            let after = fixture.store.head().unwrap().size;
            assert!(rows % 10 == 0 && before <= rows && rows <= after, "{before} {rows} {after}");
            // A check holds while the log grows.
            assert!(check(&fixture.store).unwrap().size >= after);
        }
    });
}

/// More threads than connections: each gets its turn, also while others read row by row.
fn many_threads_share_the_connections(fixture: &Fixture) {
    append(&fixture.store, 0..300);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(seqs(&fixture.store, 0).len(), 300);
                    assert!(fixture.store.row_of(299).unwrap().is_some());
                }
            });
        }
    });
}
