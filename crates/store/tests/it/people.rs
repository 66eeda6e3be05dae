//! People, tokens, one-time secrets, registry documents.

use annals_model::time::Time;
use annals_store::{
    DocumentAuthority, EndSessions, LoginType, Person, PersonId, PersonStatus, RegistryDocument, Role,
    StoreError, Token, TokenId, TokenKind,
};

use crate::fixture::Fixture;

on_both! {
    people_are_found_by_name_and_address_without_regard_to_case,
    an_address_that_two_people_have_finds_nobody,
    people_of_the_provider_are_found_by_subject_and_never_by_password,
    a_change_is_made_to_what_is_stored_now,
    the_last_active_manager_stays,
    of_two_managers_who_demote_each_other_one_stays,
    who_is_deleted_takes_everything_along,
    tokens_are_listed_until_they_are_revoked,
    of_two_who_hold_the_set_up_link_one_succeeds,
    a_registry_version_is_taken_once,
}

/// The password of everyone, hashed.
pub(crate) const HASH: &str = "$argon2id$...";

pub(crate) fn person(id: &str, username: &str, email: &str) -> Person {
    Person {
        id: PersonId(id.to_owned()),
        username: username.to_owned(),
        email: email.to_owned(),
        name: format!("{username} the person"),
        role: Role::Auditor,
        password_hash: HASH.to_owned(),
        status: PersonStatus::Active,
        login_type: LoginType::Password,
        subject: None,
        avatar_url: "/me.png".to_owned(),
        created: at(10),
        updated: at(11),
        last_seen: None,
    }
}

pub(crate) fn at(seconds: i64) -> Time {
    Time::from_micros_saturating(seconds * 1_000_000)
}

fn people_are_found_by_name_and_address_without_regard_to_case(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "Zoë", "zoe@Example.com")).unwrap();
    store.add_person(&person("2", "anna", "")).unwrap();
    store.add_person(&person("3", "Zoe@example.com", "")).unwrap();
    let taken = store.add_person(&person("4", "ZOË", "")).unwrap_err();
    assert!(matches!(taken, StoreError::UsernameTaken { username } if username == "ZOË"));
    let found = |login| store.person_by_login(login).unwrap().map(|person| person.id.0);
    assert_eq!(found("zoË").as_deref(), Some("1"));
    assert_eq!(found("zoe@example.com").as_deref(), Some("3"), "a name goes before an address");
    assert_eq!(found("ANNA").as_deref(), Some("2"));
    assert_eq!(found(""), None, "nobody is found by an empty address");
    let names: Vec<String> = store.people().unwrap().into_iter().map(|person| person.username).collect();
    assert_eq!(names, ["anna", "Zoe@example.com", "Zoë"], "in order of their bytes");
    let read = store.person(&PersonId("1".to_owned())).unwrap().unwrap();
    assert_eq!((read.email.as_str(), read.role, read.created), ("zoe@Example.com", Role::Auditor, at(10)));
    assert!(store.person(&PersonId("9".to_owned())).unwrap().is_none());
}

/// A person and a token came over, the session did not, and all is as for new ones.
pub(crate) fn has_what_format_2_had(store: &annals_store::Store) {
    let anna = store.person_by_login("anna").unwrap().unwrap();
    assert_eq!(
        (anna.username.as_str(), anna.role, anna.password_hash.as_str()),
        ("Anna", Role::SiteManager, "$x")
    );
    assert_eq!(
        (anna.status, anna.login_type, anna.subject),
        (PersonStatus::Active, LoginType::Password, None)
    );
    assert_eq!((anna.created, anna.updated, anna.last_seen), (at(10), at(10), None));
    let token = store.token_by_hash(&[1; 32]).unwrap().unwrap();
    assert_eq!((token.name.as_str(), token.owner, token.expires), ("old", Some(id("1")), None));
    assert!(store.sessions_of(&id("1"), Time::EPOCH).unwrap().is_empty(), "people log in once more");
    assert!(store.add_session(&crate::sessions::session(7, "1", 0, 100), "$x").unwrap());
    assert!(matches!(store.delete_person(&id("1")), Err(StoreError::LastManager { .. })));
}

fn id(id: &str) -> PersonId {
    PersonId(id.to_owned())
}

fn an_address_that_two_people_have_finds_nobody(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "team@example.com")).unwrap();
    let found = |login| store.person_by_login(login).unwrap().map(|person| person.id.0);
    assert_eq!(found("team@example.com").as_deref(), Some("1"));
    store.add_person(&person("2", "bert", "Team@Example.com")).unwrap();
    assert_eq!(found("team@example.com"), None);
    assert_eq!(found("bert").as_deref(), Some("2"));
    assert_eq!(store.person_by_username("BERT").unwrap().unwrap().id.0, "2");
    assert!(store.person_by_username("team@example.com").unwrap().is_none());
    for odd in ["", "\0", "anna\0", "' OR 1=1 --"] {
        assert_eq!(found(odd), None, "{odd:?}");
    }
    assert!(store.person(&id("\0")).unwrap().is_none());
}

fn people_of_the_provider_are_found_by_subject_and_never_by_password(fixture: &Fixture) {
    let store = &fixture.store;
    let oidc = Person {
        login_type: LoginType::Oidc,
        subject: Some("https://id.example\n42".to_owned()),
        password_hash: String::new(),
        ..person("1", "anna", "anna@example.com")
    };
    store.add_person(&oidc).unwrap();
    let read = store.person_by_subject("https://id.example\n42").unwrap().unwrap();
    assert_eq!((read.id, read.login_type, read.subject), (id("1"), LoginType::Oidc, oidc.subject.clone()));
    assert_eq!((read.avatar_url.as_str(), read.updated, read.last_seen), ("/me.png", at(11), None));
    assert!(store.person_by_subject("https://id.example\n4").unwrap().is_none());
    let twin = Person { id: id("2"), username: "other".to_owned(), ..oidc };
    assert!(
        matches!(store.add_person(&twin), Err(StoreError::UsernameTaken { .. })),
        "one subject, one person"
    );
    for (number, name) in [("3", "bert"), ("4", "cleo")] {
        store.add_person(&person(number, name, "")).unwrap();
    }
    store.add_person(&person("5", "dora", "anna@example.com")).unwrap();
    let by_password = |login| store.person_by_password_login(login).unwrap().map(|person| person.id.0);
    assert_eq!(by_password("anna"), None);
    assert_eq!(
        by_password("anna@example.com").as_deref(),
        Some("5"),
        "the other one does not stand in the way"
    );
    assert_eq!(by_password("bert").as_deref(), Some("3"));
}

fn a_change_is_made_to_what_is_stored_now(fixture: &Fixture) {
    let store = &fixture.store;
    assert!(!store.has_people().unwrap());
    for (number, name) in [("1", "anna"), ("2", "bert")] {
        store.add_person(&person(number, name, "")).unwrap();
    }
    assert!(store.has_people().unwrap());
    let rename = |to: &str| {
        let to = to.to_owned();
        store.change_person(&id("1"), EndSessions::None, at(20), move |person| person.username = to)
    };
    let changed = rename("Anne").unwrap().unwrap();
    assert_eq!((changed.before.username.as_str(), changed.after.username.as_str()), ("anna", "Anne"));
    assert_eq!((changed.after.created, changed.after.updated), (at(10), at(20)));
    assert!(store.person_by_login("anna").unwrap().is_none());
    assert!(matches!(rename("BERT"), Err(StoreError::UsernameTaken { username }) if username == "BERT"));
    rename("anne").unwrap().unwrap();
    let all = |person: &mut Person| {
        person.email = "a@example.com".to_owned();
        person.name = String::new();
        person.role = Role::Member;
        person.password_hash = "$new".to_owned();
        person.status = PersonStatus::Suspended;
        person.login_type = LoginType::Oidc;
        person.subject = Some("x".to_owned());
        person.avatar_url = String::new();
    };
    store.change_person(&id("1"), EndSessions::None, at(30), all).unwrap().unwrap();
    let read = store.person(&id("1")).unwrap().unwrap();
    assert_eq!((read.email.as_str(), read.name.as_str(), read.role), ("a@example.com", "", Role::Member));
    assert_eq!((read.password_hash.as_str(), read.status), ("$new", PersonStatus::Suspended));
    assert_eq!(
        (read.login_type, read.subject.as_deref(), read.updated),
        (LoginType::Oidc, Some("x"), at(30))
    );
    assert!(store.change_person(&id("9"), EndSessions::None, at(30), |_| ()).unwrap().is_none());
    fixture.tamper("UPDATE person SET role = 'emperor', status = 'odd', login_type = 'magic' WHERE id = '2'");
    let odd = store.person(&id("2")).unwrap().unwrap();
    assert_eq!(
        (odd.role, odd.is_active(), odd.login_type),
        (Role::Member, false, LoginType::Oidc),
        "less, never more"
    );
}

fn manager(number: &str, username: &str) -> Person {
    Person { role: Role::SiteManager, ..person(number, username, "") }
}

fn the_last_active_manager_stays(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&manager("1", "anna")).unwrap();
    store.add_person(&Person { status: PersonStatus::Suspended, ..manager("2", "bert") }).unwrap();
    store.add_person(&person("3", "cleo", "")).unwrap();
    let is_last = |result: Result<(), StoreError>| matches!(result, Err(StoreError::LastManager { username }) if username == "anna");
    let change =
        |change: fn(&mut Person)| store.change_person(&id("1"), EndSessions::None, at(20), change).map(drop);
    assert!(is_last(change(|person| person.role = Role::Auditor)));
    assert!(is_last(change(|person| person.status = PersonStatus::Suspended)));
    assert!(is_last(store.delete_person(&id("1")).map(drop)), "one who is suspended manages nothing");
    change(|person| person.name = "Anna".to_owned()).unwrap();
    assert_eq!(store.delete_person(&id("2")).unwrap().unwrap().person.username, "bert");
    store
        .change_person(&id("3"), EndSessions::None, at(20), |person| person.role = Role::SiteManager)
        .unwrap();
    change(|person| person.role = Role::Auditor).unwrap();
    assert_eq!(store.person(&id("1")).unwrap().unwrap().role, Role::Auditor);
}

fn of_two_managers_who_demote_each_other_one_stays(fixture: &Fixture) {
    let store = &fixture.store;
    for round in 0..8 {
        let ids = [format!("a{round}"), format!("b{round}")];
        for number in &ids {
            store.add_person(&manager(number, &format!("name-{number}"))).unwrap();
        }
        let changed: Vec<bool> = std::thread::scope(|scope| {
            let threads = ids.each_ref().map(|number| {
                scope.spawn(move || {
                    let demote = |person: &mut Person| person.role = Role::Member;
                    match store.change_person(&id(number), EndSessions::None, at(20), demote) {
                        Ok(changed) => changed.is_some(),
                        Err(StoreError::LastManager { .. }) => false,
                        Err(error) => panic!("{error:?}"),
                    }
                })
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 1, "round {round}");
        // The next round begins without managers again.
        fixture.tamper("UPDATE person SET role = 'member' WHERE role = 'site-manager'");
    }
}

fn who_is_deleted_takes_everything_along(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "")).unwrap();
    assert!(store.add_session(&crate::sessions::session(1, "1", 0, 100), HASH).unwrap());
    for (name, hash) in [("a", 1), ("b", 2)] {
        let token = Token { owner: Some(id("1")), ..token(name, hash, TokenKind::Read) };
        store.add_token(&token).unwrap();
    }
    store.add_token(&token("c", 3, TokenKind::Read)).unwrap();
    store.revoke_token(&TokenId("a".to_owned()), at(9)).unwrap();
    let deleted = store.delete_person(&id("1")).unwrap().unwrap();
    assert_eq!(deleted.person.username, "anna");
    assert_eq!(deleted.tokens.iter().map(|token| token.id.0.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((fixture.count("person"), fixture.count("session"), fixture.count("token")), (0, 0, 1));
    assert!(store.delete_person(&id("1")).unwrap().is_none());
}

fn token(name: &str, hash: u8, kind: TokenKind) -> Token {
    Token {
        id: TokenId(name.to_owned()),
        secret_hash: [hash; 32],
        kind,
        name: format!("token {name}"),
        owner: None,
        created: at(i64::from(hash)),
        expires: None,
        last_used: None,
    }
}

fn tokens_are_listed_until_they_are_revoked(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "")).unwrap();
    for new in [
        token("a", 1, TokenKind::Ingest),
        Token { owner: Some(id("1")), expires: Some(at(50)), ..token("b", 2, TokenKind::Read) },
        token("c", 3, TokenKind::Metrics),
    ] {
        store.add_token(&new).unwrap();
        let read = store.token_by_hash(&new.secret_hash).unwrap().unwrap();
        assert_eq!((read.expires, read.last_used), (new.expires, None));
        assert_eq!((read.id, read.kind, read.name, read.owner), (new.id, new.kind, new.name, new.owner));
        assert_eq!(TokenKind::from_name(new.kind.name()), Some(new.kind));
    }
    let listed = |store: &annals_store::Store| -> Vec<String> {
        store.tokens().unwrap().into_iter().map(|token| token.id.0).collect()
    };
    assert_eq!(listed(store), ["c", "b", "a"]);
    let of_anna = store.tokens_of(&id("1")).unwrap();
    assert_eq!(of_anna.iter().map(|token| token.id.0.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(!of_anna[0].is_expired(at(49)) && of_anna[0].is_expired(at(50)));
    store.touch_token(&TokenId("b".to_owned()), at(30)).unwrap();
    assert_eq!(store.token_by_hash(&[2; 32]).unwrap().unwrap().last_used, Some(at(30)));
    assert!(store.revoke_token(&TokenId("b".to_owned()), at(9)).unwrap());
    assert!(!store.revoke_token(&TokenId("b".to_owned()), at(9)).unwrap());
    assert!(store.token_by_hash(&[2; 32]).unwrap().is_none());
    assert_eq!(listed(store), ["c", "a"]);
    fixture.tamper("UPDATE token SET kind = 'of the future' WHERE id = 'a'");
    assert!(store.token_by_hash(&[1; 32]).unwrap().is_none(), "an unknown kind is good for nothing");
}

fn of_two_who_hold_the_set_up_link_one_succeeds(fixture: &Fixture) {
    let store = &fixture.store;
    store.put_secret("set-up", &[1; 32]).unwrap();
    store.put_secret("set-up", &[2; 32]).unwrap();
    assert_eq!(store.secret("set-up").unwrap(), Some(vec![2; 32]));
    let added: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = ["anna", "bert", "cleo"]
            .map(|name| {
                scope.spawn(move || store.add_first_person("set-up", &person(name, name, "")).unwrap())
            })
            .into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    assert_eq!((store.people().unwrap().len(), store.secret("set-up").unwrap()), (1, None));
    store.put_secret("set-up", &[3; 32]).unwrap();
    assert!(!store.add_first_person("set-up", &person("dora", "dora", "")).unwrap());
    assert_eq!(store.secret("set-up").unwrap(), Some(vec![3; 32]), "a refusal uses nothing up");
}

fn a_registry_version_is_taken_once(fixture: &Fixture) {
    let document = |version, source: &str| RegistryDocument {
        version,
        received: at(5),
        authority: if version == 2 { DocumentAuthority::Operator } else { DocumentAuthority::Application },
        source: source.to_owned(),
        document: "title = 'ä'\n".repeat(2_000),
    };
    let store = &fixture.store;
    assert!(store.add_registry_document(&document(1, "app")).unwrap());
    assert!(!store.add_registry_document(&document(1, "other")).unwrap());
    assert!(store.add_registry_document(&document(2, "files")).unwrap());
    let all = store.registry_documents(0).unwrap();
    let read: Vec<_> = all.iter().map(|read| (read.version, read.source.as_str(), read.authority)).collect();
    assert_eq!(read, [(1, "app", DocumentAuthority::Application), (2, "files", DocumentAuthority::Operator)]);
    assert_eq!(all[0].document, document(1, "").document);
    assert_eq!(store.registry_documents(1).unwrap().len(), 1);
}
