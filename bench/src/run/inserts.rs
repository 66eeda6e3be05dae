//! Inserts into PostgreSQL with Coder's table and indexes: one row a transaction, as Coder does, and in batches.
//!
//! Every commit is synchronous, as in Annals. There is no HTTP here, and the rows are made before the clock starts.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use annals_bench::Generator;
use annals_bench::log::{SEED, bench_data, events_asked};
use annals_bench::measure::{Machine, Times, family_cpu_seconds, own_cpu_seconds};
use annals_bench::peers::postgres::{COLUMNS, Server, create_tables};
use annals_bench::results::Results;
use annals_bench::row::Row;
use postgres::{Client, NoTls};

pub(crate) fn main() -> anyhow::Result<()> {
    let mut results = Results::load()?;
    println!("| what | events/s | server CPU us/event | p50 ms | p99 ms | cores of others |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let loaded = bench_data()?.join(format!("postgres-{}", events_asked()?));
    for (name, batch, connections, events, is_loaded) in [
        ("one row a transaction, 1 connection", 1, 1, 20_000, false),
        ("one row a transaction, 64 connections", 1, 64, 40_000, false),
        ("COPY of 1,000 rows, 1 connection", 1_000, 1, 200_000, false),
        ("COPY of 1,000 rows, 4 connections", 1_000, 4, 200_000, false),
        ("one row a transaction, 64 connections, big table", 1, 64, 40_000, true),
        ("COPY of 1,000 rows, 4 connections, big table", 1_000, 4, 900_000, true),
    ] {
        let dir = tempfile::tempdir_in(bench_data()?)?;
        let place = dir.path().join("postgres");
        if is_loaded {
            if !loaded.exists() {
                continue;
            }
            // A copy: the searches still need the table as it is.
            let copied = Command::new("cp").arg("-a").arg(&loaded).arg(&place).status()?;
            anyhow::ensure!(copied.success(), "cp: {copied}");
        }
        let numbers = run(&place, batch, connections, events, is_loaded)?;
        let cells: Vec<String> = numbers.iter().map(|(_, number)| format!("{number:.1}")).collect();
        println!("| {name} | {} |", cells.join(" | "));
        results.put("ingest", name, "postgres", &numbers);
    }
    results.save()
}

fn run(
    dir: &std::path::Path,
    batch: usize,
    connections: usize,
    events: usize,
    is_loaded: bool,
) -> anyhow::Result<[(&'static str, f64); 5]> {
    // The directory above is ours alone; the server's own user must get through it.
    std::fs::set_permissions(
        dir.parent().unwrap_or(dir),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let server = Server::start(dir)?;
    let mut client = Client::connect(&server.address(), NoTls)?;
    if !is_loaded {
        let indexes = create_tables(&mut client)?;
        client.batch_execute(indexes)?;
    }
    // Other events than those of the table, and after them.
    let mut generator = Generator::beginning_at(SEED + 1, if is_loaded { events_asked()? } else { 0 });
    let batches: Vec<Vec<Row>> = (0..events / batch)
        .map(|_| generator.batch(batch).lines().map(Row::read).collect())
        .collect::<anyhow::Result<_>>()?;
    let next = AtomicUsize::new(0);
    let (machine, own, cpu) = (Machine::watch()?, own_cpu_seconds(), family_cpu_seconds(server.pid()?)?);
    let started = Instant::now();
    let work = || -> anyhow::Result<Vec<std::time::Duration>> {
        let mut client = Client::connect(&server.address(), NoTls)?;
        let insert = client.prepare(&format!(
            "INSERT INTO audit_logs ({COLUMNS}) VALUES ($1::text::uuid, $2::text::timestamptz, $3::text::uuid, $4::text::uuid, \
             $5::text::inet, $6, $7::text::resource_type, $8::text::uuid, $9, $10::text::audit_action, $11::text::jsonb, $12, \
             $13::text::jsonb, $14::text::uuid)"
        ))?;
        let mut times = Vec::new();
        while let Some(rows) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let sent = Instant::now();
            if let [row] = &rows[..] {
                client.execute(
                    &insert,
                    &[
                        &row.id,
                        &row.time,
                        &row.user_id,
                        &row.organization_id,
                        &row.ip,
                        &row.user_agent,
                        &row.resource_type,
                        &row.resource_id,
                        &row.resource_target,
                        &row.action,
                        &row.diff,
                        &row.status_code,
                        &row.additional_fields,
                        &row.request_id,
                    ],
                )?;
            } else {
                let mut lines = String::with_capacity(rows.len() * 1_000);
                rows.iter().for_each(|row| row.push_copy_line(&mut lines));
                let mut writer = client.copy_in(&format!("COPY audit_logs ({COLUMNS}) FROM STDIN"))?;
                writer.write_all(lines.as_bytes())?;
                writer.finish()?;
            }
            times.push(sent.elapsed());
        }
        Ok(times)
    };
    let mut times = Times::default();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("a connection panicked")?.into_iter().for_each(|time| times.push(time));
        }
        Ok(())
    })?;
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = family_cpu_seconds(server.pid()?)? - cpu;
    let others = machine.cores_of_others(cpu + own_cpu_seconds() - own)?;
    Ok([
        ("events_per_second", events as f64 / elapsed),
        ("cpu_us_per_event", cpu * 1e6 / events as f64),
        ("p50_ms", times.at(0.5)),
        ("p99_ms", times.at(0.99)),
        ("cores_of_others", others),
    ])
}
