//! The last line of a detail: how far an event is proven.
//!
//! The server says only what it recorded and signed. That the path leads to the checkpoint is said by the browser that computed it.

use annals_engine::{Engine, Principal, Standing};
use annals_model::id::EventId;
use tracing::warn;

use super::format;
use super::zone::Zone;

/// How far an event is proven.
#[derive(Debug)]
pub(super) struct ProofLine {
    pub(super) id: String,
    pub(super) seq: u64,
    pub(super) state: ProofState,
}

/// What the server knows without computing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProofState {
    Covered {
        number: String,
        /// For people, in their zone.
        signed: String,
        /// For machines.
        datetime: String,
    },
    /// The next checkpoint will cover it.
    Awaited,
    /// None will, before the operator decides.
    Refused,
    /// Nothing was ever signed, and nothing is going to be.
    Unsigned,
    /// The tree could not be read; the event itself could.
    Unreadable,
}

impl ProofLine {
    /// Looks up where an event stands.
    pub(super) fn new(
        engine: &Engine,
        principal: &Principal,
        id: EventId,
        seq: u64,
        zone: &Zone,
    ) -> ProofLine {
        let state = match engine.standing(principal, id) {
            Ok(Some(Standing { checkpoint: Some((checkpoint, _)), .. })) => ProofState::Covered {
                number: format::grouped(checkpoint.number),
                signed: format::moment(checkpoint.signed, zone),
                datetime: checkpoint.signed.to_string(),
            },
            Ok(Some(_)) => uncovered(engine, principal),
            Ok(None) => ProofState::Unreadable,
            Err(cause) => {
                warn!(%cause, seq, "where an event stands in the tree cannot be read");
                ProofState::Unreadable
            }
        };
        ProofLine { id: id.uuid().to_string(), seq, state }
    }

    pub(super) fn grouped_seq(&self) -> String {
        format::grouped(self.seq)
    }

    pub(super) fn is_covered(&self) -> bool {
        matches!(self.state, ProofState::Covered { .. })
    }

    /// Whether there is a path to a checkpoint, or will be in a moment.
    pub(super) fn has_path(&self) -> bool {
        self.is_covered() || self.state == ProofState::Awaited
    }

    pub(super) fn receipt_href(&self) -> String {
        format!("/api/v2/audit/{}/receipt", self.id)
    }

    pub(super) fn proof_href(&self) -> String {
        format!("/api/v2/audit/{}/proof", self.id)
    }
}

fn uncovered(engine: &Engine, principal: &Principal) -> ProofState {
    if engine.refusal().is_some() {
        return ProofState::Refused;
    }
    match engine.epochs(principal) {
        Ok(epochs) if epochs.is_empty() => ProofState::Unsigned,
        Ok(_) => ProofState::Awaited,
        Err(cause) => {
            warn!(%cause, "the epochs of the log cannot be read");
            ProofState::Unreadable
        }
    }
}
