//! Retention: events whose time is over lose all but their leaf hash; legal holds keep what they name.
//!
//! Rules are tried in their order, and the first whose query matches an event decides how long it is kept. A hold wins over every rule and over
//! erasures. What drops events is recorded before, by a control record of its own kind for each rule.

use std::ops::{ControlFlow, Range};

use annals_model::record::LeafKind;
use annals_query::{Filter, Key, Term, Test};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::ingest::IngestError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::rewrite::{Change, Changes, Forgotten, OlderVersions};
use crate::search::SearchError;
use crate::walk::{self, Walk};

const RULES: &str = "retention.rules";
const HOLDS: &str = "retention.holds";
/// Rules and holds that there may be.
const MOST: usize = 200;
const DAY_US: i64 = 86_400_000_000;

/// How long events are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRule {
    /// Identity.
    pub id: String,
    /// Which events; all if it is empty.
    pub query: String,
    /// Days after which they go, counted from when they happened and from when they were received.
    pub days: u32,
}

/// What must not go, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHold {
    /// Identity.
    pub id: String,
    /// Which events.
    pub query: String,
    /// Why.
    pub reason: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// What a rule would drop now.
#[derive(Debug, Clone, Serialize)]
pub struct RetentionCount {
    /// The rule.
    pub rule: RetentionRule,
    /// Events whose time is over.
    pub events: u64,
    /// Events whose time would be over, but a hold keeps them.
    pub held: u64,
}

/// What a run dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Events.
    pub events: u64,
    /// Segments that were written again.
    pub segments: u64,
    /// Segments that went whole.
    pub segments_pruned: u64,
    /// The seq before which nothing is left after this run; 0 if it took no segment whole.
    pub pruned: u64,
    /// What is left of it elsewhere.
    pub forgotten: Forgotten,
}

/// Why retention cannot be changed or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// The query has errors.
    #[error("the query has errors")]
    Query(annals_query::QueryErrors),
    /// Nobody keeps events for less than a day, or for ever by a rule.
    #[error("a rule keeps events for 1 to 36500 days")]
    Days,
    /// A hold says why.
    #[error("a hold has a query and a reason, of at most 4096 bytes each")]
    NoReason,
    /// There are too many.
    #[error("there are {MOST} already")]
    TooMany,
    /// There is none of that identity.
    #[error("there is no `{id}`; `annals retention list` and `annals hold list` show what there is")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It could not be recorded, so it did not happen.
    #[error("it could not be recorded in the log, so that nothing was done: {0}")]
    Record(#[source] IngestError),
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<annals_store::StoreError> for RetentionError {
    fn from(error: annals_store::StoreError) -> RetentionError {
        RetentionError::Engine(error.into())
    }
}

/// What one rule may drop now, if no hold keeps it.
pub(crate) struct Due {
    pub(crate) rule: RetentionRule,
    /// Without what an earlier rule decides.
    pub(crate) filter: Filter,
    /// Only what happened, and was received, before this moment.
    pub(crate) cutoff: i64,
}

/// How much goes by one rule, and where.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Going {
    pub(crate) events: u64,
    from_seq: u64,
    to_seq: u64,
}

impl Going {
    fn of(changes: &Changes) -> Going {
        let seq = |seq: Option<&u64>| seq.copied().unwrap_or_default();
        Going {
            events: changes.len() as u64,
            from_seq: seq(changes.keys().next()),
            to_seq: seq(changes.keys().next_back()),
        }
    }

    /// And one event more, wherever it stands.
    pub(crate) fn add(&mut self, seq: u64) {
        let (from, to) =
            if self.events == 0 { (seq, seq) } else { (self.from_seq.min(seq), self.to_seq.max(seq)) };
        *self = Going { events: self.events + 1, from_seq: from, to_seq: to };
    }

    /// With what goes of a later part of the log.
    pub(crate) fn and(self, later: Going) -> Going {
        match (self.events, later.events) {
            (0, _) => later,
            (_, 0) => self,
            (events, more) => Going { events: events + more, to_seq: later.to_seq, ..self },
        }
    }
}

/// What holds keep.
pub(crate) struct Held {
    seqs: Vec<u64>,
    /// There is a hold, so that the records of holds stay as they are.
    is_any: bool,
}

impl Held {
    pub(crate) fn keeps(&self, seq: u64, kind: LeafKind) -> bool {
        self.seqs.binary_search(&seq).is_ok() || (self.is_any && kind == LeafKind::Hold)
    }
}

impl Engine {
    /// Lists the rules in their order, and the holds.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller does not see the whole site, or the log failed.
    pub fn retention(
        &self,
        principal: &Principal,
    ) -> Result<(Vec<RetentionRule>, Vec<LegalHold>), RetentionError> {
        principal.may_see_all("see retention rules and legal holds")?;
        Ok((self.listed(RULES)?, self.holds()?))
    }

    /// Adds a rule behind the others; one without a query always comes last.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller may not, or the rule cannot be right.
    pub fn add_retention_rule(
        &self,
        principal: &Principal,
        query: &str,
        days: u32,
    ) -> Result<RetentionRule, RetentionError> {
        self.manage(principal, || OwnEvent::new("create", "retention", "a rule"))?;
        if !(1..=36_500).contains(&days) {
            return Err(RetentionError::Days);
        }
        self.filter_of(query)?;
        let rule = RetentionRule { id: new_id(), query: query.trim().to_owned(), days };
        let mut rules: Vec<RetentionRule> = self.listed(RULES)?;
        // All events have one rule without a query: a new one replaces it.
        rules.retain(|other| !rule.query.is_empty() || !other.query.is_empty());
        let at = rules.iter().position(|other| other.query.is_empty()).unwrap_or(rules.len());
        rules.insert(if rule.query.is_empty() { rules.len() } else { at }, rule.clone());
        let event = OwnEvent::new("create", "retention", &title(&rule))
            .resource_id(&rule.id)
            .after(json!({"id": rule.id, "filter": rule.query, "retained_days": rule.days}));
        self.keep(principal, RULES, &rules, event)?;
        Ok(rule)
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller may not, or there is none.
    pub fn remove_retention_rule(&self, principal: &Principal, id: &str) -> Result<(), RetentionError> {
        self.manage(principal, || OwnEvent::new("delete", "retention", "a rule"))?;
        let mut rules: Vec<RetentionRule> = self.listed(RULES)?;
        let at = rules.iter().position(|rule| rule.id == id);
        let rule = rules.remove(at.ok_or_else(|| RetentionError::Unknown { id: shortened(id) })?);
        let event = OwnEvent::new("delete", "retention", &title(&rule))
            .resource_id(&rule.id)
            .before(json!({"id": rule.id, "filter": rule.query, "retained_days": rule.days}));
        self.keep(principal, RULES, &rules, event)
    }

    /// Keeps what a query finds from now on, also from erasures, until the hold is released.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller may not, or the hold cannot be right.
    pub fn add_hold(
        &self,
        principal: &Principal,
        query: &str,
        reason: &str,
    ) -> Result<LegalHold, RetentionError> {
        self.manage(principal, || OwnEvent::new("create", "legal_hold", "a hold"))?;
        let (query, reason) = (query.trim(), reason.trim());
        if query.is_empty() || reason.is_empty() || query.len().max(reason.len()) > 4_096 {
            return Err(RetentionError::NoReason);
        }
        self.filter_of(query)?;
        let hold = LegalHold {
            id: new_id(),
            query: query.to_owned(),
            reason: reason.to_owned(),
            since: self.now().to_string(),
        };
        let mut holds = self.holds()?;
        holds.push(hold.clone());
        let event = OwnEvent::new("create", "legal_hold", query)
            .resource_id(&hold.id)
            .after(json!({"id": hold.id, "filter": hold.query, "reason": hold.reason}));
        self.keep(principal, HOLDS, &holds, event)?;
        Ok(hold)
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller may not, or there is none.
    pub fn release_hold(&self, principal: &Principal, id: &str) -> Result<(), RetentionError> {
        self.manage(principal, || OwnEvent::new("delete", "legal_hold", "a hold"))?;
        let mut holds = self.holds()?;
        let at = holds.iter().position(|hold| hold.id == id);
        let hold = holds.remove(at.ok_or_else(|| RetentionError::Unknown { id: shortened(id) })?);
        let event = OwnEvent::new("delete", "legal_hold", &hold.query)
            .resource_id(&hold.id)
            .before(json!({"id": hold.id, "filter": hold.query, "reason": hold.reason}));
        self.keep(principal, HOLDS, &holds, event)
    }

    /// Counts what a run would drop now, rule by rule; changes nothing. Control records, which go with a whole segment only, may be among the numbers.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller may not, or the log failed.
    pub fn plan_retention(&self, principal: &Principal) -> Result<Vec<RetentionCount>, RetentionError> {
        principal.may_see_all("see what retention would drop")?;
        let parts = self.log.refresh()?;
        let seqs = 0..parts.next_seq();
        let held = self.held_filter()?;
        let count = |filter: Filter| walk::count(&parts, &self.log.index().kept(filter), &seqs);
        let due = self.due_filters()?;
        due.into_iter()
            .map(|Due { rule, filter, .. }| {
                let kept = filter.clone().and(held.clone());
                let events = count(filter.and(Filter::Not(Box::new(held.clone()))))?;
                Ok(RetentionCount { rule, events, held: count(kept)? })
            })
            .collect()
    }

    /// Drops events whose time is over. `progress` hears the seqs done and in all.
    ///
    /// # Errors
    /// [`RetentionError`] if the caller may not, it cannot be recorded, or the log failed: then the next run goes on.
    pub fn run_retention(
        &self,
        principal: &Principal,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<RetentionReport, RetentionError> {
        self.manage(principal, || OwnEvent::new("erase", "retention", "events whose time is over"))?;
        let mut report = RetentionReport::default();
        let mut failed = None;
        // A damaged segment keeps none of the others from losing what is over.
        let mut heed = |result: Result<(), RetentionError>| match result {
            Err(RetentionError::Engine(error)) if error.is_damage() => {
                failed.get_or_insert(error);
                Ok(())
            }
            result => result,
        };
        heed(self.prune(principal, &mut report, progress))?;
        for due in self.due_filters()? {
            heed(self.drop_events(principal, &due, &mut report, progress))?;
        }
        failed.map_or(Ok(report), |error| Err(error.into()))
    }

    /// Drops the matching events, one segment after the other, so that no list of all of them is held.
    fn drop_events(
        &self,
        principal: &Principal,
        due: &Due,
        report: &mut RetentionReport,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RetentionError> {
        let mut lease = self.wait_for_lease()?;
        let size = self.log.refresh()?.next_seq();
        // Asked under the lease: a hold that was added before is heeded.
        let held = Filter::Not(Box::new(self.held_filter()?));
        let filter = self.log.index().kept(due.filter.clone().and(held));
        let (state, rows) = lease.segments()?;
        let (mut failed, before) = (None, report.events);
        let mut older = OlderVersions::list(&self.objects)?;
        for row in &rows {
            progress(row.first_seq, size);
            let changes = match self.over(&filter, row.first_seq..row.end_seq(), due.cutoff) {
                Err(error) if error.is_damage() => {
                    failed = failed.or(Some(error));
                    continue;
                }
                changes => changes?,
            };
            if changes.is_empty() {
                continue;
            }
            self.record_drop(principal, due, Going::of(&changes))?;
            // Before the first one goes: from then on searches pass over what is left.
            lease.note_dropped(changes.len() as u64)?;
            older.delete(&self.objects, |seqs| changes.range(seqs).next().is_some())?;
            self.rewrite_tail(&mut lease, &changes)?;
            self.rewrite_segment(&mut lease, row, &changes)?;
            report.events += changes.len() as u64;
            report.segments += 1;
        }
        let changes = self.over(&filter, state.sealed..size, due.cutoff)?;
        if !changes.is_empty() {
            self.record_drop(principal, due, Going::of(&changes))?;
            lease.note_dropped(changes.len() as u64)?;
            older.delete(&self.objects, |seqs| changes.range(seqs).next().is_some())?;
            self.rewrite_tail(&mut lease, &changes)?;
            report.events += changes.len() as u64;
        }
        progress(size, size);
        if report.events > before {
            let forgotten = self.forget_replaced(&mut lease, &mut older)?;
            report.forgotten = report.forgotten.and(forgotten);
        } else {
            // What a run that was cut off has replaced.
            self.delete_unnamed(&mut lease, &mut older)?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Says in the log what goes, and exactly how much: `verify` compares it with what is gone.
    pub(crate) fn record_drop(
        &self,
        principal: &Principal,
        due: &Due,
        going: Going,
    ) -> Result<(), RetentionError> {
        let Due { rule, cutoff, .. } = due;
        let before = annals_model::time::Time::from_micros_saturating(*cutoff).to_string();
        let event = OwnEvent::new("erase", "retention", &title(rule)).resource_id(&rule.id).after(
            json!({"id": rule.id, "filter": rule.query, "retained_days": rule.days, "event_count": going.events,
                "from_seq": going.from_seq, "to_seq": going.to_seq, "before": before}),
        );
        self.record_first(principal, event).map_err(RetentionError::Record)
    }

    /// The matching events of a range whose time is over, also by the clock of this server. Control records stay.
    fn over(&self, filter: &Filter, seqs: Range<u64>, cutoff: i64) -> Result<Changes, EngineError> {
        let mut changes = Changes::new();
        Walk::new(filter.clone(), seqs).go(self, &mut |seq, record| {
            let is_over = record.received.as_micros() < cutoff && record.kind == LeafKind::Event;
            if is_over && record.dropped.is_none() {
                changes.insert(seq, Change::Dropped);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(changes)
    }

    /// Which seqs of a range holds keep.
    pub(crate) fn held_seqs(&self, seqs: Range<u64>) -> Result<Held, EngineError> {
        let filter = self.held_filter()?;
        let mut held = Held { seqs: Vec::new(), is_any: filter != Filter::Or(Vec::new()) };
        if held.is_any {
            Walk::new(filter, seqs).go(self, &mut |seq, _| {
                held.seqs.push(seq);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(held)
    }

    /// What any hold keeps; nothing if there is none. A hold whose query cannot be read any more keeps everything: it must not lapse by that.
    fn held_filter(&self) -> Result<Filter, EngineError> {
        Ok(self.held_by(&self.holds()?))
    }

    pub(crate) fn holds(&self) -> Result<Vec<LegalHold>, EngineError> {
        self.listed(HOLDS)
    }

    /// What these keep, at this moment: a hold may speak of times that pass.
    pub(crate) fn held_by(&self, holds: &[LegalHold]) -> Filter {
        let filters = holds.iter().map(|hold| self.filter_of(&hold.query).unwrap_or_else(|_| Filter::all()));
        Filter::Or(filters.collect())
    }

    /// For each rule what it would drop, without what an earlier one decides, and the moment before which it happened. A rule whose query cannot be read
    /// any more drops nothing, nor does any rule behind it.
    pub(crate) fn due_filters(&self) -> Result<Vec<Due>, EngineError> {
        let now = self.now().as_micros();
        let rules: Vec<RetentionRule> = self.listed(RULES)?;
        let (mut due, mut earlier) = (Vec::new(), Vec::new());
        for rule in rules {
            let Ok(filter) = self.filter_of(&rule.query) else {
                tracing::warn!(
                    query = rule.query,
                    "a retention rule has errors; it and those behind it are passed over"
                );
                break;
            };
            let cutoff = now.saturating_sub(i64::from(rule.days) * DAY_US);
            let over =
                Filter::from(Term::new(Key::Time, Test::Time { from_us: None, before_us: Some(cutoff) }));
            let mine = filter.clone().and(over).and(Filter::Not(Box::new(Filter::Or(earlier.clone()))));
            earlier.push(filter);
            due.push(Due { rule, filter: mine, cutoff });
        }
        Ok(due)
    }

    fn filter_of(&self, query: &str) -> Result<Filter, RetentionError> {
        let checked = self.check_query(&Principal::operator(), query).map_err(RetentionError::Query)?;
        Ok(checked.into_filter())
    }

    fn listed<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Vec<T>, EngineError> {
        let text = self.store.settings()?.remove(name).unwrap_or_else(|| "[]".to_owned());
        serde_json::from_str(&text)
            .map_err(|_| annals_store::StoreError::Damaged { what: format!("setting `{name}`") }.into())
    }

    fn keep<T: Serialize>(
        &self,
        principal: &Principal,
        name: &str,
        list: &[T],
        event: OwnEvent,
    ) -> Result<(), RetentionError> {
        if list.len() > MOST {
            return Err(RetentionError::TooMany);
        }
        self.record_first(principal, event).map_err(RetentionError::Record)?;
        let text = serde_json::to_string(list).unwrap_or_default();
        self.store.put_settings(&[(name, &text)], self.now())?;
        Ok(())
    }
}

fn title(rule: &RetentionRule) -> String {
    let what = if rule.query.is_empty() { "all events" } else { &rule.query };
    format!("{what}: {} days", rule.days)
}

fn new_id() -> String {
    uuid::Uuid::from_bytes(crate::random::bytes()).to_string()
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

impl From<SearchError> for RetentionError {
    fn from(error: SearchError) -> RetentionError {
        match error {
            SearchError::Forbidden(error) => RetentionError::Forbidden(error),
            SearchError::Query(errors) => RetentionError::Query(errors),
            SearchError::Engine(error) => RetentionError::Engine(error),
            error => {
                RetentionError::Engine(annals_store::StoreError::Damaged { what: error.to_string() }.into())
            }
        }
    }
}
