//! What retention drops is gone from every search and byte, and the tree stays whole; holds keep what they name.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals_engine::{
    Clock, Depth, Engine, Erase, EvidenceError, ExportFormat, ExportRequest, HistogramRequest, Location,
    Options, Principal, RetentionError, SealPolicy, SigningPolicy,
};
use annals_model::time::Time;
use annals_tlog::{Checkpoint, verify_consistency};
use tempfile::TempDir;

use crate::support::{append, search, sign, template_event};

const DAY_US: i64 = 86_400_000_000;

struct Log {
    dir: TempDir,
    engine: Engine,
    now: Arc<AtomicI64>,
}

fn options(now: &Arc<AtomicI64>) -> Options {
    Options {
        clock: Clock::Fixed(Arc::clone(now)),
        signing: Some(SigningPolicy { interval: Duration::from_secs(3_600), ..SigningPolicy::default() }),
        seal: SealPolicy { in_background: false, ..SealPolicy::default() },
        ..Options::default()
    }
}

/// A log of four times 200 events, each lot ten days after the one before; the first 512 are sealed.
fn log() -> Log {
    let dir = TempDir::new().unwrap();
    let now = Arc::new(AtomicI64::new(Time::parse("2026-01-01T00:00:00Z").unwrap().as_micros()));
    let engine = Engine::create_or_open(dir.path(), options(&now)).unwrap();
    for lot in 0..4 {
        let event = |n: usize| {
            let kind = if n.is_multiple_of(2) { "template" } else { "workspace" };
            template_event(
                &format!("lot-{lot}-{n}"),
                &format!(r#""user":{{"username":"demo-person-{}"}}"#, n % 5),
            )
            .replace("\"template\"", &format!("\"{kind}\""))
        };
        append(&engine, &(0..200).map(event).collect::<Vec<_>>().join("\n")).unwrap();
        now.fetch_add(10 * DAY_US, Ordering::Relaxed);
    }
    engine.seal_now().unwrap();
    let log = Log { dir, engine, now };
    log.sign();
    log
}

impl Log {
    fn sign(&self) -> Checkpoint {
        sign(&self.engine)
    }

    fn count(&self, query: &str) -> u64 {
        search(&self.engine, query).0
    }

    fn run(&self) -> u64 {
        self.engine.run_retention(&Principal::operator(), &mut |_, _| {}).unwrap().events
    }
}

#[test]
fn the_first_rule_decides_and_what_is_over_is_gone_everywhere() {
    let log = log();
    let operator = Principal::operator();
    let before = log.sign();
    let root = log.engine.ready().unwrap().root;
    // Forty days after the first lot: workspaces are kept for 15 days, all else for 35.
    log.engine.add_retention_rule(&operator, "", 35).unwrap();
    log.engine.add_retention_rule(&operator, "resource_type:workspace", 15).unwrap();
    let (rules, _) = log.engine.retention(&operator).unwrap();
    assert_eq!(
        rules.iter().map(|rule| rule.days).collect::<Vec<_>>(),
        [15, 35],
        "the one for all comes last"
    );
    let plan = log.engine.plan_retention(&operator).unwrap();
    assert_eq!(plan.iter().map(|count| count.events).collect::<Vec<_>>(), [300, 100]);
    assert_eq!(log.count("lot-*"), 800, "a plan changes nothing");

    assert_eq!(log.run(), 400);
    assert_eq!((log.count("resource_type:workspace"), log.count("resource_type:template")), (100, 300));
    assert_eq!(log.count("-action:delete resource_target:lot-*"), 400);
    assert_eq!(log.count("username:demo-person-1 resource_target:lot-0-*"), 0);
    let all = log.count("");
    let histogram = HistogramRequest { query: "", bucket: None, from_us: None, to_us: None };
    assert_eq!(log.engine.histogram(&operator, &histogram).unwrap().count, all);
    let request = ExportRequest { query: "", after_seq: None, format: ExportFormat::NDJSON };
    assert_eq!(log.engine.export(&operator, &request).unwrap().count(), all);
    let (runs, records) = search(&log.engine, "resource_type:retention action:erase");
    // One for each rule and part of the log: as much as went, exactly.
    let counts = records.iter().map(|record| record["diff"]["event_count"]["new"].as_u64().unwrap());
    assert_eq!((runs, counts.sum::<u64>()), (records.len() as u64, 400), "{records:#?}");
    // Again, nothing is left to drop.
    assert_eq!(log.run(), 0);
    assert_eq!(
        log.count("resource_type:retention action:erase"),
        runs,
        "nothing is recorded where nothing goes"
    );
    for file in std::fs::read_dir(log.dir.path().join("segments")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let pages = annals_segment::decoded_pages(bytes.into()).unwrap();
        assert!(!pages.windows(8).any(|window| window == b"lot-0-1\""), "a dropped event is in no page");
    }

    // The tree is what it was: old checkpoints are continued, and everything is checked.
    let after = log.sign();
    let proof = log.engine.consistency(&operator, before.size(), after.size()).unwrap().unwrap();
    verify_consistency(before.size(), after.size(), &proof, &before.root(), &after.root()).unwrap();
    assert_ne!(after.root(), root);
    let (_, events) = search(&log.engine, "resource_target:lot-3-7");
    let id = annals_model::id::EventId::new(events[0]["id"].as_str().unwrap().parse().unwrap());
    assert!(log.engine.receipt(&operator, id, true).unwrap().unwrap().is_ok());
    let Log { dir, engine, now } = log;
    engine.stop();
    drop(engine);
    let report = annals_engine::verify(&Location::from(dir.path()), Depth::Indexes, &mut |_, _| {}).unwrap();
    assert_eq!((report.findings, report.withheld), (vec![], vec![]));
    assert!(report.gone > 0, "what is gone is named by its records");
    let engine = Engine::open(dir.path(), options(&now)).unwrap();
    assert_eq!(search(&engine, "resource_target:lot-*").0, 400, "after a start the same");
    // Evidence of a whole range would have to show what is gone.
    let refused = engine.write_evidence(&Principal::operator(), "seq:0..99", std::io::sink(), &mut |_, _| {});
    assert!(matches!(refused, Err(EvidenceError::Dropped { .. })));
    engine
        .write_evidence(&Principal::operator(), "resource_target:lot-3-*", std::io::sink(), &mut |_, _| {})
        .unwrap();
}

#[test]
fn a_hold_wins_over_rules_and_erasures_until_it_is_released() {
    let log = log();
    let operator = Principal::operator();
    log.engine.add_retention_rule(&operator, "", 35).unwrap();
    let hold = log.engine.add_hold(&operator, "username:demo-person-2", "case 7").unwrap();
    let plan = log.engine.plan_retention(&operator).unwrap();
    assert_eq!((plan[0].events, plan[0].held), (160, 40));
    assert_eq!(log.run(), 160);
    assert_eq!(log.count("resource_target:lot-0-*"), 40);
    let what = Erase::Subject("demo-person-2".to_owned());
    let plan = log.engine.plan_erasure(&operator, what.clone(), &mut |_, _| {}).unwrap();
    // Also the record of the hold, whose query names the person.
    assert_eq!((plan.events(), plan.held), (0, 161));
    log.engine.release_hold(&operator, &hold.id).unwrap();
    assert_eq!(log.run(), 40);
    assert_eq!(log.count("resource_target:lot-0-*"), 0);
    assert_eq!(log.engine.plan_erasure(&operator, what, &mut |_, _| {}).unwrap().held, 0);
    let (_, holds) = log.engine.retention(&operator).unwrap();
    assert_eq!(holds, []);
    assert_eq!(log.count("resource_type:legal_hold"), 2);
}

#[test]
fn what_cannot_be_right_is_refused() {
    let log = log();
    let operator = Principal::operator();
    for days in [0, 36_501] {
        assert!(matches!(log.engine.add_retention_rule(&operator, "", days), Err(RetentionError::Days)));
    }
    assert!(matches!(
        log.engine.add_retention_rule(&operator, "nonsense:", 5),
        Err(RetentionError::Query(_))
    ));
    assert!(matches!(log.engine.add_hold(&operator, "", "why"), Err(RetentionError::NoReason)));
    assert!(matches!(log.engine.add_hold(&operator, "action:write", " "), Err(RetentionError::NoReason)));
    assert!(matches!(log.engine.release_hold(&operator, "x"), Err(RetentionError::Unknown { .. })));
    assert_eq!(log.run(), 0, "without a rule nothing is ever dropped");
}
