//! Signed checkpoints, receipts, and the guard against a log that was put back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use annals_engine::{
    Engine, EngineError, IngestError, Options, Principal, Refusal, SealPolicy, SigningPolicy,
};
use annals_model::id::EventId;
use annals_model::record::LeafKind;
use annals_model::record_json::RecordJson;
use annals_tlog::{TlogProof, leaf_hash, verify_consistency, verify_inclusion};
use tempfile::TempDir;

use crate::support::{append, checked, fixed_clock, search, sign, template_event};

/// Signs only when it is asked to.
fn options() -> Options {
    let signing = Some(SigningPolicy { interval: Duration::from_secs(3_600), ..SigningPolicy::default() });
    let seal = SealPolicy { in_background: false, ..SealPolicy::default() };
    Options { clock: fixed_clock(), signing, seal, ..Options::default() }
}

fn open(dir: &Path) -> Engine {
    Engine::create_or_open(dir, options()).unwrap()
}

fn fill(engine: &Engine, name: &str, count: usize) {
    let events: Vec<String> = (0..count).map(|n| template_event(&format!("{name}-{n}"), "")).collect();
    append(engine, &events.join("\n")).unwrap();
}

fn id_of(engine: &Engine, target: &str) -> EventId {
    let (_, events) = search(engine, &format!("resource_target:{target}"));
    EventId::new(events[0]["id"].as_str().unwrap().parse().unwrap())
}

fn receipt(engine: &Engine, target: &str) -> TlogProof {
    engine.receipt(&Principal::operator(), id_of(engine, target), true).unwrap().unwrap().unwrap()
}

/// Checks a receipt as somebody would who has nothing but the file and the key.
fn verify(engine: &Engine, receipt: &TlogProof) -> LeafKind {
    let receipt: TlogProof = receipt.to_string().parse().unwrap();
    let json: RecordJson<'_> = serde_json::from_slice(receipt.extra.as_ref().unwrap()).unwrap();
    let record = json.record().unwrap();
    let leaf = leaf_hash(&record.leaf_bytes(json.log_id()));
    let checkpoint = checked(engine, &receipt.checkpoint);
    verify_inclusion(&leaf, receipt.index, checkpoint.size(), &receipt.path, &checkpoint.root()).unwrap();
    record.kind
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_event_has_a_receipt_sealed_or_not() {
    let dir = TempDir::new().unwrap();
    let engine = open(dir.path());
    fill(&engine, "a", 700);
    let first = sign(&engine);
    let early = receipt(&engine, "a-3");
    fill(&engine, "b", 900);
    let second = sign(&engine);
    assert!(engine.seal_now().unwrap() > 0);
    fill(&engine, "c", 10);
    let third = sign(&engine);
    for target in ["a-0", "a-255", "a-256", "a-699", "b-0", "b-500", "b-899", "c-9"] {
        assert_eq!(verify(&engine, &receipt(&engine, target)), LeafKind::Event, "{target}");
    }
    // The first checkpoint that covers an event stays its own.
    assert_eq!(receipt(&engine, "a-3"), early);
    assert_eq!(checked(&engine, &early.checkpoint), first);
    assert_eq!(checked(&engine, &receipt(&engine, "b-5").checkpoint), second);
    let operator = Principal::operator();
    for (old, new) in [(&first, &second), (&first, &third), (&second, &third), (&third, &third)] {
        let proof = engine.consistency(&operator, old.size(), new.size()).unwrap().unwrap();
        verify_consistency(old.size(), new.size(), &proof, &old.root(), &new.root()).unwrap();
    }
    assert!(engine.consistency(&operator, 5, third.size() + 1).unwrap().is_none());
    // Without its personal values a receipt proves the same.
    append(&engine, &template_event("who", r#""user":{"username":"demo-person"}"#)).unwrap();
    sign(&engine);
    let bare = engine.receipt(&operator, id_of(&engine, "who"), false).unwrap().unwrap().unwrap();
    assert!(!String::from_utf8(bare.extra.clone().unwrap()).unwrap().contains("demo-person"));
    verify(&engine, &bare);
    assert!(String::from_utf8(receipt(&engine, "who").extra.unwrap()).unwrap().contains("demo-person"));
    assert!(engine.receipt(&operator, EventId::from_bytes([7; 16]), true).unwrap().is_none());
}

#[test]
fn a_log_that_was_put_back_takes_nothing_until_a_new_epoch() {
    let (dir, copies) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let engine = open(dir.path());
    fill(&engine, "old", 300);
    sign(&engine);
    let old = receipt(&engine, "old-7");
    drop(engine);
    copy(dir.path(), &copies.path().join("yesterday"));
    let engine = open(dir.path());
    fill(&engine, "new", 50);
    let signed = sign(&engine);
    drop(engine);

    // Yesterday's database comes back; the key's directory stands, as it is not in the database.
    let restored = copies.path().join("yesterday");
    fs::remove_dir_all(restored.join("key")).unwrap();
    copy(&dir.path().join("key"), &restored.join("key"));
    let engine = open(&restored);
    assert!(
        matches!(engine.refusal(), Some(Refusal::Shorter { signed: size, found: 300 }) if size == signed.size())
    );
    let refused = append(&engine, &template_event("lost", "")).unwrap_err();
    assert!(matches!(&refused, IngestError::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("`annals epoch begin`"), "{refused}");
    assert!(matches!(engine.ready(), Err(EngineError::Refused(_))));
    assert!(engine.ask_for_checkpoint().is_none(), "nobody signs");
    // It is read as before, and old receipts verify.
    assert_eq!(search(&engine, "resource_target:old-*").0, 300);
    verify(&engine, &old);
    drop(engine);

    let (engine, epoch) = Engine::begin_epoch(&restored, options(), "a disk was replaced", false).unwrap();
    assert_eq!((epoch.number, epoch.first_size), (2, 300));
    assert!(epoch.origin.ends_with("/e2"), "{}", epoch.origin);
    fill(&engine, "after", 3);
    let signed_now = sign(&engine);
    assert_eq!((signed_now.origin(), signed_now.size()), (epoch.origin.as_str(), 304));
    let (_, events) = search(&engine, "resource_type:epoch");
    assert_eq!(events[0]["seq"], 300);
    assert_eq!(events[0]["diff"]["reason"]["new"], "a disk was replaced");
    assert_eq!(events[0]["diff"]["before"]["new"], signed.to_string());
    let record = engine
        .receipt(&Principal::operator(), id_of(&engine, &epoch.origin), true)
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(verify(&engine, &record), LeafKind::Epoch);
    verify(&engine, &old);
    drop(engine);
    let engine = open(&restored);
    assert_eq!(engine.refusal(), None);
    assert_eq!(search(&engine, "resource_type:epoch").0, 1, "an epoch begins once");
    drop(engine);
    let needless = Engine::begin_epoch(&restored, options(), "", false).unwrap_err();
    assert!(needless.to_string().contains("no new epoch is needed"), "{needless}");
}

#[test]
fn of_two_servers_on_one_copied_log_the_second_refuses() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let engine = open(dir.path());
    fill(&engine, "both", 20);
    sign(&engine);
    drop(engine);
    copy(dir.path(), other.path());
    let location = |dir: &Path| annals_engine::Location { key_dir: other.path().join("key"), ..dir.into() };
    let open = |dir: &Path| Engine::open(location(dir), options()).unwrap();
    let (first, second) = (open(dir.path()), open(other.path()));
    fill(&first, "first", 5);
    fill(&second, "second", 9);
    sign(&first);
    // The second one has more events, but others: it must not sign them.
    let begun = Instant::now();
    while second.refusal().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        second.ask_for_checkpoint().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(matches!(second.refusal(), Some(Refusal::OtherHistory { signed: 25 })));
    assert!(append(&second, &template_event("more", "")).is_err());
    let metrics = second.metrics(&Principal::operator(), annals_engine::MetricsFormat::Prometheus).unwrap();
    assert!(metrics.contains("annals_log_refused 1"), "{metrics}");
    fill(&first, "first-again", 5);
    assert_eq!(sign(&first).size(), 30);
}

#[test]
fn without_its_key_or_with_another_a_log_takes_nothing() {
    let dir = TempDir::new().unwrap();
    let engine = open(dir.path());
    fill(&engine, "a", 3);
    sign(&engine);
    drop(engine);
    let key = dir.path().join("key/key");
    let text = fs::read_to_string(&key).unwrap();
    assert!(text.starts_with("PRIVATE+KEY+annals/"), "{}", &text[..20]);
    let database = fs::read(dir.path().join("annals.db")).unwrap();
    let secret = text.trim_end().rsplit('+').next().unwrap();
    assert!(
        !database.windows(secret.len()).any(|window| window == secret.as_bytes()),
        "the key is not in the database"
    );

    fs::rename(&key, dir.path().join("away")).unwrap();
    assert!(matches!(open(dir.path()).refusal(), Some(Refusal::KeyMissing { .. })));
    let other = TempDir::new().unwrap();
    drop(open(other.path()));
    fs::copy(other.path().join("key/key"), &key).unwrap();
    assert!(matches!(open(dir.path()).refusal(), Some(Refusal::OtherKey { .. })));
    fs::rename(dir.path().join("away"), &key).unwrap();
    assert_eq!(open(dir.path()).refusal(), None);
    // Commands that work in place do not sign, but the guard holds for them too.
    let plain = || Engine::open(dir.path(), Options { signing: None, ..options() });
    append(&plain().unwrap(), &template_event("by hand", "")).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(append(&plain().unwrap(), &template_event("by hand", "")).is_err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::copy(other.path().join("key/key"), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = plain().unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn a_checkpoint_that_was_signed_and_not_published_is_published() {
    let dir = TempDir::new().unwrap();
    let engine = open(dir.path());
    fill(&engine, "a", 3);
    sign(&engine);
    fill(&engine, "b", 3);
    let unsigned = TempDir::new().unwrap();
    copy(dir.path(), unsigned.path());
    let signed = sign(&engine);
    let published = engine.checkpoint(&Principal::operator()).unwrap().unwrap();
    drop(engine);
    // As if the power had gone between the file and the database.
    fs::remove_dir_all(unsigned.path().join("key")).unwrap();
    copy(&dir.path().join("key"), &unsigned.path().join("key"));
    let engine = open(unsigned.path());
    assert_eq!(sign(&engine), signed);
    assert_eq!(engine.checkpoint(&Principal::operator()).unwrap().unwrap().note, published.note);
}
