//! Other engines over the same events.

pub mod chdb;
pub mod postgres;
pub mod sqlite;
pub mod tantivy;

use std::time::Duration;

use crate::results::Results;
use crate::shapes::Query;

/// What an engine answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Matching events.
    pub count: u64,
    /// Times of the page, newest first, microseconds since 1970; nothing if the engine was not asked for events.
    pub times_us: Vec<i64>,
}

/// An engine that has the events and answers.
pub trait Peer {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Answers one query: the newest 25 whole events, and the count.
    ///
    /// # Errors
    /// If the engine fails, or takes longer than it may.
    fn answer(&mut self, query: &Query) -> anyhow::Result<Answer>;

    /// CPU seconds of the engine so far.
    ///
    /// # Errors
    /// If they cannot be read.
    fn cpu_seconds(&self) -> anyhow::Result<f64>;

    /// Whether it runs inside this process, so that its CPU time is ours.
    fn is_inside(&self) -> bool {
        false
    }

    /// Bytes on disk of the events and their indexes.
    ///
    /// # Errors
    /// If they cannot be read.
    fn disk_bytes(&mut self) -> anyhow::Result<u64>;
}

/// The longest that a peer may take for one query; what takes longer is left out.
pub const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Opens the peer of a name with its events, loading them if need be.
///
/// # Errors
/// If it is not installed or fails.
pub fn open(name: &str, events: u64, results: &mut Results) -> anyhow::Result<Box<dyn Peer>> {
    match name {
        "postgres" => Ok(Box::new(postgres::Postgres::open(events, results)?)),
        "sqlite" => Ok(Box::new(sqlite::Sqlite::open(events, results)?)),
        "tantivy" => Ok(Box::new(tantivy::Tantivy::open(events, results)?)),
        "chdb" => Ok(Box::new(chdb::Chdb::open(events, results)?)),
        _ => anyhow::bail!("there is no peer `{name}`"),
    }
}
