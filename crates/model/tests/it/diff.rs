//! The rules of the diff, as a table, and what no pair of snapshots may break.

use annals_model::diff::{between, from_ready, push_json};
use annals_model::registry::{Authority, Registry, ResourceType};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

fn resource() -> ResourceType {
    let mut registry = Registry::built_in();
    let document = r#"
        [[resource]]
        type = "thing"
        [resource.fields]
        a = "track"
        b = "track"
        s = "secret"
        m = { policy = "secret", mask = "******" }
        k = "abbreviate"
        i = "ignore"
        p = { policy = "track", personal = true }
    "#;
    registry.extend(document, Authority::Operator).unwrap();
    registry.resource("thing").unwrap().clone()
}

fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap()
}

fn diff(before: &str, after: &str) -> Value {
    let (before, after) = (raw(before), raw(after));
    let resource = resource();
    let diff = between(Some(&resource), Some(&before), Some(&after)).unwrap();
    let mut out = Vec::new();
    push_json(&mut out, diff.changes.iter());
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn changes_follow_the_table() {
    let change = |old: Value, new: Value| {
        let mut entry = json!({"secret": false});
        for (name, value) in [("old", old), ("new", new)] {
            if !value.is_null() {
                entry[name] = value;
            }
        }
        json!({"a": entry})
    };
    let none = json!({});
    let cases = [
        // A missing side counts as zero: "", 0, false, and null for lists and objects.
        ("null", r#"{"a":"x"}"#, change(json!(""), json!("x"))),
        ("null", r#"{"a":""}"#, none.clone()),
        ("null", r#"{"a":5}"#, change(json!(0), json!(5))),
        ("null", r#"{"a":0.0}"#, none.clone()),
        ("null", r#"{"a":true}"#, change(json!(false), json!(true))),
        ("null", r#"{"a":false}"#, none.clone()),
        ("null", r#"{"a":null}"#, none.clone()),
        ("null", r#"{"a":[]}"#, change(Value::Null, json!([]))),
        ("null", r#"{"a":{}}"#, change(Value::Null, json!({}))),
        (r#"{"a":"x"}"#, "null", change(json!("x"), json!(""))),
        (r#"{"a":[1]}"#, "null", change(json!([1]), Value::Null)),
        // With both sides there, absent counts as null; null against 0 and false is no change, against "" it is one.
        (r#"{}"#, r#"{"a":0}"#, none.clone()),
        (r#"{"a":null}"#, r#"{"a":false}"#, none.clone()),
        (r#"{"a":null}"#, r#"{}"#, none.clone()),
        (r#"{"a":null}"#, r#"{"a":""}"#, change(Value::Null, json!(""))),
        (r#"{"a":[]}"#, r#"{"a":null}"#, change(json!([]), Value::Null)),
        (r#"{"a":"null"}"#, r#"{"a":null}"#, change(json!("null"), Value::Null)),
        // Typed by JSON, lists in order, objects by key.
        (r#"{"a":1}"#, r#"{"a":"1"}"#, change(json!(1), json!("1"))),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, none.clone()),
        (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, change(json!([1, 2]), json!([2, 1]))),
        (r#"{"a":{"x":1,"y":2}}"#, r#"{"a":{"y":2,"x":1}}"#, none.clone()),
        (r#"{"a": [1,  2]}"#, r#"{"a":[1,2 ]}"#, none.clone()),
        (r#"{"i":1}"#, r#"{"i":2}"#, none.clone()),
    ];
    for (before, after, expect) in cases {
        assert_eq!(diff(before, after), expect, "{before} {after}");
    }
}

#[test]
fn numbers_beyond_a_double_keep_their_digits() {
    let (before, after) = (raw(r#"{"a":18446744073709551617}"#), raw(r#"{"a":18446744073709551616}"#));
    let resource = resource();
    let diff = between(Some(&resource), Some(&before), Some(&after)).unwrap();
    assert_eq!(diff.changes[0].old.as_deref(), Some("18446744073709551617"));
}

#[test]
fn secrets_masks_and_abbreviations() {
    let secret = json!({"old": "", "new": "", "secret": true});
    assert_eq!(diff(r#"{"s":"one"}"#, r#"{"s":"two"}"#)["s"], secret);
    assert_eq!(diff(r#"{"s":"one"}"#, r#"{"s":"one"}"#), json!({}));
    assert_eq!(diff("null", r#"{"s":""}"#), json!({}));
    assert_eq!(diff(r#"{"s":1}"#, r#"{"s":2}"#)["s"], json!({"old": 0, "new": 0, "secret": true}));
    assert_eq!(diff("null", r#"{"m":"hunter2"}"#)["m"], json!({"old": "", "new": "******", "secret": true}));
    let long = "0fb2d1e4aaaaaaaaaaaa7a4a";
    assert_eq!(diff("null", &format!(r#"{{"k":"{long}"}}"#))["k"]["new"], "0fb2...7a4a");
    assert_eq!(diff("null", r#"{"k":"fifteen-letters"}"#)["k"]["new"], "******");
    assert_eq!(diff("null", r#"{"k":12345}"#)["k"], json!({"old": 0, "new": "******", "secret": false}));
    assert_eq!(diff("null", r#"{"k":"sixteen-letters!"}"#)["k"]["new"], "sixt...ers!");
}

#[test]
fn an_unknown_field_is_withheld_and_named() {
    let (before, after) = (raw(r#"{"z":"one"}"#), raw(r#"{"z":"two"}"#));
    let resource = resource();
    let diff = between(Some(&resource), Some(&before), Some(&after)).unwrap();
    assert_eq!((diff.unclassified.len(), diff.changes[0].secret), (1, true));
    let unknown = between(None, Some(&before), Some(&after)).unwrap();
    assert!(unknown.changes[0].secret, "a type without a policy shows no value");
}

#[test]
fn a_ready_diff_passes_the_same_policy() {
    let ready = raw(
        r#"{"a":{"old":1,"new":2},"s":{"old":"x","new":"y"},"i":{"old":1,"new":2},"b":{"Old":null,"New":"z","Secret":false},"p":{"secret":true}}"#,
    );
    let resource = resource();
    let diff = from_ready(Some(&resource), &ready).unwrap();
    let mut out = Vec::new();
    push_json(&mut out, diff.changes.iter());
    assert_eq!(
        serde_json::from_slice::<Value>(&out).unwrap(),
        json!({"a": {"old": 1, "new": 2, "secret": false}, "s": {"old": "", "new": "", "secret": true},
               "b": {"new": "z", "secret": false}, "p": {"old": "", "new": "", "secret": true}})
    );
    for bad in [r#"[]"#, r#"{"a":1}"#, r#"{"a":{"odl":1}}"#, r#"{"a":{},"a":{}}"#] {
        assert!(from_ready(Some(&resource), &raw(bad)).is_err(), "{bad}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        "[a-c \"\\\\\u{e9}]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn snapshot() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[abz]", value(), 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    /// Applying the diff to the old state gives the new one, in the sense in which null, 0 and false are the same.
    #[test]
    fn applying_a_diff_gives_the_new_state(before in snapshot(), after in snapshot()) {
        let resource = {
            let mut registry = Registry::built_in();
            registry.extend("[[resource]]\ntype=\"t\"\n[resource.fields]\na=\"track\"\nb=\"track\"\nz=\"track\"\n", Authority::Operator).unwrap();
            registry.resource("t").unwrap().clone()
        };
        let (old, new) = (raw(&Value::Object(before.clone()).to_string()), raw(&Value::Object(after.clone()).to_string()));
        let diff = between(Some(&resource), Some(&old), Some(&new)).unwrap();
        let mut state = before;
        for change in &diff.changes {
            let new = change.new.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
            state.insert(change.field.to_string(), new);
        }
        let plain = |value: Option<&Value>| match value {
            None | Some(Value::Null | Value::Bool(false)) => Value::Null,
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Value::Null,
            Some(other) => other.clone(),
        };
        for field in ["a", "b", "z"] {
            prop_assert_eq!(plain(state.get(field)), plain(after.get(field)), "{}", field);
        }
    }

    #[test]
    fn nothing_changed_is_an_empty_diff(state in snapshot()) {
        let text = Value::Object(state).to_string();
        let (old, new) = (raw(&text), raw(&text));
        prop_assert!(between(Some(&resource()), Some(&old), Some(&new)).unwrap().changes.is_empty());
    }
}

#[test]
fn published_pairs_of_documents_differ_exactly_where_json_differs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/json-patch-tests/tests.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!(
            "skipped published_pairs_of_documents_differ_exactly_where_json_differs: ../shared/data is absent"
        );
        return;
    };
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for case in &cases {
        let (Some(doc), Some(expected)) = (case.get("doc"), case.get("expected")) else { continue };
        let wrap = |value: &Value| raw(&json!({ "a": value }).to_string());
        let (old, new) = (wrap(doc), wrap(expected));
        let diff = between(Some(&resource()), Some(&old), Some(&new)).unwrap();
        assert_eq!(diff.changes.is_empty(), doc == expected, "{case}");
        compared += 1;
    }
    assert!(compared > 40);
}
