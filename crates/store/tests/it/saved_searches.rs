//! Searches that people keep.

use std::sync::atomic::{AtomicUsize, Ordering};

use annals_store::{PersonId, SavedSearch, SavedSearchId, Store, StoreError};

use crate::fixture::Fixture;
use crate::people::{at, person};

on_both! {
    ones_own_come_first_and_then_what_others_share,
    names_are_taken_once_a_person,
    a_person_has_as_many_as_they_may_also_of_two_at_once,
    a_change_is_made_to_what_is_stored_now_if_it_may,
    a_search_is_deleted_if_it_may,
    who_is_deleted_takes_their_searches_along,
}

fn search(id: &str, owner: &str, name: &str, is_shared: bool) -> SavedSearch {
    SavedSearch {
        id: SavedSearchId(id.to_owned()),
        owner: PersonId(owner.to_owned()),
        owner_username: String::new(),
        name: name.to_owned(),
        query: format!("resource_target:\"{name}\""),
        is_shared,
        created: at(1),
        updated: at(2),
    }
}

fn id(id: &str) -> SavedSearchId {
    SavedSearchId(id.to_owned())
}

/// People 1 `anna` and 2 `bert`, who share one each and keep one each for themselves.
fn fill(store: &Store) {
    for (id, name) in [("1", "anna"), ("2", "bert")] {
        store.add_person(&person(id, name, "")).unwrap();
    }
    for search in [
        search("a", "1", "Zeta", false),
        search("b", "1", "alpha", true),
        search("c", "2", "Beta", true),
        search("d", "2", "private", false),
    ] {
        assert!(store.add_saved_search(&search, 200).unwrap());
    }
}

fn names(store: &Store, person: Option<&str>, limit: usize) -> Vec<String> {
    let person = person.map(|id| PersonId(id.to_owned()));
    let found = store.saved_searches(person.as_ref(), limit).unwrap();
    found.into_iter().map(|search| format!("{} of {}", search.name, search.owner_username)).collect()
}

fn ones_own_come_first_and_then_what_others_share(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    assert_eq!(names(store, Some("1"), 9), ["alpha of anna", "Zeta of anna", "Beta of bert"]);
    assert_eq!(names(store, Some("2"), 9), ["Beta of bert", "private of bert", "alpha of anna"]);
    assert_eq!(names(store, Some("3"), 9), ["alpha of anna", "Beta of bert"]);
    assert_eq!(names(store, None, 9), ["alpha of anna", "Beta of bert"]);
    assert_eq!(names(store, Some("1"), 1), ["alpha of anna"]);
    let read = fixture.open_again().saved_search(&id("a")).unwrap().unwrap();
    let expect = SavedSearch { owner_username: "anna".to_owned(), ..search("a", "1", "Zeta", false) };
    assert_eq!(read, expect);
    for odd in ["", "z", "\0"] {
        assert!(store.saved_search(&id(odd)).unwrap().is_none(), "{odd:?}");
    }
}

fn names_are_taken_once_a_person(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let taken = store.add_saved_search(&search("e", "1", "ZETA", false), 200).unwrap_err();
    assert_eq!(taken.to_string(), "a saved search `ZETA` exists already");
    assert!(matches!(taken, StoreError::NameTaken { .. }));
    assert!(store.add_saved_search(&search("e", "2", "ZETA", false), 200).unwrap(), "of another person");
    let change = |name: &str| {
        store.change_saved_search(&id("a"), at(9), |search| {
            search.name = name.to_owned();
            true
        })
    };
    assert!(matches!(change("Alpha").unwrap_err(), StoreError::NameTaken { .. }));
    assert!(change("zeta").unwrap().is_some(), "its own name in another case");
    assert_eq!(store.saved_search(&id("a")).unwrap().unwrap().name, "zeta");
}

fn a_person_has_as_many_as_they_may_also_of_two_at_once(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    assert!(!store.add_saved_search(&search("e", "1", "third", true), 2).unwrap());
    assert_eq!(names(store, Some("1"), 9).len(), 3, "nothing was kept");
    let added = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (store, added) = (fixture.open_again(), &added);
            scope.spawn(move || {
                let name = format!("one more {number}");
                if store.add_saved_search(&search(&name, "1", &name, false), 4).unwrap() {
                    added.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(added.into_inner(), 2);
    assert_eq!(fixture.count("saved_search"), 6);
}

fn a_change_is_made_to_what_is_stored_now_if_it_may(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let changed = store.change_saved_search(&id("a"), at(9), |search| {
        search.query = "action:delete".to_owned();
        search.is_shared = true;
        true
    });
    let (before, after) = changed.unwrap().unwrap();
    assert_eq!((before.query.as_str(), before.is_shared), ("resource_target:\"Zeta\"", false));
    assert_eq!((after.query.as_str(), after.is_shared, after.updated), ("action:delete", true, at(9)));
    assert_eq!(store.saved_search(&id("a")).unwrap().unwrap(), after);
    let refused = store.change_saved_search(&id("a"), at(10), |search| {
        search.name = "other".to_owned();
        false
    });
    assert!(refused.unwrap().is_none());
    assert_eq!(store.saved_search(&id("a")).unwrap().unwrap(), after);
    for odd in ["", "z", "\0"] {
        assert!(store.change_saved_search(&id(odd), at(10), |_| true).unwrap().is_none(), "{odd:?}");
    }
}

fn a_search_is_deleted_if_it_may(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    assert!(store.delete_saved_search(&id("a"), |_| false).unwrap().is_none());
    let deleted = store.delete_saved_search(&id("a"), |search| search.owner_username == "anna").unwrap();
    assert_eq!(deleted.unwrap().name, "Zeta");
    for gone in ["a", "\0"] {
        assert!(store.delete_saved_search(&id(gone), |_| true).unwrap().is_none(), "{gone:?}");
    }
    assert_eq!(fixture.count("saved_search"), 3);
}

fn who_is_deleted_takes_their_searches_along(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let deleted = store.delete_person(&PersonId("1".to_owned())).unwrap().unwrap();
    let shared: Vec<_> = deleted.shared_searches.iter().map(|search| search.name.as_str()).collect();
    assert_eq!(shared, ["alpha"], "what others saw is named");
    assert_eq!(names(store, Some("1"), 9), ["Beta of bert"]);
    assert_eq!(fixture.count("saved_search"), 2);
}
