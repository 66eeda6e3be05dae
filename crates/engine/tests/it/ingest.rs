//! What is taken, what is refused, and what stands in the log afterwards.

use annals_engine::{Engine, IngestError, PartialBatch, Principal};
use serde_json::{Value, json};

use crate::support::{TestLog, append, options, search, template_event};

#[test]
fn an_event_comes_back_as_it_was_sent() {
    let log = TestLog::new();
    let sent = r#"{"id":"0199C0DE-0000-7000-8000-000000000001","time":"2026-11-21T23:58:33.481220+00:00",
        "user":{"id":"{0FB2D1E4-12AB-4000-8000-00000000007A}","username":"demo-admin","email":"demo-admin@example.test","roles":["owner"]},
        "organization":{"id":"7","name":"northwind","display_name":"Northwind"},
        "ip":"192.0.2.14","user_agent":"curl/8","request_id":"6f1c7a52-8e0b-4c55-a3b9-90d1aaaaaaaa",
        "action":"write","resource_type":"template","resource_id":"b80d4f3e17aa4c0f9c7e5a1bbbbbbbbb","resource_target":"docker-dev","status_code":200,
        "before":{"name":"docker","description":"old","updated_at":"x"},"after":{"name":"docker-dev","description":"old","updated_at":"y"},
        "additional_fields":{"n": 1.50, "nested":[ -0 , "\u00e9" ]},"source":"coderd-1","source_seq":17}"#;
    let reply = log.append(sent).unwrap();
    assert_eq!((reply.accepted, reply.duplicates, reply.events[0].seq), (1, 0, 0));
    let (count, events) = log.search("");
    assert_eq!(count, 1);
    let event = &events[0];
    assert_eq!(event["id"], "0199c0de-0000-7000-8000-000000000001");
    assert_eq!(event["time"], "2026-11-21T23:58:33.48122Z");
    assert_eq!(event["user"]["id"], "0fb2d1e4-12ab-4000-8000-00000000007a");
    assert_eq!(event["user"]["roles"], json!([{"name": "owner", "display_name": ""}]));
    assert_eq!(event["resource_id"], "b80d4f3e-17aa-4c0f-9c7e-5a1bbbbbbbbb");
    assert_eq!(event["diff"], json!({"name": {"old": "docker", "new": "docker-dev", "secret": false}}));
    assert_eq!(event["description"], "{user} updated template {target}");
    assert_eq!(event["organization"]["name"], "northwind");
    assert_eq!((&event["source"], &event["source_seq"]), (&json!("coderd-1"), &json!(17)));
    // To the letter, but for the white space between tokens.
    let request = annals_engine::SearchRequest { query: "", limit: 1, offset: 0, after: None };
    let texts = log
        .engine
        .search(&Principal::operator(), &request, |found| Ok(found.event.additional_fields.to_owned()));
    assert_eq!(texts.unwrap().events, [r#"{"n":1.50,"nested":[-0,"\u00e9"]}"#]);
}

#[test]
fn every_key_of_coders_audit_log_is_there() {
    let log = TestLog::new();
    log.append(&template_event("docker", r#""user":{"username":"demo-dev-1"}"#)).unwrap();
    let (_, events) = log.search("");
    for key in [
        "id",
        "request_id",
        "time",
        "ip",
        "user_agent",
        "resource_type",
        "resource_id",
        "resource_target",
        "resource_icon",
        "action",
        "diff",
        "status_code",
        "additional_fields",
        "description",
        "resource_link",
        "is_deleted",
        "organization_id",
        "user",
    ] {
        assert!(events[0].get(key).is_some(), "{key}");
    }
    assert!(events[0].get("organization").is_none(), "no organization, no key");
    assert_eq!(events[0]["request_id"], "00000000-0000-0000-0000-000000000000");
    for key in [
        "id",
        "username",
        "email",
        "created_at",
        "updated_at",
        "last_seen_at",
        "status",
        "login_type",
        "organization_ids",
        "roles",
        "has_ai_seat",
    ] {
        assert!(events[0]["user"].get(key).is_some(), "user.{key}");
    }
}

#[test]
fn a_repetition_is_a_duplicate_and_other_content_a_conflict() {
    let log = TestLog::new();
    let event = |target: &str| template_event(target, r#""id":"0199c0de-0000-7000-8000-000000000001""#);
    assert_eq!(log.append(&event("docker")).unwrap().accepted, 1);
    let again = log.append(&event("docker")).unwrap();
    assert_eq!((again.accepted, again.duplicates, again.events[0].seq), (0, 1, 0));
    let both = format!("[{},{}]", event("docker"), template_event("other", ""));
    let both = log.append(&both).unwrap();
    assert_eq!((both.accepted, both.duplicates), (1, 1));

    let conflict = format!("[{},{}]", template_event("new", ""), event("changed"));
    assert!(matches!(log.append(&conflict), Err(IngestError::Conflict { ids }) if ids.len() == 1));
    assert_eq!(log.search("").0, 2, "a conflict refuses the whole batch");
    let partial = log.engine.append(&Principal::operator(), conflict.as_bytes(), PartialBatch::Take).unwrap();
    let partial = partial.wait_blocking().unwrap();
    assert_eq!((partial.accepted, partial.faults.len(), partial.faults[0].index), (1, 1, 1));

    let twice =
        format!("[{0},{0}]", template_event("twice", r#""id":"0199c0de-0000-7000-8000-000000000002""#));
    let twice = log.append(&twice).unwrap();
    assert_eq!((twice.accepted, twice.duplicates), (1, 1));
    assert_eq!(twice.events[0].seq, twice.events[1].seq);
}

#[test]
fn every_fault_is_named_by_index_and_pointer() {
    let log = TestLog::new();
    let batch = format!(
        "[{},{},{},{},5]",
        template_event("good", ""),
        r#"{"action":"wriet","resource_type":"tempalte","resource_target":"x","ip":"300.1.1.1","time":"10000-01-01T00:00:00Z"}"#,
        r#"{"action":"write","resource_type":"template","user":{"roles":[1]}}"#,
        r#"{"action":"write","resource_type":"template","resource_target":"x","after":{"a":{"b":1,"b":2}},"additional_fields":[1]}"#,
    );
    let Err(IngestError::Faults { faults, bad_events, .. }) = log.append(&batch) else {
        panic!("it was taken")
    };
    let places: Vec<(usize, &str)> =
        faults.iter().map(|fault| (fault.index, fault.pointer.as_str())).collect();
    let expect = [
        (1, "/time"),
        (1, "/action"),
        (1, "/resource_type"),
        (1, "/ip"),
        (2, "/user/roles/0"),
        (3, "/after/a/b"),
        (3, "/additional_fields"),
        (4, ""),
    ];
    for place in expect {
        assert!(places.contains(&place), "{place:?} is not in {places:?}");
    }
    assert_eq!(bad_events, 4);
    let hint = faults.iter().find(|fault| fault.pointer == "/resource_type").unwrap().hint.clone().unwrap();
    assert!(hint.contains("did you mean `template`?") && hint.contains("[[resource]]"), "{hint}");
    assert_eq!(log.search("").0, 0, "nothing was recorded");

    let partial = log.engine.append(&Principal::operator(), batch.as_bytes(), PartialBatch::Take).unwrap();
    let partial = partial.wait_blocking().unwrap();
    assert_eq!((partial.accepted, log.search("").0), (1, 1));
    assert!(partial.faults.iter().all(|fault| fault.index != 0));
}

#[test]
fn limits_hold() {
    let log = TestLog::new();
    let many = format!("[{}]", vec![template_event("x", ""); 5_001].join(","));
    assert!(matches!(log.append(&many), Err(IngestError::BatchTooLarge { .. })));
    let large = template_event(&"x".repeat(300 * 1024), "");
    assert!(matches!(log.append(&large), Err(IngestError::Faults { .. })));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(log.append(&template_event("x", &format!("\"additional_fields\":{{\"d\":{deep}}}"))).is_err());
    assert!(matches!(log.append(&"x".repeat(9 * 1024 * 1024)), Err(IngestError::BodyTooLarge { .. })));
    for bad in [
        r#""additional_fields":{"n":1e999}"#,
        r#""additional_fields":{"s":"\ud800"}"#,
        r#""resource_icon":"\udc00""#,
        r#""additional_fields":{"a":1,"a":1}"#,
        r#""status_code":-1"#,
        r#""status_code":1000"#,
        r#""ip":"x""#,
    ] {
        assert!(log.append(&template_event("x", bad)).is_err(), "{bad}");
    }
    assert_eq!(log.search("").0, 0);
}

#[test]
fn unknown_fields_are_withheld_and_reported() {
    let log = TestLog::new();
    let reply = log
        .append(&template_event(
            "docker",
            r#""before":{"name":"a","new_field":"s3cret-1"},"after":{"name":"b","new_field":"s3cret-2"}"#,
        ))
        .unwrap();
    assert_eq!(reply.warnings.len(), 1);
    assert!(reply.warnings[0].detail.contains("new_field"));
    let (_, events) = log.search("changed:new_field");
    assert_eq!(events[0]["diff"]["new_field"], json!({"old": "", "new": "", "secret": true}));
    let stored = std::fs::read(log.dir.path().join("annals.db")).unwrap();
    let wal = std::fs::read(log.dir.path().join("annals.db-wal")).unwrap_or_default();
    for bytes in [stored, wal] {
        assert!(!bytes.windows(7).any(|window| window == b"s3cret-"), "the value reached the disk");
    }
}

#[test]
fn failed_actions_and_logins_have_no_diff() {
    let log = TestLog::new();
    let change = r#""before":{"name":"a"},"after":{"name":"b"}"#;
    log.append(&template_event("x", &format!("{change},\"status_code\":400"))).unwrap();
    log.append(&format!(r#"{{"action":"login","resource_type":"api_key","resource_target":"x",{change}}}"#))
        .unwrap();
    let (_, events) = log.search("");
    assert!(events.iter().all(|event| event["diff"] == json!({})));
}

#[test]
fn the_body_of_a_person_is_split_from_the_event() {
    let log = TestLog::new();
    let user = r#"{"action":"write","resource_type":"user","resource_id":"u-7","resource_target":"demo-dev-7","user":{"username":"demo-admin"},
        "ip":"192.0.2.1","before":{"email":"old@example.test","status":"active"},"after":{"email":"new@example.test","status":"active"}}"#;
    log.append(user).unwrap();
    let (_, events) = log.search("resource_type:user resource_target:demo-dev-7");
    assert_eq!(
        events[0]["diff"]["email"],
        json!({"old": "old@example.test", "new": "new@example.test", "secret": false})
    );
    assert_eq!(events[0]["resource_target"], "demo-dev-7");
}

#[test]
fn two_processes_append_to_one_log() {
    let first = TestLog::new();
    let second = Engine::open(first.dir.path(), options()).unwrap();
    for round in 0..20 {
        first.append(&template_event(&format!("a{round}"), "")).unwrap();
        append(&second, &template_event(&format!("b{round}"), "")).unwrap();
    }
    for engine in [&first.engine, &second] {
        let (count, events) = search(engine, "");
        assert_eq!(count, 40);
        let mut seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (0..40).collect::<Vec<_>>());
    }
    let id = r#""id":"0199c0de-0000-7000-8000-000000000001""#;
    first.append(&template_event("same", id)).unwrap();
    assert_eq!(
        append(&second, &template_event("same", id)).unwrap().duplicates,
        1,
        "the other process knows the id"
    );
    assert_eq!(second.verify().unwrap().events, 41);
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let log = TestLog::new();
    for n in 0..700 {
        log.append(&template_event(&format!("t{n}"), "")).unwrap();
    }
    let TestLog { engine, dir } = log;
    engine.stop();
    assert!(matches!(append(&engine, &template_event("late", "")), Err(IngestError::Stopping)));
    drop(engine);
    let engine = Engine::open(dir.path(), options()).unwrap();
    assert_eq!(engine.verify().unwrap().events, 700);
    append(&engine, &template_event("after", "")).unwrap();
    assert_eq!(search(&engine, "").0, 701);
    assert_eq!(engine.verify().unwrap().events, 701);
}

#[test]
fn only_those_who_may_send_send() {
    let log = TestLog::new();
    use annals_engine::{Credential, NewToken, TokenKind};
    let operator = Principal::operator();
    for (kind, may) in [(TokenKind::Ingest, true), (TokenKind::Read, false)] {
        let token = log
            .engine
            .create_token(&operator, &NewToken { kind, name: "t", owner: None, expires: None })
            .unwrap();
        let principal = log.engine.authenticate(Credential::Token(token.reveal())).unwrap().unwrap();
        let result = log.engine.append(&principal, template_event("x", "").as_bytes(), PartialBatch::Refuse);
        assert_eq!(result.is_ok(), may, "{kind:?}");
        assert_eq!(principal.may_read().is_ok(), !may, "{kind:?}");
    }
    assert!(log.engine.authenticate(Credential::Token("annals_ingest_wrong")).unwrap().is_none());
    let (_, events) = log.search("resource_type:token");
    assert_eq!(events.len(), 2, "making a token is an event");
    assert_eq!(events[0]["action"], Value::from("create"));
}
