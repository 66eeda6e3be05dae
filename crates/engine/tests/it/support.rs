//! A log in a temporary directory, and short ways to fill and ask it.

use annals_engine::{
    Appended, Clock, Engine, IngestError, Options, PartialBatch, Principal, SearchError, SearchRequest,
};
use annals_model::time::Time;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct TestLog {
    pub(crate) engine: Engine,
    pub(crate) dir: TempDir,
}

pub(crate) fn fixed_clock() -> Clock {
    Clock::fixed(Time::parse("2026-11-22T12:00:00Z").unwrap())
}

pub(crate) fn options() -> Options {
    Options { clock: fixed_clock(), ..Options::default() }
}

impl TestLog {
    pub(crate) fn new() -> TestLog {
        TestLog::with(options())
    }

    pub(crate) fn with(options: Options) -> TestLog {
        let dir = tempfile::tempdir().unwrap();
        TestLog { engine: Engine::create_or_open(dir.path(), options).unwrap(), dir }
    }

    pub(crate) fn append(&self, body: &str) -> Result<Appended, IngestError> {
        append(&self.engine, body)
    }

    pub(crate) fn search(&self, query: &str) -> (u64, Vec<Value>) {
        search(&self.engine, query)
    }
}

pub(crate) fn append(engine: &Engine, body: &str) -> Result<Appended, IngestError> {
    engine.append(&Principal::operator(), body.as_bytes(), PartialBatch::Refuse)?.wait_blocking()
}

pub(crate) fn search(engine: &Engine, query: &str) -> (u64, Vec<Value>) {
    try_search(engine, query).unwrap()
}

pub(crate) fn try_search(engine: &Engine, query: &str) -> Result<(u64, Vec<Value>), SearchError> {
    let request = SearchRequest { query, limit: 1_000, offset: 0, after: None };
    let results = engine.search(&Principal::operator(), &request, |found| {
        Ok(serde_json::to_value(found.into_audit_log()?).unwrap())
    })?;
    Ok((results.count, results.events))
}

/// An event on a template, with further members spliced in.
pub(crate) fn template_event(target: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"action":"write","resource_type":"template","resource_target":"{target}"{comma}{more}}}"#)
}
