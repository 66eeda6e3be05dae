//! Proofs for readers: checkpoints, tiles, receipts.

use std::time::Duration;

use annals_model::id::EventId;
use annals_model::record_json::RecordJson;
use annals_query::{Filter, Key, Term, Test};
use annals_segment::Page;
use annals_store::{Epoch, StoredCheckpoint};
use annals_tlog::{
    Hash, ProofError, SignedNote, TILE_HASHES, TileLevel, TilePath, TlogProof, consistency_proof,
    inclusion_proof,
};
use tokio::sync::watch;

use crate::Engine;
use crate::error::EngineError;
use crate::ingest::PlacedEvent;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::search::SearchError;
use crate::signing::Refusal;

/// How long one waits for a checkpoint of an event that was just taken.
pub const RECEIPT_WAIT: Duration = Duration::from_secs(20);

/// Where an event stands among the signed checkpoints.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its seq.
    pub seq: u64,
    /// Hash of its leaf.
    pub leaf: Hash,
    /// The first checkpoint that covers it, if there is one by now, with the path to its root.
    pub checkpoint: Option<(StoredCheckpoint, Vec<Hash>)>,
}

impl Engine {
    /// Returns the last signed checkpoint; none if nothing was signed yet.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn checkpoint(&self, principal: &Principal) -> Result<Option<StoredCheckpoint>, SearchError> {
        principal.may_read()?;
        Ok(self.store.last_checkpoint().map_err(EngineError::from)?)
    }

    /// Lists the epochs of the log, the first one first: names and keys of its checkpoints.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn epochs(&self, principal: &Principal) -> Result<Vec<Epoch>, SearchError> {
        principal.may_read()?;
        Ok(self.store.epochs().map_err(EngineError::from)?)
    }

    /// Why the log takes no events, if it was put back or cut.
    pub fn refusal(&self) -> Option<Refusal> {
        self.guard.refusal()
    }

    /// Asks for a checkpoint soon; what is returned tells the events that the last one covers. None if this process does not
    /// sign.
    pub fn ask_for_checkpoint(&self) -> Option<watch::Receiver<u64>> {
        self.signing.as_ref().map(crate::signing::SigningThread::ask)
    }

    /// Says whether anybody signs this log, here or on another server.
    ///
    /// # Errors
    /// [`EngineError`] if the log failed.
    pub fn is_signed(&self) -> Result<bool, EngineError> {
        Ok(self.signing.is_some() || !self.store.epochs()?.is_empty())
    }

    /// Says whether a checkpoint covers an event.
    ///
    /// # Errors
    /// [`EngineError`] if the log failed.
    pub fn is_covered(&self, seq: u64) -> Result<bool, EngineError> {
        Ok(self.store.last_checkpoint()?.is_some_and(|last| last.size > seq))
    }

    /// Returns a tile that the last checkpoint covers: hashes, 32 bytes each, or the leaves of 256 events, each behind its length in
    /// two bytes. None if it is not covered. Leaves are only for those who see the whole site.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not, or the log failed.
    pub fn tile(&self, principal: &Principal, path: &TilePath) -> Result<Option<Vec<u8>>, SearchError> {
        let Some(checkpoint) = self.checkpoint(principal)? else { return Ok(None) };
        let width = u64::from(path.width());
        let (level, leaves_of_hash) = match path.level() {
            TileLevel::Entries => {
                principal.may_see_all("read the leaves of events")?;
                (0, Some(1))
            }
            TileLevel::Hashes(level) => (level, (TILE_HASHES as u64).checked_pow(u32::from(level))),
        };
        let first = path.index().checked_mul(TILE_HASHES as u64);
        let end = first.and_then(|first| first.checked_add(width)?.checked_mul(leaves_of_hash?));
        let (Some(first), Some(end)) = (first, end) else { return Ok(None) };
        if end > checkpoint.size {
            return Ok(None);
        }
        if path.level() == TileLevel::Entries {
            let mut entries = Vec::new();
            let log_id = self.store.log_id();
            let mut is_whole = true;
            self.tree.each_record(first..first + width, |_, record| {
                // Of a dropped event only the hash of its leaf is left.
                is_whole &= record.dropped.is_none();
                let leaf = record.leaf_bytes(log_id);
                let length = u16::try_from(leaf.len()).expect("a leaf has at most 607 bytes");
                entries.extend_from_slice(&length.to_be_bytes());
                entries.extend_from_slice(&leaf);
                Ok(())
            })?;
            return Ok(is_whole.then_some(entries));
        }
        let count = usize::from(path.width());
        let hashes = self.tree.hashes(level, path.index(), 0..count)?;
        Ok(Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()))
    }

    /// Returns the proof that the log of a size continues the one of an older size; none if there was no such log, or if nothing so large is
    /// signed.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn consistency(
        &self,
        principal: &Principal,
        old: u64,
        new: u64,
    ) -> Result<Option<Vec<Hash>>, SearchError> {
        let size = self.checkpoint(principal)?.map_or(0, |checkpoint| checkpoint.size);
        if old > new || new > size {
            return Ok(None);
        }
        Ok(Some(consistency_proof(old, new, |node| self.tree.node(node)).map_err(node_error)?))
    }

    /// Says where an event stands, if it is there and in sight.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn standing(&self, principal: &Principal, id: EventId) -> Result<Option<Standing>, SearchError> {
        let Some(seq) = self.seq_in_sight(principal, id)? else { return Ok(None) };
        let mut leaf = None;
        self.tree.each_record(seq..seq + 1, |_, record| {
            leaf = Some(annals_tlog::Hash::from_bytes(record.leaf_hash(self.store.log_id())));
            Ok(())
        })?;
        let Some(leaf) = leaf else { return Ok(None) };
        let covering = self.store.checkpoint_covering(seq).map_err(EngineError::from)?;
        let checkpoint = covering.map(|checkpoint| {
            let path =
                inclusion_proof(seq, checkpoint.size, |node| self.tree.node(node)).map_err(node_error)?;
            Ok::<_, EngineError>((checkpoint, path))
        });
        Ok(Some(Standing { seq, leaf, checkpoint: checkpoint.transpose()? }))
    }

    /// Returns the receipt of an event: a C2SP tlog-proof whose `extra` is the record as JSON, with or without its personal values. `Ok(Err(seq))`
    /// if no checkpoint covers it yet; none if it is not there or not in sight. Recorded as a read.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn receipt(
        &self,
        principal: &Principal,
        id: EventId,
        shows_values: bool,
    ) -> Result<Option<Result<TlogProof, u64>>, SearchError> {
        let Some(seq) = self.seq_in_sight(principal, id)? else { return Ok(None) };
        let receipt = self.receipt_of(seq, shows_values)?;
        self.record_read(principal, &format!("id:{}", id.uuid()), Some(1));
        Ok(Some(receipt.ok_or(seq)))
    }

    /// The same for an event that the caller has just sent; none where no checkpoint covers it yet, and none of one that was in the log already: the
    /// caller knows its id, and may know nothing else of it.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not send events, or the log failed.
    pub fn receipt_of_sent(
        &self,
        principal: &Principal,
        sent: &PlacedEvent,
    ) -> Result<Option<TlogProof>, SearchError> {
        principal.may_ingest()?;
        if sent.is_duplicate {
            return Ok(None);
        }
        Ok(self.receipt_of(sent.seq, true)?)
    }

    fn receipt_of(&self, seq: u64, shows_values: bool) -> Result<Option<TlogProof>, EngineError> {
        let Some(checkpoint) = self.store.checkpoint_covering(seq)? else { return Ok(None) };
        let path = inclusion_proof(seq, checkpoint.size, |node| self.tree.node(node)).map_err(node_error)?;
        let mut extra = None;
        self.tree.each_record(seq..seq + 1, |_, record| {
            extra = serde_json::to_vec(&RecordJson::new(record, self.store.log_id(), shows_values)).ok();
            Ok(())
        })?;
        Ok(Some(TlogProof { extra, index: seq, path, checkpoint: checkpoint.note }))
    }

    fn seq_in_sight(&self, principal: &Principal, id: EventId) -> Result<Option<u64>, SearchError> {
        principal.may_read()?;
        let by_id = Filter::Term(Term::new(Key::Id, Test::Uuid(vec![id.uuid()])));
        let parts = self.log.refresh()?;
        let filter = self.log.index().kept(principal.sight().and(by_id));
        let page = Page { limit: 1, offset: 0, after: None };
        let found = self.log.index().search(&parts, &filter, &page).map_err(EngineError::from)?;
        Ok(found.places.first().map(|place| place.hit.seq))
    }

    /// The first event of an epoch says that it began, and what the checkpoint before was. If we stopped before it was written, the next
    /// start writes it.
    pub(crate) fn record_epoch(&self) -> Result<(), EngineError> {
        let Some(epoch) = self.store.epochs()?.pop().filter(|epoch| epoch.number > 1) else { return Ok(()) };
        if self.guard.refusal().is_some() || self.store.head()?.size != epoch.first_size {
            return Ok(());
        }
        let before = self.key_place.laid_aside(epoch.number - 1).unwrap_or_default();
        let before: String =
            before.parse::<SignedNote>().map(|note| note.text().to_owned()).unwrap_or_default();
        let event =
            OwnEvent::new("create", "epoch", &epoch.origin).resource_id(&epoch.number.to_string()).after(
                serde_json::json!({"number": epoch.number, "origin": epoch.origin, "verifier": epoch.verifier,
                "first_size": epoch.first_size, "reason": epoch.reason, "before": before}),
            );
        self.record_own(&Principal::operator(), event);
        Ok(())
    }
}

/// A size or seq that was checked before is never beyond the tree.
pub(crate) fn node_error(error: ProofError<EngineError>) -> EngineError {
    match error {
        ProofError::Node(error) => error,
        error => EngineError::Store(annals_store::StoreError::Damaged { what: error.to_string() }),
    }
}
