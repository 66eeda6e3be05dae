//! One file a benchmark.

pub(crate) mod export;
pub(crate) mod foreign;
pub(crate) mod ingest;
pub(crate) mod inserts;
pub(crate) mod load;
pub(crate) mod report;
pub(crate) mod scale;
pub(crate) mod search;
pub(crate) mod whole;
