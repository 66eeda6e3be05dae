//! Which resources were deleted later, for many events at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::Engine;
use crate::error::EngineError;
use crate::events::Deleted;

/// From so many events on, reading all deletions at once costs less than asking for each event.
const EVENTS_WORTH_IT: u64 = 20_000;
/// Deletions that are held in memory, at some 40 bytes each. A log with more is asked event by event.
const DELETIONS_MAX: usize = 500_000;
/// Answers that are remembered then.
const ANSWERS_MAX: usize = 20_000;

/// Knows when resources were deleted last. Resources go by hashes under a key of this process: two of a million are the same with a
/// probability of 2^-25, and nobody can make them so.
#[derive(Debug)]
pub(crate) struct Deletions {
    hasher: RandomState,
    known: Known,
}

#[derive(Debug)]
enum Known {
    /// Every deletion, as the log was at the begin.
    All(HashMap<u64, Deleted>),
    /// What was asked for lately.
    Answers(RefCell<HashMap<u64, Option<Deleted>>>),
}

impl Deletions {
    pub(crate) fn for_events(engine: &Engine, event_count: u64) -> Result<Deletions, EngineError> {
        let hasher = RandomState::new();
        let mut all = HashMap::new();
        let mut are_few = event_count >= EVENTS_WORTH_IT;
        if are_few {
            are_few = engine.store.each_deletion(DELETIONS_MAX, |kind, id, deleted| {
                all.insert(hasher.hash_one((kind, id)), deleted);
            })?;
        }
        let known = if are_few { Known::All(all) } else { Known::Answers(RefCell::default()) };
        Ok(Deletions { hasher, known })
    }

    pub(crate) fn deleted_at(
        &self,
        engine: &Engine,
        kind: &str,
        id: &str,
    ) -> Result<Option<Deleted>, EngineError> {
        let hash = self.hasher.hash_one((kind.as_bytes(), id.as_bytes()));
        let answers = match &self.known {
            Known::All(all) => return Ok(all.get(&hash).copied()),
            Known::Answers(answers) => answers,
        };
        if let Some(answer) = answers.borrow().get(&hash) {
            return Ok(*answer);
        }
        let answer = engine.deleted_at(kind, id)?;
        let mut answers = answers.borrow_mut();
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(hash, answer);
        Ok(answer)
    }
}
