//! Streams: who sends, how far they are, and what they left behind.

use annals_store::{
    DeadLetter, Replay, Store, StoreError, Stream, StreamId, StreamMaker, StreamManifest, StreamProgress,
};

use crate::fixture::Fixture;
use crate::people::at;

on_both! {
    names_are_taken_once,
    a_change_leaves_how_far_it_is_and_progress_leaves_what_it_is,
    only_the_last_sender_saves,
    dead_letters_come_go_and_are_sent_again,
    a_replay_goes_on_where_it_was,
    manifests_are_signed_once_and_go_with_their_stream,
    one_process_has_the_lease,
}

fn stream(id: &str, name: &str) -> Stream {
    Stream {
        id: StreamId(id.to_owned()),
        name: name.to_owned(),
        kind: "webhook".to_owned(),
        query: "action:delete".to_owned(),
        format: "native".to_owned(),
        parallel: 1,
        silence_seconds: 900,
        settings: r#"{"url":"https://siem.example"}"#.to_owned(),
        secrets: vec![1, 0, 255],
        made_by: StreamMaker::Page,
        is_paused: false,
        is_left_out: false,
        revision: 1,
        created: at(1),
        updated: at(1),
        first_seq: 7,
        query_seq: 7,
        sent_query: "action:delete".to_owned(),
        progress: StreamProgress {
            next_seq: 7,
            delivered: 0,
            acknowledged: None,
            failing: None,
            attempts: 0,
            failure: String::new(),
            is_alerted: false,
        },
    }
}

fn letter(seq: u64, reason: &str) -> DeadLetter {
    DeadLetter { seq, reason: reason.to_owned(), attempts: 1, refused: at(3), is_due: false }
}

fn seqs(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.seq).collect()
}

fn names_are_taken_once(fixture: &Fixture) {
    let store = &fixture.store;
    assert!(store.add_stream(&stream("a", "SIEM"), 2).unwrap());
    let taken = store.add_stream(&stream("b", "siem"), 2);
    assert!(matches!(taken, Err(StoreError::NameTaken { .. })), "{taken:?}");
    assert!(store.add_stream(&stream("b", "Archive"), 2).unwrap());
    assert!(!store.add_stream(&stream("c", "third"), 2).unwrap());
    assert_eq!(store.streams().unwrap(), [stream("b", "Archive"), stream("a", "SIEM")]);
    let renamed = store.change_stream(&StreamId("b".to_owned()), at(2), |stream| {
        stream.name = "SIEM".to_owned();
        true
    });
    assert!(matches!(renamed, Err(StoreError::NameTaken { .. })), "{renamed:?}");
    assert_eq!(store.stream(&StreamId("no\0thing".to_owned())).unwrap(), None);
}

fn a_change_leaves_how_far_it_is_and_progress_leaves_what_it_is(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_stream(&stream("a", "SIEM"), 9).unwrap();
    let id = StreamId("a".to_owned());
    let sender = store.begin_sending(&id).unwrap().unwrap();
    let progress = StreamProgress {
        next_seq: 90,
        delivered: 80,
        acknowledged: Some(at(5)),
        failing: Some(at(6)),
        attempts: 3,
        failure: "503".to_owned(),
        is_alerted: true,
    };
    let (_, changed) = store
        .change_stream(&id, at(2), |stream| {
            // Meanwhile, as it were: what a change was made from is old.
            stream.is_paused = true;
            stream.progress.next_seq = 0;
            true
        })
        .unwrap()
        .unwrap();
    assert_eq!((changed.revision, changed.updated), (2, at(2)));
    assert!(store.save_progress(&id, sender, &progress, None, &[], &[]).unwrap());
    let found = store.stream(&id).unwrap().unwrap();
    assert_eq!((found.is_paused, found.revision, found.first_seq), (true, 2, 7));
    assert_eq!(found.progress, progress);
    assert_eq!((found.query_seq, found.sent_query.as_str()), (7, "action:delete"));
    let other = |stream: &mut Stream| {
        "action:create".clone_into(&mut stream.query);
        true
    };
    store.change_stream(&id, at(2), other).unwrap();
    assert_eq!(store.stream(&id).unwrap().unwrap().sent_query, "action:delete", "until somebody sends by it");
    store.begin_sending(&id).unwrap();
    let sent = store.stream(&id).unwrap().unwrap();
    assert_eq!((sent.query_seq, sent.sent_query.as_str(), sent.revision), (90, "action:create", 3));
    assert_eq!(store.change_stream(&id, at(3), |_| false).unwrap(), None);
    assert_eq!(store.stream(&id).unwrap().unwrap().revision, 3);
}

fn only_the_last_sender_saves(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_stream(&stream("a", "SIEM"), 9).unwrap();
    let id = StreamId("a".to_owned());
    let first = store.begin_sending(&id).unwrap().unwrap();
    let second = store.begin_sending(&id).unwrap().unwrap();
    let progress = StreamProgress { next_seq: 11, ..stream("a", "").progress };
    assert!(!store.save_progress(&id, first, &progress, None, &[letter(9, "x")], &[]).unwrap());
    assert_eq!(store.count_dead_letters(&id).unwrap().all, 0, "what comes with it is not saved either");
    assert!(store.save_progress(&id, second, &progress, None, &[letter(9, "x")], &[]).unwrap());
    assert_eq!(store.stream(&id).unwrap().unwrap().progress.next_seq, 11);
    assert_eq!(store.begin_sending(&StreamId("none".to_owned())).unwrap(), None);
}

fn dead_letters_come_go_and_are_sent_again(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_stream(&stream("a", "SIEM"), 9).unwrap();
    let id = StreamId("a".to_owned());
    let sender = store.begin_sending(&id).unwrap().unwrap();
    let progress = stream("a", "").progress;
    let save = |refused: &[DeadLetter], settled: &[u64]| {
        assert!(store.save_progress(&id, sender, &progress, None, refused, settled).unwrap());
    };
    save(&[letter(9, "too long"), letter(12, "no time"), letter(40, "no")], &[]);
    assert_eq!(seqs(&store.dead_letters(&id, 10, 9).unwrap()), [12, 40]);
    assert_eq!(store.due_dead_letters(&id, 9).unwrap(), []);
    assert_eq!(store.resend_dead_letters(&id, Some(12)).unwrap(), 1);
    assert_eq!(store.resend_dead_letters(&id, Some(13)).unwrap(), 0);
    assert_eq!(seqs(&store.due_dead_letters(&id, 9).unwrap()), [12]);
    // Refused once more.
    save(&[letter(12, "still no time")], &[]);
    let again = &store.dead_letters(&id, 12, 1).unwrap()[0];
    assert_eq!((again.attempts, again.is_due, again.reason.as_str()), (2, false, "still no time"));
    assert_eq!(store.resend_dead_letters(&id, None).unwrap(), 3);
    assert_eq!(store.count_dead_letters(&id).unwrap().due, 3);
    save(&[], &[9, 40, 1_000]);
    store.send_again(&id, &[50, 12], "missing", at(9)).unwrap();
    assert_eq!(seqs(&store.due_dead_letters(&id, 9).unwrap()), [12, 50]);
    assert_eq!(store.discard_dead_letters(&id, Some(50)).unwrap(), 1);
    assert_eq!(store.discard_dead_letters(&id, None).unwrap(), 1);
    assert_eq!(store.count_dead_letters(&id).unwrap().all, 0);
}

fn a_replay_goes_on_where_it_was(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_stream(&stream("a", "SIEM"), 9).unwrap();
    let id = StreamId("a".to_owned());
    let replay = |first_seq, query: &str| Replay {
        number: 0,
        query: query.to_owned(),
        first_seq,
        next_seq: first_seq,
        end_seq: 100,
        delivered: 0,
        created: at(4),
    };
    assert!(store.add_replay(&id, &replay(3, ""), 2).unwrap());
    assert!(store.add_replay(&id, &replay(5, "action:create"), 2).unwrap());
    assert!(!store.add_replay(&id, &replay(5, ""), 2).unwrap());
    assert!(!store.add_replay(&StreamId("b".to_owned()), &replay(5, ""), 2).unwrap());
    let sender = store.begin_sending(&id).unwrap().unwrap();
    let progress = stream("a", "").progress;
    let save = |replay: &Replay| store.save_progress(&id, sender, &progress, Some(replay), &[], &[]).unwrap();
    let mut first = store.replays(&id).unwrap().remove(0);
    assert_eq!((first.number, first.next_seq), (1, 3));
    (first.next_seq, first.delivered) = (60, 20);
    assert!(save(&first));
    assert_eq!(store.replays(&id).unwrap()[0], first);
    // One that was given up, whose number another one has now.
    assert!(save(&Replay { created: at(3), next_seq: 100, ..first.clone() }));
    assert_eq!(store.replays(&id).unwrap()[0], first);
    first.next_seq = 100;
    assert!(save(&first));
    assert_eq!(store.replays(&id).unwrap(), [Replay { number: 2, ..replay(5, "action:create") }]);
    assert_eq!(store.discard_replays(&id).unwrap(), 1);
}

fn manifests_are_signed_once_and_go_with_their_stream(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_stream(&stream("a", "SIEM"), 9).unwrap();
    let id = StreamId("a".to_owned());
    let manifest = |number, body: &str| StreamManifest {
        stream_id: id.clone(),
        number,
        first_seq: 10 * number,
        last_seq: 10 * number + 9,
        event_count: 4,
        body: body.to_owned(),
        note: String::new(),
        is_sent: false,
        created: at(9),
    };
    store.add_stream_manifest(&manifest(1, "one")).unwrap();
    store.add_stream_manifest(&manifest(2, "two")).unwrap();
    store.add_stream_manifest(&manifest(2, "another two")).unwrap();
    assert_eq!(store.unsigned_manifests(9).unwrap(), [manifest(1, "one"), manifest(2, "two")]);
    store.sign_stream_manifest(&id, 1, "signed").unwrap();
    store.sign_stream_manifest(&id, 1, "signed again").unwrap();
    assert_eq!(store.stream_manifest(&id, 1).unwrap().unwrap().note, "signed");
    assert_eq!(store.unsent_manifests(&id, 9).unwrap().len(), 1);
    store.mark_manifest_sent(&id, 1).unwrap();
    assert_eq!(store.unsent_manifests(&id, 9).unwrap(), []);
    assert_eq!(store.stream_manifests(&id, 1).unwrap(), [manifest(2, "two")]);
    assert_eq!(store.delete_stream(&id).unwrap().unwrap().name, "SIEM");
    assert_eq!(store.delete_stream(&id).unwrap(), None);
    assert_eq!(store.unsigned_manifests(9).unwrap(), []);
}

fn one_process_has_the_lease(fixture: &Fixture) {
    let store = &fixture.store;
    let other = Store::open(&fixture.location).unwrap();
    let mut lease = store.try_stream_lease().unwrap().unwrap();
    assert!(lease.holds().unwrap());
    assert!(other.try_stream_lease().unwrap().is_none());
    // Sealing is another kind of work.
    assert!(other.try_seal_lease().unwrap().is_some());
    drop(lease);
    // PostgreSQL ends the connection in its own time.
    let begun = std::time::Instant::now();
    while other.try_stream_lease().unwrap().is_none() {
        assert!(begun.elapsed().as_secs() < 60, "the lease does not become free");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
