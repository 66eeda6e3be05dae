//! One resource: its events in their order, and what it looked like after any of them.

use annals_model::id::normalise;
use annals_query::{Filter, Key, Term, Test};
use annals_segment::{Hit, Page, Place};

use crate::Engine;
use crate::error::EngineError;
use crate::events::FoundEvent;
use crate::index::Parts;
use crate::principal::Principal;
use crate::reads::without_reads;
use crate::resource_state::{ResourceState, Step};
use crate::search::SearchError;

/// Rows of one page of a history.
pub const HISTORY_ROWS: usize = 100;
/// Changes that a state is rebuilt from at most, the last ones: reading them takes about a second.
pub const REPLAYED_EVENTS_MAX: usize = 10_000;
/// Changes that are held at once while they are replayed.
const REPLAYED_AT_ONCE: usize = 64;
/// Places that one search returns while the changes of a resource are collected.
const PLACES_AT_ONCE: usize = 1_000;
/// How often a page is looked for again because events came between the count and it.
const TRIES_MAX: usize = 4;

/// Which resource, and when.
#[derive(Debug, Clone, Copy)]
pub struct HistoryRequest<'h> {
    /// Its type.
    pub resource_type: &'h str,
    /// Its id.
    pub resource_id: &'h str,
    /// Seq of the event after which the state is shown; the last event if absent.
    pub at: Option<u64>,
    /// Page of [`HISTORY_ROWS`] events, from 1; the one that holds `at` if absent.
    pub page: Option<u64>,
}

/// A resource over time.
#[derive(Debug)]
pub struct History<T> {
    /// Its events in sight.
    pub count: u64,
    /// Which page it is, from 1.
    pub page: u64,
    /// The page, the oldest event first.
    pub events: Vec<T>,
    /// What it looked like; none where the id does not single out one resource.
    pub state: Option<ResourceState>,
    /// Only the last [`REPLAYED_EVENTS_MAX`] changes were replayed.
    pub is_state_cut: bool,
}

impl Engine {
    /// Shows a resource over time: a page of its events that are in sight, each as `each` makes it, and its state after one of
    /// them. None if `at` names no event of it in sight.
    ///
    /// # Errors
    /// [`SearchError`] if the caller may not read, or the log failed.
    pub fn history<T>(
        &self,
        principal: &Principal,
        request: &HistoryRequest<'_>,
        each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<Option<History<T>>, SearchError> {
        principal.may_read()?;
        let registry = self.registry()?;
        let resource_id = normalise(request.resource_id);
        let own = Filter::from(Term::exact(Key::ResourceType, request.resource_type))
            .and(Term::exact(Key::ResourceId, &resource_id).into());
        let query = own.to_string();
        // The same as of any search: recorded reads only if their type is asked for, and what the caller may see.
        let filter = principal.sight().and(without_reads(own).0);
        let parts = self.log.refresh()?;

        let at = match request.at {
            None => None,
            Some(seq) => {
                let hit = self.hit_of(&parts, &filter, seq)?;
                if hit.is_none() {
                    return Ok(None);
                }
                hit
            }
        };
        let (count, page, places) = self.page_of_history(&parts, &filter, at, request.page)?;
        let events = self.read_events(&parts, &places, each)?;
        let is_shared_id = registry.resource(request.resource_type).is_some_and(|kind| kind.shared_id);
        let (state, is_state_cut) = if is_shared_id {
            (None, false)
        } else {
            let (state, is_cut) = self.state_at(&parts, &filter, at)?;
            (Some(state), is_cut)
        };
        self.record_read(principal, &query, Some(count));
        Ok(Some(History { count, page, events, state, is_state_cut }))
    }

    fn find(&self, parts: &Parts, filter: &Filter, page: &Page) -> Result<(u64, Vec<Place>), EngineError> {
        let found = self.log.index().search(parts, filter, page)?;
        Ok((found.count, found.places))
    }

    /// Time and seq of one of the events.
    fn hit_of(&self, parts: &Parts, filter: &Filter, seq: u64) -> Result<Option<Hit>, EngineError> {
        let Ok(number) = i64::try_from(seq) else { return Ok(None) };
        let only = Test::Int { at_least: Some(number), at_most: Some(number) };
        let filter = filter.clone().and(Term::new(Key::Seq, only).into());
        let (_, places) = self.find(parts, &filter, &Page { limit: 1, offset: 0, after: None })?;
        Ok(places.first().map(|place| place.hit))
    }

    /// Count, number of the page, and its places with the oldest first.
    fn page_of_history(
        &self,
        parts: &Parts,
        filter: &Filter,
        at: Option<Hit>,
        page: Option<u64>,
    ) -> Result<(u64, u64, Vec<Place>), EngineError> {
        let rows = HISTORY_ROWS as u64;
        let (mut count, _) = self.find(parts, filter, &NO_ROWS)?;
        let newer = match at {
            Some(hit) if page.is_none() => self.find(parts, &newer_than(filter, hit), &NO_ROWS)?.0,
            _ => 0,
        };
        let mut tries = 0;
        loop {
            let number = match page {
                Some(page) => page.clamp(1, count.div_ceil(rows).max(1)),
                // Pages count from the oldest event, searches from the newest one.
                None if at.is_some() => count.saturating_sub(newer).div_ceil(rows).max(1),
                None => count.div_ceil(rows).max(1),
            };
            let first = (number - 1) * rows;
            let end = count.min(first + rows);
            let limit = usize::try_from(end - first).expect("at most HISTORY_ROWS");
            let page = Page { limit, offset: count - end, after: None };
            let (counted, mut places) = self.find(parts, filter, &page)?;
            places.reverse();
            tries += 1;
            // Events that came in between moved the page. In the end a page that begins a little late does.
            if counted == count || tries == TRIES_MAX {
                return Ok((counted, number, places));
            }
            count = counted;
        }
    }

    /// The state after one of the events, or after the last one; and whether it was rebuilt from the last changes only.
    fn state_at(
        &self,
        parts: &Parts,
        filter: &Filter,
        at: Option<Hit>,
    ) -> Result<(ResourceState, bool), EngineError> {
        let places = self.changes_until(parts, filter, at)?;
        let is_cut = places.len() >= REPLAYED_EVENTS_MAX;
        let mut state = ResourceState::default();
        for some in places.chunks(REPLAYED_AT_ONCE) {
            let steps = self.read_events(parts, some, |found| Ok(Step::of(found.event, found.added.seq)))?;
            steps.into_iter().for_each(|step| state.apply(step));
        }
        Ok((state, is_cut))
    }

    /// Places of the events that the state comes from, the oldest first.
    fn changes_until(
        &self,
        parts: &Parts,
        filter: &Filter,
        at: Option<Hit>,
    ) -> Result<Vec<Place>, EngineError> {
        let has_changes = Filter::from(Term::new(Key::Changed, Test::Exists));
        let is_turn = ["create", "delete"].map(|action| Filter::from(Term::exact(Key::Action, action)));
        let filter = filter
            .clone()
            .and(Term::exact(Key::Outcome, "success").into())
            .and(Filter::any_of([has_changes].into_iter().chain(is_turn)));
        // The event itself is one of them, and the search begins after the row that it is given.
        let mut after = at.map(|hit| Hit { seq: hit.seq + 1, ..hit });
        let mut all = Vec::new();
        loop {
            let limit = PLACES_AT_ONCE.min(REPLAYED_EVENTS_MAX - all.len());
            let (_, places) = self.find(parts, &filter, &Page { limit, offset: 0, after })?;
            after = places.last().map(|place| place.hit);
            let is_last = places.len() < limit;
            all.extend(places);
            if is_last || all.len() >= REPLAYED_EVENTS_MAX {
                break;
            }
        }
        all.reverse();
        Ok(all)
    }
}

/// A page that only counts.
const NO_ROWS: Page = Page { limit: 0, offset: 0, after: None };

/// The events that stand above another one in a list with the newest first.
fn newer_than(filter: &Filter, hit: Hit) -> Filter {
    let next_us = hit.time_us.saturating_add(1);
    let later = Term::new(Key::Time, Test::Time { from_us: Some(next_us), before_us: None });
    let same = Term::new(Key::Time, Test::Time { from_us: Some(hit.time_us), before_us: Some(next_us) });
    let next_seq = i64::try_from(hit.seq).unwrap_or(i64::MAX).saturating_add(1);
    let above = Term::new(Key::Seq, Test::Int { at_least: Some(next_seq), at_most: None });
    let beside = Filter::from(same).and(above.into());
    filter.clone().and(Filter::any_of([later.into(), beside]))
}
