//! Reads of the log, recorded in the log: who looked for what.

use std::time::Duration;

use annals_query::{Filter, Key, Term};
use moka::sync::Cache;
use serde_json::json;

use crate::Engine;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// The type of recorded reads.
pub(crate) const AUDIT_LOG: &str = "audit_log";
/// The action of a recorded read.
const READ: &str = "read";
/// How long a repeated read of the same person is not recorded again.
const SPAN: Duration = Duration::from_secs(60);
/// Readers and queries remembered; beyond it some reads are recorded twice in a minute.
const REMEMBERED_MAX: u64 = 10_000;
/// What stands for an empty query: an event needs a target.
const EVERYTHING: &str = "everything";
/// Characters of a query that its event shows.
const TARGET_CHARACTERS_MAX: usize = 200;

/// Who read what within the last minute.
#[derive(Debug)]
pub(crate) struct RecentReads(Cache<(String, String), ()>);

impl RecentReads {
    pub(crate) fn new() -> RecentReads {
        RecentReads(Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(SPAN).build())
    }

    fn is_new(&self, reader: &str, query: &str) -> bool {
        let key = (reader.to_owned(), query.to_owned());
        self.0.entry(key).or_insert(()).is_fresh()
    }
}

/// What an event about a query names as its target.
pub(crate) fn target_of(query: &str) -> String {
    match query.trim() {
        "" => EVERYTHING.to_owned(),
        query => query.chars().take(TARGET_CHARACTERS_MAX).collect(),
    }
}

/// Leaves recorded reads out of a search that does not name them: a page that is looked at often would else fill with itself.
/// Exports stay: each takes events out of the log. Says too whether the filter names the type.
pub(crate) fn without_reads(filter: Filter) -> (Filter, bool) {
    if filter.has_exact_value(Key::ResourceType, AUDIT_LOG) {
        return (filter, true);
    }
    let reads =
        Filter::from(Term::exact(Key::ResourceType, AUDIT_LOG)).and(Term::exact(Key::Action, READ).into());
    (filter.and(reads.negate()), false)
}

impl Engine {
    /// Records that someone read the log, at most once a person, query and minute, with the count of what matched where the
    /// read counts. The answer does not wait for it. Whoever works on the data directory itself can read its files anyway, and
    /// is not recorded.
    pub(crate) fn record_read(&self, principal: &Principal, query: &str, count: Option<u64>) {
        // What a token reads is not what its owner reads.
        let reader = match (principal.token(), principal.person()) {
            (Some(token), _) => &token.id.0,
            (None, Some(person)) => &person.id.0,
            (None, None) => return,
        };
        let query = query.trim();
        if !self.recent_reads.is_new(reader, query) {
            return;
        }
        let target = target_of(query);
        let after = match count {
            Some(count) => json!({"query": query, "event_count": count}),
            None => json!({"query": query}),
        };
        self.record_own_later(principal, OwnEvent::new(READ, AUDIT_LOG, &target).after(after));
    }
}
