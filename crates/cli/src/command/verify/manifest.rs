//! Checking a manifest of a stream, and what its receiver has.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use annals_client::evidence::Outcome;
use annals_engine::Received;
use annals_tlog::{Frontier, NoteError, SignedNote, VerifierKey, leaf_hash};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{code, word};
use crate::command::streams::read_received;
use crate::output;

/// What a manifest begins with; the format is in docs/STREAMS.md.
pub(super) const HEAD: &str = "annals stream manifest v1\n";

/// What a manifest says.
struct Manifest {
    log: String,
    stream: String,
    number: u64,
    seqs: RangeInclusive<u64>,
    count: u64,
    root: String,
}

impl Manifest {
    fn parse(text: &str) -> anyhow::Result<Manifest> {
        let value = |name: &str| {
            let mut values =
                text.lines().filter_map(|line| line.split_once(' ').filter(|(found, _)| *found == name));
            let (_, value) = values.next().with_context(|| format!("the manifest has no line `{name}`"))?;
            anyhow::ensure!(values.next().is_none(), "the manifest has two lines `{name}`");
            Ok(value.to_owned())
        };
        let number = |name: &str| {
            let value = value(name)?;
            value.parse::<u64>().with_context(|| format!("`{name} {value}` of the manifest is no number"))
        };
        Ok(Manifest {
            log: value("log")?,
            stream: value("name")?,
            number: number("manifest")?,
            seqs: number("first_seq")?..=number("last_seq")?,
            count: number("count")?,
            root: value("root")?,
        })
    }
}

/// Checks the signature, and with what the receiver has, its ids.
pub(super) fn run(
    text: &str,
    received: Option<&Path>,
    keys: &[VerifierKey],
    json: bool,
) -> anyhow::Result<u8> {
    let note: SignedNote = text.parse()?;
    let manifest = Manifest::parse(note.text())?;
    let mut findings = Vec::new();
    let (mut outcome, mut signed_by) = (Outcome::Good, Vec::new());
    match note.verify(keys) {
        Ok(verified) => {
            signed_by = verified.iter().map(|verified| verified.key.name().to_owned()).collect();
            if !signed_by.contains(&manifest.log) {
                outcome = Outcome::Untrusted;
                findings.push((
                    Outcome::Untrusted,
                    format!("no key of {} that you trust signed it", manifest.log),
                ));
            }
        }
        Err(error @ NoteError::Untrusted { .. }) => {
            outcome = Outcome::Untrusted;
            findings.push((
                Outcome::Untrusted,
                format!("{error}; the operator prints the key with `annals epoch list`"),
            ));
        }
        Err(error) => {
            outcome = Outcome::Tampered;
            findings.push((Outcome::Tampered, error.to_string()));
        }
    }
    let mut received_count = None;
    if let Some(place) = received {
        let (has, _) = read_received(Some(place), None, Some(&manifest.seqs), json)?;
        let ids: BTreeSet<String> = match &has {
            Received::Ids { ids, .. } => ids.iter().map(ToString::to_string).collect(),
            Received::Count(_) => BTreeSet::new(),
        };
        received_count = Some(ids.len());
        if let Some(finding) = compare(&manifest, &ids) {
            outcome = outcome.max(Outcome::Incomplete);
            findings.push((Outcome::Incomplete, finding));
        }
    }
    if json {
        output::line(json!({
            "result": word(outcome), "log": manifest.log, "stream": manifest.stream, "manifest": manifest.number,
            "first_seq": manifest.seqs.start(), "last_seq": manifest.seqs.end(), "count": manifest.count,
            "received": received_count, "signed_by": signed_by,
            "findings": findings.iter().map(|(_, finding)| finding).collect::<Vec<_>>(),
        }))?;
        return Ok(code(outcome));
    }
    for (kind, finding) in &findings {
        output::line(format_args!("{}: {finding}", word(*kind)))?;
    }
    let compared = match received_count {
        None => "not compared with a receiver (--received)".to_owned(),
        Some(count) => format!("the receiver has {count}"),
    };
    output::line(format_args!(
        "{}: manifest {} of the stream {} of {}: {} events from seq {} to {}, {compared}",
        word(outcome),
        manifest.number,
        manifest.stream,
        manifest.log,
        manifest.count,
        manifest.seqs.start(),
        manifest.seqs.end(),
    ))?;
    Ok(code(outcome))
}

/// What differs between the manifest and the ids that a receiver has.
fn compare(manifest: &Manifest, ids: &BTreeSet<String>) -> Option<String> {
    let mut frontier = Frontier::new();
    for id in ids {
        frontier.push(leaf_hash(id.as_bytes()));
    }
    let advice = "`annals streams reconcile` says which are missing";
    if ids.len() as u64 > manifest.count {
        let (first, last) = (manifest.seqs.start(), manifest.seqs.end());
        let (given, count) = (ids.len(), manifest.count);
        return Some(format!(
            "{given} ids are given, and the window has {count}: give those of seq {first} to {last} alone"
        ));
    }
    if ids.len() as u64 != manifest.count {
        return Some(format!("{} of {} events are there; {advice}", ids.len(), manifest.count));
    }
    let is_same = STANDARD.encode(frontier.root().as_bytes()) == manifest.root;
    (!is_same).then(|| format!("as many events are there as should be, but not these; {advice}"))
}
