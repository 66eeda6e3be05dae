//! Evidence: events with their proofs in one file, for somebody who trusts neither this server nor this program.
//!
//! A gzipped tar of flat files, in this order: `MANIFEST.json`, `README.txt`, `checkpoint.txt`, `keys.txt`, `policy.json`, for a
//! whole range `range.json`, and last `events.ndjson`. A range of seqs proves that nothing in it is missing; the events of
//! another query each bring their path. `docs/STORAGE.md` has every member.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read as _, Seek as _, Write};
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use annals_model::record_json::RecordJson;
use annals_query::{Filter, Key, Term, Test};
use annals_store::StoredCheckpoint;
use annals_tlog::{Checkpoint, Hash, SignedNote, inclusion_proof, range_proof};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Engine;
use crate::error::EngineError;
use crate::export::ExportError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::proof::{RECEIPT_WAIT, node_error};
use crate::reads::{AUDIT_LOG, target_of};
use crate::search::SearchError;
use crate::walk::{self, Walk};

/// Events that bring a path each: their paths are made one by one.
const PATHS_MAX: u64 = 1_000_000;
const README: &str = include_str!("evidence/README.txt");

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceReport {
    /// Events.
    pub events: u64,
    /// The events are all of a range of seqs, and prove it.
    pub complete: bool,
    /// Number of the checkpoint that they are proven against.
    pub checkpoint: u64,
    /// Events that it covers.
    pub size: u64,
    /// Key that signed it, as a vkey.
    pub verifier: String,
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The query cannot be answered, or the export not be recorded.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Nothing is signed that covers the events.
    #[error(
        "no signed checkpoint covers the events; a server with the key of the log signs one (`annals serve`)"
    )]
    NotSigned,
    /// Too many events for one file.
    #[error(
        "{count} events are more than {max}: take a narrower query, or, of a range of seqs, parts such as seq:0..999999 one after the other"
    )]
    TooMany {
        /// Events found.
        count: u64,
        /// Events that one file takes: those of a query bring a path each.
        max: u64,
    },
    /// Events of the range were dropped.
    #[error(
        "{count} events of the range were dropped by retention, so that it cannot be shown whole{}; take what is left by another query",
        if *first == 0 { String::new() } else { format!(", and nothing is left before seq {first}") }
    )]
    Dropped {
        /// How many.
        count: u64,
        /// The first seq that the log keeps.
        first: u64,
    },
    /// The file cannot be written.
    #[error("the evidence cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl From<SearchError> for EvidenceError {
    fn from(error: SearchError) -> EvidenceError {
        EvidenceError::Export(ExportError::Search(error))
    }
}

impl From<EngineError> for EvidenceError {
    fn from(error: EngineError) -> EvidenceError {
        SearchError::from(error).into()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    record: RecordJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Vec<String>>,
}

/// What the events are proven by.
enum Proven {
    /// All of a range.
    Range,
    /// Each by its path.
    Paths,
}

impl Engine {
    /// Writes the events of a query with their proofs. Only for those who see the whole site: the proofs of a range hold the leaves of
    /// everyone. `progress` hears the events done and in all. Recorded as an export before its first byte.
    ///
    /// # Errors
    /// [`EvidenceError`] if the caller may not, the query has errors, or nothing covers the events.
    pub fn write_evidence(
        &self,
        principal: &Principal,
        query: &str,
        out: impl Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<EvidenceReport, EvidenceError> {
        self.write_up_to(principal, query, u64::MAX, out, progress)
    }

    fn write_up_to(
        &self,
        principal: &Principal,
        query: &str,
        max: u64,
        out: impl Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<EvidenceReport, EvidenceError> {
        principal.may_see_all("take evidence out of the log").map_err(SearchError::from)?;
        let filter = self.check_query(principal, query).map_err(SearchError::Query)?.into_filter();
        let parts = self.log.refresh()?;
        let seqs = 0..parts.next_seq();
        let range = range_of(&filter, seqs.clone());
        let asked = range.as_ref().map_or(0, |range| range.end.saturating_sub(range.start));
        let filter = self.log.index().kept(filter);
        let count = walk::count(&parts, &filter, &seqs)?;
        if asked > count {
            return Err(EvidenceError::Dropped { count: asked - count, first: parts.first_seq() });
        }
        drop(parts);
        let proven = if range.is_some() { Proven::Range } else { Proven::Paths };
        let max = if matches!(proven, Proven::Paths) { max.min(PATHS_MAX) } else { max };
        if count > max {
            return Err(EvidenceError::TooMany { count, max });
        }
        let checkpoint = self.covering_all(seqs.end)?;
        let after = json!({"query": query.trim(), "format": "evidence", "event_count": count});
        let event = OwnEvent::new("export", AUDIT_LOG, &target_of(query)).after(after);
        self.record_first(principal, event).map_err(ExportError::Record)?;

        let mut events = Hashing::new(tempfile::tempfile()?);
        let mut written: Option<(u64, u64)> = None;
        let mut done = 0;
        let mut failed = None;
        let log_id = self.store.log_id();
        Walk::new(filter, seqs).go(self, &mut |seq, record| {
            let path = match proven {
                Proven::Range => None,
                Proven::Paths => {
                    let path = inclusion_proof(seq, checkpoint.size, |node| self.tree.node(node))
                        .map_err(node_error)?;
                    Some(path.iter().map(text_of).collect())
                }
            };
            let line = Line { seq, record: RecordJson::new(record, log_id, true), path };
            let result = serde_json::to_writer(&mut events, &line).map_err(io::Error::from);
            if let Err(error) = result.and_then(|()| events.write_all(b"\n")) {
                failed = Some(error);
                return Ok(ControlFlow::Break(()));
            }
            written = Some((written.map_or(seq, |(first, _)| first), seq + 1));
            done += 1;
            if u64::is_multiple_of(done, 256) {
                progress(done, count);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        progress(done, count);
        if done != count {
            // Dropped since they were counted.
            return Err(EvidenceError::Dropped {
                count: count.saturating_sub(done),
                first: self.log.refresh()?.first_seq(),
            });
        }
        let (from_seq, to_seq) = written.unwrap_or((0, 0));
        let epochs = self.store.epochs().map_err(EngineError::from)?;
        let epoch =
            epochs.iter().find(|epoch| epoch.number == checkpoint.epoch).ok_or(EvidenceError::NotSigned)?;
        let (origin, root) = origin_and_root(&checkpoint)?;
        let mut files: Vec<(&str, Vec<u8>)> = vec![
            (
                "README.txt",
                README.replace("{ORIGIN}", &origin).replace("{VERIFIER}", &epoch.verifier).into_bytes(),
            ),
            ("checkpoint.txt", checkpoint.note.clone().into_bytes()),
            (
                "keys.txt",
                epochs.iter().map(|epoch| format!("{}\n", epoch.verifier)).collect::<String>().into_bytes(),
            ),
            ("policy.json", pretty(&self.registry()?.to_json())),
        ];
        let complete = matches!(proven, Proven::Range);
        if complete {
            let range = range_proof(from_seq, to_seq, checkpoint.size, |node| self.tree.node(node))
                .map_err(node_error)?;
            let texts = |hashes: &[Hash]| hashes.iter().map(text_of).collect::<Vec<_>>();
            let range = json!({"begin": from_seq, "end": to_seq, "left": texts(&range.left), "right": texts(&range.right)});
            files.push(("range.json", pretty(&range)));
        }
        let (mut events, events_sha256, events_bytes) = events.finish()?;
        let mut hashes: BTreeMap<&str, String> =
            files.iter().map(|(name, content)| (*name, hex(&Sha256::digest(content)))).collect();
        hashes.insert("events.ndjson", events_sha256);
        let manifest = json!({
            "format": "annals-evidence/1", "origin": origin, "log_id": log_id.to_string(), "size": checkpoint.size,
            "root": text_of(&root), "query": query.trim(), "from_seq": from_seq, "to_seq": to_seq, "events": done,
            "complete": complete, "created": self.now().to_string(), "files": hashes,
        });
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(out, flate2::Compression::default()));
        append(&mut tar, "MANIFEST.json", &pretty(&manifest))?;
        for (name, content) in &files {
            append(&mut tar, name, content)?;
        }
        let mut header = header(events_bytes);
        tar.append_data(&mut header, "events.ndjson", (&mut events).take(events_bytes))?;
        tar.into_inner()?.finish()?.flush()?;
        Ok(EvidenceReport {
            events: done,
            complete,
            checkpoint: checkpoint.number,
            size: checkpoint.size,
            verifier: epoch.verifier.clone(),
        })
    }

    /// The same as a file that has no name and goes with its last reader; of `max` events at most.
    ///
    /// # Errors
    /// [`EvidenceError`] as above, and if there are more events.
    pub fn evidence_file(
        &self,
        principal: &Principal,
        query: &str,
        max: u64,
    ) -> Result<(std::fs::File, EvidenceReport), EvidenceError> {
        let mut file = tempfile::tempfile()?;
        let report = self.write_up_to(principal, query, max, BufWriter::new(&file), &mut |_, _| {})?;
        file.rewind()?;
        Ok((file, report))
    }

    /// Waits for a checkpoint of at least so many events, at most [`RECEIPT_WAIT`].
    fn covering_all(&self, size: u64) -> Result<StoredCheckpoint, EvidenceError> {
        let until = Instant::now() + RECEIPT_WAIT;
        loop {
            let last = self.store.last_checkpoint().map_err(EngineError::from)?;
            match last {
                Some(last) if last.size >= size => return Ok(last),
                _ if Instant::now() >= until || self.refusal().is_some() => {
                    return Err(EvidenceError::NotSigned);
                }
                // Nobody signs, and nobody ever has.
                None if self.ask_for_checkpoint().is_none() => return Err(EvidenceError::NotSigned),
                _ => {
                    let _ = self.ask_for_checkpoint();
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }
}

/// The seqs of `all` that a filter asks for, if it asks for nothing but places in the log, so that its events follow each other.
fn range_of(filter: &Filter, all: Range<u64>) -> Option<Range<u64>> {
    match filter {
        Filter::And(parts) => parts.iter().try_fold(all, |range, part| range_of(part, range)),
        Filter::Term(Term { key: Key::Seq, test: Test::Int { at_least, at_most } }) => {
            let seq = |bound: i64| u64::try_from(bound).unwrap_or(0);
            let start = at_least.map_or(all.start, |bound| seq(bound).max(all.start));
            let end = at_most.map_or(all.end, |bound| seq(bound.saturating_add(1)).min(all.end));
            Some(start..end)
        }
        Filter::Term(_) | Filter::Or(_) | Filter::Not(_) => None,
    }
}

fn origin_and_root(checkpoint: &StoredCheckpoint) -> Result<(String, Hash), EvidenceError> {
    let note: SignedNote = checkpoint.note.parse().map_err(|_| EvidenceError::NotSigned)?;
    let read: Checkpoint = note.text().parse().map_err(|_| EvidenceError::NotSigned)?;
    Ok((read.origin().to_owned(), read.root()))
}

fn text_of(hash: &Hash) -> String {
    STANDARD.encode(hash.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain values serialise");
    text.push(b'\n');
    text
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(content.len() as u64), name, content)
}

/// A file that is hashed while it is written.
struct Hashing {
    file: BufWriter<std::fs::File>,
    hash: Sha256,
    bytes: u64,
}

impl Hashing {
    fn new(file: std::fs::File) -> Hashing {
        Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 }
    }

    /// The file from its beginning, its hash and its length.
    fn finish(self) -> io::Result<(std::fs::File, String, u64)> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok((file, hex(&self.hash.finalize()), self.bytes))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
