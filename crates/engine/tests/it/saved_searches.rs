//! Searches that people keep: whose they are, who sees them, and what the log says of them.

use annals_engine::{
    Engine, Location, NewSavedSearch, NewToken, Principal, Role, SAVED_SEARCHES_MAX, SavedSearch,
    SavedSearchChange, SavedSearchError, SavedSearchId, TokenKind, backup, restore,
};
use serde_json::json;

use crate::support::{TestLog, add_person, event_of, log_in, options};

fn save(log: &TestLog, who: &Principal, name: &str, query: &str, is_shared: bool) -> SavedSearch {
    log.engine.save_search(who, &NewSavedSearch { name, query, is_shared }).unwrap()
}

fn names(log: &TestLog, who: &Principal) -> Vec<String> {
    log.engine.saved_searches(who).unwrap().into_iter().map(|search| search.name).collect()
}

/// A site manager, two auditors and a member, logged in.
fn people(log: &TestLog) -> [Principal; 4] {
    [
        ("demo-manager", Role::SiteManager),
        ("demo-anna", Role::Auditor),
        ("demo-bert", Role::Auditor),
        ("demo-member", Role::Member),
    ]
    .map(|(username, role)| {
        add_person(log, username, role);
        log_in(log, username)
    })
}

#[test]
fn what_one_keeps_for_oneself_is_nobodys_business() {
    let log = TestLog::new();
    let [manager, anna, bert, _] = people(&log);
    let kept = save(&log, &anna, "Mine", "action:delete\tsince:7d", false);
    assert_eq!((kept.query.as_str(), kept.owner_username.as_str()), ("action:delete since:7d", "demo-anna"));
    assert_eq!(names(&log, &anna), ["Mine"]);
    let rename = SavedSearchChange { name: Some("Other"), ..SavedSearchChange::default() };
    for other in [&manager, &bert] {
        assert!(names(&log, other).is_empty());
        let changed = log.engine.change_saved_search(other, &kept.id, &rename).unwrap_err();
        assert!(matches!(changed, SavedSearchError::Unknown), "{changed}");
        let deleted = log.engine.delete_saved_search(other, &kept.id).unwrap_err();
        assert!(matches!(deleted, SavedSearchError::Unknown), "{deleted}");
        assert!(!log.engine.may_change_search(other, &kept));
    }
    assert_eq!(names(&log, &anna), ["Mine"]);
    log.engine.change_saved_search(&anna, &kept.id, &rename).unwrap();
    assert_eq!(names(&log, &anna), ["Other"]);
    log.engine.delete_saved_search(&anna, &kept.id).unwrap();
    assert!(names(&log, &anna).is_empty());
    assert_eq!(log.search("resource_type:saved_search").0, 0, "and no event");
}

#[test]
fn what_is_shared_is_seen_by_readers_and_every_change_is_recorded() {
    let log = TestLog::new();
    let [manager, anna, bert, member] = people(&log);
    let shared = save(&log, &anna, "Failures", "outcome:failure", true);
    for reader in [&manager, &anna, &bert] {
        assert_eq!(names(&log, reader), ["Failures"]);
    }
    assert!(matches!(log.engine.saved_searches(&member).unwrap_err(), SavedSearchError::Forbidden(_)));
    let event = event_of(&log, "resource_type:saved_search action:create");
    assert_eq!((&event["resource_target"], &event["resource_id"]), (&json!("Failures"), &json!(shared.id.0)));
    assert_eq!(event["diff"]["query"], json!({"old": "", "new": "outcome:failure", "secret": false}));
    assert_eq!(event["diff"]["is_shared"]["new"], true);

    // Others may look, not touch; that they tried is recorded, what they wanted is not.
    let change = SavedSearchChange { query: Some("action:login"), ..SavedSearchChange::default() };
    let refused = log.engine.change_saved_search(&bert, &shared.id, &change).unwrap_err();
    assert!(matches!(refused, SavedSearchError::Forbidden(_)), "{refused}");
    assert!(log.engine.delete_saved_search(&bert, &shared.id).is_err());
    let event = event_of(&log, "resource_type:saved_search action:write outcome:denied");
    assert_eq!((&event["user"]["username"], &event["diff"]), (&json!("demo-bert"), &json!({})));
    assert_eq!(log.search("resource_type:saved_search action:delete outcome:denied").0, 1);

    log.engine.change_saved_search(&anna, &shared.id, &change).unwrap();
    let event = event_of(&log, "resource_type:saved_search action:write outcome:success");
    assert_eq!(
        event["diff"],
        json!({"query": {"old": "outcome:failure", "new": "action:login", "secret": false}})
    );
    // The same once more is no change.
    log.engine.change_saved_search(&anna, &shared.id, &change).unwrap();
    assert_eq!(log.search("resource_type:saved_search action:write outcome:success").0, 1);

    assert!(log.engine.may_change_search(&manager, &shared) && !log.engine.may_change_search(&bert, &shared));
    log.engine.delete_saved_search(&manager, &shared.id).unwrap();
    let event = event_of(&log, "resource_type:saved_search action:delete outcome:success");
    assert_eq!(event["user"]["username"], "demo-manager");
    assert_eq!(event["diff"]["query"]["old"], "action:login");
    assert!(names(&log, &anna).is_empty());
}

#[test]
fn sharing_shows_what_is_there_and_no_longer_sharing_hides_what_comes() {
    let log = TestLog::new();
    let [manager, anna, bert, _] = people(&log);
    let kept = save(&log, &anna, "Mine", "action:delete", false);
    let share = SavedSearchChange { is_shared: Some(true), ..SavedSearchChange::default() };
    log.engine.change_saved_search(&anna, &kept.id, &share).unwrap();
    assert_eq!(names(&log, &bert), ["Mine"]);
    let event = event_of(&log, "resource_type:saved_search");
    assert_eq!(event["diff"]["is_shared"], json!({"old": false, "new": true, "secret": false}));
    assert_eq!(event["diff"]["query"]["new"], "action:delete");

    let hide = SavedSearchChange {
        is_shared: Some(false),
        query: Some("username:somebody"),
        name: Some("Somebody"),
    };
    log.engine.change_saved_search(&anna, &kept.id, &hide).unwrap();
    let (_, events) = log.search("resource_type:saved_search");
    let event = events.iter().max_by_key(|event| event["seq"].as_u64()).unwrap();
    assert_eq!(event["diff"], json!({"is_shared": {"old": true, "new": false, "secret": false}}));
    assert_eq!(event["resource_target"], "Mine");
    assert!(names(&log, &bert).is_empty() && names(&log, &manager).is_empty());
    // A site manager who looked at it a moment ago has nothing to change any more.
    assert!(matches!(
        log.engine.change_saved_search(&manager, &kept.id, &share).unwrap_err(),
        SavedSearchError::Unknown
    ));
    assert_eq!(log.search("somebody").0, 0);
}

#[test]
fn what_cannot_be_taken_is_refused_with_every_error() {
    let log = TestLog::new();
    let [manager, anna, bert, member] = people(&log);
    let try_save = |who: &Principal, name: &str, query: &str| {
        log.engine.save_search(who, &NewSavedSearch { name, query, is_shared: false })
    };
    match try_save(&anna, "Bad", "acton:create status_code:x").unwrap_err() {
        SavedSearchError::Query(errors) => assert_eq!(errors.errors.len(), 2),
        other => panic!("{other}"),
    }
    assert!(matches!(try_save(&anna, " ", "").unwrap_err(), SavedSearchError::BadName));
    assert!(matches!(try_save(&member, "a", "").unwrap_err(), SavedSearchError::Forbidden(_)));
    assert!(matches!(try_save(&Principal::operator(), "a", "").unwrap_err(), SavedSearchError::NotOneself));
    let token =
        NewToken { kind: TokenKind::Read, name: "demo-token", owner: Some("demo-anna"), expires: None };
    let token = log.engine.create_token(&manager, &token).unwrap();
    let credential = annals_engine::Credential::Token(token.reveal());
    let token = log.engine.authenticate(credential).unwrap().unwrap();
    assert!(matches!(try_save(&token, "a", "").unwrap_err(), SavedSearchError::NotOneself));

    let kept = try_save(&anna, "Everything", "").unwrap();
    let taken = try_save(&anna, "EVERYTHING", "").unwrap_err();
    assert_eq!(taken.to_string(), "a saved search named `EVERYTHING` exists already; choose another name");
    try_save(&bert, "Everything", "").unwrap();
    assert!(names(&log, &token).is_empty(), "a token has no searches of its own");
    let bad = SavedSearchChange { query: Some("acton:create"), ..SavedSearchChange::default() };
    assert!(matches!(
        log.engine.change_saved_search(&anna, &kept.id, &bad).unwrap_err(),
        SavedSearchError::Query(_)
    ));
    for odd in ["", "nothing", "\0"] {
        let id = SavedSearchId(odd.to_owned());
        assert!(matches!(log.engine.delete_saved_search(&anna, &id).unwrap_err(), SavedSearchError::Unknown));
    }
    for number in 1..SAVED_SEARCHES_MAX {
        try_save(&anna, &format!("no. {number}"), "").unwrap();
    }
    let full = try_save(&anna, "one more", "").unwrap_err();
    assert_eq!(full.to_string(), "you have 200 saved searches already; delete those that are not used");
}

#[test]
fn they_go_with_their_owner_and_are_in_a_backup() {
    let log = TestLog::new();
    let [manager, anna, _, _] = people(&log);
    save(&log, &anna, "Shared", "action:delete", true);
    save(&log, &anna, "Mine", "action:login", false);
    save(&log, &manager, "Kept", "action:create", true);

    let copies = tempfile::tempdir().unwrap();
    let (copy, restored) = (copies.path().join("copy"), copies.path().join("restored"));
    backup(&Location::embedded(log.dir.path()), &copy, &mut |_, _| {}).unwrap();
    restore(&copy, &restored, &mut |_, _| {}).unwrap();
    let restored = Engine::open(restored.as_path(), options()).unwrap();
    assert_eq!(restored.saved_searches(&anna).unwrap(), log.engine.saved_searches(&anna).unwrap());
    assert_eq!(restored.saved_searches(&anna).unwrap().len(), 3);

    let anna = log.engine.person_named(&Principal::operator(), "demo-anna").unwrap();
    log.engine.delete_person(&manager, &anna.id).unwrap();
    assert_eq!(names(&log, &manager), ["Kept"]);
    let event = event_of(&log, "resource_type:saved_search action:delete");
    assert_eq!(
        (&event["resource_target"], &event["user"]["username"]),
        (&json!("Shared"), &json!("demo-manager"))
    );
}
