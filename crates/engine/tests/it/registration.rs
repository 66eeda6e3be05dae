//! Applications register their types; every process of the log sees them.

use annals_engine::{Engine, Options, Principal, RegistrationError};

use crate::support::{TestLog, append, options};

const INVOICE: &str =
    "[[resource]]\ntype = \"invoice\"\n[resource.fields]\namount = \"track\"\ncard = \"secret\"\n";
const EVENT: &str = r#"{"action":"write","resource_type":"invoice","resource_target":"17","before":{"amount":1,"card":"a"},"after":{"amount":2,"card":"b"}}"#;

#[test]
fn a_registered_type_is_taken_by_every_process_and_after_a_restart() {
    let log = TestLog::new();
    let other = Engine::open(log.dir.path(), options()).unwrap();
    assert!(append(&other, EVENT).is_err());
    let operator = Principal::operator();
    assert_eq!(log.engine.register(&operator, INVOICE).unwrap().version, 1);
    let again = log.engine.register(&operator, INVOICE).unwrap();
    assert_eq!((again.version, again.changes.len()), (1, 0), "the same document changes nothing");
    append(&other, EVENT).unwrap();
    let event = &log.search("resource_type:invoice").1[0];
    assert_eq!(event["diff"]["amount"]["new"], 2);
    assert_eq!(event["diff"]["card"]["secret"], true);
    drop(other);
    let restarted = Engine::open(log.dir.path(), options()).unwrap();
    append(&restarted, EVENT).unwrap();
}

#[test]
fn policies_are_tightened_and_never_loosened() {
    let log = TestLog::new();
    let operator = Principal::operator();
    log.engine.register(&operator, INVOICE).unwrap();
    let loose = INVOICE.replace("\"secret\"", "\"track\"");
    assert!(matches!(log.engine.register(&operator, &loose), Err(RegistrationError::Document(_))));
    let tight = INVOICE.replace("amount = \"track\"", "amount = \"secret\"");
    assert_eq!(log.engine.register(&operator, &tight).unwrap().version, 2);
    append(&log.engine, EVENT).unwrap();
    assert_eq!(log.search("resource_type:invoice").1[0]["diff"]["amount"]["secret"], true);
}

#[test]
fn the_operator_has_the_last_word_and_the_application_starts_all_the_same() {
    let log = TestLog::new();
    let operator = Principal::operator();
    log.engine.register(&operator, INVOICE).unwrap();
    let TestLog { engine, dir } = log;
    drop(engine);
    let tight = "[[resource]]\ntype = \"invoice\"\n[resource.fields]\namount = \"secret\"\n".to_owned();
    let engine =
        Engine::open(dir.path(), Options { registry_documents: Some(vec![tight]), ..options() }).unwrap();
    assert_eq!(
        engine.register(&operator, INVOICE).unwrap().changes.len(),
        0,
        "the application's document is the same"
    );
    // A command that works in place names no policy and applies the stored one.
    let in_place = Engine::open(dir.path(), options()).unwrap();
    for engine in [&engine, &in_place] {
        append(engine, EVENT).unwrap();
    }
    let (_, events) = crate::support::search(&engine, "resource_type:invoice");
    assert!(events.iter().all(|event| event["diff"]["amount"]["secret"] == true) && events.len() == 2);
    let relaxed =
        Engine::open(dir.path(), Options { registry_documents: Some(Vec::new()), ..options() }).unwrap();
    append(&relaxed, EVENT).unwrap();
    assert_eq!(crate::support::search(&engine, "resource_type:invoice").1[0]["diff"]["amount"]["new"], 2);
}

#[test]
fn an_application_may_build_on_what_the_operator_defines() {
    let action = "[[action]]\nname = \"frob\"\ndescription = \"Frobs.\"\ndone = \"frobbed\"\n".to_owned();
    let log = TestLog::with(Options { registry_documents: Some(vec![action]), ..options() });
    let document = format!("{INVOICE}[[resource]]\ntype = \"gadget\"\nactions = [\"frob\"]\n");
    log.engine.register(&Principal::operator(), &document).unwrap();
    let in_place = Engine::open(log.dir.path(), options()).unwrap();
    append(&in_place, r#"{"action":"frob","resource_type":"gadget","resource_target":"x"}"#).unwrap();
    append(&in_place, EVENT).unwrap();
}

#[test]
fn a_retry_after_a_policy_change_is_still_a_repetition() {
    let log = TestLog::new();
    let operator = Principal::operator();
    log.engine.register(&operator, INVOICE).unwrap();
    let event = EVENT.replace("\"action\"", "\"id\":\"0199c0de-0000-7000-8000-000000000001\",\"action\"");
    append(&log.engine, &event).unwrap();
    log.engine.register(&operator, &INVOICE.replace("amount = \"track\"", "amount = \"secret\"")).unwrap();
    assert_eq!(append(&log.engine, &event).unwrap().duplicates, 1);
    let other = event.replace("\"17\"", "\"17\",\"resource_id\":\"18\"");
    assert!(append(&log.engine, &other).is_err());
}
