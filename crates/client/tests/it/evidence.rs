//! Receipts and evidence as a real log writes them, changed in every part; the verifier in Python must judge the same.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use annals_client::evidence::{Outcome, Verdict, verify_evidence, verify_receipt};
use annals_engine::{Engine, Options, PartialBatch, Principal, SealPolicy, SearchRequest, SigningPolicy};
use annals_model::id::EventId;
use annals_tlog::VerifierKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What a log gave out.
struct Given {
    /// All events of seqs 100 to 399, events of one target, and nothing but a key.
    range: Vec<u8>,
    chosen: Vec<u8>,
    receipt: String,
    bare_receipt: String,
    key: VerifierKey,
}

fn given() -> &'static Given {
    static GIVEN: OnceLock<Given> = OnceLock::new();
    GIVEN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let signing = Some(SigningPolicy { origin: Some("log.example/test".to_owned()), ..SigningPolicy::default() });
        let seal = SealPolicy { in_background: false, ..SealPolicy::default() };
        let engine = Engine::create_or_open(dir.path(), Options { signing, seal, ..Options::default() }).unwrap();
        let operator = Principal::operator();
        let append = |range: std::ops::Range<u32>| {
            let event = |n: u32| {
                json!({"action": "write", "resource_type": "template", "resource_target": format!("thing-{n}"),
                    "user": {"username": format!("demo-person-{}", n % 7)}, "ip": "192.0.2.7",
                    "additional_fields": {"note": format!("“{n}” \n \u{1F600}"), "big": 12_345_678_901_234_567_890_u64}})
                .to_string()
            };
            let lines: Vec<String> = range.map(event).collect();
            engine.append(&operator, lines.join("\n").as_bytes(), PartialBatch::Refuse).unwrap().wait_blocking().unwrap();
        };
        append(0..600);
        engine.seal_now().unwrap();
        append(600..700);
        let evidence = |query: &str| {
            let mut out = Vec::new();
            let report = engine.write_evidence(&operator, query, &mut out, &mut |_, _| {}).unwrap();
            (out, report)
        };
        let (range, report) = evidence("seq:100..399");
        assert!(report.complete && report.events == 300, "{report:?}");
        let (chosen, report) = evidence("username:demo-person-3");
        assert!(!report.complete && report.events == 100, "{report:?}");
        let request = SearchRequest { query: "resource_target:thing-650", limit: 1, offset: 0, after: None };
        let found = engine.search(&operator, &request, |found| Ok(found.event.id)).unwrap().events[0];
        let receipt = |shows_values| {
            let id = EventId::new(found.uuid());
            engine.receipt(&operator, id, shows_values).unwrap().unwrap().unwrap().to_string()
        };
        let key = report.verifier.parse().unwrap();
        Given { range, chosen, receipt: receipt(true), bare_receipt: receipt(false), key }
    })
}

fn judge(file: &[u8], keys: &[VerifierKey]) -> Result<Verdict, String> {
    if file.starts_with(&[0x1f, 0x8b]) {
        verify_evidence(file, keys, &mut |_, _| {}, &mut |_, _| {}).map_err(|error| error.to_string())
    } else {
        let text = std::str::from_utf8(file).map_err(|error| error.to_string())?;
        verify_receipt(text, keys).map_err(|error| error.to_string())
    }
}

/// What docs/verify.py says, or nothing where it cannot run.
fn python(file: &[u8], keys: &[VerifierKey]) -> Option<i32> {
    static CAN_RUN: OnceLock<bool> = OnceLock::new();
    let can_run = *CAN_RUN.get_or_init(|| {
        let import =
            Command::new("python3").args(["-c", "import cryptography"]).stderr(Stdio::null()).status();
        let can_run = import.is_ok_and(|status| status.success());
        if !can_run {
            assert!(
                std::env::var_os("CI").is_none(),
                "python3 with cryptography is missing (Debian: python3-cryptography)"
            );
            eprintln!("skipped docs/verify.py: python3 with cryptography is absent");
        }
        can_run
    });
    let mut place = tempfile::NamedTempFile::new().unwrap();
    place.write_all(file).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verify.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(place.path());
    for key in keys {
        command.arg("--trust").arg(key.to_string());
    }
    can_run.then(|| {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("Traceback"), "{told}");
        output.status.code().unwrap()
    })
}

/// Both verifiers, which must agree.
fn outcome(what: &str, file: &[u8], keys: &[VerifierKey]) -> Option<Outcome> {
    let verdict = judge(file, keys);
    let outcome = verdict.as_ref().ok().map(|verdict| verdict.result);
    let code = match outcome {
        None => 64,
        Some(Outcome::Good) => 0,
        Some(Outcome::Tampered) => 1,
        Some(Outcome::Incomplete) => 2,
        Some(Outcome::Untrusted) => 3,
    };
    if let Some(found) = python(file, keys) {
        assert_eq!(found, code, "{what}: docs/verify.py and annals differ: {verdict:?}");
    }
    outcome
}

fn unpack(file: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (name, content)
        })
        .collect()
}

/// Packs parts with a manifest that names them as they are now, as a forger would; the manifest may be changed on the way.
fn pack(mut parts: BTreeMap<String, Vec<u8>>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_slice(&parts.remove("MANIFEST.json").unwrap()).unwrap();
    for (name, content) in &parts {
        let hash: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        manifest["files"][name] = hash.into();
    }
    change(&mut manifest);
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut append = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    };
    append("MANIFEST.json", manifest.to_string().as_bytes());
    let events = parts.remove("events.ndjson");
    parts.iter().for_each(|(name, content)| append(name, content));
    if let Some(events) = events {
        append("events.ndjson", &events);
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// The evidence with one event changed.
fn with_event(file: &[u8], change: impl Fn(&mut Vec<Value>)) -> Vec<u8> {
    let mut parts = unpack(file);
    let text = String::from_utf8(parts["events.ndjson"].clone()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    parts.insert("events.ndjson".to_owned(), text.into_bytes());
    let count = lines.len();
    pack(parts, |manifest| manifest["events"] = count.into())
}

fn flipped(text: &Value) -> Value {
    let text = text.as_str().unwrap();
    let first = if text.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &text[1..]).into()
}

#[test]
fn what_a_log_gives_out_is_good_to_those_who_trust_its_key() {
    let Given { range, chosen, receipt, bare_receipt, key } = given();
    let keys = std::slice::from_ref(key);
    for (what, file) in [
        ("range", range.as_slice()),
        ("chosen", chosen),
        ("receipt", receipt.as_bytes()),
        ("bare", bare_receipt.as_bytes()),
    ] {
        assert_eq!(outcome(what, file, keys), Some(Outcome::Good), "{what}");
        assert_eq!(outcome(what, file, &[]), Some(Outcome::Untrusted), "{what}");
        let other: VerifierKey =
            annals_tlog::SigningKey::from_seed("log.example/test", &[7; 32]).unwrap().verifier_key();
        assert_eq!(outcome(what, file, &[other]), Some(Outcome::Untrusted), "{what}");
    }
    let verdict = judge(range, keys).unwrap();
    assert_eq!((verdict.events, verdict.complete, verdict.seqs), (300, Some(true), (100, 400)));
    let verdict = judge(bare_receipt.as_bytes(), keys).unwrap();
    assert_eq!((verdict.events, verdict.withheld_openings), (1, 3));
    assert_eq!(verdict.requiring_openings().result, Outcome::Incomplete);
}

/// A change of one event's line.
type LineChange = (&'static str, fn(&mut Value));

const LINE_CHANGES: &[LineChange] = &[
    ("body", |line| {
        line["record"]["body"] = line["record"]["body"].as_str().unwrap().replacen("write", "reads", 1).into()
    }),
    ("nonce", |line| line["record"]["nonce"] = flipped(&line["record"]["nonce"])),
    ("salt", |line| line["record"]["openings"][0]["salt"] = flipped(&line["record"]["openings"][0]["salt"])),
    ("value", |line| {
        line["record"]["openings"][0]["value"] = "{\"user\":{\"username\":\"somebody-else\"}}".into()
    }),
    ("path of an opening", |line| line["record"]["openings"][0]["path"] = "/origin".into()),
    ("an opening left out", |line| drop(line["record"]["openings"].as_array_mut().unwrap().pop())),
    ("a commitment made up", |line| {
        line["record"]["openings"][0] = json!({"path": "/who", "commitment": "00".repeat(32)});
    }),
    ("kind", |line| line["record"]["kind"] = 1.into()),
    ("time", |line| line["record"]["time_us"] = (line["record"]["time_us"].as_i64().unwrap() + 1).into()),
    ("received", |line| {
        line["record"]["received_us"] = (line["record"]["received_us"].as_i64().unwrap() + 1).into()
    }),
    ("registry version", |line| line["record"]["registry_version"] = 9.into()),
    ("id", |line| line["record"]["id"] = flipped(&line["record"]["id"])),
    ("log id", |line| line["record"]["log_id"] = flipped(&line["record"]["log_id"])),
];

#[test]
fn every_change_of_an_event_is_found() {
    let Given { range, chosen, key, .. } = given();
    let keys = std::slice::from_ref(key);
    for (what, change) in LINE_CHANGES {
        for file in [range, chosen] {
            let forged = with_event(file, |lines| change(&mut lines[50]));
            assert_eq!(outcome(what, &forged, keys), Some(Outcome::Tampered), "{what}");
        }
    }
    for file in [range, chosen] {
        let exchanged = with_event(file, |lines| lines.swap(10, 11));
        assert_eq!(outcome("exchanged", &exchanged, keys), Some(Outcome::Tampered));
        let doubled = with_event(file, |lines| lines.insert(11, lines[10].clone()));
        assert_eq!(outcome("doubled", &doubled, keys), Some(Outcome::Tampered));
        let moved = with_event(file, |lines| lines[10]["seq"] = 101.into());
        assert_eq!(outcome("another seq", &moved, keys), Some(Outcome::Tampered));
    }
    // What is left out is missed in a range, and cannot be in a choice, which says so of itself.
    let left_out = with_event(range, |lines| drop(lines.remove(150)));
    assert_eq!(outcome("left out of a range", &left_out, keys), Some(Outcome::Tampered));
    let cut = with_event(range, |lines| drop(lines.pop()));
    assert_eq!(outcome("the last of a range", &cut, keys), Some(Outcome::Tampered));
    let left_out = with_event(chosen, |lines| drop(lines.remove(50)));
    assert_eq!(outcome("left out of a choice", &left_out, keys), Some(Outcome::Good));
    let path = with_event(chosen, |lines| drop(lines[5]["path"].as_array_mut().unwrap().pop()));
    assert_eq!(outcome("a shorter path", &path, keys), Some(Outcome::Tampered));
}

#[test]
fn every_change_of_a_part_is_found() {
    let Given { range, chosen, key, .. } = given();
    let keys = std::slice::from_ref(key);
    let member = |name: &'static str, value: Value| move |manifest: &mut Value| manifest[name] = value;
    for (what, name, value) in [
        ("origin", "origin", json!("log.example/other")),
        ("size", "size", json!(699)),
        ("root", "root", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("count", "events", json!(299)),
        ("begin", "from_seq", json!(99)),
        ("end", "to_seq", json!(399)),
        ("log id", "log_id", json!("00000000-0000-0000-0000-000000000000")),
    ] {
        assert_eq!(
            outcome(what, &pack(unpack(range), member(name, value)), keys),
            Some(Outcome::Tampered),
            "{what}"
        );
    }
    for part in ["policy.json", "README.txt", "keys.txt", "range.json", "events.ndjson"] {
        let mut parts = unpack(range);
        let hash = Sha256::digest(&parts[part]).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        parts.get_mut(part).unwrap().push(b'\n');
        let file = pack(parts, |manifest| manifest["files"][part] = hash.into());
        assert_eq!(outcome(part, &file, keys), Some(Outcome::Tampered), "{part}");
    }
    let mut parts = unpack(range);
    let note = String::from_utf8(parts["checkpoint.txt"].clone()).unwrap();
    let at = note.len() - 20;
    let other = if &note[at..=at] == "A" { "B" } else { "A" };
    parts.insert(
        "checkpoint.txt".to_owned(),
        format!("{}{other}{}", &note[..at], &note[at + 1..]).into_bytes(),
    );
    assert_eq!(outcome("signature", &pack(parts, |_| {}), keys), Some(Outcome::Tampered));
    // A choice that claims to be a whole range.
    let claim = pack(unpack(chosen), |manifest| manifest["complete"] = true.into());
    assert_ne!(outcome("claim", &claim, keys), Some(Outcome::Good));
    let newer = pack(unpack(range), |manifest| manifest["format"] = "annals-evidence/2".into());
    assert_eq!(outcome("newer", &newer, keys), None);
    let more = pack(unpack(range), |manifest| manifest["more"] = 1.into());
    assert_eq!(outcome("unknown member", &more, keys), None);
}

#[test]
fn a_withheld_value_keeps_its_place() {
    // The leaf holds the commitment, not whose it is: that stands in the body.
    let Given { bare_receipt, key, .. } = given();
    let mut receipt: annals_tlog::TlogProof = bare_receipt.parse().unwrap();
    let mut record: Value = serde_json::from_slice(receipt.extra.as_ref().unwrap()).unwrap();
    assert_ne!(record["openings"][0]["path"], "/origin");
    record["openings"][0]["path"] = "/origin".into();
    receipt.extra = Some(record.to_string().into_bytes());
    let keys = std::slice::from_ref(key);
    assert_eq!(outcome("moved", receipt.to_string().as_bytes(), keys), Some(Outcome::Tampered));
}

#[test]
fn a_receipt_whose_bytes_are_changed_is_never_good() {
    let Given { receipt, key, range, .. } = given();
    let keys = std::slice::from_ref(key);
    for at in (0..receipt.len()).step_by(7) {
        let mut bytes = receipt.clone().into_bytes();
        bytes[at] ^= 1;
        let verdict = judge(&bytes, keys);
        assert!(!matches!(&verdict, Ok(verdict) if verdict.result == Outcome::Good), "byte {at}");
    }
    for at in (0..receipt.len()).step_by(271) {
        let mut bytes = receipt.clone().into_bytes();
        bytes[at] ^= 1;
        assert_ne!(outcome(&format!("byte {at}"), &bytes, keys), Some(Outcome::Good));
    }
    for at in (0..range.len()).step_by(range.len() / 60) {
        let mut bytes = range.clone();
        bytes[at] ^= 16;
        let verdict = judge(&bytes, keys);
        // The header of gzip holds a time and a system, which say nothing, and so do the last bits of the byte before its trailer of 8.
        let says_nothing = at < 10 || at + 9 == range.len();
        assert!(
            says_nothing || !matches!(&verdict, Ok(verdict) if verdict.result == Outcome::Good),
            "byte {at}"
        );
        assert!(judge(&range[..at], keys).is_err(), "cut at {at}");
    }
}
