//! Durable ingest over HTTP against the release binary: batches, and single events on many connections; onto a new log and, if
//! one was built, onto a copy of the big one, sealing included.
//!
//! Arguments: the path of the binary, and how many events. Bodies are generated before the clock starts; the CPU time is the server's alone and
//! ends when it has sealed all that is due.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use annals_bench::Generator;
use annals_bench::log::{bench_data, events_asked, log_dir};
use annals_bench::measure::{Machine, Times, anonymous_bytes, cpu_seconds, own_cpu_seconds};
use annals_bench::results::Results;
use annals_bench::server::{self, Server, token};
use anyhow::Context as _;

/// One way to send events.
struct Case {
    name: &'static str,
    batch: usize,
    connections: usize,
    events: usize,
    /// Events of the log that it is sent to; it is new if there are none.
    onto: u64,
}

pub(crate) fn main(mut args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let binary = args.next().context("usage: ingest PATH-OF-ANNALS [EVENTS]")?;
    let events: usize = args.next().map_or(Ok(300_000), |text| text.parse())?;
    let big = events_asked()?;
    let mut results = Results::load()?;
    let runtime = server::runtime()?;
    let mut cases = vec![
        Case { name: "batches of 1,000, 4 connections", batch: 1_000, connections: 4, events, onto: 0 },
        Case {
            name: "batches of 100, 8 connections",
            batch: 100,
            connections: 8,
            events: events / 2,
            onto: 0,
        },
        Case {
            name: "one event a request, 64 connections",
            batch: 1,
            connections: 64,
            events: events / 10,
            onto: 0,
        },
    ];
    if log_dir(big)?.join("complete").exists() {
        // So many that segments are sealed meanwhile.
        let more = events * 3;
        cases.push(Case {
            name: "batches of 1,000, 4 connections, big log",
            batch: 1_000,
            connections: 4,
            events: more,
            onto: big,
        });
        cases.push(Case {
            name: "one event a request, 64 connections, big log",
            batch: 1,
            connections: 64,
            events: events / 10,
            onto: big,
        });
    }
    println!(
        "| what | events/s | server CPU us/event | p50 ms | p99 ms | server memory after, MB | cores of others |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for case in cases {
        let numbers = runtime.block_on(run(&binary, &case))?;
        let cells: Vec<String> = numbers.iter().map(|(_, number)| format!("{number:.1}")).collect();
        println!("| {} | {} |", case.name, cells.join(" | "));
        results.put("ingest", case.name, "annals", &numbers);
        results.save()?;
    }
    Ok(())
}

async fn run(binary: &str, case: &Case) -> anyhow::Result<[(&'static str, f64); 6]> {
    let dir = tempfile::tempdir_in(bench_data()?)?;
    let data = dir.path();
    if case.onto > 0 {
        copy_log(&log_dir(case.onto)?, data)?;
    }
    let token = token(binary, data, "ingest").await?;
    let server = Server::start(binary, data).await?;
    let url = server.url("/api/v2/audit/events");
    // Other events than those of the log, and after them.
    let mut generator = Generator::beginning_at(2, case.onto);
    let bodies: Arc<Vec<String>> =
        Arc::new((0..case.events / case.batch).map(|_| generator.batch(case.batch)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    server.wait_until_idle().await?;
    let (machine, own, cpu_before) =
        (Machine::watch()?, own_cpu_seconds(), cpu_seconds(server.pid()?, false)?);
    let started = Instant::now();
    let client = server::client(case.connections)?;
    let mut tasks = Vec::new();
    for _ in 0..case.connections {
        let (bodies, next, url, token, client) =
            (Arc::clone(&bodies), Arc::clone(&next), url.clone(), token.clone(), client.clone());
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(body) = bodies.get(at) else { return Ok::<_, anyhow::Error>(times) };
                let sent = Instant::now();
                let reply = client.post(&url).bearer_auth(&token).body(body.clone()).send().await?;
                anyhow::ensure!(reply.status() == 201, "{}: {}", reply.status(), reply.text().await?);
                reply.bytes().await?;
                times.push(sent.elapsed());
            }
        }));
    }
    let mut times = Times::default();
    for task in tasks {
        task.await??.into_iter().for_each(|time| times.push(time));
    }
    let elapsed = started.elapsed().as_secs_f64();
    let server_cpu = cpu_seconds(server.pid()?, false)? - cpu_before;
    let others = machine.cores_of_others(server_cpu + own_cpu_seconds() - own)?;
    server.wait_until_idle().await?;
    let cpu = cpu_seconds(server.pid()?, false)? - cpu_before;
    let memory = anonymous_bytes(server.pid()?)?;
    server.kill().await?;
    let events = (bodies.len() * case.batch) as f64;
    Ok([
        ("events_per_second", events / elapsed),
        ("cpu_us_per_event", cpu * 1e6 / events),
        ("p50_ms", times.at(0.5)),
        ("p99_ms", times.at(0.99)),
        ("memory_mb", memory / 1e6),
        ("cores_of_others", others),
    ])
}

/// Copies a log; segments never change, so that links to them do.
fn copy_log(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to.join("segments"))?;
    for entry in std::fs::read_dir(from.join("segments"))? {
        let entry = entry?;
        std::fs::hard_link(entry.path(), to.join("segments").join(entry.file_name()))?;
    }
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != "complete" {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
