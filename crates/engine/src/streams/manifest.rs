//! Manifests: signed statements of what a stream should have delivered in a window of the log.
//!
//! A receiver that holds a manifest can find out, without the log, whether it has every event of the window: by their number, and by a Merkle root over
//! their ids. The ids stand in the order of their text, so that the receiver needs no other knowledge than the ids it has, each once. The format is
//! in docs/STREAMS.md.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::{ControlFlow, Range};

use annals_store::{Stream, StreamManifest};
use annals_tlog::{Frontier, SignedNote, leaf_hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reader::stream_filter;
use super::service::StreamPolicy;
use crate::Engine;
use crate::error::EngineError;
use crate::search::SearchError;
use crate::walk::Walk;

/// Seqs of a window, at most: its ids are held in memory.
const WINDOW_SEQS_MAX: u64 = 262_144;
/// Manifests that are signed in one round.
const SIGNED_AT_ONCE: usize = 64;
/// What the text begins with: no checkpoint has spaces there, so neither passes for the other.
const HEAD: &str = "annals stream manifest v1";

/// The ids of a stream's events in a window, in the order of their text.
pub(super) fn ids(
    engine: &Engine,
    stream: &Stream,
    seqs: Range<u64>,
) -> Result<BTreeSet<String>, SearchError> {
    let filter = stream_filter(engine, &stream.sent_query, "")?;
    let mut ids = BTreeSet::new();
    Walk::new(filter, seqs).go(engine, &mut |_, record| {
        if record.dropped.is_some() {
            return Ok(ControlFlow::Continue(()));
        }
        ids.insert(record.id.to_string());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ids)
}

/// The Merkle root over ids, RFC 6962: each leaf is the text of an id.
pub(super) fn root<'i>(ids: impl IntoIterator<Item = &'i String>) -> String {
    let mut frontier = Frontier::new();
    for id in ids {
        frontier.push(leaf_hash(id.as_bytes()));
    }
    STANDARD.encode(frontier.root().as_bytes())
}

/// Closes the window of a stream if it is due, or `is_last` of its query.
pub(super) fn close_due(
    engine: &Engine,
    stream: &Stream,
    policy: &StreamPolicy,
    is_last: bool,
) -> Result<(), EngineError> {
    let last = engine.store.stream_manifests(&stream.id, 1)?.pop();
    let (first, number) =
        last.as_ref().map_or((stream.first_seq, 1), |last| (last.last_seq + 1, last.number + 1));
    // What was sent by another query, and what the log does not have any more, is in no window.
    let first = first.max(stream.query_seq).max(engine.log.index().parts().first_seq());
    let next_seq = stream.progress.next_seq;
    let since = last.map_or(stream.created, |last| last.created);
    let age_us = engine.now().as_micros().saturating_sub(since.as_micros()).max(0).unsigned_abs();
    let is_old = u128::from(age_us) >= policy.manifest_every.as_micros();
    if first >= next_seq || !(next_seq - first >= policy.manifest_seqs || is_old || is_last) {
        return Ok(());
    }
    let end = next_seq.min(first.saturating_add(WINDOW_SEQS_MAX));
    match manifest(engine, stream, number, first..end) {
        Ok(manifest) => Ok(engine.store.add_stream_manifest(&manifest)?),
        Err(cause) => {
            // A query that has become wrong: the sender says so too.
            tracing::debug!(%cause, stream = stream.name, "no manifest was made");
            Ok(())
        }
    }
}

/// Makes the manifest of a window.
fn manifest(
    engine: &Engine,
    stream: &Stream,
    number: u64,
    seqs: Range<u64>,
) -> Result<StreamManifest, SearchError> {
    let ids = ids(engine, stream, seqs.clone())?;
    let letters = engine.store.dead_letters(&stream.id, seqs.start, usize::MAX).map_err(EngineError::from)?;
    let refused = letters.iter().filter(|letter| letter.seq < seqs.end).count();
    let (first_seq, last_seq) = (seqs.start, seqs.end - 1);
    let created = engine.now();
    let mut body = format!("{HEAD}\n");
    let mut line = |name: &str, value: &str| {
        let value = value.replace(char::is_control, " ");
        writeln!(body, "{name} {value}").expect("writing to a String does not fail");
    };
    line("log", &engine.origin()?);
    line("stream", &stream.id.0);
    line("name", &stream.name);
    line("query", &stream.sent_query);
    line("manifest", &number.to_string());
    line("first_seq", &first_seq.to_string());
    line("last_seq", &last_seq.to_string());
    line("count", &ids.len().to_string());
    line("root", &root(&ids));
    line("dead_letters", &refused.to_string());
    line("closed", &created.to_string());
    Ok(StreamManifest {
        stream_id: stream.id.clone(),
        number,
        first_seq,
        last_seq,
        event_count: ids.len() as u64,
        body,
        note: String::new(),
        is_sent: false,
        created,
    })
}

/// Signs what nobody has signed, if this process has the key of the log.
pub(super) fn sign_open(engine: &Engine) -> Result<(), EngineError> {
    if engine.signing.is_none() || engine.guard.refusal().is_some() {
        return Ok(());
    }
    let open = engine.store.unsigned_manifests(SIGNED_AT_ONCE)?;
    if open.is_empty() {
        return Ok(());
    }
    let Some(key) = engine.key_place.key().map_err(|error| EngineError::Signing(Box::new(error)))? else {
        return Ok(());
    };
    let head = format!("{HEAD}\nlog {}\nstream ", engine.origin()?);
    for manifest in open {
        // The database is not to be believed: whoever writes to it must not have the key sign a text of theirs, such as a checkpoint.
        if !manifest.body.starts_with(&head) || manifest.body.contains("\n\n") {
            tracing::error!(
                stream = manifest.stream_id.0,
                manifest = manifest.number,
                "a manifest is no manifest of this log, and is not signed"
            );
            continue;
        }
        match SignedNote::sign(&manifest.body, &[&key]) {
            Ok(note) => {
                engine.store.sign_stream_manifest(&manifest.stream_id, manifest.number, &note.to_string())?;
            }
            Err(cause) => tracing::warn!(%cause, manifest = manifest.number, "a manifest cannot be signed"),
        }
    }
    Ok(())
}
