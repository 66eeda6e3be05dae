//! Checking receipts and evidence offline: no network, no database, no clock.
//!
//! What a file says of itself is never believed: leaves are made again from the records, roots from the leaves, and only the keys that the
//! caller trusts count. A file that holds together but is signed by nobody whom the caller trusts is said to be just that.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};

use annals_model::record::Record;
use annals_model::record_json::{RECORD_FORMAT, RecordJson, RecordJsonError};
use annals_tlog::{
    Checkpoint, Hash, NoteError, RangeProof, SignedNote, TlogProof, VerifierKey, leaf_hash, verify_inclusion,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of a part of the evidence that is held in memory.
const PART_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one event's line.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Findings that are listed.
const FINDINGS_MAX: usize = 100;

/// What came out, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything fits.
    Good,
    /// Everything fits, but values are not there.
    Incomplete,
    /// Everything fits, but no trusted key signed it.
    Untrusted,
    /// Something does not fit.
    Tampered,
}

/// A cosignature of a trusted witness or clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cosigned {
    /// Name of the key.
    pub name: String,
    /// Seconds since 1970, as the key says.
    pub time: u64,
}

/// The result of a check.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// What came out.
    pub result: Outcome,
    /// Events that were checked.
    pub events: u64,
    /// Personal groups of which only the commitment is there: erased, or left out.
    pub withheld_openings: u64,
    /// Name of the log.
    pub origin: String,
    /// Events that the checkpoint covers.
    pub size: u64,
    /// Root of the tree, base64.
    pub root: String,
    /// Names in the signature lines, trusted or not.
    pub signed_by: Vec<String>,
    /// Cosignatures of trusted keys.
    pub cosigned: Vec<Cosigned>,
    /// The events are all of a range; none for a receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// First seq, and the seq behind the last one.
    pub seqs: (u64, u64),
    /// What does not fit.
    pub findings: Vec<String>,
}

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is neither a receipt nor evidence, or of a newer form.
    #[error("{0}")]
    Form(String),
}

fn form(what: impl Into<String>) -> EvidenceError {
    EvidenceError::Form(what.into())
}

impl Verdict {
    fn new(note: &SignedNote, checkpoint: &Checkpoint, keys: &[VerifierKey]) -> Verdict {
        let mut verdict = Verdict {
            result: Outcome::Good,
            events: 0,
            withheld_openings: 0,
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: STANDARD.encode(checkpoint.root().as_bytes()),
            signed_by: note.signatures().iter().map(|signature| signature.name().to_owned()).collect(),
            cosigned: Vec::new(),
            complete: None,
            seqs: (0, 0),
            findings: Vec::new(),
        };
        match note.verify(keys) {
            Ok(verified) => {
                verdict.cosigned = verified
                    .iter()
                    .filter_map(|signed| {
                        Some(Cosigned { name: signed.key.name().to_owned(), time: signed.time? })
                    })
                    .collect();
                // A witness alone does not say that it is this log's checkpoint.
                if !verified
                    .iter()
                    .any(|signed| signed.time.is_none() && signed.key.name() == checkpoint.origin())
                {
                    verdict
                        .note(Outcome::Untrusted, "no trusted key of the log itself signed the checkpoint");
                }
            }
            Err(NoteError::Untrusted { .. }) => {
                verdict.note(Outcome::Untrusted, "the checkpoint is not signed by a trusted key");
            }
            Err(error) => verdict.note(Outcome::Tampered, error.to_string()),
        }
        verdict
    }

    fn note(&mut self, outcome: Outcome, finding: impl Into<String>) {
        self.result = self.result.max(outcome);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding.into());
        }
    }

    fn tampered(&mut self, finding: impl Into<String>) {
        self.note(Outcome::Tampered, finding);
    }

    /// Makes missing values count: for those who need every value.
    #[must_use]
    pub fn requiring_openings(mut self) -> Verdict {
        if self.withheld_openings > 0 {
            let finding = format!("{} personal values are erased or left out", self.withheld_openings);
            self.note(Outcome::Incomplete, finding);
        }
        self
    }

    /// Takes a record in and returns the hash of its leaf.
    fn leaf(&mut self, json: &RecordJson<'_>, what: &str) -> Result<Option<Hash>, EvidenceError> {
        Ok(match json.record() {
            Ok(record) => {
                // The leaf holds the commitments in their order; which of them is whose stands in the body.
                if let Some(path) = misplaced(&record) {
                    self.tampered(format!("{what}: `{path}` is not where the body has it"));
                }
                self.events += 1;
                self.withheld_openings += json.withheld() as u64;
                Some(leaf_hash(&record.leaf_bytes(json.log_id())))
            }
            // Newer is not tampered with.
            Err(error @ RecordJsonError::Format { .. }) => return Err(form(format!("{what}: {error}"))),
            Err(error) => {
                self.tampered(format!("{what}: {error}"));
                None
            }
        })
    }
}

/// The path of an opening that the body does not name at its place.
fn misplaced<'r>(record: &Record<'r>) -> Option<&'r str> {
    let body: serde_json::Value = serde_json::from_str(record.body).unwrap_or_default();
    let is_named = |at: usize, path: &str| {
        path.strip_prefix('/').is_some_and(|member| body[member] == serde_json::json!({"$f": at}))
    };
    let mut openings = record.openings.iter().enumerate();
    openings.find(|(at, opening)| !is_named(*at, opening.path())).map(|(_, opening)| opening.path())
}

fn checkpoint_of(text: &str) -> Result<(SignedNote, Checkpoint), EvidenceError> {
    let note: SignedNote =
        text.parse().map_err(|error| form(format!("the checkpoint cannot be read: {error}")))?;
    let checkpoint =
        note.text().parse().map_err(|error| form(format!("the checkpoint cannot be read: {error}")))?;
    Ok((note, checkpoint))
}

/// Checks a receipt: the record in it leads to a leaf, the leaf by its path to the root, and a trusted key signed that root.
///
/// # Errors
/// [`EvidenceError`] if it is no receipt.
pub fn verify_receipt(text: &str, keys: &[VerifierKey]) -> Result<Verdict, EvidenceError> {
    let receipt: TlogProof = text.parse().map_err(|error| form(format!("no receipt: {error}")))?;
    let (note, checkpoint) = checkpoint_of(&receipt.checkpoint)?;
    let extra =
        receipt.extra.as_deref().ok_or_else(|| form("the receipt holds no record (no line `extra`)"))?;
    let json: RecordJson<'_> = serde_json::from_slice(extra).map_err(|error| {
        form(format!("the receipt holds no record of the form `{RECORD_FORMAT}`: {error}"))
    })?;
    let mut verdict = Verdict::new(&note, &checkpoint, keys);
    verdict.seqs = (receipt.index, receipt.index.saturating_add(1));
    if let Some(leaf) = verdict.leaf(&json, "the record")?
        && let Err(error) =
            verify_inclusion(&leaf, receipt.index, checkpoint.size(), &receipt.path, &checkpoint.root())
    {
        verdict.tampered(format!("the event does not lead to the root of the checkpoint: {error}"));
    }
    Ok(verdict)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    origin: String,
    log_id: uuid::Uuid,
    size: u64,
    root: String,
    #[serde(rename = "query")]
    _query: String,
    from_seq: u64,
    to_seq: u64,
    events: u64,
    complete: bool,
    #[serde(rename = "created")]
    _created: String,
    files: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    begin: u64,
    end: u64,
    left: Vec<String>,
    right: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    #[serde(borrow)]
    record: RecordJson<'a>,
    path: Option<Vec<String>>,
}

fn hash_of(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash::from_bytes)
}

fn hashes_of(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|text| hash_of(text)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks evidence: each part against the manifest, each event against the checkpoint, and for a whole range that nothing is
/// missing. Reads it as a stream; `progress` hears the events done and in all, `each` every record.
///
/// # Errors
/// [`EvidenceError`] if it is no evidence.
pub fn verify_evidence(
    file: impl Read,
    keys: &[VerifierKey],
    progress: &mut dyn FnMut(u64, u64),
    each: &mut dyn FnMut(u64, &RecordJson<'_>),
) -> Result<Verdict, EvidenceError> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut verdict = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular || name.contains('/') {
            return Err(form(format!("`{name}` is no plain file")));
        }
        if verdict.is_some() || parts.contains_key(&name) {
            return Err(form(format!("`{name}` stands twice, or behind the events")));
        }
        if name == "events.ndjson" {
            let mut checking = Checking::begin(&parts, keys)?;
            checking.go_through(&mut entry, progress, each)?;
            verdict = Some(checking.end());
            continue;
        }
        let mut content = Vec::new();
        (&mut entry).take(PART_BYTES_MAX + 1).read_to_end(&mut content)?;
        if content.len() as u64 > PART_BYTES_MAX {
            return Err(form(format!("`{name}` is larger than {PART_BYTES_MAX} bytes")));
        }
        parts.insert(name, content);
        if parts.len() > 100 {
            return Err(form("more parts than evidence has"));
        }
    }
    // What stands behind the last part is padding; its checksum is at the very end.
    std::io::copy(&mut archive.into_inner().take(PART_BYTES_MAX), &mut std::io::sink())?;
    verdict.ok_or_else(|| form("no evidence: it has no events.ndjson"))
}

/// Evidence under way.
struct Checking {
    manifest: Manifest,
    checkpoint: Checkpoint,
    range: Option<RangeProof>,
    leaves: Vec<Hash>,
    last_seq: Option<u64>,
    verdict: Verdict,
}

impl Checking {
    fn begin(parts: &BTreeMap<String, Vec<u8>>, keys: &[VerifierKey]) -> Result<Checking, EvidenceError> {
        let part =
            |name: &str| parts.get(name).ok_or_else(|| form(format!("no evidence: `{name}` is missing")));
        let manifest: Manifest = serde_json::from_slice(part("MANIFEST.json")?)
            .map_err(|error| form(format!("MANIFEST.json cannot be read: {error}")))?;
        if manifest.format != "annals-evidence/1" {
            return Err(form(format!(
                "the form `{}` is not known; a newer Annals may read it",
                manifest.format
            )));
        }
        let note =
            std::str::from_utf8(part("checkpoint.txt")?).map_err(|_| form("checkpoint.txt is no text"))?;
        let (note, checkpoint) = checkpoint_of(note)?;
        let mut verdict = Verdict::new(&note, &checkpoint, keys);
        verdict.complete = Some(manifest.complete);
        verdict.seqs = (manifest.from_seq, manifest.to_seq);
        let said = (manifest.origin.as_str(), manifest.size, hash_of(&manifest.root));
        if said != (checkpoint.origin(), checkpoint.size(), Some(checkpoint.root())) {
            verdict.tampered("MANIFEST.json speaks of another checkpoint than checkpoint.txt");
        }
        for (name, content) in parts.iter().filter(|(name, _)| *name != "MANIFEST.json") {
            if manifest.files.get(name) != Some(&hex(&Sha256::digest(content))) {
                verdict.tampered(format!("`{name}` is not the file that MANIFEST.json names"));
            }
        }
        for name in
            manifest.files.keys().filter(|name| *name != "events.ndjson" && !parts.contains_key(*name))
        {
            verdict.tampered(format!("`{name}` is missing"));
        }
        let range = match manifest.complete {
            false => None,
            true => {
                let range: Range = serde_json::from_slice(part("range.json")?)
                    .map_err(|error| form(format!("range.json cannot be read: {error}")))?;
                if (range.begin, range.end) != (manifest.from_seq, manifest.to_seq) {
                    verdict.tampered("range.json is of another range than MANIFEST.json says");
                }
                let hashes = hashes_of(&range.left).zip(hashes_of(&range.right));
                let (left, right) =
                    hashes.ok_or_else(|| form("range.json holds something else than hashes"))?;
                Some(RangeProof { left, right })
            }
        };
        Ok(Checking { manifest, checkpoint, range, leaves: Vec::new(), last_seq: None, verdict })
    }

    fn go_through(
        &mut self,
        events: &mut impl Read,
        progress: &mut dyn FnMut(u64, u64),
        each: &mut dyn FnMut(u64, &RecordJson<'_>),
    ) -> Result<(), EvidenceError> {
        let mut hash = Sha256::new();
        let mut lines = BufReader::with_capacity(1 << 20, events);
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                break;
            }
            hash.update(&line);
            self.check_line(&line, each)?;
            if self.verdict.events.is_multiple_of(1_024) {
                progress(self.verdict.events, self.manifest.events);
            }
        }
        progress(self.verdict.events, self.manifest.events);
        if self.manifest.files.get("events.ndjson") != Some(&hex(&hash.finalize())) {
            self.verdict.tampered("`events.ndjson` is not the file that MANIFEST.json names");
        }
        Ok(())
    }

    fn check_line(
        &mut self,
        line: &[u8],
        each: &mut dyn FnMut(u64, &RecordJson<'_>),
    ) -> Result<(), EvidenceError> {
        let read: Line<'_> = match serde_json::from_slice(line) {
            Ok(read) => read,
            Err(error) => {
                let at = self
                    .last_seq
                    .map_or_else(|| "the first line".to_owned(), |seq| format!("the line behind seq {seq}"));
                self.verdict.tampered(format!("{at} is no event: {error}"));
                return Ok(());
            }
        };
        let seq = read.seq;
        let what = format!("seq {seq}");
        if self.last_seq.is_some_and(|last| seq <= last)
            || !(self.manifest.from_seq..self.manifest.to_seq).contains(&seq)
        {
            self.verdict.tampered(format!("{what} stands out of its order"));
        }
        if self.range.is_some() && seq != self.manifest.from_seq.saturating_add(self.leaves.len() as u64) {
            self.verdict.tampered(format!("{what} does not follow the one before: events are missing"));
        }
        self.last_seq = Some(seq);
        if read.record.log_id().as_bytes() != self.manifest.log_id.as_bytes() {
            self.verdict.tampered(format!("{what} is of another log"));
        }
        let Some(leaf) = self.verdict.leaf(&read.record, &what)? else { return Ok(()) };
        each(seq, &read.record);
        if self.range.is_some() {
            self.leaves.push(leaf);
            return Ok(());
        }
        let Some(path) = read.path.as_deref().and_then(hashes_of) else {
            self.verdict.tampered(format!("{what} has no path to the root"));
            return Ok(());
        };
        if let Err(error) =
            verify_inclusion(&leaf, seq, self.checkpoint.size(), &path, &self.checkpoint.root())
        {
            self.verdict.tampered(format!("{what} does not lead to the root of the checkpoint: {error}"));
        }
        Ok(())
    }

    fn end(mut self) -> Verdict {
        if self.verdict.events != self.manifest.events {
            let finding = format!("{} events instead of {}", self.verdict.events, self.manifest.events);
            self.verdict.tampered(finding);
        }
        if let Some(range) = &self.range {
            match range.root(self.manifest.from_seq, self.leaves.iter().copied(), self.checkpoint.size()) {
                Ok(root) if root == self.checkpoint.root() => {}
                Ok(_) => {
                    self.verdict.tampered("the events of the range do not lead to the root of the checkpoint")
                }
                Err(error) => self.verdict.tampered(format!("the range does not fit: {error}")),
            }
        }
        self.verdict
    }
}
