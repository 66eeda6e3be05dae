//! Finding events.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use annals_model::id::EventId;
use annals_query::{CheckedQuery, Context, Filter, Key, QueryErrors, Term, Test};
use annals_segment::{FACET_KEYS, Facets, Found, Hit, Page, SegmentError};

use crate::Engine;
use crate::bucket::{BUCKETS_MAX, Bucket};
use crate::error::{EngineError, ForbiddenError};
use crate::events::FoundEvent;
use crate::principal::Principal;
use crate::reads::without_reads;

/// What to search for and which page of it.
#[derive(Debug, Clone, Copy)]
pub struct SearchRequest<'q> {
    /// The query text.
    pub query: &'q str,
    /// Rows at most.
    pub limit: usize,
    /// Rows to skip.
    pub offset: u64,
    /// Begin after this row.
    pub after: Option<Cursor>,
}

/// The last row of a page, from which the next one goes on however many events came meanwhile.
///
/// Its text is `time_us-seq` in hexadecimal; callers should take it as opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    hit: Hit,
}

/// A text that is no cursor of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor; use `next` of an earlier page")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sign bit is flipped so that times before 1970 need no sign.
        let time = self.hit.time_us.cast_unsigned() ^ (1 << 63);
        write!(f, "{time:016x}-{:x}", self.hit.seq)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let (time, seq) = text.split_once('-').ok_or(CursorError)?;
        let time = u64::from_str_radix(time, 16).map_err(|_| CursorError)?;
        let seq = u64::from_str_radix(seq, 16).map_err(|_| CursorError)?;
        Ok(Cursor { hit: Hit { time_us: (time ^ (1 << 63)).cast_signed(), seq } })
    }
}

/// One page of what was found.
#[derive(Debug)]
pub struct SearchResults<T> {
    /// All matching events, exactly.
    pub count: u64,
    /// The page.
    pub events: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How words of the query were read, where that may surprise.
    pub notes: Vec<String>,
    /// Recorded reads of the log are among what was searched: the query names their type.
    pub shows_reads: bool,
    /// The last seq of the log when the search began: what comes behind it is new to the reader. None in an empty log.
    pub last_seq: Option<u64>,
}

/// Why nothing was searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The caller may not read.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// The query has errors.
    #[error("the query has errors")]
    Query(QueryErrors),
    /// A histogram of so many spans helps nobody.
    #[error("more than {max} buckets; choose a longer bucket or a shorter time")]
    TooManyBuckets {
        /// Most buckets of one answer.
        max: usize,
    },
    /// Nearly every event has its own value of this key.
    #[error("values of `{}` cannot be counted; choose one of {}", .0.name(), facet_keys())]
    NotCounted(Key),
    /// More distinct values than are held at once.
    #[error("more than {max} distinct values; narrow the query")]
    TooManyValues {
        /// Most values that are held.
        max: usize,
    },
    /// Asked to go on behind an event that the log does not have: it is another log, or was put back from a backup.
    #[error("seq {after_seq} is not in this log, which has {size} events; was it put back from a backup?")]
    BehindTheEnd {
        /// The seq asked for.
        after_seq: u64,
        /// Events in the log.
        size: u64,
    },
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn facet_keys() -> String {
    FACET_KEYS.map(Key::name).join(", ")
}

/// What to count over time.
#[derive(Debug, Clone, Copy)]
pub struct HistogramRequest<'q> {
    /// The query text.
    pub query: &'q str,
    /// Length of a bucket; one that gives about 60 if absent.
    pub bucket: Option<Bucket>,
    /// Begin, microseconds since 1970; the first matching event's bucket if absent.
    pub from_us: Option<i64>,
    /// End, exclusive; the last matching event's bucket if absent.
    pub to_us: Option<i64>,
}

/// Matching events over time.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Length of the buckets.
    pub bucket: Bucket,
    /// Start of each bucket, microseconds since 1970, and its events.
    pub buckets: Vec<(i64, u64)>,
    /// Events in all buckets.
    pub count: u64,
    /// How words of the query were read, where that may surprise.
    pub notes: Vec<String>,
}

/// A query joined to what its asker may see.
pub(crate) struct Readable {
    pub(crate) filter: Filter,
    pub(crate) notes: Vec<String>,
    pub(crate) shows_reads: bool,
}

impl Engine {
    /// Reads a query text as the caller means it.
    ///
    /// # Errors
    /// Every error of the text.
    pub fn check_query(&self, principal: &Principal, text: &str) -> Result<CheckedQuery, QueryErrors> {
        self.check_query_at(principal, text, jiff::SignedDuration::ZERO)
    }

    /// As [`Engine::check_query`], as it will be read so much later.
    pub(crate) fn check_query_at(
        &self,
        principal: &Principal,
        text: &str,
        later: jiff::SignedDuration,
    ) -> Result<CheckedQuery, QueryErrors> {
        let current = self.registry.current();
        let me = principal.person().map(|person| person.username.as_str());
        let now = jiff::Timestamp::from_microsecond(self.now().as_micros())
            .expect("the range of `Time` lies inside the range of the library");
        let now = now.saturating_add(later).unwrap_or(now);
        annals_query::parse(text, &Context { now, me, vocabulary: &current.vocabulary })
    }

    /// Counts every matching event and returns one page, newest first, each event as `each` makes it.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, the query has errors, or the log failed.
    pub fn search<T>(
        &self,
        principal: &Principal,
        request: &SearchRequest<'_>,
        each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<SearchResults<T>, SearchError> {
        let Readable { filter, notes, shows_reads } = self.readable_filter(principal, request.query)?;
        let started = Instant::now();
        let last_seq = self.log.refresh()?.next_seq().checked_sub(1);
        let page = Page {
            limit: request.limit,
            offset: request.offset,
            after: request.after.map(|cursor| cursor.hit),
        };
        let (found, events) = self.found_events(&filter, &page, each)?;
        let is_last = found.places.len() < request.limit;
        let next = found.places.last().filter(|_| !is_last).map(|place| Cursor { hit: place.hit });
        self.measure_search(started);
        self.record_read(principal, request.query, Some(found.count));
        Ok(SearchResults { count: found.count, events, next, notes, shows_reads, last_seq })
    }

    /// Says whether anything was recorded besides what Annals records of itself. A page asks it to greet a new log; it shows no
    /// event and is not recorded as a read.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn has_events_of_producers(&self, principal: &Principal) -> Result<bool, SearchError> {
        let Readable { filter, .. } = self.readable_filter(principal, "-source:annals")?;
        let parts = self.log.refresh()?;
        let page = Page { limit: 1, offset: 0, after: None };
        let found = self.log.index().search(&parts, &filter, &page).map_err(EngineError::from)?;
        Ok(found.count > 0)
    }

    /// Returns one event, if it is there and in sight.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn event<T>(
        &self,
        principal: &Principal,
        id: EventId,
        each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<Option<T>, SearchError> {
        principal.may_read()?;
        let by_id = Filter::Term(Term::new(Key::Id, Test::Uuid(vec![id.uuid()])));
        // The same search as any other decides whether it is in sight.
        self.log.refresh()?;
        let filter = self.log.index().kept(principal.sight().and(by_id));
        let page = Page { limit: 1, offset: 0, after: None };
        let (found, mut events) = self.found_events(&filter, &page, each)?;
        self.record_read(principal, &format!("id:{}", id.uuid()), Some(found.count));
        Ok(events.pop())
    }

    /// Finds a page and reads its events. Where an object was replaced and deleted since it was opened here, once more in the new one.
    fn found_events<T>(
        &self,
        filter: &Filter,
        page: &Page,
        mut each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<(Found, Vec<T>), SearchError> {
        let mut is_again = false;
        loop {
            let parts = self.log.refresh()?;
            let result = self
                .log
                .index()
                .search(&parts, filter, page)
                .map_err(EngineError::from)
                .and_then(|found| Ok((self.read_events(&parts, &found.places, &mut each)?, found)));
            match result {
                Ok((events, found)) => return Ok((found, events)),
                Err(error) if error.is_missing() && !is_again => {
                    is_again = true;
                    self.log.refresh_manifest()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Counts the matching events in spans of time, exactly.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, the query has errors, the spans are too many, or the log failed.
    pub fn histogram(
        &self,
        principal: &Principal,
        request: &HistogramRequest<'_>,
    ) -> Result<Histogram, SearchError> {
        let Readable { filter, notes, .. } = self.readable_filter(principal, request.query)?;
        let started = Instant::now();
        let parts = self.log.refresh()?;
        let span = match (request.from_us, request.to_us) {
            (Some(from), Some(to)) => Some((from, to)),
            (from, to) => {
                let span = self.log.index().span(&parts, &filter).map_err(EngineError::from)?;
                span.map(|(first, last)| (from.unwrap_or(first), to.unwrap_or(last + 1)))
            }
        };
        let Some((from_us, to_us)) = span.filter(|(from, to)| from < to) else {
            let count = 0;
            return Ok(Histogram {
                bucket: request.bucket.unwrap_or(Bucket::DAY),
                buckets: Vec::new(),
                count,
                notes,
            });
        };
        let bucket = request.bucket.unwrap_or_else(|| Bucket::fitting(from_us, to_us));
        let edges = bucket.edges(from_us, to_us).ok_or(SearchError::TooManyBuckets { max: BUCKETS_MAX })?;
        let counts = self.log.index().histogram(&parts, &filter, &edges).map_err(EngineError::from)?;
        self.measure_search(started);
        let count = counts.iter().sum();
        self.record_read(principal, request.query, Some(count));
        let buckets = edges.into_iter().zip(counts).collect();
        Ok(Histogram { bucket, buckets, count, notes })
    }

    /// Counts the values of a key among the matching events, exactly, and returns the most frequent ones.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, the query has errors, the key has no counted values, or the log failed.
    pub fn facets(
        &self,
        principal: &Principal,
        query: &str,
        key: Key,
        limit: usize,
    ) -> Result<(Facets, Vec<String>), SearchError> {
        let Readable { filter, notes, .. } = self.readable_filter(principal, query)?;
        let started = Instant::now();
        let parts = self.log.refresh()?;
        let facets = self.log.index().facets(&parts, &filter, key, limit).map_err(|error| match error {
            SegmentError::NotCounted(key) => SearchError::NotCounted(key),
            SegmentError::TooManyValues { max, .. } => SearchError::TooManyValues { max },
            other => EngineError::from(other).into(),
        })?;
        self.measure_search(started);
        self.record_read(principal, query, None);
        Ok((facets, notes))
    }

    /// The filter of a query text, joined to what the caller may see.
    pub(crate) fn readable_filter(
        &self,
        principal: &Principal,
        query: &str,
    ) -> Result<Readable, SearchError> {
        principal.may_read()?;
        self.registry.refresh(&self.store)?;
        let query = self.check_query(principal, query).map_err(SearchError::Query)?;
        let notes = query.notes().iter().map(ToString::to_string).collect();
        let (filter, shows_reads) = without_reads(query.into_filter());
        // Also where another process dropped events a moment ago.
        self.log.refresh()?;
        let filter = self.log.index().kept(principal.sight().and(filter));
        Ok(Readable { filter, notes, shows_reads })
    }

    fn measure_search(&self, started: Instant) {
        self.metrics.searches.inc();
        self.metrics.search_seconds.observe(started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        for (time_us, seq) in [(0, 0), (-62_135_596_800_000_000, 17), (1_795_000_000_000_000, u64::MAX)] {
            let cursor = Cursor { hit: Hit { time_us, seq } };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "-", "x-1", "1", "11111111111111111-1", "1-2-3"] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
