//! The history is the same for the same seed, sound, and recorded without a word of complaint.

use std::collections::{BTreeMap, BTreeSet};

use annals_model::registry::Registry;
use serde_json::Value;

use super::*;

/// 2026-01-31T12:00:00Z.
const END_US: i64 = 1_769_860_800_000_000;

fn history(seed: u64) -> Vec<SimulatedEvent> {
    Simulation::new(seed).history(END_US, 60, 4_000)
}

fn values(events: &[SimulatedEvent]) -> Vec<Value> {
    events.iter().map(|event| serde_json::from_str(&event.line).unwrap()).collect()
}

#[test]
fn the_same_seed_gives_the_same_history() {
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

#[test]
fn every_event_is_taken_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::create_or_open(dir.path(), Options::default()).unwrap();
    let mut simulation = Simulation::new(2_662);
    let mut events = simulation.history(END_US, 60, 4_000);
    assert!((3_600..4_400).contains(&events.len()), "{} events", events.len());
    events.extend((0..300).flat_map(|second| simulation.live(END_US + second * 1_000_000)));
    for batch in events.chunks(BATCH_EVENTS) {
        let lines: Vec<&str> = batch.iter().map(|event| event.line.as_str()).collect();
        let body = lines.join("\n");
        let pending = engine.append(&Principal::operator(), body.as_bytes(), PartialBatch::Refuse).unwrap();
        let appended = pending.wait_blocking().unwrap();
        assert_eq!((appended.accepted, appended.warnings), (batch.len(), Vec::new()));
    }
}

#[test]
fn every_admin_setting_build_reason_and_outcome_occurs() {
    let events = values(&history(2_662));
    let changed = |target: &str, field: &str| {
        events.iter().any(|event| {
            let matches = event["resource_type"] == "admin_setting" && event["resource_target"] == target;
            let after = event["after"].as_object();
            matches
                && if field.is_empty() {
                    after.is_none()
                } else {
                    after.is_some_and(|after| after.contains_key(field))
                }
        })
    };
    let registry = Registry::built_in();
    for setting in registry.settings() {
        assert!(changed(&setting.target, &setting.field), "{} / {}", setting.section, setting.setting);
    }
    let reasons: BTreeSet<&str> = events.iter().filter_map(|event| event["build_reason"].as_str()).collect();
    for reason in registry.build_reasons() {
        assert!(reasons.contains(reason.as_str()), "{reason} is not in {reasons:?}");
    }
    let statuses: BTreeSet<u64> = events.iter().filter_map(|event| event["status_code"].as_u64()).collect();
    for status in [200, 201, 401, 403, 409, 500] {
        assert!(statuses.contains(&status), "{status} is not in {statuses:?}");
    }
}

#[test]
fn nothing_happens_to_what_is_deleted_and_time_never_goes_back() {
    let events = history(2_662);
    assert!(events.is_sorted_by_key(|event| event.time_us));
    assert!(events.iter().all(|event| (END_US - 60 * 86_400_000_000..=END_US).contains(&event.time_us)));
    let mut deleted: BTreeMap<(String, String), String> = BTreeMap::new();
    for event in values(&events) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let (kind, id) = (text("resource_type"), text("resource_id"));
        // The id of a token is that of its owner.
        if id.is_empty() || kind == "api_key" {
            continue;
        }
        let earlier = deleted.get(&(kind.clone(), id.clone()));
        assert_eq!(earlier, None, "deleted earlier, and then: {event}");
        if text("action") == "delete" && event["status_code"].as_u64().unwrap() < 400 {
            deleted.insert((kind, id), text("time"));
        }
    }
    assert!(deleted.len() > 20, "{} deletions", deleted.len());
}

#[test]
fn all_names_and_addresses_are_made_up() {
    for event in values(&history(2_662)) {
        if let Some(username) = event["user"]["username"].as_str() {
            assert!(username.starts_with("demo-"), "{username}");
            assert_eq!(event["user"]["email"], format!("{username}@example.test"));
        }
        if let Some(ip) = event["ip"].as_str() {
            let ranges = ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:", "10.20."];
            assert!(ranges.iter().any(|range| ip.starts_with(range)), "{ip}");
        }
    }
}

#[test]
fn a_log_that_is_there_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refuse_other_logs(dir.path()).is_ok());
    assert!(refuse_other_logs(&dir.path().join("new")).is_ok());
    std::fs::write(dir.path().join("annals.db"), "").unwrap();
    assert!(refuse_other_logs(dir.path()).unwrap_err().to_string().contains("is not empty"));
}
