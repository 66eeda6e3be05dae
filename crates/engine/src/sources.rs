//! What the sources of events have sent, and what of it is missing: completeness, where the proofs show integrity.

use annals_model::time::Time;
use annals_store::SourceState;

use crate::Engine;
use crate::principal::Principal;
use crate::search::SearchError;

/// A source as it is now.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it has sent.
    pub state: SourceState,
    /// Microseconds since its last event was received.
    pub silent_us: i64,
}

impl Engine {
    /// Lists the sources by name; 10,000 are kept at most. Only for those who see the whole site: a source may send events of
    /// several organizations.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not, or the log failed.
    pub fn sources(&self, principal: &Principal) -> Result<Vec<Source>, SearchError> {
        principal.may_see_all("see the sources of events")?;
        let now = self.now();
        let states = self.store.sources(usize::MAX).map_err(crate::EngineError::from)?;
        Ok(states.into_iter().map(|state| Source { silent_us: silence(&state, now), state }).collect())
    }
}

fn silence(state: &SourceState, now: Time) -> i64 {
    now.as_micros().saturating_sub(state.last.as_micros()).max(0)
}
