//! Following the log: the next matching events by seq, and waiting for news.

use std::time::Duration;

use annals_model::audit_log::StoredEvent;
use tokio::sync::watch;

use std::ops::ControlFlow;

use crate::Engine;
use crate::error::EngineError;
use crate::events::FoundEvent;
use crate::principal::Principal;
use crate::search::{Readable, SearchError};
use crate::walk::Walk;

/// How long a follower waits for news of this process before it looks for what other processes appended.
pub const NEWS_WAIT: Duration = Duration::from_millis(500);

/// Seqs that one call looks at, so that none takes long however rare the matching events are: some 40 ms of a cold log.
const LOOK_SEQS_MAX: u64 = 8 * 262_144;

/// Bytes of stored events after which a call returns, however many events it may return.
const LOOK_BYTES_MAX: usize = 1024 * 1024;

/// The next matching events of a follower.
#[derive(Debug)]
pub struct Followed<T> {
    /// The events, by rising seq.
    pub events: Vec<T>,
    /// The last seq that was looked at, whether it matched or not: go on behind it. None in an empty log.
    pub looked_until: Option<u64>,
    /// The end of the log was reached: wait for [`News`].
    pub is_at_end: bool,
}

/// Says when there may be new events.
#[derive(Debug)]
pub struct News {
    committed: watch::Receiver<u64>,
}

impl News {
    /// Waits until this process committed events since the last call, or [`NEWS_WAIT`] has passed: what other processes append
    /// is not announced.
    pub async fn wait(&mut self) {
        let changed = tokio::time::timeout(NEWS_WAIT, self.committed.changed());
        if let Ok(Err(_)) = changed.await {
            // The log has stopped and will not say anything any more.
            tokio::time::sleep(NEWS_WAIT).await;
        }
    }
}

impl Engine {
    /// Waits for new events. What was committed before this call is not news.
    pub fn news(&self) -> News {
        News { committed: self.log.committed() }
    }

    /// Begins to follow the log: says whether the caller may, whether the query is right, and behind which seq to go on: `after_seq`,
    /// or the end of the log as it is now; none in an empty log. Recorded as a read.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, the query has errors, the log does not go so far, or it failed.
    pub fn follow(
        &self,
        principal: &Principal,
        query: &str,
        after_seq: Option<u64>,
    ) -> Result<Option<u64>, SearchError> {
        self.readable_filter(principal, query)?;
        let size = self.log.refresh()?.next_seq();
        if let Some(after_seq) = after_seq {
            check_is_in(after_seq, size)?;
        }
        self.record_read(principal, query, None);
        Ok(after_seq.or(size.checked_sub(1)))
    }

    /// Returns the next events by rising seq that match, each as `each` makes it: at most `limit` and about 1 MiB, those behind `after_seq`, or
    /// from the first one on. Looks at a bounded part of the log, so that there may be none although more match later.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, the query has errors, the log does not go so far, or it failed.
    pub fn events_after<T>(
        &self,
        principal: &Principal,
        query: &str,
        after_seq: Option<u64>,
        limit: usize,
        mut each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<Followed<T>, SearchError> {
        let Readable { filter, .. } = self.readable_filter(principal, query)?;
        let parts = self.log.refresh()?;
        let size = parts.next_seq();
        let from = match after_seq {
            Some(after_seq) => check_is_in(after_seq, size)? + 1,
            None => 0,
        };
        let from = from.max(parts.first_seq());
        drop(parts);
        let end = size.min(from.saturating_add(LOOK_SEQS_MAX));
        let mut walk = Walk::new(filter, from..end);
        let registry = self.registry.current().registry;
        let (mut events, mut bytes) = (Vec::new(), 0);
        walk.go(self, &mut |seq, record| {
            let event = StoredEvent::read(record)?;
            let added = self.added(&registry, &event, seq)?;
            events.push(each(FoundEvent { event: &event, added })?);
            bytes += record.text_bytes();
            let goes_on = events.len() < limit && bytes < LOOK_BYTES_MAX;
            Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let next_seq = walk.next_seq();
        Ok(Followed { events, looked_until: next_seq.checked_sub(1), is_at_end: next_seq >= size })
    }
}

/// Refuses a seq that the log does not have.
pub(crate) fn check_is_in(after_seq: u64, size: u64) -> Result<u64, SearchError> {
    if after_seq < size { Ok(after_seq) } else { Err(SearchError::BehindTheEnd { after_seq, size }) }
}
