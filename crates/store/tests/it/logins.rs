//! Attempts to log in, counted; log-ins on their way through the provider.

use annals_store::{LoginFailures, PendingLogin};

use crate::fixture::Fixture;
use crate::people::at;

on_both! {
    attempts_are_counted_in_windows,
    attempts_at_once_are_all_counted,
    a_pending_login_is_taken_once_and_in_time,
}

fn attempts_are_counted_in_windows(fixture: &Fixture) {
    let store = &fixture.store;
    let add = |subject, now: i64| store.add_login_failure(subject, at(now), at(now - 100)).unwrap();
    let read = |subject, now: i64| store.login_failures(subject, at(now - 100)).unwrap();
    let failures = |count, since| LoginFailures { count, since: at(since) };
    assert_eq!(read("anna", 1_000), None);
    assert_eq!(add("anna", 1_000), failures(1, 1_000));
    assert_eq!(add("anna", 1_050), failures(2, 1_000));
    assert_eq!(add("bert", 1_050), failures(1, 1_050));
    assert_eq!(read("anna", 1_099), Some(failures(2, 1_000)));
    assert_eq!(read("anna", 1_100), None, "the window is over");
    assert_eq!(add("anna", 1_100), failures(1, 1_100), "a new one begins");
    store.take_back_login_failure("anna").unwrap();
    assert_eq!(read("anna", 1_100), Some(failures(0, 1_100)));
    store.take_back_login_failure("anna").unwrap();
    assert_eq!(read("anna", 1_100), Some(failures(0, 1_100)), "never less than none");
    store.clear_login_failures("anna").unwrap();
    assert_eq!((read("anna", 1_100), fixture.count("login_failure")), (None, 1));
    assert_eq!(add("cleo", 2_000), failures(1, 2_000));
    assert_eq!(fixture.count("login_failure"), 1, "closed windows are forgotten");
}

fn attempts_at_once_are_all_counted(fixture: &Fixture) {
    let store = &fixture.store;
    let mut counts: Vec<u64> = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| store.add_login_failure("anna", at(1_000), at(900)).unwrap().count))
            .collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    counts.sort_unstable();
    assert_eq!(counts, (1..=12).collect::<Vec<_>>());
}

fn a_pending_login_is_taken_once_and_in_time(fixture: &Fixture) {
    let store = &fixture.store;
    let pending = |number: u8, expires| PendingLogin {
        state_hash: [number; 32],
        nonce: format!("nonce {number}"),
        verifier: format!("verifier {number}"),
        next: "/audit?q=x".to_owned(),
        expires: at(expires),
    };
    for (number, expires) in [(1, 100), (2, 100), (3, 50)] {
        store.add_pending_login(&pending(number, expires), at(0)).unwrap();
    }
    let taken = store.take_pending_login(&[1; 32], at(99)).unwrap().unwrap();
    assert_eq!(
        (taken.nonce.as_str(), taken.verifier.as_str(), taken.next.as_str()),
        ("nonce 1", "verifier 1", "/audit?q=x")
    );
    assert!(!format!("{taken:?}").contains("verifier"), "no log line shows it");
    assert!(store.take_pending_login(&[1; 32], at(99)).unwrap().is_none(), "one use");
    assert!(store.take_pending_login(&[2; 32], at(100)).unwrap().is_none(), "too late");
    assert!(store.take_pending_login(&[9; 32], at(0)).unwrap().is_none());
    store.add_pending_login(&pending(4, 200), at(60)).unwrap();
    assert_eq!(fixture.count("pending_login"), 1, "what did not come back in time is gone");
    let got: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| store.take_pending_login(&[4; 32], at(60)).unwrap().is_some()))
            .collect();
        threads.into_iter().filter(|_| true).map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(got, 1);
}
