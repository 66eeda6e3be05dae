//! The log that is measured: built once a size, kept for the next run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use annals_engine::{Engine, Options, PartialBatch, Principal, SealPolicy, SearchRequest};
use anyhow::Context as _;

use crate::Generator;
use crate::measure::{disk_bytes, own_cpu_seconds};
use crate::results::Results;

/// Seed of all events of all measurements.
pub const SEED: u64 = 1;
const BATCH: usize = 1_000;
/// Producers while loading: one more than cores, as each waits for its commit.
const LOADERS: usize = 3;

/// Where everything that is measured is kept: under the target directory, which is large and not versioned.
///
/// # Errors
/// If the program does not lie in a target directory.
pub fn bench_data() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("the program lies in target/release")?;
    let dir = target.join("bench-data");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Reads a number of events, as `10m`, `200k` or `262144`.
///
/// # Errors
/// If it is none.
pub fn parse_events(text: &str) -> anyhow::Result<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, factor) = match lower.strip_suffix('m') {
        Some(digits) => (digits, 1_000_000),
        None => lower.strip_suffix('k').map_or((lower.as_str(), 1), |digits| (digits, 1_000)),
    };
    Ok(digits.replace('_', "").parse::<u64>().context("a number of events, as 1m")? * factor)
}

/// The size asked for by `ANNALS_BENCH_EVENTS`: ten million if nothing is.
///
/// # Errors
/// If it is no number.
#[expect(clippy::disallowed_methods, reason = "`make` hands the size on by the environment")]
pub fn events_asked() -> anyhow::Result<u64> {
    parse_events(&std::env::var("ANNALS_BENCH_EVENTS").unwrap_or_else(|_| "10m".to_owned()))
}

/// Directory of the log of a size.
///
/// # Errors
/// If there is no target directory.
pub fn log_dir(events: u64) -> anyhow::Result<PathBuf> {
    Ok(bench_data()?.join(format!("log-{events}")))
}

/// Opens a log that nothing is written to: sealing in the background would disturb what is measured.
///
/// # Errors
/// If it cannot be opened.
pub fn open_quiet(dir: &Path) -> anyhow::Result<Engine> {
    let seal = SealPolicy { in_background: false, ..SealPolicy::default() };
    Ok(Engine::open(dir, Options { seal, ..Options::default() })?)
}

/// Reads every segment once, so that the page cache of the system holds what is measured warm.
///
/// # Errors
/// If a file cannot be read.
pub fn warm_page_cache(dir: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir.join("segments"))? {
        std::io::copy(&mut std::fs::File::open(entry?.path())?, &mut std::io::sink())?;
    }
    Ok(())
}

/// Builds the log of a size unless it is there, and returns its directory. What loading cost goes to the results.
///
/// # Errors
/// If the engine refuses an event or fails.
pub fn build(events: u64, results: &mut Results) -> anyhow::Result<PathBuf> {
    let dir = log_dir(events)?;
    let done = dir.join("complete");
    if done.exists() {
        match check(&dir) {
            Ok(()) => return Ok(dir),
            // Written by another state of the code: what is measured is the present one.
            Err(error) => println!("the log that is there cannot be used: {error:#}"),
        }
    }
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir)?;
    println!("building a log of {events} events in {}", dir.display());
    let (started, cpu) = (Instant::now(), own_cpu_seconds());
    let engine = Engine::create_or_open(&dir, Options::default())?;
    let source = Mutex::new((Generator::new(SEED), 0u64));
    std::thread::scope(|scope| {
        let loaders: Vec<_> = (0..LOADERS).map(|_| scope.spawn(|| load(&engine, &source, events))).collect();
        loaders.into_iter().try_for_each(|loader| loader.join().expect("a loader panicked"))
    })?;
    let appended = started.elapsed().as_secs_f64();
    engine.stop();
    drop(engine);
    // What the background thread had begun and what became due meanwhile.
    let engine = open_quiet(&dir)?;
    while engine.seal_due()? > 0 {}
    drop(engine);
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), own_cpu_seconds() - cpu);
    println!(
        "appended in {appended:.0} s, sealed in {seconds:.0} s, {:.1} us of CPU an event with making it, {} bytes",
        cpu * 1e6 / events as f64,
        disk_bytes(&dir),
    );
    results.put(
        "load",
        &format!("{events}"),
        "annals",
        &[("seconds", seconds), ("cpu_us_per_event", cpu * 1e6 / events as f64)],
    );
    std::fs::write(done, "")?;
    Ok(dir)
}

/// Finds and reads events in every part of a log.
fn check(dir: &Path) -> anyhow::Result<()> {
    let engine = open_quiet(dir)?;
    let events = engine.ready()?.size;
    for part in 0..64 {
        let request =
            SearchRequest { query: "-username:nobody", limit: 1, offset: events / 64 * part, after: None };
        let found = engine.search(&Principal::operator(), &request, |found| Ok(found.added.seq))?;
        anyhow::ensure!(
            found.count == events && found.events.len() == 1,
            "{} events of {events}",
            found.count
        );
    }
    Ok(())
}

fn load(engine: &Engine, source: &Mutex<(Generator, u64)>, events: u64) -> anyhow::Result<()> {
    let operator = Principal::operator();
    loop {
        let batch = {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            let count = (events - source.1).min(BATCH as u64);
            if count == 0 {
                return Ok(());
            }
            source.1 += count;
            if source.1.is_multiple_of(1_000_000) {
                println!("{} events", source.1);
            }
            source.0.batch(usize::try_from(count)?)
        };
        engine.append(&operator, batch.as_bytes(), PartialBatch::Refuse)?.wait_blocking()?;
    }
}
