//! Appending and reading back: rows, tiles, head, and what happens when a row is damaged.

use annals_store::{Deletion, NewRecord, StoreError};

use crate::fixture::{Fixture, append, check, frontier, record, seqs};

on_both! {
    batches_of_any_size_read_back_in_order_under_the_root_of_a_plain_tree,
    large_events_close_a_row_early,
    an_append_that_is_dropped_changes_nothing,
    a_commit_of_nothing_changes_nothing,
    the_last_deletion_by_time_is_kept,
    damage_is_found_and_named,
    a_head_that_contradicts_its_frontier_takes_no_event,
    a_log_is_made_once_and_keeps_its_id,
}

fn batches_of_any_size_read_back_in_order_under_the_root_of_a_plain_tree(fixture: &Fixture) {
    let store = &fixture.store;
    let mut size = 0;
    for count in [1, 2, 253, 1, 600, 255, 1_000] {
        append(store, size..size + count);
        size += count;
    }
    assert_eq!(seqs(store, 0), (0..size).collect::<Vec<_>>());
    let head = store.head().unwrap();
    assert_eq!((head.size, head.root), (size, frontier(size).root()));
    assert_eq!(check(store).unwrap(), head);
    let state = store.state().unwrap();
    assert_eq!((state.head, state.sealed, state.manifest), (head, 0, 0));
    for from in [0, 1, 255, 256, 257, 1_000, size - 1] {
        let read = seqs(store, from);
        assert!(read.contains(&from) && read[0] + 256 > from, "reading from {from} begins in its row");
    }
    assert!(seqs(store, size).is_empty());
    let row = store.row_of(700).unwrap().unwrap();
    assert!(row.first_seq() <= 700 && 700 < row.first_seq() + u64::from(row.count()));
    assert!(store.row_of(size).unwrap().is_none());
    let record_bytes = record(0, "{}").bytes.len() as u64;
    let bytes = store.tail_bytes(0, size).unwrap();
    assert!(bytes > size * record_bytes && bytes < size * record_bytes + 20 * 64, "{bytes}");
    assert_eq!(store.tail_bytes(0, 512).unwrap() + store.tail_bytes(512, size).unwrap(), bytes);
    assert_eq!(store.tail_bytes(size, size + 1).unwrap(), 0);
}

fn large_events_close_a_row_early(fixture: &Fixture) {
    let store = &fixture.store;
    let body = format!("\"{}\"", "x".repeat(200 * 1024));
    let records: Vec<NewRecord> = (0..20).map(|number| record(number, &body)).collect();
    let mut writer = store.log_writer().unwrap();
    writer.begin().unwrap().commit(&records.iter().collect::<Vec<_>>()).unwrap();
    let mut counts = Vec::new();
    store.tail_from(0, |row| counts.push(row.count())).unwrap();
    assert!(counts.len() >= 3 && counts.iter().sum::<u32>() == 20, "{counts:?}");
    check(store).unwrap();
}

fn an_append_that_is_dropped_changes_nothing(fixture: &Fixture) {
    let store = &fixture.store;
    append(store, 0..10);
    let before = store.head().unwrap();
    let mut writer = store.log_writer().unwrap();
    let append_it = writer.begin().unwrap();
    assert_eq!(append_it.head().size, 10);
    drop(append_it);
    assert_eq!(store.head().unwrap(), before);
    append(store, 10..20);
    assert_eq!(check(store).unwrap().size, 20);
}

fn a_commit_of_nothing_changes_nothing(fixture: &Fixture) {
    append(&fixture.store, 0..10);
    append(&fixture.store, 10..10);
    assert_eq!(check(&fixture.store).unwrap().size, 10);
    assert_eq!(seqs(&fixture.store, 0), (0..10).collect::<Vec<_>>());
}

fn the_last_deletion_by_time_is_kept(fixture: &Fixture) {
    let store = &fixture.store;
    let mut number = 0;
    // A zero character is a character like any other in the id of a resource.
    for batch in [&[("a\0", 5), ("b", 1)][..], &[("a\0", 9), ("a\0", 7), ("b", 1)], &[("a\0", 8), ("b", 0)]] {
        let records: Vec<NewRecord> = batch
            .iter()
            .map(|(id, time_us)| {
                number += 1;
                let (resource_type, resource_id) = ("thing".to_owned(), (*id).to_owned());
                let deletes = Some(Deletion { resource_type, resource_id, time_us: *time_us });
                NewRecord { deletes, ..record(number - 1, "{}") }
            })
            .collect();
        let mut writer = store.log_writer().unwrap();
        writer.begin().unwrap().commit(&records.iter().collect::<Vec<_>>()).unwrap();
    }
    assert_eq!(store.deleted_at("thing", "a\0").unwrap(), Some((9, 2)));
    assert_eq!(store.deleted_at("thing", "b").unwrap(), Some((1, 4)), "of equal times the later seq counts");
    assert_eq!(store.deleted_at("thing", "c").unwrap(), None);
    assert_eq!(store.deleted_at("other", "b").unwrap(), None);
    let each = |max| {
        let mut all = Vec::new();
        let are_all =
            store.each_deletion(max, |kind, id, deleted| all.push((kind.to_vec(), id.to_vec(), deleted)));
        all.sort();
        (are_all.unwrap(), all)
    };
    let of = |id: &str, deleted| (b"thing".to_vec(), id.as_bytes().to_vec(), deleted);
    assert_eq!(each(2), (true, vec![of("a\0", (9, 2)), of("b", (1, 4))]));
    assert_eq!((each(1).0, each(1).1.len()), (false, 1), "more than were asked for");
}

fn damage_is_found_and_named(fixture: &Fixture) {
    append(&fixture.store, 0..900);
    // Each damage is found before those done earlier.
    let (flipped, cut) = if fixture.is_postgres {
        ("set_byte(batch, 40, 255)", "substr(batch, 1, 100)")
    } else {
        (
            "CAST(substr(batch, 1, 40) || x'FF' || substr(batch, 42) AS BLOB)",
            "CAST(substr(batch, 1, 100) AS BLOB)",
        )
    };
    let cases: [(String, &str); 6] = [
        (
            format!("UPDATE tile SET hashes = {} WHERE tile_index = 1", fixture.zeros(8192)),
            "tile 1 of level 0",
        ),
        (format!("UPDATE head SET root = {}", fixture.zeros(32)), "another root than the head"),
        ("DELETE FROM tail WHERE first_seq = 768".to_owned(), "another root than the head"),
        ("DELETE FROM tail WHERE first_seq = 256".to_owned(), "seq 512 stands where 256 is expected"),
        (format!("UPDATE tail SET batch = {flipped} WHERE first_seq = 512"), "tail row at seq 512"),
        (format!("UPDATE tail SET batch = {cut} WHERE first_seq = 0"), "tail row at seq 0"),
    ];
    check(&fixture.store).unwrap();
    for (sql, name) in &cases {
        fixture.tamper(sql);
        let error = check(&fixture.store).unwrap_err();
        assert!(error.to_string().contains(name), "{sql}: {error}");
    }
    assert!(matches!(fixture.store.row_of(3), Err(StoreError::DamagedTail { first_seq: 0, .. })));
}

fn a_head_that_contradicts_its_frontier_takes_no_event(fixture: &Fixture) {
    append(&fixture.store, 0..5);
    fixture.tamper(&format!("UPDATE head SET root = {}", fixture.zeros(32)));
    let mut writer = fixture.store.log_writer().unwrap();
    let result = writer.begin().unwrap().commit(&[&record(5, "{}")]);
    assert!(matches!(result, Err(StoreError::Damaged { .. })));
}

fn a_log_is_made_once_and_keeps_its_id(fixture: &Fixture) {
    use annals_model::{id::LogId, time::Time};
    use annals_store::Store;
    append(&fixture.store, 0..5);
    let again = Store::create_or_open(&fixture.location, LogId::from_bytes([1; 16]), Time::EPOCH).unwrap();
    assert_eq!(again.log_id(), fixture.store.log_id());
    assert_eq!(check(&again).unwrap().size, 5);
}
