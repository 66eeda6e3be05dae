//! What is erased is gone from every byte, and everything is still proven.

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals_engine::{
    Depth, Engine, Erase, ErasureError, Location, Options, Principal, Role, SealPolicy, SigningPolicy,
};
use annals_model::id::EventId;
use annals_model::record::{Group, LeafKind};
use annals_model::record_json::RecordJson;
use annals_tlog::{Checkpoint, SignedNote, TlogProof, VerifierKey, leaf_hash, verify_inclusion};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{PASSWORD, append, fixed_clock, person, search, sign};

/// Texts that stand nowhere else, so that a search of bytes proves something.
const SECRETS: [&str; 7] = [
    "demo-zebraquagga",
    "zebraquagga@example.test",
    "Zebra Quagga The First",
    "198.51.100.77",
    "ZebraBrowser/9.9",
    "zebra-old-value",
    "zebra-note-inside",
];
const USER_ID: &str = "5ebra000-0000-4000-8000-000000000077";

fn options() -> Options {
    Options {
        clock: fixed_clock(),
        signing: Some(SigningPolicy { interval: Duration::from_secs(3_600), ..SigningPolicy::default() }),
        seal: SealPolicy { in_background: false, ..SealPolicy::default() },
        ..Options::default()
    }
}

/// An event that names the subject in every way there is, by `n`.
fn event(n: usize) -> String {
    let who = json!({"id": USER_ID, "username": SECRETS[0], "email": SECRETS[1], "name": SECRETS[2]});
    let other = json!({"id": format!("other-{n}"), "username": format!("demo-person-{n}"), "email": format!("person-{n}@example.test")});
    let base = json!({"action": "write", "resource_type": "template", "resource_target": format!("thing-{n}"), "user": other, "ip": "192.0.2.1"});
    let mut event = base;
    match n % 8 {
        0 => {
            event["user"] = who;
            event["ip"] = SECRETS[3].into();
            event["user_agent"] = SECRETS[4].into();
        }
        1 => event["impersonator"] = who,
        2 => event["on_behalf_of"] = who,
        3 => event["additional_fields"] = json!({"inside": {"list": [SECRETS[1], SECRETS[6]]}}),
        4 => {
            event["resource_type"] = "user".into();
            event["resource_target"] = SECRETS[0].into();
            event["resource_id"] = USER_ID.into();
            event["before"] = json!({"username": SECRETS[0], "name": SECRETS[5], "email": SECRETS[1]});
            event["after"] = json!({"username": SECRETS[0], "name": SECRETS[2], "email": SECRETS[1]});
        }
        _ => {}
    }
    event.to_string()
}

fn fill(engine: &Engine, range: std::ops::Range<usize>) {
    append(engine, &range.map(event).collect::<Vec<_>>().join("\n")).unwrap();
}

fn receipts(engine: &Engine) -> Vec<String> {
    let (_, events) = search(engine, "resource_target:thing-* OR resource_type:user");
    let id = |event: &serde_json::Value| EventId::new(event["id"].as_str().unwrap().parse().unwrap());
    let receipt =
        |id| engine.receipt(&Principal::operator(), id, true).unwrap().unwrap().unwrap().to_string();
    events.iter().take(60).map(|event| receipt(id(event))).collect()
}

fn verify(engine: &Engine, receipt: &str) -> LeafKind {
    let epochs = engine.epochs(&Principal::operator()).unwrap();
    let key: VerifierKey = epochs[0].verifier.parse().unwrap();
    let receipt: TlogProof = receipt.parse().unwrap();
    let json: RecordJson<'_> = serde_json::from_slice(receipt.extra.as_ref().unwrap()).unwrap();
    let record = json.record().unwrap();
    let note: SignedNote = receipt.checkpoint.parse().unwrap();
    note.verify(&[key]).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    let leaf = leaf_hash(&record.leaf_bytes(json.log_id()));
    verify_inclusion(&leaf, receipt.index, checkpoint.size(), &receipt.path, &checkpoint.root()).unwrap();
    record.kind
}

/// Every file below a directory, and of segments also every page and dictionary, decoded.
fn everything(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let name = path.display().to_string();
        if name.ends_with(".parquet") {
            let mut decoded = Vec::new();
            annals_segment::each_event(Bytes::from(bytes.clone()), &mut |event| {
                decoded.extend_from_slice(event.body.as_bytes());
                decoded.extend_from_slice(event.envelope);
            })
            .unwrap();
            found.push((format!("{name} decoded"), decoded));
            found.push((
                format!("{name} columns"),
                annals_segment::decoded_pages(Bytes::from(bytes.clone())).unwrap(),
            ));
        }
        found.push((name, bytes));
    }
    found
}

fn left(dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for (name, bytes) in everything(dir) {
        let folded: Vec<u8> = bytes.to_ascii_lowercase();
        for secret in SECRETS {
            let secret = secret.to_ascii_lowercase();
            if folded.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                left.push(format!("{secret} in {name}"));
            }
        }
    }
    left
}

#[test]
fn nothing_is_left_of_a_person_and_every_receipt_still_verifies() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create_or_open(dir.path(), options()).unwrap();
    fill(&engine, 0..600);
    engine.seal_now().unwrap();
    fill(&engine, 600..800);
    sign(&engine);
    let before = receipts(&engine);
    let root = engine.ready().unwrap().root;
    assert!(!left(dir.path()).is_empty(), "the search of bytes finds what is there");
    // 500 of 800 events are of the kinds that name the subject.
    let operator = Principal::operator();
    let plan = engine.plan_erasure(&operator, Erase::Subject(SECRETS[0].to_owned()), &mut |_, _| {}).unwrap();
    assert_eq!(plan.events(), 500);
    assert_eq!(plan.identifiers, [USER_ID, SECRETS[0], SECRETS[1]]);
    let expected = [
        ("/details", 100),
        ("/diff_new", 100),
        ("/diff_old", 100),
        ("/origin", 300),
        ("/target", 100),
        ("/who", 300),
    ];
    assert_eq!(plan.by_path.clone().into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(search(&engine, &format!("username:{}", SECRETS[0])).0, 100);
    assert_eq!(engine.ready().unwrap().root, root, "a plan changes nothing");

    let report = engine.erase(&operator, plan, "request 4711", &mut |_, _| {}).unwrap();
    assert_eq!(
        (report.events, report.openings, report.segments, report.forgotten.pages),
        (500, 1_000, 1, true)
    );
    assert_eq!(left(dir.path()), [] as [String; 0]);
    for query in [
        "username:demo-zebraquagga",
        "email:zebraquagga@example.test",
        "ip:198.51.100.77",
        "zebraquagga",
        "ZebraBrowser",
    ] {
        assert_eq!(search(&engine, query).0, 0, "{query}");
    }
    // What concerns others stays.
    assert_eq!(search(&engine, "username:demo-person-5").0, 1);
    let (_, events) = search(&engine, "resource_type:user");
    assert_eq!(events.len(), 100);
    let (count, records) = search(&engine, "resource_type:erasure");
    assert_eq!(count, 1);
    assert_eq!(records[0]["diff"]["reason"]["new"], "request 4711");
    assert_eq!(records[0]["diff"]["event_count"]["new"], 500);
    assert_eq!(records[0]["additional_fields"]["erased"].as_array().unwrap().len(), 500);

    sign(&engine);
    for receipt in &before {
        verify(&engine, receipt);
    }
    let after = receipts(&engine);
    for (receipt, old) in after.iter().zip(&before) {
        verify(&engine, receipt);
        assert!(SECRETS.iter().all(|secret| !receipt.contains(secret)));
        assert_eq!(receipt.parse::<TlogProof>().unwrap().path, old.parse::<TlogProof>().unwrap().path);
    }
    let id = EventId::new(records[0]["id"].as_str().unwrap().parse().unwrap());
    let control = engine.receipt(&operator, id, true).unwrap().unwrap().unwrap().to_string();
    assert_eq!(verify(&engine, &control), LeafKind::Erasure);
    engine.stop();
    drop(engine);
    let report = annals_engine::verify(&Location::from(dir.path()), Depth::Indexes, &mut |_, _| {}).unwrap();
    assert_eq!((report.findings, report.withheld), (vec![], vec![]));
    assert!(report.gone > 0, "what is gone is named by its records");
    // After a start the same, and a second erasure finds nothing.
    let engine = Engine::open(dir.path(), options()).unwrap();
    let again =
        engine.plan_erasure(&operator, Erase::Subject(SECRETS[1].to_owned()), &mut |_, _| {}).unwrap();
    assert_eq!((again.events(), again.looked_at), (0, 801));
    drop(engine);
    assert_eq!(left(dir.path()), [] as [String; 0]);
}

#[test]
fn one_field_of_one_event_goes_alone() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create_or_open(dir.path(), options()).unwrap();
    fill(&engine, 0..300);
    engine.seal_now().unwrap();
    let operator = Principal::operator();
    let (_, events) = search(&engine, "resource_target:thing-8");
    let id = EventId::new(events[0]["id"].as_str().unwrap().parse().unwrap());
    let plan =
        engine.plan_erasure(&operator, Erase::Field { id, group: Group::Origin }, &mut |_, _| {}).unwrap();
    assert_eq!(plan.events(), 1);
    engine.erase(&operator, plan, "a mistake", &mut |_, _| {}).unwrap();
    let (_, events) = search(&engine, "resource_target:thing-8");
    assert_eq!((&events[0]["ip"], &events[0]["user"]["username"]), (&"".into(), &SECRETS[0].into()));
    assert_eq!(search(&engine, "ip:198.51.100.77").0, 37);
    let unknown = Erase::Field { id: EventId::from_bytes([9; 16]), group: Group::Who };
    assert!(matches!(
        engine.plan_erasure(&operator, unknown, &mut |_, _| {}),
        Err(ErasureError::UnknownEvent { .. })
    ));
    let empty = Erase::Subject("  ".to_owned());
    assert!(matches!(engine.plan_erasure(&operator, empty, &mut |_, _| {}), Err(ErasureError::NoSubject)));
}

#[test]
fn only_site_managers_erase_and_attempts_are_recorded() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create_or_open(dir.path(), options()).unwrap();
    engine.add_person(&Principal::operator(), &person("demo-auditor", Role::Auditor)).unwrap();
    let secret = engine.log_in("demo-auditor", PASSWORD, &annals_engine::Origin::default()).unwrap();
    let auditor = engine.authenticate(annals_engine::Credential::Session(secret.reveal())).unwrap().unwrap();
    let refused = engine.plan_erasure(&auditor, Erase::Subject("demo-person".to_owned()), &mut |_, _| {});
    assert!(matches!(refused, Err(ErasureError::Forbidden(_))));
    let (count, events) = search(&engine, "resource_type:erasure status_code:403");
    assert_eq!((count, &events[0]["user"]["username"]), (1, &"demo-auditor".into()));
}

#[test]
fn another_process_forgets_what_was_erased() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create_or_open(dir.path(), options()).unwrap();
    fill(&engine, 0..600);
    engine.seal_now().unwrap();
    fill(&engine, 600..700);
    // As a server beside a command that works in place.
    let server = Engine::open(dir.path(), options()).unwrap();
    assert_eq!(search(&server, "username:demo-zebraquagga").0, 88);
    let operator = Principal::operator();
    let plan = engine.plan_erasure(&operator, Erase::Subject(USER_ID.to_owned()), &mut |_, _| {}).unwrap();
    engine.erase(&operator, plan, "request", &mut |_, _| {}).unwrap();
    assert_eq!(search(&server, "username:demo-zebraquagga").0, 0);
    assert_eq!(search(&server, "zebraquagga").0, 0);
    let (count, events) = search(&server, "resource_target:thing-*");
    assert_eq!((count, events.len()), (613, 613));
    append(&server, &event(5)).unwrap();
    assert_eq!(search(&engine, "resource_target:thing-5").0, 2);
}

#[test]
fn people_who_shared_a_name_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create_or_open(dir.path(), options()).unwrap();
    let event = |id: &str, name: &str, email: &str| {
        json!({"action": "write", "resource_type": "template", "resource_target": "t",
            "user": {"id": id, "username": name, "email": email}, "additional_fields": {"owner": email}})
        .to_string()
    };
    let events = [
        event("u-1", "demo-alex", "alex@example.test"),
        event("u-1", "demo-alexander", "alex@example.test"),
        // Who came later got the name that was free, and an address of which the other is a part.
        event("u-2", "demo-alex", "a.alex@example.test"),
        event("", "demo-alex", ""),
    ];
    append(&engine, &events.join("\n")).unwrap();
    let operator = Principal::operator();
    let plan = |name: &str| engine.plan_erasure(&operator, Erase::Subject(name.to_owned()), &mut |_, _| {});
    let ambiguous = plan("demo-alex").unwrap_err();
    assert_eq!(ambiguous.to_string(), "that name belongs to several people; give the id of one: u-1, u-2");
    let plan = plan("u-1").unwrap();
    assert_eq!(plan.identifiers, ["alex@example.test", "demo-alex", "demo-alexander", "u-1"]);
    // Both events of the first, and the one that gives no id and could be anybody of that name.
    assert_eq!(plan.events(), 3);
    // What comes while one thinks about it goes too.
    append(&engine, &event("u-1", "demo-alex", "alex@example.test")).unwrap();
    let report = engine.erase(&operator, plan, "request", &mut |_, _| {}).unwrap();
    assert_eq!(report.events, 4);
    let (_, left) = search(&engine, "username:demo-alex");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["user"]["id"], "u-2");
    assert_eq!(left[0]["additional_fields"]["owner"], "a.alex@example.test");
}
