//! Builds the log that the other benchmarks search, unless it is there already.

use annals_bench::log::{build, events_asked};
use annals_bench::results::Results;

pub(crate) fn main() -> anyhow::Result<()> {
    let mut results = Results::load()?;
    build(events_asked()?, &mut results)?;
    results.save()
}
