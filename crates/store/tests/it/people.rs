//! People, sessions, tokens, one-time secrets, registry documents.

use annals_model::time::Time;
use annals_store::{
    DocumentAuthority, Person, PersonId, RegistryDocument, Role, Session, StoreError, Token, TokenId,
    TokenKind,
};

use crate::fixture::Fixture;

on_both! {
    people_are_found_by_name_and_address_without_regard_to_case,
    a_session_ends_by_itself_or_by_hand,
    tokens_are_listed_until_they_are_revoked,
    of_two_who_hold_the_set_up_link_one_succeeds,
    a_registry_version_is_taken_once,
}

fn person(id: &str, username: &str, email: &str) -> Person {
    Person {
        id: PersonId(id.to_owned()),
        username: username.to_owned(),
        email: email.to_owned(),
        name: format!("{username} the person"),
        role: Role::Auditor,
        password_hash: "$argon2id$...".to_owned(),
        created: at(10),
    }
}

fn at(seconds: i64) -> Time {
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

fn a_session_ends_by_itself_or_by_hand(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "")).unwrap();
    let person_id = PersonId("1".to_owned());
    let session = |hash, from, to| Session {
        secret_hash: [hash; 32],
        person_id: person_id.clone(),
        created: at(from),
        expires: at(to),
    };
    store.add_session(&session(1, 0, 100)).unwrap();
    store.add_session(&session(2, 50, 200)).unwrap();
    let found =
        |hash, now| store.person_of_session(&[hash; 32], at(now)).unwrap().map(|person| person.username);
    assert_eq!(found(1, 99).as_deref(), Some("anna"));
    assert_eq!(found(1, 100), None);
    assert_eq!(found(3, 0), None);
    store.add_session(&session(3, 150, 300)).unwrap();
    assert_eq!(fixture.count("session"), 2, "the first one ended before and is gone");
    store.end_session(&[2; 32]).unwrap();
    assert_eq!(found(2, 150), None);
    let stranger = Session { person_id: PersonId("9".to_owned()), ..session(4, 0, 100) };
    assert!(store.add_session(&stranger).is_err(), "a session is somebody's");
}

fn tokens_are_listed_until_they_are_revoked(fixture: &Fixture) {
    let store = &fixture.store;
    store.add_person(&person("1", "anna", "")).unwrap();
    let token = |id: &str, hash, kind, owner: Option<&str>| Token {
        id: TokenId(id.to_owned()),
        secret_hash: [hash; 32],
        kind,
        name: format!("token {id}"),
        owner: owner.map(|owner| PersonId(owner.to_owned())),
        created: at(i64::from(hash)),
    };
    for new in [
        token("a", 1, TokenKind::Ingest, None),
        token("b", 2, TokenKind::Read, Some("1")),
        token("c", 3, TokenKind::Metrics, None),
    ] {
        store.add_token(&new).unwrap();
        let read = store.token_by_hash(&new.secret_hash).unwrap().unwrap();
        assert_eq!((read.id, read.kind, read.name, read.owner), (new.id, new.kind, new.name, new.owner));
        assert_eq!(TokenKind::from_name(new.kind.name()), Some(new.kind));
    }
    let listed = |store: &annals_store::Store| -> Vec<String> {
        store.tokens().unwrap().into_iter().map(|token| token.id.0).collect()
    };
    assert_eq!(listed(store), ["c", "b", "a"]);
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
