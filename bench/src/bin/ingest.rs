//! Durable ingest over HTTP against the release binary: batches, and single events on many connections.
//!
//! Usage: ingest PATH-OF-ANNALS [EVENTS]. Bodies are generated before the clock starts; the CPU time is the server's alone.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use annals_bench::Generator;
use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let binary = args.next().context("usage: ingest PATH-OF-ANNALS [EVENTS]")?;
    let events: usize = args.next().map_or(Ok(300_000), |text| text.parse())?;
    println!(
        "| what | events/s | server CPU us/event | p50 ms | p99 ms | server memory after, bytes/event |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, batch, connections, total) in [
        ("batches of 1,000, 4 connections", 1_000, 4, events),
        ("batches of 100, 8 connections", 100, 8, events / 2),
        ("one event a request, 64 connections", 1, 64, events / 10),
    ] {
        let result = run(&binary, batch, connections, total).await?;
        println!(
            "| {name} | {:.0} | {:.1} | {:.2} | {:.2} | {:.0} |",
            result.rate, result.cpu_us, result.p50_ms, result.p99_ms, result.memory_bytes
        );
    }
    Ok(())
}

struct Measured {
    rate: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    memory_bytes: f64,
}

async fn run(binary: &str, batch: usize, connections: usize, total: usize) -> anyhow::Result<Measured> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().to_str().context("a path in UTF-8")?;
    let token = Command::new(binary)
        .args(["token", "create", "--data", data, "--kind", "ingest", "--name", "bench"])
        .output()
        .await?;
    let token = String::from_utf8(token.stdout)?.trim().to_owned();
    let mut server: Child = Command::new(binary)
        .args(["serve", "--data", data, "--listen", "127.0.0.1:0", "--log", "error"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("a pipe")?).lines();
    let first = lines.next_line().await?.context("the server prints its address")?;
    let url = first.split_whitespace().find(|word| word.starts_with("http://")).context("an address")?;
    let url = format!("{}/api/v2/audit/events", url.split("/audit").next().context("an address")?);

    let mut generator = Generator::new(1);
    let bodies: Arc<Vec<String>> = Arc::new((0..total / batch).map(|_| generator.batch(batch)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let cpu_before = cpu_seconds(server.id())?;
    let started = Instant::now();
    let client = reqwest::Client::builder().pool_max_idle_per_host(connections).build()?;
    let mut tasks = Vec::new();
    for _ in 0..connections {
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
    let mut times: Vec<Duration> = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(server.id())? - cpu_before;
    let memory = anonymous_bytes(server.id())?;
    server.kill().await?;
    times.sort();
    let events = (bodies.len() * batch) as f64;
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Ok(Measured {
        rate: events / elapsed,
        cpu_us: cpu * 1e6 / events,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        memory_bytes: memory / events,
    })
}

/// User and system time of a process, from /proc.
fn cpu_seconds(pid: Option<u32>) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.context("the server runs")?))?;
    let after_name = stat.rsplit(')').next().context("a stat line")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // Linux counts in hundredths of a second on every common architecture.
    Ok(ticks / 100.0)
}

/// Anonymous memory of a process, from /proc: what is not a cache of files.
fn anonymous_bytes(pid: Option<u32>) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.context("the server runs")?))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("RssAnon in status")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kilobytes * 1024.0)
}
