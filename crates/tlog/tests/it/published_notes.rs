//! Published notes, checkpoints and proof files, and the checkpoints of real logs with the signatures of real witnesses.

use annals_tlog::{
    Checkpoint, Hash, NoteError, SignatureType, SignedNote, TlogProof, VerifierKey, leaf_hash,
    verify_inclusion,
};
use serde_json::Value;

use crate::vectors::{bytes, vectors};

/// The keys of three public witnesses that cosigned a checkpoint among the vectors, as their operators publish them.
const WITNESSES: [&str; 3] = [
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    "staging.witness.transparency.goog/ring-any-bells+2e1a8dc9+BG5JTpLc3FJtwzgh1Uv+Qelz9qeOH2bfWjS1s0s+y4rL",
    "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G",
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hash(hex: &Value) -> Hash {
    Hash::from_bytes(bytes(hex).try_into().unwrap())
}

#[test]
fn notes_as_published() {
    let Some(vectors) = vectors("notes_as_published") else { return };
    let (mut good, mut bad, mut bad_keys) = (0, 0, 0);
    for case in vectors["signed_notes"].as_array().unwrap() {
        let keys: Result<Vec<VerifierKey>, _> =
            case["vkeys"].as_array().unwrap().iter().map(|key| text(key).parse()).collect();
        if text(&case["expect"]) == "vkey-error" {
            assert!(keys.is_err(), "{case}");
            bad_keys += 1;
            continue;
        }
        let keys = keys.unwrap();
        for (key, published) in keys.iter().zip(case["vkeys"].as_array().unwrap()) {
            assert_eq!(key.to_string(), text(published));
        }
        let note = text(&case["note"]).parse::<SignedNote>();
        let verified = note.as_ref().map_err(Clone::clone).and_then(|note| note.verify(&keys));
        match (text(&case["expect"]), text(&case["id"])) {
            ("ok", _) => {
                let note = note.as_ref().unwrap();
                assert_eq!(note.to_string(), text(&case["note"]));
                assert_eq!(note.text(), text(&case["text"]));
                let expected = case["verified"].as_u64().unwrap_or(1);
                assert_eq!(verified.unwrap().len() as u64, expected, "{case}");
                good += 1;
            }
            ("error", id) => {
                let expected = match id {
                    "gomod/no known key" => NoteError::Untrusted { signatures: 2 },
                    "gomod/101 signatures" => NoteError::TooManySignatures,
                    "gomod/known key, broken signature" => {
                        NoteError::BadSignature { name: "PeterNeumann".to_owned() }
                    }
                    other => panic!("unknown case {other}"),
                };
                assert_eq!(verified, Err(expected));
                bad += 1;
            }
            (other, _) => panic!("unknown verdict {other}"),
        }
    }
    assert_eq!((good, bad, bad_keys), (4, 3, 2));
}

#[test]
fn malformed_notes_as_published() {
    let Some(vectors) = vectors("malformed_notes_as_published") else { return };
    let notes = vectors["signed_notes_malformed"].as_array().unwrap();
    assert_eq!(notes.len(), 7);
    for case in notes {
        assert_eq!(text(&case["expect"]), "error");
        assert!(SignedNote::from_bytes(&bytes(&case["note_hex"])).is_err(), "{case}");
    }
}

#[test]
fn checkpoints_as_published() {
    let Some(vectors) = vectors("checkpoints_as_published") else { return };
    let mut seen = 0;
    for case in vectors["checkpoints"].as_array().unwrap() {
        let note: SignedNote = text(&case["note"]).parse().unwrap();
        let keys = [text(&case["vkey"]).parse().unwrap()];
        assert_eq!(note.verify(&keys).unwrap().len(), 1);
        let checkpoint: Checkpoint = note.text().parse().unwrap();
        assert_eq!(checkpoint.origin(), text(&case["origin"]));
        assert_eq!(checkpoint.size(), case["size"].as_u64().unwrap());
        assert_eq!(checkpoint.root(), hash(&case["root"]));
        assert_eq!(checkpoint.to_string(), note.text());
        assert_eq!(text(&case["expect"]), "ok");
        seen += 1;
    }
    for log in vectors["logs"].as_array().unwrap() {
        let keys = [text(&log["vkey"]).parse().unwrap()];
        for (size, note) in log["checkpoints_by_size"].as_array().unwrap().iter().enumerate() {
            let note: SignedNote = text(note).parse().unwrap();
            assert_eq!(note.verify(&keys).unwrap()[0].time, None);
            let checkpoint: Checkpoint = note.text().parse().unwrap();
            assert_eq!(checkpoint.size(), size as u64);
            assert_eq!(checkpoint.root(), hash(&log["roots_by_size"][size]));
            seen += 1;
        }
    }
    assert_eq!(seen, 17);
}

/// The Ed25519 keys of the logs in a bundle: the name of a key is the address without its scheme.
fn log_keys(bundle: &Value) -> Vec<VerifierKey> {
    let ed25519 = |key: &&Value| text(&key["keyDetails"]) == "PKIX_ED25519";
    let keys = bundle["tlog_keys"].as_array().unwrap().iter().filter(ed25519);
    keys.map(|key| {
        let public: [u8; 32] = *bytes(&key["spki_der"]).last_chunk().unwrap();
        let name = text(&key["baseUrl"]).strip_prefix("https://").unwrap();
        VerifierKey::new(name, SignatureType::Ed25519, &public).unwrap()
    })
    .collect()
}

#[derive(Debug, PartialEq)]
enum Outcome {
    NoNote,
    NoCheckpoint,
    Untrusted,
    Signed,
}

fn outcome(bundle: &Value) -> Outcome {
    let Ok(note) = text(&bundle["checkpoint"]).parse::<SignedNote>() else { return Outcome::NoNote };
    match (note.verify(&log_keys(bundle)), note.text().parse::<Checkpoint>()) {
        (_, Err(_)) => Outcome::NoCheckpoint,
        (Err(NoteError::Untrusted { .. }), _) => Outcome::Untrusted,
        (Ok(_), Ok(checkpoint)) => {
            assert_eq!(checkpoint.size(), bundle["tree_size"].as_u64().unwrap(), "{}", bundle["id"]);
            assert_eq!(checkpoint.root(), hash(&bundle["root"]), "{}", bundle["id"]);
            Outcome::Signed
        }
        (Err(error), _) => panic!("{}: {error}", bundle["id"]),
    }
}

#[test]
fn bundles_of_a_public_log_as_published() {
    let Some(vectors) = vectors("bundles_of_a_public_log_as_published") else { return };
    let (mut proofs, mut signed, mut others, mut without) = (0, 0, 0, 0);
    for bundle in vectors["offline_bundles"].as_array().unwrap() {
        let Some(valid) = bundle["_merkle_inclusion_valid"].as_bool() else {
            without += 1;
            continue;
        };
        let path: Vec<Hash> = bundle["proof"].as_array().unwrap().iter().map(hash).collect();
        let (index, size) = (bundle["leaf_index"].as_u64().unwrap(), bundle["tree_size"].as_u64().unwrap());
        let leaf = leaf_hash(&bytes(&bundle["entry"]));
        let verdict = verify_inclusion(&leaf, index, size, &path, &hash(&bundle["root"]));
        assert_eq!(verdict.is_ok(), valid, "{}", bundle["id"]);
        proofs += 1;

        let expected = match text(&bundle["id"]) {
            "rekor2-checkpoint-missing-log-signature_fail" => Outcome::NoNote,
            "rekor2-checkpoint-missing-origin_fail"
            | "rekor2-checkpoint-missing-root-hash_fail"
            | "rekor2-checkpoint-missing-size_fail" => Outcome::NoCheckpoint,
            // The first three are of a log that signs with ECDSA.
            "checkpoint-bad-keyhint_fail"
            | "checkpoint-wrong-roothash_fail"
            | "invalid-checkpoint-signature_fail"
            | "rekor2-checkpoint-no-matching-signature_fail" => Outcome::Untrusted,
            _ => Outcome::Signed,
        };
        let found = outcome(bundle);
        assert_eq!(found, expected, "{}", bundle["id"]);
        if found == Outcome::Signed {
            signed += 1
        } else {
            others += 1
        }
        if found != Outcome::Signed {
            continue;
        }

        // The same as a proof file.
        let file = TlogProof {
            extra: Some(bytes(&bundle["entry"])),
            index,
            path,
            checkpoint: text(&bundle["checkpoint"]).to_owned(),
        };
        assert_eq!(file.to_string().parse::<TlogProof>().unwrap(), file);
    }
    assert_eq!((proofs, signed, others, without), (28, 20, 8, 1));
}

#[test]
fn cosignatures_of_public_witnesses_verify() {
    let Some(vectors) = vectors("cosignatures_of_public_witnesses_verify") else { return };
    let mut cosigned = 0;
    for bundle in vectors["offline_bundles"].as_array().unwrap() {
        let Some(checkpoint) = bundle["checkpoint"].as_str().filter(|note| note.contains("stagemole")) else {
            continue;
        };
        let mut keys = log_keys(bundle);
        keys.extend(WITNESSES.map(|key| key.parse().unwrap()));
        let note: SignedNote = checkpoint.parse().unwrap();
        let verified = note.verify(&keys).unwrap();
        let times: Vec<Option<u64>> = verified.iter().map(|verified| verified.time).collect();
        assert_eq!(times, [None, Some(1_778_700_214), Some(1_778_700_214), Some(1_778_700_214)]);
        cosigned += 1;

        // A cosignature is over the time too: one second later it is another.
        for at in 1..4 {
            let mut line = note.signatures()[at].clone();
            let mut bytes = line.bytes().to_vec();
            bytes[7] ^= 1;
            line = with_bytes(&line, &bytes);
            let mut forged = note.clone();
            forged.add_signature(line).unwrap();
            assert!(matches!(forged.verify(&keys), Err(NoteError::BadSignature { .. })));
        }
    }
    assert_eq!(cosigned, 4);
}

/// A signature line of the same key with other bytes.
fn with_bytes(signature: &annals_tlog::NoteSignature, bytes: &[u8]) -> annals_tlog::NoteSignature {
    use base64::Engine as _;
    let whole = [signature.key_id().as_bytes().as_slice(), bytes].concat();
    let base64 = base64::engine::general_purpose::STANDARD.encode(whole);
    format!("— {} {base64}", signature.name()).parse().unwrap()
}

#[test]
fn malformed_proof_files_as_published() {
    let Some(vectors) = vectors("malformed_proof_files_as_published") else { return };
    let files = vectors["tlog_proof_malformed"].as_array().unwrap();
    assert_eq!(files.len(), 7);
    for case in files {
        let malformed = text(&case["text"]);
        assert!(malformed.parse::<TlogProof>().is_err(), "{case}");
        // The fault is what is said, not the checkpoint, which is none in any of them.
        let log = &vectors["logs"][0]["checkpoints_by_size"][3];
        let with_checkpoint = malformed.replace("\ncheckpoint\n", &format!("\n{}", text(log)));
        assert!(with_checkpoint.contains("example.com/log"), "{case}");
        let error = with_checkpoint.parse::<TlogProof>().unwrap_err().to_string();
        assert!(!error.contains("checkpoint"), "{case}: {error}");
    }
}
