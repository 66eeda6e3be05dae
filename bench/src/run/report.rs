//! The tables and the picture of what was measured.

use annals_bench::curves::curves;
use annals_bench::results::Results;

pub(crate) fn main() -> anyhow::Result<()> {
    let results = Results::load()?;
    println!("{}", results.tables());
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.svg");
    Ok(std::fs::write(docs, curves(&results))?)
}
