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
    let engine = Engine::open(dir.path(), Options { registry_documents: vec![tight], ..options() }).unwrap();
    assert_eq!(engine.register(&operator, INVOICE).unwrap().version, 1, "the application's document is the same");
    append(&engine, EVENT).unwrap();
    let (_, events) = crate::support::search(&engine, "resource_type:invoice");
    assert_eq!(events[0]["diff"]["amount"]["secret"], true);
}
