//! Finding events.

use std::fmt;
use std::str::FromStr;

use annals_model::id::EventId;
use annals_query::{CheckedQuery, Context, QueryErrors};
use annals_segment::{Hit, Page};

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::events::FoundEvent;
use crate::principal::Principal;

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
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine {
    /// Reads a query text as the caller means it.
    ///
    /// # Errors
    /// Every error of the text.
    pub fn check_query(&self, principal: &Principal, text: &str) -> Result<CheckedQuery, QueryErrors> {
        let current = self.registry.current();
        let me = principal.person().map(|person| person.username.as_str());
        let now = jiff::Timestamp::from_microsecond(self.now().as_micros())
            .expect("the range of `Time` lies inside the range of the library");
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
        principal.may_read()?;
        self.registry.refresh(&self.store)?;
        let query = self.check_query(principal, request.query).map_err(SearchError::Query)?;
        let notes = query.notes().iter().map(ToString::to_string).collect();
        let filter = principal.sight().and(query.into_filter());
        self.log.refresh()?;
        let page = Page {
            limit: request.limit,
            offset: request.offset,
            after: request.after.map(|cursor| cursor.hit),
        };
        let found = self.log.search(&filter, &page);
        let is_last = found.hits.len() < request.limit;
        let next = found.hits.last().filter(|_| !is_last).map(|hit| Cursor { hit: *hit });
        let events = self.read_events(&found.hits, each)?;
        Ok(SearchResults { count: found.count, events, next, notes })
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
        let Some(hit) = self.find_id(id)? else { return Ok(None) };
        // The same search as any other decides whether it is in sight.
        let by_id = annals_query::Filter::Term(annals_query::Term::new(
            annals_query::Key::Id,
            annals_query::Test::Uuid(vec![id.uuid()]),
        ));
        let filter = principal.sight().and(by_id);
        if self.log.search(&filter, &Page { limit: 0, offset: 0, after: None }).count == 0 {
            return Ok(None);
        }
        Ok(self.read_events(&[hit], each)?.pop())
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
