//! Keys, notes, cosignatures and checkpoints: what is signed verifies, what is changed does not, and another library agrees.

use annals_tlog::{
    Checkpoint, CheckpointError, Hash, KeyError, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, NoteError,
    NoteSignature, SignatureType, SignedNote, SigningKey, VerifierKey, leaf_hash,
};
use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

const NAME: &str = "example.com/log";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new(NAME, 20_852_163, leaf_hash(b"root")).unwrap()
}

fn signed() -> SignedNote {
    SignedNote::sign(&checkpoint().to_string(), &[&key(NAME, 1)]).unwrap()
}

fn bad_signature(name: &str) -> NoteError {
    NoteError::BadSignature { name: name.to_owned() }
}

/// What the other library says of a note: the number of keys that signed it, or nothing.
fn peer_verdict(note: &[u8], vkeys: &[String]) -> Option<usize> {
    let keys = vkeys.iter().map(|vkey| Box::new(StandardVerifier::new(vkey).unwrap()) as Box<_>);
    let (verified, _) = Note::from_bytes(note).ok()?.verify(&VerifierList::new(keys.collect())).ok()?;
    Some(verified.len())
}

#[test]
fn private_keys_survive_their_texts() {
    let key = key(NAME, 1);
    let text = key.to_text();
    let read = SigningKey::from_text(&text).unwrap();
    assert_eq!((read.name(), read.verifier_key()), (NAME, key.verifier_key()));
    assert_eq!(*read.to_text(), *text);
    // Go's format, as the other library reads it.
    let peer = StandardSigner::new(&text).unwrap();
    let mut note = Note::new(b"text\n", &[]).unwrap();
    note.add_sigs(&[&peer]).unwrap();
    assert_eq!(note.to_bytes(), SignedNote::sign("text\n", &[&key]).unwrap().to_string().into_bytes());
}

#[test]
fn keys_do_not_show_their_seed() {
    let shown = format!("{:?}", key(NAME, 0xab));
    assert_eq!(shown, "SigningKey { name: \"example.com/log\", .. }");
}

#[test]
fn malformed_private_keys_are_refused_without_a_word_of_their_seed() {
    let good = key(NAME, 1).to_text();
    let (head, base64) = good.rsplit_once('+').unwrap();
    let bad = [
        String::new(),
        "PRIVATE+KEY+".to_owned(),
        good.strip_prefix("PRIVATE+KEY+").unwrap().to_owned(),
        good.replace("log", "lo g"),
        good.replace("log", "other"),
        format!("{}=", *good),
        format!("{}\n", *good),
        good[..good.len() - 4].to_owned(),
        format!("{head}+"),
        format!("{head}+BA{}", &base64[2..]),
        good.replace("PRIVATE", "private"),
    ];
    for text in bad {
        let error = SigningKey::from_text(&text).map(|_| ()).expect_err(&text);
        assert!(!format!("{error:?} {error}").contains(&base64[4..12]), "{error:?}");
    }
}

#[test]
fn malformed_public_keys_are_refused() {
    let good = key(NAME, 1).verifier_key().to_string();
    assert_eq!(good.parse::<VerifierKey>().unwrap().to_string(), good);
    let (head, base64) = good.rsplit_once('+').unwrap();
    let bad = [
        String::new(),
        "+".to_owned(),
        "++".to_owned(),
        NAME.to_owned(),
        head.to_owned(),
        format!("{head}+"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\r\n"),
        good.to_uppercase(),
        good.replace("example", "exämple "),
        format!("{head}+{}", &base64[..base64.len() - 4]),
        format!("{head}+{base64}AAAA"),
        format!("{head}+Ag{}", &base64[2..]),
        format!("{head}0+{base64}"),
    ];
    for text in bad {
        assert!(text.parse::<VerifierKey>().is_err(), "{text:?}");
    }
    // Under a key of small order a signature of nothing verifies anything.
    let mut small_order = [0; 32];
    small_order[0] = 1;
    assert_eq!(VerifierKey::new(NAME, SignatureType::Ed25519, &small_order), Err(KeyError::NotAKey));
    assert_eq!(VerifierKey::new("a b", SignatureType::Ed25519, &[2; 32]), Err(KeyError::Name));
    assert_eq!(SigningKey::from_seed(&"x".repeat(256), &[1; 32]).map(|_| ()), Err(KeyError::Name));
}

#[test]
fn a_signature_is_over_the_text_and_of_the_key() {
    let note = signed();
    let known = [key(NAME, 1).verifier_key()];
    assert_eq!(note.verify(&known).unwrap()[0].key, &known[0]);
    assert_eq!(peer_verdict(note.to_string().as_bytes(), &[known[0].to_string()]), Some(1));
    // Another key of the same name, and the same key under another name, are other keys.
    let strangers = [key(NAME, 2).verifier_key(), key("example.com/log2", 1).verifier_key()];
    assert_eq!(note.verify(&strangers), Err(NoteError::Untrusted { signatures: 1 }));
    // The key for cosignatures does not check signatures.
    assert_eq!(note.verify(&[key(NAME, 1).cosigner_key()]), Err(NoteError::Untrusted { signatures: 1 }));
    assert_eq!(note.verify(&[]), Err(NoteError::Untrusted { signatures: 1 }));

    let other: SignedNote = note.to_string().replace("20852163", "20852164").parse().unwrap();
    assert_eq!(other.verify(&known), Err(bad_signature(NAME)));
}

#[test]
fn unknown_signatures_are_ignored_and_bad_ones_are_not() {
    let (log, witness, stranger) = (key(NAME, 1), key("witness.example/w1", 2), key("stranger.example", 3));
    let mut note = SignedNote::sign(&checkpoint().to_string(), &[&stranger, &log, &witness]).unwrap();
    let known = [witness.verifier_key(), log.verifier_key()];
    let names = |note: &SignedNote| -> Vec<String> {
        note.verify(&known).unwrap().iter().map(|verified| verified.key.name().to_owned()).collect()
    };
    assert_eq!(names(&note), [NAME, "witness.example/w1"], "in the order of the note");
    // The same line again counts once.
    note.add_signature(note.signatures()[1].clone()).unwrap();
    assert_eq!(names(&note), [NAME, "witness.example/w1"]);
    // One bad line of a known key spoils the note, good lines of it notwithstanding.
    let elsewhere = SignedNote::sign("other\n", &[&witness]).unwrap();
    note.add_signature(elsewhere.signatures()[0].clone()).unwrap();
    assert_eq!(note.verify(&known), Err(bad_signature("witness.example/w1")));
    assert_eq!(note.verify(&known[1..]).unwrap().len(), 1, "unless that key is not known");
}

#[test]
fn cosignatures_say_when() {
    let (log, witness) = (key(NAME, 1), key("witness.example/w1", 2));
    let mut note = signed();
    note.add_signature(witness.cosign(&note, 1_679_315_147).unwrap()).unwrap();
    let note: SignedNote = note.to_string().parse().unwrap();
    let known = [log.verifier_key(), witness.cosigner_key()];
    let times: Vec<Option<u64>> = note.verify(&known).unwrap().iter().map(|verified| verified.time).collect();
    assert_eq!(times, [None, Some(1_679_315_147)]);

    // The message of the specification, checked without our code.
    let message = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint());
    let (time, signature) = note.signatures()[1].bytes().split_at(8);
    assert_eq!(time, 1_679_315_147u64.to_be_bytes());
    let public = VerifyingKey::from_bytes(known[1].public_bytes()).unwrap();
    public.verify_strict(message.as_bytes(), &Signature::from_slice(signature).unwrap()).unwrap();

    // A key signs in one way: its cosignature is none of its signatures.
    assert_eq!(note.verify(&[witness.verifier_key()]), Err(NoteError::Untrusted { signatures: 2 }));
    // The latest counts.
    let mut twice = note.clone();
    twice.add_signature(witness.cosign(&note, 1_700_000_000).unwrap()).unwrap();
    twice.add_signature(witness.cosign(&note, 5).unwrap()).unwrap();
    assert_eq!(twice.verify(&known).unwrap()[1].time, Some(1_700_000_000));
    assert_eq!(twice.verify(&known).unwrap().len(), 2);
}

#[test]
fn cosignatures_have_limits() {
    let witness = key("witness.example/w1", 2);
    let note = signed();
    assert_eq!(witness.cosign(&note, 1 << 63), Err(NoteError::Time { time: 1 << 63 }));
    assert!(witness.cosign(&note, i64::MAX as u64).is_ok());
    let no_checkpoint = SignedNote::sign("text\n", &[&witness]).unwrap();
    assert_eq!(witness.cosign(&no_checkpoint, 1), Err(NoteError::NotACheckpoint));
    // A cosignature of one checkpoint under another.
    let later = Checkpoint::new(NAME, 20_852_164, leaf_hash(b"later")).unwrap();
    let mut later = SignedNote::sign(&later.to_string(), &[&key(NAME, 1)]).unwrap();
    later.add_signature(witness.cosign(&note, 1).unwrap()).unwrap();
    assert_eq!(later.verify(&[witness.cosigner_key()]), Err(bad_signature("witness.example/w1")));
}

/// What no honest signer makes: a time beyond the limit, and a cosignature of what is no checkpoint.
#[test]
fn cosignatures_beyond_the_format_are_refused() {
    use base64::Engine as _;
    use ed25519_dalek::Signer as _;

    let witness = key("witness.example/w1", 2).cosigner_key();
    let raw = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
    let verdict = |text: &str, time: u64| {
        let signature = raw.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes()).to_bytes();
        let whole = [witness.id().as_bytes().as_slice(), &time.to_be_bytes(), &signature].concat();
        let base64 = base64::engine::general_purpose::STANDARD.encode(whole);
        let note: SignedNote = format!("{text}\n— witness.example/w1 {base64}\n").parse().unwrap();
        note.verify(std::slice::from_ref(&witness)).map(|verified| verified[0].time)
    };
    let text = checkpoint().to_string();
    assert_eq!(verdict(&text, i64::MAX as u64), Ok(Some(i64::MAX as u64)));
    assert_eq!(verdict(&text, 1 << 63), Err(bad_signature("witness.example/w1")));
    assert_eq!(verdict("text\n", 1), Err(bad_signature("witness.example/w1")));
}

#[test]
fn notes_have_limits() {
    let log = key(NAME, 1);
    let sign = |text: &str| SignedNote::sign(text, &[&log]).map(|_| ());
    assert_eq!(sign("no end"), Err(NoteError::TextEnd));
    assert_eq!(sign(""), Err(NoteError::TextEnd));
    for control in ["\0\n", "\t\n", "\r\n", "a\u{1f}\n"] {
        assert_eq!(sign(control), Err(NoteError::ControlCharacter), "{control:?}");
    }
    assert_eq!(SignedNote::sign("text\n", &[]), Err(NoteError::NoSignatures));
    assert!(matches!(sign(&"line\n".repeat(NOTE_BYTES_MAX / 5)), Err(NoteError::TooLong { .. })));

    let mut note = SignedNote::sign("text\n", &vec![&log; NOTE_SIGNATURES_MAX]).unwrap();
    assert_eq!(note.signatures().len(), 100);
    assert_eq!(note.add_signature(note.signatures()[0].clone()), Err(NoteError::TooManySignatures));
    let text = note.to_string();
    assert_eq!(text.parse::<SignedNote>().unwrap(), note);
    let one_more = format!("{text}{}\n", note.signatures()[0]);
    assert_eq!(one_more.parse::<SignedNote>(), Err(NoteError::TooManySignatures));
    let long = format!("{}{text}", "line\n".repeat(NOTE_BYTES_MAX / 5));
    assert!(matches!(SignedNote::from_bytes(long.as_bytes()), Err(NoteError::TooLong { .. })));
    assert_eq!(SignedNote::from_bytes(b"\xff\n\n"), Err(NoteError::NotUtf8));
}

#[test]
fn a_text_may_have_blank_lines() {
    let log = key(NAME, 1);
    for text in
        ["\n", "\n\n", "a\n\nb\n", "a\n\n\n", "\n\n\na\n", "— a b\n", "a\n\n— example.com/log AAAAAAA=\n"]
    {
        let note = SignedNote::sign(text, &[&log]).unwrap();
        let read: SignedNote = note.to_string().parse().unwrap();
        assert_eq!(read, note, "{text:?}");
        assert_eq!(read.verify(&[log.verifier_key()]).unwrap().len(), 1);
    }
}

#[test]
fn malformed_signature_lines_are_refused() {
    let line = signed().signatures()[0].to_string();
    assert_eq!(line.parse::<NoteSignature>().unwrap().to_string(), line);
    let bad = [
        String::new(),
        "— ".to_owned(),
        format!(" {line}"),
        format!("{line} "),
        format!("{line}\n"),
        format!("{line}\r"),
        line.replace("— ", "—  "),
        line.replace("— ", "- "),
        line.replace("— ", "—\u{a0}"),
        line.replace("log ", "log  "),
        line.replace("log ", "l+og "),
        line.replace("log ", "l\u{2003}og "),
        line.replace("log ", "log\t"),
        line.replace(NAME, ""),
        line.replace('=', ""),
        format!("{line}="),
        "— example.com/log AAAAAA==".to_owned(),
        "— example.com/log AAAAAB==".to_owned(),
        "— example.com/log".to_owned(),
        "— example.com/log ".to_owned(),
    ];
    for line in bad {
        assert!(line.parse::<NoteSignature>().is_err(), "{line:?}");
        let note = format!("text\n\n{line}\n");
        assert!(note.parse::<SignedNote>().is_err(), "{note:?}");
    }
}

#[test]
fn origins_have_rules() {
    let root = leaf_hash(b"root");
    let bad = ["", "a b", "a+b", "a\nb", "a\tb", "a\u{a0}b", "a\u{7f}b", &"x".repeat(256)];
    for origin in bad {
        assert_eq!(Checkpoint::new(origin, 1, root), Err(CheckpointError::Origin), "{origin:?}");
    }
    for origin in ["a", "example.com/log/e2", "bücher.example/log", &"x".repeat(255)] {
        let checkpoint = Checkpoint::new(origin, u64::MAX, root).unwrap();
        assert_eq!(checkpoint.to_string().parse::<Checkpoint>().unwrap(), checkpoint);
    }
}

#[test]
fn foreign_checkpoints_may_have_spaces_and_more_lines() {
    let plain: Checkpoint = checkpoint();
    let extended = format!("{plain}Timestamp: 1689177396617352539\nmore of it\n");
    assert_eq!(extended.parse::<Checkpoint>().unwrap(), plain);
    let spaces = plain.to_string().replace(NAME, "go.sum database tree");
    assert_eq!(spaces.parse::<Checkpoint>().unwrap().origin(), "go.sum database tree");
    assert_eq!(format!("{plain}\n").parse::<Checkpoint>(), Err(CheckpointError::Extension));
    assert_eq!(format!("{plain}a\n\nb\n").parse::<Checkpoint>(), Err(CheckpointError::Extension));
}

#[test]
fn malformed_checkpoints_are_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let lines = |origin: &str, size: &str, root: &str| format!("{origin}\n{size}\n{root}\n");
    assert!(lines("a", "7", root).parse::<Checkpoint>().is_ok());
    for size in
        ["", "07", "00", "+7", "-7", " 7", "7 ", "7.0", "0x7", "7e1", "18446744073709551616", "٧", "1_000"]
    {
        assert_eq!(lines("a", size, root).parse::<Checkpoint>(), Err(CheckpointError::Size), "{size:?}");
    }
    let spare_bits = root.replace("I=", "J=");
    for root in [
        "",
        "AAAA",
        &root[..43],
        &format!("{root}="),
        &format!(" {root}"),
        &spare_bits,
        &root.replace('/', "_"),
    ] {
        assert_eq!(lines("a", "7", root).parse::<Checkpoint>(), Err(CheckpointError::Root), "{root:?}");
    }
    for origin in ["", "a\tb", "a\u{7f}", "a\r", &"x".repeat(256)] {
        assert_eq!(
            lines(origin, "7", root).parse::<Checkpoint>(),
            Err(CheckpointError::Origin),
            "{origin:?}"
        );
    }
    let good = lines("a", "7", root);
    for text in
        ["", "\n", "a\n7\n", "a\n7", good.trim_end(), &good.replace('\n', "\r\n"), &format!("\n{good}")]
    {
        assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec("[ -~äé—\n]{0,20}", 0..4).prop_map(|lines| format!("{}\n", lines.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn notes_survive_their_texts(text in any_text(), seeds in prop::collection::vec(1u8..9, 1..4)) {
        let keys: Vec<SigningKey> = seeds.iter().map(|seed| key(&format!("key{seed}.example"), *seed)).collect();
        let note = SignedNote::sign(&text, &keys.iter().collect::<Vec<_>>()).unwrap();
        let read: SignedNote = note.to_string().parse().unwrap();
        prop_assert_eq!(&read, &note);
        let mut different = seeds.clone();
        different.sort_unstable();
        different.dedup();
        let known: Vec<VerifierKey> =
            different.iter().map(|seed| key(&format!("key{seed}.example"), *seed).verifier_key()).collect();
        prop_assert_eq!(read.verify(&known).unwrap().len(), different.len());
        let vkeys: Vec<String> = known.iter().map(VerifierKey::to_string).collect();
        prop_assert_eq!(peer_verdict(note.to_string().as_bytes(), &vkeys), Some(different.len()));
    }

    /// A byte is flipped, dropped or doubled anywhere: never the same note, and the other library agrees.
    #[test]
    fn changed_notes_are_not_what_was_signed(at in any::<prop::sample::Index>(), flip in 1u8..=255, way in 0..3) {
        let log = key(NAME, 1);
        let note = signed();
        let mut bytes = note.to_string().into_bytes();
        let at = at.index(bytes.len());
        match way {
            0 => bytes[at] ^= flip,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
        let verdict = SignedNote::from_bytes(&bytes).ok().and_then(|read| {
            read.verify(&[log.verifier_key()]).is_ok().then_some(read)
        });
        let vkeys = [log.verifier_key().to_string()];
        prop_assert_eq!(verdict.is_some(), peer_verdict(&bytes, &vkeys).is_some());
        // Doubling a letter of a run gives the same bytes as doubling its neighbour, but never the signed ones.
        prop_assert!(verdict.is_none(), "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn checkpoints_survive_their_texts(origin in "[!-*,-~ä]{1,60}", size in any::<u64>(), root in any::<[u8; 32]>()) {
        let checkpoint = Checkpoint::new(&origin, size, Hash::from_bytes(root)).unwrap();
        prop_assert_eq!(checkpoint.to_string().parse::<Checkpoint>().unwrap(), checkpoint);
    }
}
