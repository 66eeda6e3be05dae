//! Sessions: kept, seen, listed and ended.

use annals_model::time::Time;
use annals_store::{EndSessions, LoginType, PersonId, PersonStatus, Session, SessionId, Store};

use crate::fixture::Fixture;
use crate::people::{HASH, at, person};

on_both! {
    a_session_ends_by_itself_or_by_hand,
    sessions_are_listed_and_ended_by_their_handles,
    who_is_suspended_loses_all_sessions,
}

pub(crate) fn session(number: u8, person_id: &str, from: i64, to: i64) -> Session {
    Session {
        id: SessionId(format!("session-{number}")),
        secret_hash: [number; 32],
        person_id: PersonId(person_id.to_owned()),
        created: at(from),
        expires: at(to),
        last_seen: at(from),
        ip: "192.0.2.1".to_owned(),
        user_agent: "curl/8".to_owned(),
        method: LoginType::Password,
    }
}

fn name_of(store: &Store, number: u8, now: Time) -> Option<String> {
    store.session_by_secret(&[number; 32], now).unwrap().map(|(person, _)| person.username)
}

fn handles(store: &Store, now: Time) -> Vec<String> {
    let sessions = store.sessions_of(&PersonId("1".to_owned()), now).unwrap();
    sessions.into_iter().map(|session| session.id.0).collect()
}

fn a_session_ends_by_itself_or_by_hand(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "")).unwrap();
    assert!(store.add_session(&session(1, "1", 0, 100), HASH).unwrap());
    assert!(store.add_session(&session(2, "1", 50, 200), HASH).unwrap());
    assert_eq!(name_of(store, 1, at(99)).as_deref(), Some("anna"));
    assert_eq!(name_of(store, 1, at(100)), None);
    assert_eq!(name_of(store, 3, at(0)), None);
    assert!(store.add_session(&session(3, "1", 150, 300), HASH).unwrap());
    assert_eq!(fixture.count("session"), 2, "the first one ended before and is gone");
    assert!(store.end_session_by_secret(&[2; 32]).unwrap());
    assert!(!store.end_session_by_secret(&[2; 32]).unwrap());
    assert_eq!(name_of(store, 2, at(150)), None);
    assert!(!store.add_session(&session(4, "9", 0, 100), HASH).unwrap(), "a session is somebody's");
    assert!(!store.add_session(&session(4, "1", 0, 100), "$other").unwrap(), "another password meanwhile");
    assert!(store.add_session(&Session { secret_hash: [9; 32], ..session(3, "1", 150, 300) }, HASH).is_err());
}

fn sessions_are_listed_and_ended_by_their_handles(fixture: &Fixture) {
    let store = &fixture.store;
    for (number, name) in [("1", "anna"), ("2", "bert")] {
        store.add_person(&person(number, name, "")).unwrap();
    }
    for new in
        [session(1, "1", 0, 100), session(2, "1", 10, 200), session(3, "1", 20, 200), session(4, "2", 0, 200)]
    {
        assert!(store.add_session(&new, HASH).unwrap());
    }
    assert_eq!(handles(store, at(50)), ["session-3", "session-2", "session-1"]);
    assert_eq!(handles(store, at(100)), ["session-3", "session-2"]);
    let (_, read) = store.session_by_secret(&[2; 32], at(50)).unwrap().unwrap();
    assert_eq!(
        (read.ip.as_str(), read.user_agent.as_str(), read.method),
        ("192.0.2.1", "curl/8", LoginType::Password)
    );
    assert_eq!((read.created, read.expires, read.last_seen), (at(10), at(200), at(10)));
    store.touch_session(&read, at(60)).unwrap();
    let by_handle =
        |number: u8, now| store.session(&SessionId(format!("session-{number}")), at(now)).unwrap();
    assert_eq!(by_handle(2, 60).unwrap().last_seen, at(60));
    assert_eq!(store.person(&PersonId("1".to_owned())).unwrap().unwrap().last_seen, Some(at(60)));
    assert!(by_handle(2, 200).is_none() && by_handle(9, 0).is_none());
    assert!(store.end_session(&SessionId("session-1".to_owned())).unwrap());
    assert!(!store.end_session(&SessionId("session-1".to_owned())).unwrap());
    let kept = SessionId("session-2".to_owned());
    let ended = store.end_sessions_of(&read.person_id, Some(&kept), at(60)).unwrap();
    assert_eq!(ended.into_iter().map(|session| session.id.0).collect::<Vec<_>>(), ["session-3"]);
    assert_eq!(handles(store, at(60)), ["session-2"]);
    assert_eq!(
        store.end_sessions_of(&read.person_id, None, at(300)).unwrap().len(),
        0,
        "it had ended by itself"
    );
    assert_eq!(name_of(store, 4, at(60)).as_deref(), Some("bert"), "those of others stay");
}

fn who_is_suspended_loses_all_sessions(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "")).unwrap();
    let id = PersonId("1".to_owned());
    let add = |numbers: std::ops::RangeInclusive<u8>| {
        numbers.for_each(|number| assert!(store.add_session(&session(number, "1", 0, 100), HASH).unwrap()));
    };
    add(1..=3);
    let kept = SessionId("session-2".to_owned());
    let changed = store
        .change_person(&id, EndSessions::AllBut(&kept), at(5), |person| person.name = "Anna".to_owned())
        .unwrap()
        .unwrap();
    assert_eq!((changed.ended.len(), handles(store, at(5))), (2, vec!["session-2".to_owned()]));
    add(4..=4);
    let suspend = |person: &mut annals_store::Person| person.status = PersonStatus::Suspended;
    let changed = store.change_person(&id, EndSessions::AllBut(&kept), at(5), suspend).unwrap().unwrap();
    assert_eq!(changed.ended.len(), 2, "also the one that should be kept");
    assert_eq!(handles(store, at(5)), Vec::<String>::new());
}
