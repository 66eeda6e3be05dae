//! The whole log: bytes on disk, time to check it, and time from start to the first answer.
//!
//! Arguments: the path of the binary.

use std::time::Instant;

use annals_bench::log::{build, events_asked};
use annals_bench::measure::{Machine, disk_bytes, own_cpu_seconds};
use annals_bench::results::Results;
use annals_bench::server::{self, Server, token};
use annals_engine::Location;
use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

/// A tail that is as long as it gets: with one event more a segment is due.
const FULL_TAIL: u64 = 262_143;
const RESTARTS: usize = 5;

pub(crate) fn main(mut args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let binary = args.next().context("usage: whole PATH-OF-ANNALS")?;
    let events = events_asked()?;
    let mut results = Results::load()?;
    size_and_verify(events, &mut results)?;
    server::runtime()?.block_on(restart(&binary, &mut results))?;
    results.save()
}

fn size_and_verify(events: u64, results: &mut Results) -> anyhow::Result<()> {
    let (case, dir) = (events.to_string(), build(events, results)?);
    let database = dir.join("annals.db");
    let connection = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let pages = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = (pages("page_count")? - pages("freelist_count")?) * pages("page_size")?;
    let store = annals_store::Store::open(&annals_store::DatabaseLocation::Directory(dir.clone()))?;
    let (state, rows) = store.segments()?;
    let segments: u64 = rows.iter().map(|row| row.bytes).sum();
    let index: u64 = rows.iter().map(|row| row.index_bytes).sum();
    let (segments, index, sealed) = (segments as f64, index as f64, state.sealed as f64);
    let file = disk_bytes(&database) as f64;
    let whole = (segments + used as f64) / events as f64;
    println!(
        "segments: {:.1} bytes a sealed event, {:.1} of them index; database: {:.1} MB used of {:.1}, {} events in the tail; \
         together {whole:.1} bytes an event",
        segments / sealed,
        index / sealed,
        used as f64 / 1e6,
        file / 1e6,
        events - state.sealed
    );
    let numbers = [
        ("bytes_per_event", whole),
        ("segment_bytes_per_event", segments / sealed),
        ("index_bytes_per_event", index / sealed),
        ("database_used_bytes", used as f64),
        ("database_file_bytes", file),
        ("tail_events", events as f64 - sealed),
    ];
    results.put("size", &case, "annals", &numbers);
    drop((store, connection));
    let (machine, started, cpu) = (Machine::watch()?, Instant::now(), own_cpu_seconds());
    let report =
        annals_engine::verify(&Location::embedded(&dir), annals_engine::Depth::Events, &mut |_, _| {})?;
    anyhow::ensure!(report.findings.is_empty() && report.events == events, "{report:?}");
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), own_cpu_seconds() - cpu);
    let others = machine.cores_of_others(cpu)?;
    println!(
        "verify: {:.0} events/s, {:.0} a second of CPU; others used {others:.2} cores",
        events as f64 / seconds,
        events as f64 / cpu
    );
    let numbers = [
        ("events_per_second", events as f64 / seconds),
        ("events_per_cpu_second", events as f64 / cpu),
        ("cores_of_others", others),
    ];
    results.put("verify", &case, "annals", &numbers);
    Ok(())
}

async fn restart(binary: &str, results: &mut Results) -> anyhow::Result<()> {
    let dir = build(FULL_TAIL, results)?;
    let token = token(binary, &dir, "read").await?;
    let client = server::client(1)?;
    for run in 0..RESTARTS {
        let started = Instant::now();
        let server = Server::start(binary, &dir).await?;
        let listening = started.elapsed().as_secs_f64();
        let url = server.url("/api/v2/audit?q=username:demo-user-1&limit=25");
        let reply = client.get(&url).bearer_auth(&token).send().await?;
        anyhow::ensure!(reply.status() == 200, "{}", reply.status());
        reply.bytes().await?;
        let answered = started.elapsed().as_secs_f64();
        println!(
            "restart with {FULL_TAIL} events in the tail: listening after {listening:.2} s, answered after {answered:.2} s"
        );
        results.put(
            "restart",
            &run.to_string(),
            "annals",
            &[("listening_s", listening), ("answered_s", answered)],
        );
        server.kill().await?;
    }
    Ok(())
}
