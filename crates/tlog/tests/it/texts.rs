//! Hostile texts: paths of tiles, proof files, and bytes of any kind. They are refused or mean one thing, and never panic.

use std::fmt::Display;
use std::str::FromStr;

use annals_tlog::{
    Checkpoint, Hash, NoteSignature, PATH_HASHES_MAX, SignedNote, SigningKey, TLOG_PROOF_BYTES_MAX,
    TileLevel, TilePath, TilePathError, TlogProof, TlogProofError, VerifierKey, leaf_hash,
};
use proptest::prelude::*;

fn signed() -> String {
    let key = SigningKey::from_seed("example.com/log", &[1; 32]).unwrap();
    let checkpoint = Checkpoint::new("example.com/log", 9, leaf_hash(b"root")).unwrap();
    SignedNote::sign(&checkpoint.to_string(), &[&key]).unwrap().to_string()
}

fn file(extra: Option<&[u8]>, hashes: usize) -> TlogProof {
    TlogProof {
        extra: extra.map(<[u8]>::to_vec),
        index: 73_894,
        path: (0..hashes).map(|n| leaf_hash(&[n as u8])).collect(),
        checkpoint: signed(),
    }
}

/// What can be read says the same when it is written again.
fn has_one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

#[test]
fn paths_are_written_as_specified() {
    let path = |level, index, width| TilePath::new(level, index, width).unwrap().to_string();
    assert_eq!(path(TileLevel::Hashes(0), 1_234_067, 5), "tile/0/x001/x234/067.p/5");
    assert_eq!(path(TileLevel::Entries, 1_067, 256), "tile/entries/x001/067");
    assert_eq!(path(TileLevel::Hashes(63), 0, 1), "tile/63/000.p/1");
    assert_eq!(path(TileLevel::Hashes(0), 999, 255), "tile/0/999.p/255");
    assert_eq!(path(TileLevel::Hashes(0), 1_000, 256), "tile/0/x001/000");
    assert_eq!(path(TileLevel::Hashes(0), u64::MAX, 256), "tile/0/x018/x446/x744/x073/x709/x551/615");
    assert!(TilePath::new(TileLevel::Entries, 0, 256).unwrap().is_full());
    assert_eq!(TilePath::new(TileLevel::Hashes(64), 0, 1), Err(TilePathError::Level { level: 64 }));
    assert_eq!(TilePath::new(TileLevel::Entries, 0, 0), Err(TilePathError::Width { width: 0 }));
    assert_eq!(TilePath::new(TileLevel::Entries, 0, 257), Err(TilePathError::Width { width: 257 }));
}

#[test]
fn other_paths_are_refused() {
    let bad = [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x1/000",
        "tile/0/X001/000",
        "tile/0/xx01/000",
        "tile/0/x001//000",
        "tile/0/+01",
        "tile/0/-01",
        "tile/0/ 01",
        "tile/0/٠٠١",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/+0/000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/256/000",
        "tile/-1/000",
        "tile/8/0/000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/entries",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/65537",
        "tile/0/000.p/+1",
        "tile/0/000.p/01",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000/.p/1",
        "tile/0/000/",
        "tile/0/000 ",
        "tile/0/000\n",
        "tile/0/000?x",
        "/tile/0/000",
        "tile//000",
        "tile/0/../0/000",
        "tile\\0\\000",
    ];
    for path in bad {
        assert_eq!(path.parse::<TilePath>(), Err(TilePathError::Malformed), "{path:?}");
    }
}

#[test]
fn proof_files_survive_their_texts() {
    for extra in [None, Some(b"event".as_slice()), Some(&[0, 255, 10])] {
        for hashes in [0, 1, 5, PATH_HASHES_MAX] {
            let file = file(extra, hashes);
            assert_eq!(file.to_string().parse::<TlogProof>().unwrap(), file);
        }
    }
    let text = file(Some(b"event"), 1).to_string();
    let hash = "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=";
    assert!(text.starts_with(&format!(
        "c2sp.org/tlog-proof@v1\nextra ZXZlbnQ=\nindex 73894\n{hash}\n\nexample.com/log\n9\n"
    )));
    // The format has no line for nothing.
    assert_eq!(file(Some(b""), 1).to_string(), file(None, 1).to_string());
}

#[test]
fn proof_files_have_limits() {
    let long = file(None, PATH_HASHES_MAX + 1).to_string();
    assert_eq!(long.parse::<TlogProof>(), Err(TlogProofError::TooManyHashes));
    let large = file(Some(&vec![0; TLOG_PROOF_BYTES_MAX]), 1).to_string();
    assert!(matches!(large.parse::<TlogProof>(), Err(TlogProofError::TooLong { .. })));
}

#[test]
fn other_proof_files_are_refused() {
    let good = file(Some(b"event"), 2).to_string();
    let hash = good.lines().nth(3).unwrap();
    let bad = [
        good.replace('\n', "\r\n"),
        good.replacen('\n', "\r\n", 1),
        format!("\n{good}"),
        format!(" {good}"),
        format!("\u{feff}{good}"),
        format!("{good}\n"),
        format!("{good}more\n"),
        good.replace("@v1", "@v2"),
        good.replace("@v1", "@v1 "),
        good.replace("@v1\n", "@v1\n\n"),
        good.replace("extra ZXZlbnQ=\n", "extra\n"),
        good.replace("extra ZXZlbnQ=\n", "extra \n"),
        good.replace("extra ZXZlbnQ=\n", "extra  ZXZlbnQ=\n"),
        good.replace("extra ZXZlbnQ=\n", "extra ZXZlbnQ\n"),
        good.replace("extra ZXZlbnQ=\n", "extra ZXZlbnR=\n"),
        good.replace("extra ZXZlbnQ=\n", "Extra ZXZlbnQ=\n"),
        good.replace("extra ZXZlbnQ=\n", "extra ZXZlbnQ=\nextra ZXZlbnQ=\n"),
        good.replace("extra ZXZlbnQ=\nindex 73894\n", "index 73894\nextra ZXZlbnQ=\n"),
        good.replace("index 73894\n", ""),
        good.replace("index 73894\n", "index 73894\nindex 73894\n"),
        good.replace("index 73894", "index  73894"),
        good.replace("index 73894", "index 73894 "),
        good.replace("index 73894", "index 073894"),
        good.replace("index 73894", "index +73894"),
        good.replace("index 73894", "index 18446744073709551616"),
        good.replace("index 73894", "index 99999999999999999999999999999999999999999"),
        good.replace("index 73894", "index ７"),
        good.replace("index 73894", "index"),
        good.replace(hash, &format!("{hash} ")),
        good.replace(hash, &format!(" {hash}")),
        good.replace(hash, &hash[..40]),
        good.replace(hash, &format!("{hash}{hash}")),
        good.replace(hash, ""),
        good.replace("\n\nexample", "\nexample"),
        good.replace("\n\nexample", "\n\n\nexample"),
        good.replace("\n9\n", "\n09\n"),
    ];
    for text in bad {
        assert!(text.parse::<TlogProof>().is_err(), "{text:?}");
    }
    // Cut anywhere, it is no file; the last line feed belongs to it.
    for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
        assert!(good[..end].parse::<TlogProof>().is_err(), "{:?}", &good[..end]);
        assert!(good[..end].parse::<SignedNote>().is_err());
        assert!(good[..end].parse::<Checkpoint>().is_err());
    }
}

/// Text that looks like one of ours.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("tile/".to_owned()),
        Just("entries/".to_owned()),
        Just("x001/".to_owned()),
        Just(".p/".to_owned()),
        Just("c2sp.org/tlog-proof@v1\n".to_owned()),
        Just("index ".to_owned()),
        Just("extra ".to_owned()),
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("— ".to_owned()),
        Just("PRIVATE+KEY+".to_owned()),
        Just("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned()),
        Just(signed()),
        "[0-9]{1,25}",
        "[A-Za-z0-9+/=]{0,12}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_text_is_answered(text in any_text()) {
        has_one_spelling::<TilePath>(&text);
        has_one_spelling::<TlogProof>(&text);
        has_one_spelling::<SignedNote>(&text);
        has_one_spelling::<NoteSignature>(&text);
        has_one_spelling::<VerifierKey>(&text);
        let _ = text.parse::<Checkpoint>();
        let _ = SigningKey::from_text(&text);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SignedNote::from_bytes(&bytes);
    }

    #[test]
    fn a_changed_path_is_another_or_none(index in any::<u64>(), shift in 0u32..64, level in 0u8..64, width in 1u16..=256, at in any::<prop::sample::Index>(), to in any::<char>()) {
        for level in [TileLevel::Hashes(level), TileLevel::Entries] {
            let path = TilePath::new(level, index >> shift, width).unwrap();
            let text = path.to_string();
            prop_assert_eq!(text.parse::<TilePath>(), Ok(path));
            let at = at.index(text.len());
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            has_one_spelling::<TilePath>(&changed);
            has_one_spelling::<TilePath>(&format!("{}{to}{}", &text[..at], &text[at..]));
            has_one_spelling::<TilePath>(&format!("{}{}", &text[..at], &text[at + 1..]));
        }
    }

    #[test]
    fn a_changed_file_is_another_or_none(extra in prop::option::of(prop::collection::vec(any::<u8>(), 1..40)), index in any::<u64>(), path in prop::collection::vec(any::<[u8; 32]>(), 0..20), at in any::<prop::sample::Index>(), to in any::<char>()) {
        let file = TlogProof { extra, index, path: path.into_iter().map(Hash::from_bytes).collect(), checkpoint: signed() };
        let text = file.to_string();
        prop_assert_eq!(text.parse::<TlogProof>(), Ok(file.clone()));
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = to;
        let changed: String = chars.into_iter().collect();
        if let Ok(other) = changed.parse::<TlogProof>() {
            prop_assert_eq!(other.to_string(), changed.clone());
            prop_assert_eq!(other == file, changed == text);
        }
    }
}
