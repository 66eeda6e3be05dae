//! From the wire to the stored form and back: what is kept, what is set apart, what never arrives.

use annals_model::audit_log::{Added, AuditLog, StoredEvent};
use annals_model::event::read_event;
use annals_model::id::{EventId, LogId};
use annals_model::prepare::{Prepared, Rules, Salts, prepare};
use annals_model::record::{Group, Opening, Record};
use annals_model::registry::Registry;
use annals_model::time::Time;
use proptest::prelude::*;
use serde_json::{Value, json};

fn prepared(event: &str) -> Prepared {
    let registry = Registry::built_in();
    let rules = Rules { registry: &registry, registry_version: 1, allow_unknown: false };
    prepare(read_event(event).unwrap(), 0, &rules, Time::EPOCH, EventId::from_bytes([7; 16])).unwrap()
}

fn salts() -> Salts {
    Salts::from_bytes(&std::array::from_fn(|at| at as u8))
}

fn read_back(prepared: &Prepared) -> Value {
    let mut bytes = Vec::new();
    prepared.record(&salts()).encode(&mut bytes);
    let (record, rest) = Record::decode(&bytes).unwrap();
    assert!(rest.is_empty());
    let event = StoredEvent::read(&record).unwrap();
    serde_json::to_value(AuditLog::new(&event, Added::default()).unwrap()).unwrap()
}

const PERSONAL: &str = r#"{"action":"write","resource_type":"user","resource_id":"u-1","resource_target":"demo-target",
    "user":{"id":"u-2","username":"demo-actor","email":"demo-actor@example.test","name":"Demo Actor","roles":["owner"]},
    "impersonator":{"id":"u-3","username":"demo-impersonator"},"ip":"192.0.2.7","user_agent":"demo-agent",
    "additional_fields":{"workspace_owner":"demo-owner"},"before":{"email":"demo-old@example.test","hashed_password":"demo-hash-1"},"after":{"email":"demo-new@example.test","hashed_password":"demo-hash-2"}}"#;

#[test]
fn personal_data_stands_in_openings_only() {
    let event = prepared(PERSONAL);
    for personal in [
        "demo-target",
        "demo-actor",
        "Demo Actor",
        "demo-impersonator",
        "192.0.2.7",
        "demo-agent",
        "demo-old",
        "demo-new",
        "demo-owner",
    ] {
        assert!(!event.body.contains(personal), "{personal} is in {}", event.body);
        assert!(event.groups.iter().any(|(_, value)| value.contains(personal)), "{personal} is nowhere");
    }
    assert!(event.body.contains("u-2") && event.body.contains("owner"), "ids and roles are not personal");
    let everything = format!("{}{:?}", event.body, event.groups);
    assert!(!everything.contains("demo-hash"), "a secret was kept");
    let back = read_back(&event);
    assert_eq!(
        back["diff"]["email"],
        json!({"old": "demo-old@example.test", "new": "demo-new@example.test", "secret": false})
    );
    assert_eq!(back["diff"]["hashed_password"], json!({"old": "", "new": "", "secret": true}));
    assert_eq!(
        (&back["user"]["name"], &back["impersonator"]["username"]),
        (&json!("Demo Actor"), &json!("demo-impersonator"))
    );
}

#[test]
fn every_group_can_be_erased_and_the_leaf_stays() {
    let event = prepared(PERSONAL);
    let log = LogId::from_bytes([3; 16]);
    let salts = salts();
    let whole = event.record(&salts);
    for group in Group::ALL {
        let Some(at) = whole.openings.iter().position(|opening| opening.path() == group.path()) else {
            continue;
        };
        let mut erased = whole.clone();
        erased.openings[at] =
            Opening::Erased { path: group.path(), commitment: whole.openings[at].commitment() };
        assert_eq!(erased.leaf_bytes(log), whole.leaf_bytes(log));
        let stored = StoredEvent::read(&erased).unwrap();
        assert_eq!(stored.erased, [group]);
        let shown = serde_json::to_string(&AuditLog::new(&stored, Added::default()).unwrap()).unwrap();
        let (_, value) = &event.groups[at];
        assert!(!shown.contains(value.trim_matches(|c| c == '{' || c == '}')), "{group:?} is still shown");
    }
}

#[test]
fn a_build_reason_is_lifted_and_an_automatic_actor_is_the_system() {
    let event = prepared(
        r#"{"action":"stop","resource_type":"workspace_build","resource_id":"b","user":{"username":"demo-dev-1"},
        "additional_fields":{"build_reason":"autostop","automatic_actor":"coder"}}"#,
    );
    let back = read_back(&event);
    assert_eq!((&back["build_reason"], &back["actor_type"]), (&json!("autostop"), &json!("system")));
}

proptest! {
    /// Whatever a text holds, it comes back as it was.
    #[test]
    fn texts_come_back(target in "\\PC{0,40}", agent in any::<String>().prop_map(|s| s.chars().take(200).collect::<String>()), key in "\\PC{1,10}", value in any::<String>()) {
        let sent = json!({"action": "create", "resource_type": "template", "resource_id": "x", "resource_target": target,
            "user_agent": agent, "additional_fields": {key: value}});
        let back = read_back(&prepared(&sent.to_string()));
        for member in ["resource_target", "user_agent", "additional_fields"] {
            prop_assert_eq!(&back[member], &sent[member]);
        }
    }

    #[test]
    fn decoding_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok((record, _)) = Record::decode(&bytes) {
            drop(StoredEvent::read(&record));
        }
    }
}
