//! What a resource looked like: its recorded changes, replayed in their order.
//!
//! A pure fold over events. It knows of a field what its last change said, and of a field that never changed nothing. From null to
//! `0` or `false` is no change (see `annals_model::diff`), so of these three it may name another than the resource had.

use std::collections::BTreeMap;

use annals_model::audit_log::{StoredEvent, outcome};
use annals_model::diff::FieldChange;
use annals_model::limits::SNAPSHOT_FIELDS_MAX;
use annals_model::record::Group;

/// Fields of one state; a producer's snapshot has no more.
pub(crate) const STATE_FIELDS_MAX: usize = SNAPSHOT_FIELDS_MAX;
/// Bytes of one value of a state. With all its fields a state then takes 32 MiB at most.
pub(crate) const STATE_VALUE_BYTES_MAX: usize = 16 * 1024;

/// The state of a resource after one of its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceState {
    /// Fields by name that were recorded as changed.
    pub fields: BTreeMap<String, StateField>,
    /// A delete ended it, and nothing has changed since.
    pub is_deleted: bool,
    /// There were more fields than a state holds.
    pub is_cut: bool,
}

/// A field and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateField {
    /// Its value.
    pub value: StateValue,
    /// Seq of the event that changed it last.
    pub seq: u64,
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateValue {
    /// A JSON text.
    Set(String),
    /// It was taken away.
    Unset,
    /// It was set, and nobody may read it.
    Withheld,
    /// It was personal and has been erased.
    Erased,
    /// It is longer than what a state holds.
    TooLong,
}

/// What an event does to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) seq: u64,
    pub(crate) kind: StepKind,
    pub(crate) changes: Vec<(String, StateValue)>,
}

/// How a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// A resource comes to be: what stood under this id before was another one.
    Create,
    Change,
    /// The resource is gone.
    Delete,
    /// The action did not succeed.
    Failed,
}

impl StateValue {
    /// The value after a change.
    pub(crate) fn after(change: &FieldChange<'_>, is_erased: bool) -> StateValue {
        match &change.new {
            _ if change.secret => StateValue::Withheld,
            _ if change.personal && is_erased => StateValue::Erased,
            Some(text) if text.len() > STATE_VALUE_BYTES_MAX => StateValue::TooLong,
            Some(text) if text != "null" => StateValue::Set(text.clone().into_owned()),
            _ => StateValue::Unset,
        }
    }
}

impl Step {
    pub(crate) fn of(event: &StoredEvent<'_>, seq: u64) -> Step {
        let kind = match event.body.action.as_str() {
            _ if outcome(event.body.status_code) != "success" => StepKind::Failed,
            "create" => StepKind::Create,
            "delete" => StepKind::Delete,
            _ => StepKind::Change,
        };
        let is_erased = event.erased.contains(&Group::DiffNew);
        let changes = event.changes.iter();
        let changes =
            changes.map(|change| (change.field.to_string(), StateValue::after(change, is_erased))).collect();
        Step { seq, kind, changes }
    }
}

impl ResourceState {
    /// Goes on by one event.
    pub(crate) fn apply(&mut self, step: Step) {
        match step.kind {
            StepKind::Failed => return,
            StepKind::Delete => {
                *self = ResourceState { is_deleted: true, ..ResourceState::default() };
                return;
            }
            StepKind::Create => *self = ResourceState::default(),
            // A look at what is gone does not bring it back.
            StepKind::Change => self.is_deleted &= step.changes.is_empty(),
        }
        for (name, value) in step.changes {
            if self.fields.len() >= STATE_FIELDS_MAX && !self.fields.contains_key(&name) {
                self.is_cut = true;
                continue;
            }
            self.fields.insert(name, StateField { value, seq: step.seq });
        }
    }
}

/// The state after events in their order, the oldest first.
#[cfg(test)]
pub(crate) fn replay(steps: impl IntoIterator<Item = Step>) -> ResourceState {
    let mut state = ResourceState::default();
    steps.into_iter().for_each(|step| state.apply(step));
    state
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use annals_model::diff::between;
    use annals_model::registry::{Authority, Registry, ResourceType};
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Map, Value, json};

    use super::*;

    fn resource() -> ResourceType {
        let mut registry = Registry::built_in();
        let document = r#"
            [[resource]]
            type = "thing"
            [resource.fields]
            a = "track"
            b = "track"
            c = "track"
            personal = { policy = "track", personal = true }
            secret = "secret"
            ignored = "ignore"
        "#;
        registry.extend(document, Authority::Operator).unwrap();
        registry.resource("thing").unwrap().clone()
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn step(kind: StepKind, seq: u64, before: Option<&Value>, after: Option<&Value>) -> Step {
        let (before, after) = (before.map(raw), after.map(raw));
        let diff = between(Some(&resource()), before.as_deref(), after.as_deref()).unwrap();
        let changes = diff.changes.iter();
        let changes =
            changes.map(|change| (change.field.to_string(), StateValue::after(change, false))).collect();
        Step { seq, kind, changes }
    }

    /// What happens next to a resource.
    #[derive(Debug, Clone)]
    enum Next {
        Write(Value),
        /// An attempt at what it would have become.
        Fail(Value),
        Delete,
        Look,
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            Just(json!("")),
            Just(json!(0)),
            Just(json!(false)),
            "[ab]{0,2}".prop_map(Value::from),
            (-2_i64..3).prop_map(Value::from),
            prop::collection::vec(0..3_i64, 0..3).prop_map(|items| json!(items)),
        ]
    }

    fn snapshot() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec!["a", "b", "c", "personal", "secret", "ignored"]);
        prop::collection::btree_map(names, value(), 0..6).prop_map(|fields| {
            Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        })
    }

    fn next() -> impl Strategy<Value = Next> {
        prop_oneof![
            6 => snapshot().prop_map(Next::Write),
            2 => snapshot().prop_map(Next::Fail),
            1 => Just(Next::Delete),
            1 => Just(Next::Look),
        ]
    }

    /// Values that a diff takes for the same, or may: from null to `0` or `false` is no change, and so none of these three is one
    /// from another where null stood between. See `annals_model::diff`.
    fn is_same(one: &Value, other: &Value, was_created_without: bool) -> bool {
        let is_nothing = |value: &Value| {
            value.is_null()
                || *value == json!(false)
                || *value == json!(0)
                || (was_created_without && *value == json!(""))
        };
        one == other || (is_nothing(one) && is_nothing(other))
    }

    proptest! {
        #[test]
        fn the_replayed_state_is_the_last_snapshot_of_what_changed(
            all in prop::collection::vec(next(), 0..24)
        ) {
            let mut current: Option<Value> = None;
            let mut steps = Vec::new();
            for (seq, next) in (0..).zip(&all) {
                steps.push(match (next, &current) {
                    (Next::Write(after), before) => {
                        let kind = if before.is_none() { StepKind::Create } else { StepKind::Change };
                        let step = step(kind, seq, before.as_ref(), Some(after));
                        current = Some(after.clone());
                        step
                    }
                    (Next::Fail(after), before) => step(StepKind::Failed, seq, before.as_ref(), Some(after)),
                    (Next::Delete, Some(before)) => {
                        let step = step(StepKind::Delete, seq, Some(before), None);
                        current = None;
                        step
                    }
                    (Next::Delete | Next::Look, _) => Step { seq, kind: StepKind::Change, changes: Vec::new() },
                });
            }
            let state = replay(steps.clone());
            let Some(last) = current else {
                prop_assert!(state.fields.is_empty());
                prop_assert_eq!(state.is_deleted, steps.iter().any(|step| step.kind == StepKind::Delete));
                return Ok(());
            };
            prop_assert!(!state.is_deleted && !state.is_cut);
            let begun = steps.iter().rposition(|step| step.kind == StepKind::Create).unwrap();
            let lived = steps[begun..].iter().filter(|step| step.kind != StepKind::Failed);
            let last = last.as_object().cloned().unwrap_or_default();
            let none = Value::Null;
            // Every field that a diff named is there, with the value of the last snapshot and the seq of its last change.
            let mut changed: Map<String, Value> = Map::new();
            for step in lived {
                for (name, _) in &step.changes {
                    changed.insert(name.clone(), json!(step.seq));
                }
            }
            prop_assert_eq!(state.fields.keys().collect::<Vec<_>>(), changed.keys().collect::<Vec<_>>());
            prop_assert!(!changed.contains_key("ignored"));
            for (name, field) in &state.fields {
                prop_assert_eq!(json!(field.seq), changed[name].clone());
                let expect = last.get(name).unwrap_or(&none);
                match &field.value {
                    StateValue::Withheld => prop_assert_eq!(name, "secret"),
                    StateValue::Set(text) => {
                        let found: Value = serde_json::from_str(text).unwrap();
                        prop_assert!(is_same(&found, expect, false), "{name}: {found} {expect}");
                    }
                    StateValue::Unset => prop_assert!(is_same(&none, expect, false), "{name}: {expect}"),
                    other => prop_assert!(false, "{name}: {other:?}"),
                }
            }
            // What is not there never changed since the resource came to be: it is still as good as nothing.
            for (name, value) in last.iter().filter(|(name, _)| *name != "ignored") {
                prop_assert!(state.fields.contains_key(name) || is_same(&none, value, true), "{name}: {value}");
            }
        }
    }

    fn changed(kind: StepKind, seq: u64, names: &[&str]) -> Step {
        let changes = names.iter().map(|name| ((*name).to_owned(), StateValue::Unset)).collect();
        Step { seq, kind, changes }
    }

    /// What the test above found: a diff says nothing of `false` that goes by way of null to `0`, so a state cannot know.
    #[test]
    fn nothing_by_another_name_is_no_change() {
        let values = [json!({"a": ""}), json!({"a": false}), json!({}), json!({"a": 0})];
        let steps = (1..).zip(values.windows(2));
        let steps = steps.map(|(seq, pair)| step(StepKind::Change, seq, Some(&pair[0]), Some(&pair[1])));
        let state = replay(steps);
        let expect = StateField { value: StateValue::Set("false".to_owned()), seq: 1 };
        assert_eq!(state.fields["a"], expect);
    }

    #[test]
    fn a_delete_ends_it_and_a_change_begins_anew() {
        let create = changed(StepKind::Create, 0, &["a", "b"]);
        let delete = changed(StepKind::Delete, 1, &["a", "b"]);
        let look = changed(StepKind::Change, 2, &[]);
        let late = changed(StepKind::Change, 3, &["c"]);
        let state = replay([create.clone(), delete.clone(), look.clone()]);
        assert!(state.is_deleted && state.fields.is_empty());
        let state = replay([create.clone(), delete, look, late]);
        assert!(!state.is_deleted);
        assert_eq!(state.fields.keys().collect::<Vec<_>>(), ["c"]);
        // A second one of the same id begins with nothing of the first.
        let state = replay([create, changed(StepKind::Create, 1, &["b"])]);
        assert_eq!(state.fields.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_state_has_its_limits() {
        let many: Vec<String> = (0..STATE_FIELDS_MAX + 5).map(|number| format!("f{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut state = replay([changed(StepKind::Change, 0, &many)]);
        assert!(state.is_cut && state.fields.len() == STATE_FIELDS_MAX);
        state.apply(changed(StepKind::Change, 1, &["f0"]));
        assert_eq!(state.fields["f0"].seq, 1, "what is there goes on");
        let long = format!("\"{}\"", "x".repeat(STATE_VALUE_BYTES_MAX));
        let change = |new: Option<&'static str>, secret, personal| FieldChange {
            field: Cow::Borrowed("f"),
            old: None,
            new: new.map(Cow::Borrowed),
            secret,
            personal,
        };
        let too_long = FieldChange { new: Some(Cow::Owned(long)), ..change(None, false, false) };
        assert_eq!(StateValue::after(&too_long, false), StateValue::TooLong);
        assert_eq!(StateValue::after(&change(Some("\"\""), true, false), true), StateValue::Withheld);
        assert_eq!(StateValue::after(&change(None, false, true), true), StateValue::Erased);
        assert_eq!(
            StateValue::after(&change(Some("1"), false, false), true),
            StateValue::Set("1".to_owned())
        );
        assert_eq!(StateValue::after(&change(None, false, true), false), StateValue::Unset);
    }
}
