//! What stands around a page of events: how they lie in time, by outcome, and their most frequent values.

use annals_query::{Filter, Key, Term};
use annals_segment::{Facets, SegmentError};

use crate::Engine;
use crate::bucket::Bucket;
use crate::error::EngineError;
use crate::principal::Principal;
use crate::search::{Readable, SearchError};

/// Counts around a search, exact.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// Length of the buckets; nothing if no event matches.
    pub bucket: Option<Bucket>,
    /// Events over time.
    pub buckets: Vec<OutcomeBucket>,
    /// Most frequent values of each key that was asked for; a key with too many distinct values is left out.
    pub facets: Vec<(Key, Facets)>,
}

/// Events of a span of time by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeBucket {
    /// Begin, microseconds since 1970.
    pub from_us: i64,
    /// End, exclusive.
    pub to_us: i64,
    /// Events that succeeded.
    pub success: u64,
    /// Events that were denied.
    pub denied: u64,
    /// Events that failed.
    pub failure: u64,
}

impl Engine {
    /// Counts around a search that is shown beside it: the search itself is what is recorded.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, the query has errors, or the log failed.
    pub fn overview(
        &self,
        principal: &Principal,
        query: &str,
        keys: &[Key],
        limit: usize,
    ) -> Result<Overview, SearchError> {
        let Readable { filter, .. } = self.readable_filter(principal, query)?;
        let parts = self.log.refresh()?;
        let index = self.log.index();
        let Some((first_us, last_us)) = index.span(&parts, &filter).map_err(EngineError::from)? else {
            return Ok(Overview { bucket: None, buckets: Vec::new(), facets: Vec::new() });
        };
        let bucket = Bucket::fitting(first_us, last_us + 1);
        // A length that fits gives few enough.
        let edges = bucket.edges(first_us, last_us + 1).unwrap_or_default();
        let count = |filter: &Filter| index.histogram(&parts, filter, &edges).map_err(EngineError::from);
        let of = |outcome: &str| filter.clone().and(Filter::from(Term::exact(Key::Outcome, outcome)));
        let (all, denied, failure) = (count(&filter)?, count(&of("denied"))?, count(&of("failure"))?);
        let buckets = (edges.windows(2).zip(all).zip(denied.into_iter().zip(failure)))
            .map(|((edge, all), (denied, failure))| OutcomeBucket {
                from_us: edge[0],
                to_us: edge[1],
                success: all.saturating_sub(denied + failure),
                denied,
                failure,
            })
            .collect();
        let mut facets = Vec::with_capacity(keys.len());
        for key in keys {
            match index.facets(&parts, &filter, *key, limit) {
                Ok(found) => facets.push((*key, found)),
                Err(SegmentError::TooManyValues { .. }) => {}
                Err(SegmentError::NotCounted(key)) => return Err(SearchError::NotCounted(key)),
                Err(error) => return Err(EngineError::from(error).into()),
            }
        }
        Ok(Overview { bucket: Some(bucket), buckets, facets })
    }
}
