//! Adding, changing, suspending and deleting people: each an event, each refused to others, also as an event.

use annals_engine::{
    AccessError, Credential, NewOidcPerson, NewOrganization, NewToken, OrganizationRole, Origin,
    PersonChange, PersonId, Principal, Role, TokenKind,
};
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestLog, add_person, event_of, log_in, person};

#[test]
fn every_change_is_an_event_with_its_diff() {
    let log = TestLog::new();
    add_person(&log, "boss", Role::SiteManager);
    let boss = log_in(&log, "boss").at(Origin { ip: "192.0.2.7".parse().ok(), user_agent: "x/1".to_owned() });
    let new =
        annals_engine::NewPerson { email: "anna@example.com", name: "Anna", ..person("anna", Role::Member) };
    let id = log.engine.add_person(&boss, &new).unwrap();
    let event = event_of(&log, "resource_type:user action:create username:boss");
    assert_eq!((&event["resource_id"], &event["resource_target"]), (&json!(id.0), &json!("anna")));
    assert_eq!((&event["ip"], &event["user_agent"]), (&json!("192.0.2.7"), &json!("x/1")));
    assert_eq!(
        event["diff"],
        json!({
            "id": {"old": "", "new": id.0, "secret": false},
            "username": {"old": "", "new": "anna", "secret": false},
            "email": {"old": "", "new": "anna@example.com", "secret": false},
            "name": {"old": "", "new": "Anna", "secret": false},
            "status": {"old": "", "new": "active", "secret": false},
            "rbac_roles": {"new": ["member"], "secret": false},
            "hashed_password": {"old": "", "new": "", "secret": true},
        })
    );
    let change = |change: PersonChange<'_>| log.engine.change_person(&boss, &id, &change).unwrap();
    let diff = |field: &str| {
        let query = format!("resource_type:user action:write username:boss changed:{field}");
        log.search(&query).1.remove(0)["diff"][field].clone()
    };
    let pair = |old: Value, new: Value| json!({"old": old, "new": new, "secret": false});
    let changed = change(PersonChange { role: Some(Role::Auditor), ..PersonChange::default() });
    assert_eq!((changed.role, changed.username.as_str()), (Role::Auditor, "anna"));
    assert_eq!(diff("rbac_roles"), pair(json!(["member"]), json!(["auditor"])));
    change(PersonChange { email: Some(""), ..PersonChange::default() });
    assert_eq!(diff("email"), pair(json!("anna@example.com"), json!("")));
    change(PersonChange { name: Some("Anne"), ..PersonChange::default() });
    assert_eq!(diff("name"), pair(json!("Anna"), json!("Anne")));
    change(PersonChange { username: Some("anne"), ..PersonChange::default() });
    assert_eq!(diff("username"), pair(json!("anna"), json!("anne")));
    log.engine.suspend_person(&boss, &id).unwrap();
    assert_eq!(diff("status"), pair(json!("active"), json!("suspended")));
    log.engine.activate_person(&boss, &id).unwrap();
    assert_eq!(diff("status"), pair(json!("suspended"), json!("active")));
    let before = log.search("").0;
    log.engine.activate_person(&boss, &id).unwrap();
    change(PersonChange { role: Some(Role::Auditor), ..PersonChange::default() });
    change(PersonChange::default());
    assert_eq!(log.search("").0, before, "what changes nothing is no event");
    log.engine.delete_person(&boss, &id).unwrap();
    let event = event_of(&log, "resource_type:user action:delete");
    assert_eq!(
        (&event["resource_target"], &event["diff"]["username"]),
        (&json!("anne"), &pair(json!("anne"), json!("")))
    );
    let unknown = log.engine.delete_person(&boss, &id);
    assert!(matches!(unknown, Err(AccessError::UnknownPerson { .. })));
    assert!(matches!(
        log.engine.change_person(&boss, &PersonId("\0".to_owned()), &PersonChange::default()),
        Err(AccessError::UnknownPerson { .. })
    ));
}

#[test]
fn people_are_found_by_name_and_id_and_everyone_finds_themselves() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let (anna_id, bert_id) =
        (add_person(&log, "anna", Role::Member), add_person(&log, "bert", Role::Auditor));
    let named = |name: &str| log.engine.person_named(&operator, name).map(|person| person.id);
    assert_eq!((named("ANNA").unwrap(), named(&bert_id.0).unwrap()), (anna_id.clone(), bert_id.clone()));
    assert!(matches!(named("cleo"), Err(AccessError::UnknownPerson { username }) if username == "cleo"));
    let anna = log_in(&log, "anna");
    assert_eq!(log.engine.person(&anna, &anna_id).unwrap().username, "anna");
    for result in [
        log.engine.person(&anna, &bert_id).map(drop),
        log.engine.person(&anna, &PersonId("none".to_owned())).map(drop),
        log.engine.person_named(&anna, "anna").map(drop),
        log.engine.people(&anna).map(drop),
    ] {
        assert!(matches!(result, Err(AccessError::Forbidden(_))));
    }
}

/// Whoever may not manage learns nothing and leaves a trace of each attempt.
#[test]
fn attempts_of_others_are_refused_and_recorded() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let victim = add_person(&log, "victim", Role::SiteManager);
    let token = |kind| {
        let new = NewToken { kind, name: "token", owner: Some("victim"), expires: None };
        let secret = log.engine.create_token(&operator, &new).unwrap();
        log.engine.authenticate(Credential::Token(secret.reveal())).unwrap().unwrap()
    };
    let callers = [("member", Role::Member), ("auditor", Role::Auditor)].map(|(name, role)| {
        add_person(&log, name, role);
        log_in(&log, name)
    });
    let callers =
        callers.into_iter().chain([TokenKind::Read, TokenKind::Ingest, TokenKind::Metrics].map(token));
    for caller in callers {
        let recorded = |query: &str| log.search(&format!("status_code:403 {query}")).0;
        let before = recorded("");
        let role = PersonChange { role: Some(Role::SiteManager), ..PersonChange::default() };
        let oneself = caller.oneself().map(|person| person.id.clone());
        let attempts = [
            log.engine.add_person(&caller, &person("mine", Role::SiteManager)).map(drop),
            log.engine
                .add_oidc_person(
                    &caller,
                    &NewOidcPerson { username: "mine", email: "", name: "", role: Role::Auditor },
                )
                .map(drop),
            log.engine.change_person(&caller, &victim, &role).map(drop),
            log.engine.change_person(&caller, oneself.as_ref().unwrap_or(&victim), &role).map(drop),
            log.engine.suspend_person(&caller, &victim),
            log.engine.activate_person(&caller, &victim),
            log.engine.delete_person(&caller, &victim),
            log.engine.reset_password(&caller, &victim, "mine, all mine"),
            log.engine.end_sessions(&caller, &victim, false).map(drop),
            log.engine.delete_person(&caller, &PersonId("nobody".to_owned())),
        ];
        for (number, attempt) in attempts.iter().enumerate() {
            assert!(
                matches!(attempt, Err(AccessError::Forbidden(_))),
                "{} {number}: {attempt:?}",
                caller.label()
            );
        }
        assert_eq!(recorded("") - before, attempts.len() as u64, "{}", caller.label());
    }
    let refused = log.search("status_code:403 action:write resource_type:user username:auditor").1;
    let names: Vec<_> = refused.iter().map(|event| event["resource_target"].as_str().unwrap()).collect();
    assert_eq!(names, ["victim", "victim", "victim", "auditor", "victim"]);
    assert!(refused.iter().all(|event| event["diff"] == json!({})), "nothing changed");
    assert_eq!(log.search("status_code:403 action:delete resource_type:user resource_target:nobody").0, 5);
    assert_eq!(log.engine.people(&operator).unwrap().len(), 3);
    log.engine.log_in("victim", PASSWORD, &Origin::default()).unwrap();
}

#[test]
fn the_last_active_manager_stays() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "boss", Role::SiteManager);
    let boss = log_in(&log, "boss");
    let before = log.search("").0;
    let demote = PersonChange { role: Some(Role::Auditor), ..PersonChange::default() };
    for caller in [&operator, &boss] {
        let refused = [
            log.engine.change_person(caller, &id, &demote).map(drop),
            log.engine.suspend_person(caller, &id),
            log.engine.delete_person(caller, &id),
        ];
        for result in refused {
            let message = result.unwrap_err().to_string();
            assert!(
                message.contains("`boss` is the last active site manager; make someone else"),
                "{message}"
            );
        }
    }
    assert_eq!(log.search("").0, before);
    add_person(&log, "second", Role::SiteManager);
    log.engine.change_person(&boss, &id, &demote).unwrap();
    let second = log.engine.person_named(&operator, "second").unwrap().id;
    assert!(matches!(log.engine.delete_person(&operator, &second), Err(AccessError::LastManager { .. })));
    let boss = log.engine.authenticate(Credential::Session("x")).unwrap();
    assert!(boss.is_none());
}

#[test]
fn suspending_ends_sessions_and_tokens_at_once() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "anna", Role::Auditor);
    let secret = log.engine.log_in("anna", PASSWORD, &Origin::default()).unwrap();
    let who = || log.engine.authenticate(Credential::Session(secret.reveal())).unwrap();
    assert!(who().is_some());
    log.engine.suspend_person(&operator, &id).unwrap();
    assert!(who().is_none());
    assert_eq!(log.search("resource_type:session action:delete resource_target:anna").0, 1);
    log.engine.activate_person(&operator, &id).unwrap();
    assert!(who().is_none(), "it does not come back");
}

#[test]
fn who_is_deleted_takes_tokens_and_memberships_along() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "anna", Role::Auditor);
    let organization = NewOrganization { name: "red", ..NewOrganization::default() };
    let organization = log.engine.create_organization(&operator, &organization).unwrap();
    log.engine.add_member(&operator, &organization.id, &id, OrganizationRole::Auditor).unwrap();
    let new = NewToken { kind: TokenKind::Read, name: "laptop", owner: Some("anna"), expires: None };
    let secret = log.engine.create_token(&operator, &new).unwrap();
    let session = log.engine.log_in("anna", PASSWORD, &Origin::default()).unwrap();
    log.engine.delete_person(&operator, &id).unwrap();
    assert!(log.engine.authenticate(Credential::Token(secret.reveal())).unwrap().is_none());
    assert!(log.engine.authenticate(Credential::Session(session.reveal())).unwrap().is_none());
    assert!(log.engine.members(&operator, &organization.id).unwrap().is_empty());
    for query in [
        "resource_type:user action:delete resource_target:anna",
        "resource_type:token action:delete resource_target:laptop",
        "resource_type:organization_member action:delete resource_target:anna organization:red",
    ] {
        assert_eq!(log.search(query).0, 1, "{query}");
    }
    assert_eq!(log.search("username:anna action:login").0, 1, "events keep the name");
    let again = add_person(&log, "anna", Role::Member);
    assert_ne!(again, id);
}

#[test]
fn a_person_of_the_provider_has_no_password_here() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let new = NewOidcPerson { username: "olga", email: "", name: "", role: Role::Member };
    let id = log.engine.add_oidc_person(&operator, &new).unwrap();
    let reset = log.engine.reset_password(&operator, &id, "a fine password");
    assert!(matches!(reset, Err(AccessError::NoPassword { username }) if username == "olga"));
    let event = event_of(&log, "resource_type:user action:create resource_target:olga");
    assert!(event["diff"].get("hashed_password").is_none(), "there is none");
}
