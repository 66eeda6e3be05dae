//! ClickHouse reads the segments as they lie in the directory of the log, without an import, and counts what Annals counts.

use std::time::Instant;

use annals_bench::log::{bench_data, build, events_asked, open_quiet};
use annals_bench::peers::chdb::{Chdb, filter};
use annals_bench::results::Results;
use annals_bench::shapes::{Column, Query, Test};
use annals_engine::{Principal, SearchRequest};
use anyhow::Context as _;

pub(crate) fn main() -> anyhow::Result<()> {
    use Column::{Action, ResourceType, Target, Username};
    let is = |column, value: &str| Test::Is(column, value.to_owned());
    let tests = [
        vec![],
        vec![is(ResourceType, "workspace"), is(Action, "delete")],
        vec![Test::IsNot(Action, "login".to_owned())],
        vec![is(Username, "demo-user-7")],
        vec![Test::Holds(Target, "space-105".to_owned())],
    ];
    let mut results = Results::load()?;
    let dir = build(events_asked()?, &mut results)?;
    let mut clickhouse = match Chdb::start(&bench_data()?.join("chdb-foreign")) {
        Ok(clickhouse) => clickhouse,
        Err(error) => {
            println!("ClickHouse is left out: {error:#}");
            return Ok(());
        }
    };
    let table = format!("file('{}/segments/*.parquet', Parquet)", dir.display());
    let mut number = |condition: &str, what: &str| -> anyhow::Result<u64> {
        let rows = clickhouse.rows(&format!("SELECT {what} FROM {table} WHERE {condition}"))?;
        rows.first().context("a row")?.parse().context("a number")
    };
    // The tail is in the database, where ClickHouse does not look.
    let last = number("1", "max(seq)")?;
    let engine = open_quiet(&dir)?;
    for tests in tests {
        let query = Query { tests, offset: 0 };
        let text = format!("{} seq:<={last}", query.text());
        let request = SearchRequest { query: text.trim(), limit: 1, offset: 0, after: None };
        let started = Instant::now();
        let ours = engine.search(&Principal::operator(), &request, |_| Ok(()))?.count;
        let our_ms = started.elapsed().as_secs_f64() * 1e3;
        let started = Instant::now();
        let theirs = number(&filter(&query), "count()")?;
        let their_ms = started.elapsed().as_secs_f64() * 1e3;
        anyhow::ensure!(ours == theirs, "`{text}`: Annals counts {ours}, ClickHouse {theirs}");
        println!(
            "{theirs:>10} events, equal: ClickHouse over the segments {their_ms:8.1} ms, Annals {our_ms:6.1} ms: `{text}`"
        );
        results.put("foreign", &query.text(), "chdb over segments", &[("ms", their_ms)]);
        results.put("foreign", &query.text(), "annals", &[("ms", our_ms)]);
    }
    results.save()
}
