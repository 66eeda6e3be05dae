//! Made-up people: what they do is sound, varied, and recorded without a word of complaint.

use std::collections::{BTreeMap, BTreeSet};

use annals_client::model::registry::Registry;
use annals_deployment::simulation::Simulation;
use serde_json::Value;

use crate::support::Rig;

const DAYS: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_sound_and_goes_on_live() {
    let rig = Rig::new().await;
    let end: jiff::Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
    let mut told = Vec::new();
    let mut simulation =
        Simulation::history(&rig.deployment, 2_662, end, DAYS, 4_000, &mut |count| told.push(count)).await;
    let events = rig.events().await;
    let mut of_action: BTreeMap<String, u64> = BTreeMap::new();
    for event in &events {
        *of_action.entry(format!("{} {}", event["action"], event["resource_type"])).or_default() += 1;
    }
    assert!((3_600..4_600).contains(&events.len()), "{} events: {of_action:?}", events.len());
    assert_eq!(told.last(), Some(&(events.len() as u64)));
    times_are_in_the_span_and_never_go_back(&events, end);
    everything_occurs(&events);
    nothing_happens_to_what_is_deleted(&events);
    all_names_and_addresses_are_made_up(&events);
    let organization = &simulation.organization().id;
    assert!(events.iter().any(|event| event["organization"]["id"] == organization.as_str()));

    for _ in 0..50 {
        simulation.live().await;
    }
    let after = rig.events().await;
    assert!(after.len() >= events.len() + 50, "{} after {}", after.len(), events.len());
    assert_eq!(rig.deployment.unaudited(), [""; 0]);
}

fn times_are_in_the_span_and_never_go_back(events: &[Value], end: jiff::Timestamp) {
    let times: Vec<jiff::Timestamp> =
        events.iter().map(|event| event["time"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted());
    let start = end - jiff::SignedDuration::from_hours(24 * i64::from(DAYS));
    // The last follow-up may take place some minutes later.
    let latest = end + jiff::SignedDuration::from_hours(2);
    assert!(
        times.iter().all(|time| (start..latest).contains(time)),
        "{:?} to {:?}",
        times.first(),
        times.last()
    );
}

fn everything_occurs(events: &[Value]) {
    let registry = Registry::built_in();
    for setting in registry.settings() {
        let is_changed = events.iter().any(|event| {
            let is_it = event["resource_type"] == "admin_setting"
                && event["resource_target"] == setting.target.as_str()
                && event["outcome"] == "success";
            is_it
                && setting
                    .field
                    .split('/')
                    .all(|field| field.is_empty() || event["diff"].get(field).is_some())
        });
        assert!(is_changed, "{} / {}", setting.section, setting.setting);
    }
    let of = |name: &str| -> BTreeSet<String> {
        events.iter().filter_map(|event| Some(event[name].as_str()?.to_owned())).collect()
    };
    let reasons: BTreeSet<&str> =
        events.iter().filter_map(|event| event["additional_fields"]["build_reason"].as_str()).collect();
    for reason in registry.build_reasons() {
        assert!(reasons.contains(reason.as_str()), "{reason} is not in {reasons:?}");
    }
    for status in [200, 201, 202, 204, 400, 401, 403, 409, 500] {
        assert!(events.iter().any(|event| event["status_code"] == status), "{status}");
    }
    let actions = of("action");
    for action in [
        "auto_off",
        "auto_start",
        "connect",
        "cordon",
        "enqueue",
        "open",
        "ssh",
        "uncordon",
        "view",
        "register",
    ] {
        assert!(actions.contains(action), "{action} is not in {actions:?}");
    }
    let types = of("resource_type");
    assert!(types.len() >= 16, "{types:?}");
}

fn nothing_happens_to_what_is_deleted(events: &[Value]) {
    let mut deleted: BTreeMap<(String, String), String> = BTreeMap::new();
    for event in events {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let (kind, id) = (text("resource_type"), text("resource_id"));
        // The id of a token, a key and a member is that of the user; a build is made by its deletion.
        if id.is_empty()
            || ["api_key", "git_ssh_key", "organization_member", "workspace_build"].contains(&kind.as_str())
        {
            continue;
        }
        let earlier = deleted.get(&(kind.clone(), id.clone()));
        assert_eq!(earlier, None, "deleted earlier, and then: {event}");
        if text("action") == "delete" && event["outcome"] == "success" {
            deleted.insert((kind, id), text("time"));
        }
    }
    assert!(deleted.len() > 20, "{} deletions", deleted.len());
}

fn all_names_and_addresses_are_made_up(events: &[Value]) {
    for event in events {
        if let Some(username) = event["user"]["username"].as_str() {
            assert!(username.starts_with("demo-"), "{username}");
            assert_eq!(event["user"]["email"], format!("{username}@example.test"));
        }
        if let Some(ip) = event["ip"].as_str().filter(|ip| !ip.is_empty()) {
            let ranges = ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:", "10.20."];
            assert!(ranges.iter().any(|range| ip.starts_with(range)), "{ip}");
        }
    }
}
