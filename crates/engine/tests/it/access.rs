//! Set-up, log-in and its limits, sessions, passwords, tokens.

use std::sync::atomic::Ordering;

use annals_engine::{
    AccessError, Clock, Credential, LoginError, NewOidcPerson, NewPerson, NewToken, Origin, Principal, Role,
    SessionId, TokenId, TokenKind,
};
use annals_model::time::Time;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestLog, add_person, event_of, fixed_clock, log_in, options, person};

/// What stands for an absent id in answers, as Coder has it.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[test]
fn the_set_up_link_works_once() {
    let log = TestLog::new();
    let origin = Origin { ip: "192.0.2.1".parse().ok(), user_agent: "curl/8".to_owned() };
    let secret = log.engine.setup_secret().unwrap().unwrap();
    let first = person("demo-admin", Role::Member);
    assert!(matches!(log.engine.set_up("wrong", &first, &origin), Err(AccessError::BadSetupLink)));
    let short = NewPerson { password: "short", ..first.clone() };
    assert!(matches!(log.engine.set_up(secret.reveal(), &short, &origin), Err(AccessError::BadPassword)));
    log.engine.set_up(secret.reveal(), &first, &origin).unwrap();
    assert!(matches!(log.engine.set_up(secret.reveal(), &first, &origin), Err(AccessError::BadSetupLink)));
    assert!(log.engine.setup_secret().unwrap().is_none(), "someone can log in");
    let people = log.engine.people(&Principal::operator()).unwrap();
    assert_eq!((people.len(), people[0].role), (1, Role::SiteManager));
    let event = event_of(&log, "resource_type:user");
    assert_eq!(event["action"], "create");
    assert_eq!((&event["user"]["username"], &event["ip"]), (&json!("demo-admin"), &json!("192.0.2.1")));
    assert_eq!(event["diff"]["rbac_roles"]["new"], json!(["site-manager"]));
}

#[test]
fn sessions_begin_end_and_expire() {
    let clock = fixed_clock();
    let log = TestLog::with(annals_engine::Options { clock: clock.clone(), ..options() });
    let id = add_person(&log, "Demo-Auditor", Role::Auditor);
    let origin = Origin { ip: "192.0.2.1".parse().ok(), user_agent: "curl/8".to_owned() };
    let try_login = |name: &str, password: &str| log.engine.log_in(name, password, &origin);
    assert!(matches!(try_login("demo-auditor", "wrong password"), Err(LoginError::Mismatch)));
    assert!(matches!(try_login("nobody", "wrong password"), Err(LoginError::Mismatch)));
    assert!(matches!(try_login("\0", "wrong password"), Err(LoginError::Mismatch)));
    let first = try_login("demo-auditor", PASSWORD).unwrap();
    let second = try_login("DEMO-AUDITOR", PASSWORD).unwrap();
    let who = |secret: &str| log.engine.authenticate(Credential::Session(secret)).unwrap();
    let principal = who(first.reveal()).unwrap().at(origin.clone());
    principal.may_read().unwrap();
    assert!(principal.may_manage().is_err());
    log.engine.log_out(&principal, first.reveal()).unwrap();
    log.engine.log_out(&principal, first.reveal()).unwrap();
    assert!(who(first.reveal()).is_none());
    assert!(who(second.reveal()).is_some());
    let Clock::Fixed(micros) = &clock else { panic!("the clock is fixed") };
    micros.fetch_add(30_000_000, Ordering::Relaxed);
    who(second.reveal()).unwrap();
    let seen = || log.engine.sessions(&Principal::operator(), &id).unwrap()[0].last_seen;
    let began = seen();
    micros.fetch_add(30_000_000, Ordering::Relaxed);
    who(second.reveal()).unwrap();
    assert_eq!(seen().as_micros() - began.as_micros(), 60_000_000, "kept to the minute");
    micros.fetch_add(12 * 3_600_000_000, Ordering::Relaxed);
    assert!(who(second.reveal()).is_none(), "a session lasts 12 hours");

    let (denied, events) =
        log.search("resource_type:api_key action:login outcome:denied actor_type:anonymous");
    assert_eq!(denied, 3, "also of unknown names");
    let ids: Vec<&str> = events.iter().map(|event| event["resource_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [NOBODY, NOBODY, id.0.as_str()], "which names are known, the log says and nobody else");
    assert_eq!((&events[2]["status_code"], &events[2]["diff"]), (&json!(401), &json!({})));
    assert_eq!(events[2]["resource_target"], "demo-auditor");
    assert_eq!(log.search("action:login outcome:success username:demo-auditor ip:192.0.2.1").0, 2);
    assert_eq!(log.search("action:logout resource_target:Demo-Auditor user_agent:curl/8").0, 1);
}

#[test]
fn names_are_unique_and_members_see_nothing() {
    let log = TestLog::new();
    let operator = Principal::operator();
    add_person(&log, "demo-member", Role::Member);
    let again = log.engine.add_person(&operator, &person("Demo-Member", Role::Auditor));
    assert!(matches!(again, Err(AccessError::UsernameTaken { .. })));
    for name in ["a b", "", "a\0", "<b>"] {
        let bad = log.engine.add_person(&operator, &person(name, Role::Member));
        assert!(matches!(bad, Err(AccessError::BadName { .. })), "{name:?}");
    }
    for email in ["nobody", "@x", "x@", "a b@c", "a@b\n"] {
        let bad = NewPerson { email, ..person("other", Role::Member) };
        let bad = log.engine.add_person(&operator, &bad);
        assert!(matches!(bad, Err(AccessError::BadText { .. })), "{email:?}");
    }
    let member = log_in(&log, "demo-member");
    assert!(member.may_read().is_err() && member.may_manage().is_err() && member.may_ingest().is_err());
    assert!(matches!(
        log.engine.add_person(&member, &person("x", Role::SiteManager)),
        Err(AccessError::Forbidden(_))
    ));
}

/// A log whose clock goes on when it is told to.
fn with_clock() -> (TestLog, impl Fn(i64)) {
    let clock = fixed_clock();
    let Clock::Fixed(micros) = clock.clone() else { panic!("the clock is fixed") };
    let log = TestLog::with(annals_engine::Options { clock, ..options() });
    let wait = move |seconds: i64| {
        micros.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    };
    (log, wait)
}

fn from(ip: &str) -> Origin {
    Origin { ip: Some(ip.parse().unwrap()), user_agent: String::new() }
}

#[test]
fn guessing_at_one_name_is_refused_after_ten_attempts_whether_it_is_known_or_not() {
    let (log, wait) = with_clock();
    add_person(&log, "anna", Role::Auditor);
    for name in ["anna", "nobody-here"] {
        for attempt in 0..10 {
            let result = log.engine.log_in(name, "wrong password", &from(&format!("192.0.2.{attempt}")));
            assert!(matches!(result, Err(LoginError::Mismatch)), "{name} {attempt}");
        }
        wait(100);
        for _ in 0..3 {
            let result = log.engine.log_in(&name.to_uppercase(), PASSWORD, &from("198.51.100.1"));
            let Err(LoginError::TooMany { retry_after_seconds }) = result else {
                panic!("{name}: {result:?}")
            };
            assert_eq!(retry_after_seconds, 800, "from the first attempt of the window");
        }
        let refused =
            log.search(&format!("action:login status_code:429 resource_target:{}", name.to_uppercase()));
        assert_eq!(
            (refused.0, &refused.1[0]["diff"]),
            (1, &json!({})),
            "the first refusal is recorded, not each"
        );
        assert_eq!(refused.1[0]["resource_id"], json!(NOBODY), "also of a known name: nothing was looked up");
        wait(-100);
    }
    wait(899);
    assert!(matches!(
        log.engine.log_in("anna", PASSWORD, &from("192.0.2.1")),
        Err(LoginError::TooMany { .. })
    ));
    wait(1);
    log.engine.log_in("anna", PASSWORD, &from("192.0.2.1")).unwrap();
}

#[test]
fn a_good_log_in_clears_the_name_but_not_the_address() {
    let (log, wait) = with_clock();
    add_person(&log, "anna", Role::Auditor);
    let here = from("192.0.2.1");
    for _ in 0..3 {
        for _ in 0..9 {
            assert!(matches!(log.engine.log_in("anna", "wrong", &here), Err(LoginError::Mismatch)));
        }
        log.engine.log_in("anna", PASSWORD, &here).unwrap();
    }
    // 27 so far from here; each name is tried few times.
    for number in 0..23 {
        let result = log.engine.log_in(&format!("name-{number}"), "wrong", &here);
        assert!(matches!(result, Err(LoginError::Mismatch)), "{number}");
    }
    for _ in 0..20 {
        assert!(matches!(log.engine.log_in("anna", PASSWORD, &here), Err(LoginError::TooMany { .. })));
    }
    assert_eq!(log.search("action:login status_code:429").0, 1);
    log.engine.log_in("anna", PASSWORD, &from("192.0.2.2")).unwrap();
    log.engine.log_in("anna", PASSWORD, &Origin::default()).unwrap();
    wait(900);
    log.engine.log_in("anna", PASSWORD, &here).unwrap();
}

#[test]
fn attempts_that_come_at_once_are_not_more_than_others() {
    let log = TestLog::new();
    let hashed: usize = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let result = log.engine.log_in("anna", "wrong", &Origin::default());
                    usize::from(matches!(result, Err(LoginError::Mismatch)))
                })
            })
            .collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).sum()
    });
    assert_eq!(hashed, 10);
    assert_eq!(log.search("action:login status_code:401").0, 10);
}

#[test]
fn whoever_cannot_log_in_is_told_the_same() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "anna", Role::Auditor);
    log.engine.suspend_person(&operator, &id).unwrap();
    let oidc = NewOidcPerson { username: "bert", email: "bert@example.com", name: "", role: Role::Member };
    log.engine.add_oidc_person(&operator, &oidc).unwrap();
    for name in ["anna", "bert", "bert@example.com", "nobody"] {
        for password in [PASSWORD, ""] {
            let result = log.engine.log_in(name, password, &Origin::default());
            let Err(error) = result else { panic!("{name}") };
            assert_eq!(error.to_string(), "that name and password do not match", "{name}");
        }
    }
    log.engine.activate_person(&operator, &id).unwrap();
    log.engine.log_in("anna", PASSWORD, &Origin::default()).unwrap();
}

#[test]
fn a_request_for_a_new_password_is_heard_once_and_says_nothing() {
    let (log, wait) = with_clock();
    let id = add_person(&log, "anna", Role::Auditor);
    let request = |name: &str| log.engine.request_password_reset(name, &from("192.0.2.1")).unwrap();
    for name in ["anna", "ANNA", "nobody", "\0", ""] {
        request(name);
    }
    let query = "resource_type:user action:request_password_reset";
    // Nobody waits for its commit; what comes after it has a later one.
    let pass = || drop(log.append(&crate::support::template_event("x", "")).unwrap());
    pass();
    let event = event_of(&log, query);
    assert_eq!((&event["resource_id"], &event["resource_target"]), (&json!(id.0), &json!("anna")));
    assert_eq!((&event["ip"], &event["diff"]), (&json!("192.0.2.1"), &json!({})));
    assert_eq!(event["actor_type"], "anonymous", "anybody can ask");
    wait(899);
    request("anna");
    pass();
    assert_eq!(log.search(query).0, 1);
    wait(1);
    request("anna");
    pass();
    assert_eq!(log.search(query).0, 2);
}

#[test]
fn a_person_changes_their_own_password_and_other_sessions_end() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "anna", Role::Member);
    let (here, there) = (log_in(&log, "anna"), log_in(&log, "anna"));
    let change = |old: &str, new: &str| log.engine.change_own_password(&here, old, new);
    assert!(matches!(change("wrong password", "another password"), Err(AccessError::WrongPassword)));
    assert!(matches!(change(PASSWORD, "short"), Err(AccessError::BadPassword)));
    change(PASSWORD, "another password").unwrap();
    let left = log.engine.sessions(&here, &id).unwrap();
    assert_eq!((left.len(), Some(&left[0].id)), (1, here.session()));
    let ended = event_of(&log, "resource_type:session action:delete username:anna");
    assert_eq!(ended["resource_id"], json!(there.session().unwrap().0));
    let event = event_of(&log, "resource_type:user action:write outcome:success");
    assert_eq!(
        event["diff"],
        json!({"hashed_password": {"old": "", "new": "", "secret": true}}),
        "that it changed, never to what"
    );
    assert_eq!(log.search("resource_type:user action:write status_code:401 username:anna").0, 1);
    assert!(matches!(log.engine.log_in("anna", PASSWORD, &Origin::default()), Err(LoginError::Mismatch)));
    log.engine.log_in("anna", "another password", &Origin::default()).unwrap();
    for _ in 0..9 {
        assert!(matches!(change("wrong", "yet another one"), Err(AccessError::WrongPassword)));
    }
    assert!(matches!(change("wrong", "yet another one"), Err(AccessError::WrongPassword)));
    let refused = change("another password", "yet another one");
    assert!(matches!(refused, Err(AccessError::TooMany { .. })), "a stolen session guesses no password");
    assert!(matches!(log.engine.change_own_password(&operator, "x", "y"), Err(AccessError::NotOneself)));
    log.engine.reset_password(&operator, &id, "given by the operator").unwrap();
    assert!(log.engine.sessions(&operator, &id).unwrap().is_empty(), "a reset ends all sessions");
    assert_eq!(log.search("resource_type:session action:delete username:operator").0, 2);
}

#[test]
fn people_see_and_end_their_own_sessions_and_managers_those_of_all() {
    let log = TestLog::new();
    let (anna_id, _) = (add_person(&log, "anna", Role::Member), add_person(&log, "bert", Role::Member));
    add_person(&log, "boss", Role::SiteManager);
    let (anna, other, bert, boss) =
        (log_in(&log, "anna"), log_in(&log, "anna"), log_in(&log, "bert"), log_in(&log, "boss"));
    assert_eq!(log.engine.sessions(&anna, &anna_id).unwrap().len(), 2);
    assert!(matches!(log.engine.sessions(&bert, &anna_id), Err(AccessError::Forbidden(_))));
    let foreign = log.engine.end_session(&bert, other.session().unwrap()).unwrap_err().to_string();
    let missing =
        log.engine.end_session(&bert, &SessionId("no such one".to_owned())).unwrap_err().to_string();
    assert_eq!(
        foreign.replace(&other.session().unwrap().0, "ID"),
        missing.replace("no such one", "ID"),
        "nobody learns which sessions there are"
    );
    let refused = event_of(&log, "resource_type:session status_code:403");
    assert_eq!((&refused["user"]["username"], &refused["resource_target"]), (&json!("bert"), &json!("anna")));
    assert_eq!(refused["diff"], json!({}));
    assert!(matches!(log.engine.end_sessions(&bert, &anna_id, false), Err(AccessError::Forbidden(_))));
    log.engine.end_session(&anna, other.session().unwrap()).unwrap();
    let ended = event_of(&log, "resource_type:session action:delete outcome:success");
    assert_eq!(
        (&ended["resource_target"], &ended["diff"]["person_id"]["old"]),
        (&json!("anna"), &json!(anna_id.0))
    );
    log_in(&log, "anna");
    assert_eq!(log.engine.end_sessions(&anna, &anna_id, true).unwrap(), 1);
    assert_eq!(
        log.engine.end_sessions(&boss, &anna_id, true).unwrap(),
        1,
        "the current one is the manager's own"
    );
    assert!(log.engine.sessions(&boss, &anna_id).unwrap().is_empty());
    assert_eq!(log.search("resource_type:session action:delete username:boss").0, 1);
}

#[test]
fn tokens_expire_and_know_when_they_were_used() {
    let (log, wait) = with_clock();
    let operator = Principal::operator();
    let in_seconds =
        |seconds: i64| Time::from_micros_saturating(log.engine.now().as_micros() + seconds * 1_000_000);
    let new = |expires| NewToken { kind: TokenKind::Read, name: "nightly", owner: None, expires };
    assert!(matches!(
        log.engine.create_token(&operator, &new(Some(in_seconds(0)))),
        Err(AccessError::BadExpiry)
    ));
    let secret = log.engine.create_token(&operator, &new(Some(in_seconds(100)))).unwrap();
    let event = event_of(&log, "resource_type:token action:create");
    assert_eq!(event["diff"]["expires_at"]["new"], json!(in_seconds(100)));
    let use_it = || log.engine.authenticate(Credential::Token(secret.reveal())).unwrap();
    let last_used = || log.engine.tokens(&operator).unwrap()[0].last_used;
    assert_eq!(last_used(), None);
    use_it().unwrap().may_read().unwrap();
    let first = last_used().unwrap();
    wait(59);
    use_it().unwrap();
    assert_eq!(last_used(), Some(first));
    wait(1);
    use_it().unwrap();
    assert_eq!(last_used(), Some(in_seconds(0)));
    wait(40);
    assert!(use_it().is_none(), "it has expired");
    assert_eq!(log.engine.tokens(&operator).unwrap().len(), 1, "it is still listed");
}

#[test]
fn everyone_makes_read_tokens_of_their_own_and_no_others() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "anna", Role::Auditor);
    add_person(&log, "bert", Role::Member);
    let (anna, bert) = (log_in(&log, "anna"), log_in(&log, "bert"));
    let new = |kind, owner| NewToken { kind, name: "laptop", owner, expires: None };
    for refused in [
        new(TokenKind::Ingest, None),
        new(TokenKind::Metrics, None),
        new(TokenKind::Ingest, Some("bert")),
        new(TokenKind::Read, Some("anna")),
        new(TokenKind::Read, Some("nobody")),
    ] {
        assert!(
            matches!(log.engine.create_token(&bert, &refused), Err(AccessError::Forbidden(_))),
            "{refused:?}"
        );
    }
    assert_eq!(log.search("resource_type:token action:create status_code:403 username:bert").0, 5);
    let of_anna = log.engine.create_token(&anna, &new(TokenKind::Read, None)).unwrap();
    let of_bert = log.engine.create_token(&bert, &new(TokenKind::Read, Some("Bert"))).unwrap();
    let who = |secret: &str| log.engine.authenticate(Credential::Token(secret)).unwrap();
    let token = who(of_anna.reveal()).unwrap();
    token.may_read().unwrap();
    assert!(who(of_bert.reveal()).unwrap().may_read().is_err(), "it sees what bert sees");
    assert!(matches!(
        log.engine.create_token(&token, &new(TokenKind::Read, None)),
        Err(AccessError::Forbidden(_))
    ));
    assert!(
        matches!(log.engine.sessions(&token, &id), Err(AccessError::Forbidden(_))),
        "a token is not its owner"
    );
    let listed = log.engine.tokens(&anna).unwrap();
    assert_eq!((listed.len(), listed[0].owner.as_ref()), (1, Some(&id)));
    assert_eq!(log.engine.tokens(&operator).unwrap().len(), 2);
    let foreign = log.engine.revoke_token(&bert, &listed[0].id);
    assert!(matches!(foreign, Err(AccessError::UnknownToken { .. })));
    assert_eq!(log.search("resource_type:token action:delete status_code:403 username:bert").0, 1);
    let missing = log.engine.revoke_token(&bert, &TokenId("no such one".to_owned()));
    assert!(matches!(missing, Err(AccessError::UnknownToken { .. })));
    log.engine.suspend_person(&operator, &id).unwrap();
    assert!(who(of_anna.reveal()).is_none(), "the owner is suspended");
    log.engine.activate_person(&operator, &id).unwrap();
    assert!(who(of_anna.reveal()).is_some());
    log.engine.revoke_token(&log_in(&log, "anna"), &listed[0].id).unwrap();
    assert!(who(of_anna.reveal()).is_none());
    for _ in 0..49 {
        log.engine.create_token(&bert, &new(TokenKind::Read, None)).unwrap();
    }
    let one_more = log.engine.create_token(&bert, &new(TokenKind::Read, None));
    assert!(matches!(one_more, Err(AccessError::TooManyTokens { max: 50 })));
}

#[test]
fn secrets_stand_nowhere_in_the_log() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let id = add_person(&log, "anna", Role::SiteManager);
    let session = log.engine.log_in("anna", PASSWORD, &Origin::default()).unwrap();
    let new = NewToken { kind: TokenKind::Read, name: "t", owner: None, expires: None };
    let token = log.engine.create_token(&operator, &new).unwrap();
    log.engine.reset_password(&operator, &id, "another password").unwrap();
    let hash = log.engine.people(&operator).unwrap().remove(0).password_hash;
    let all = Value::from(log.search("").1).to_string();
    for secret in [PASSWORD, "another password", session.reveal(), token.reveal(), &hash, "$argon2id"] {
        assert!(!all.contains(secret), "{secret} stands in the log");
    }
}
