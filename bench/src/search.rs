//! Runs the shapes over Annals and over a peer, and compares their answers.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use annals_engine::{Engine, Principal, SearchRequest};
use anyhow::Context as _;
use serde_json::Value;

use crate::log::{open_quiet, warm_page_cache};
use crate::measure::{Machine, Times, own_cpu_seconds};
use crate::peers::{Answer, Peer};
use crate::results::Results;
use crate::shapes::{QUERIES, Query, Shape};

/// Times the log is opened anew: the counts it remembers are gone then, so that values that are few are measured often.
const ROUNDS: usize = 6;
/// Rows of a page.
const PAGE_ROWS: usize = 25;
/// What a peer may take for one shape; it answers fewer queries then.
const SHAPE_MAX: Duration = Duration::from_secs(15);
/// Queries of one shape that a peer is asked at most.
const PEER_QUERIES: usize = 30;

/// What Annals answered, by query text and offset.
pub type Answers = HashMap<(String, u64), Answer>;

/// Measures every shape on the log in a directory and returns the answers.
///
/// # Errors
/// If the log fails, or answers a repeated question otherwise.
pub fn measure_annals(
    dir: &Path,
    size: &str,
    shapes: &[Shape],
    results: &mut Results,
) -> anyhow::Result<Answers> {
    let mut answers = Answers::new();
    let mut measured: Vec<(Times, f64)> = shapes.iter().map(|_| (Times::default(), 0.0)).collect();
    let (machine, cpu) = (Machine::watch()?, own_cpu_seconds());
    let mut opened = Times::default();
    for round in 0..ROUNDS {
        warm_page_cache(dir)?;
        let started = Instant::now();
        let engine = open_quiet(dir)?;
        opened.push(started.elapsed());
        warm_up(&engine)?;
        for (shape, (times, cpu)) in shapes.iter().zip(&mut measured) {
            let each = (QUERIES as usize).div_ceil(ROUNDS);
            let queries = if shape.is_small {
                &shape.queries[..]
            } else {
                shape.queries.chunks(each).nth(round).unwrap_or(&[])
            };
            for query in queries {
                let text = query.text();
                let (started, cpu_before) = (Instant::now(), own_cpu_seconds());
                let (count, page) = ask(&engine, &text, query.offset)?;
                times.push(started.elapsed());
                *cpu += own_cpu_seconds() - cpu_before;
                let times_us =
                    page.iter().map(|event| time_of(event)).collect::<anyhow::Result<Vec<i64>>>()?;
                let answer = Answer { count, times_us };
                let before = answers.insert((text.clone(), query.offset), answer.clone());
                anyhow::ensure!(
                    before.is_none_or(|before| before == answer),
                    "`{text}` is answered in two ways"
                );
            }
        }
    }
    let others = machine.cores_of_others(own_cpu_seconds() - cpu)?;
    println!("Annals: others used {others:.2} cores meanwhile; opened in {:.0} ms (median)", opened.at(0.5));
    for (shape, (times, cpu)) in shapes.iter().zip(&measured) {
        let hits = median_count(shape, &answers);
        let cpu_ms = cpu * 1e3 / times.len() as f64;
        put(results, size, shape, "annals", times, cpu_ms, others);
        results.put("hits", &format!("{size} {}", shape.name), "median", &[("events", hits)]);
        println!(
            "{:5} {:28} p50 {:8.3} ms  p99 {:8.3} ms  CPU {:8.3} ms  {hits:>9.0} hits, {} queries",
            shape.name,
            shape.what,
            times.at(0.5),
            times.at(0.99),
            cpu_ms,
            times.len()
        );
    }
    Ok(answers)
}

/// Measures a peer and compares its answers with those of Annals.
///
/// # Errors
/// If the peer fails or an answer differs: then one of the two is wrong and no time means anything.
pub fn measure_peer(
    peer: &mut dyn Peer,
    size: &str,
    shapes: &[Shape],
    answers: &Answers,
    results: &mut Results,
) -> anyhow::Result<()> {
    let name = peer.name();
    for shape in shapes {
        let (mut times, mut compared) = (Times::default(), 0);
        // Once for its caches, which a server that has run for long would have filled.
        let Some(first) = shape.queries.last() else { continue };
        if let Err(error) = peer.answer(first) {
            println!("{name} {}: {error:#}", shape.name);
            continue;
        }
        let (machine, own, cpu) = (Machine::watch()?, own_cpu_seconds(), peer.cpu_seconds()?);
        let begun = Instant::now();
        for query in shape.queries.iter().take(PEER_QUERIES) {
            let started = Instant::now();
            let answer = peer.answer(query)?;
            times.push(started.elapsed());
            let ours = answers.get(&(query.text(), query.offset)).context("Annals was asked too")?;
            anyhow::ensure!(
                answer.count == ours.count
                    && (answer.times_us.is_empty() || answer.times_us == ours.times_us),
                "{name} and Annals differ on `{}`: {answer:?} and {ours:?}",
                query.text()
            );
            compared += 1;
            if begun.elapsed() > SHAPE_MAX {
                break;
            }
        }
        let cpu = peer.cpu_seconds()? - cpu;
        // An engine inside this process counts once.
        let own = if peer.is_inside() { 0.0 } else { own_cpu_seconds() - own };
        let others = machine.cores_of_others(cpu + own)?;
        let cpu_ms = cpu * 1e3 / times.len() as f64;
        put(results, size, shape, name, &times, cpu_ms, others);
        println!(
            "{name} {:5} {:28} p50 {:10.3} ms  max {:10.3} ms  CPU {cpu_ms:10.3} ms  {compared} answers equal, others {others:.2} cores",
            shape.name,
            shape.what,
            times.at(0.5),
            times.at(0.99)
        );
    }
    Ok(())
}

fn put(results: &mut Results, size: &str, shape: &Shape, who: &str, times: &Times, cpu_ms: f64, others: f64) {
    let numbers = [
        ("p50_ms", times.at(0.5)),
        ("p99_ms", times.at(0.99)),
        ("cpu_ms", cpu_ms),
        ("queries", times.len() as f64),
        ("cores_of_others", others),
    ];
    results.put("search", &format!("{size} {}", shape.name), who, &numbers);
}

fn median_count(shape: &Shape, answers: &Answers) -> f64 {
    let mut counts: Vec<u64> = (shape.queries.iter())
        .filter_map(|query: &Query| Some(answers.get(&(query.text(), query.offset))?.count))
        .collect();
    counts.sort_unstable();
    counts.get(counts.len() / 2).map_or(0.0, |count| *count as f64)
}

/// Touches what a log that has run for long has touched, with values that are not measured.
fn warm_up(engine: &Engine) -> anyhow::Result<()> {
    for at in 0..5 {
        for text in [
            String::new(),
            "resource_type:license".to_owned(),
            "resource_type:workspace_build action:stop organization:org-1".to_owned(),
            format!("username:demo-user-{}", 400 + at),
            format!("resource_type:workspace action:create username:demo-user-{} status_code:201", 300 + at),
            format!("resource_target:workspace-{}*", 9_000 + at),
            format!("resource_target:*space-{}*", 9_100 + at),
            format!("request_id:{}", uuid::Uuid::from_u128(u128::from(at))),
            format!("resource_id:{}", crate::Generator::workspace_id(9_200 + at)),
            format!("since:2026-01-01T0{at}:30:00Z until:2026-01-02T0{at}:30:00Z action:create"),
        ] {
            ask(engine, &text, 0)?;
        }
    }
    Ok(())
}

/// Asks for the newest events as JSON, and the count.
fn ask(engine: &Engine, query: &str, offset: u64) -> anyhow::Result<(u64, Vec<Vec<u8>>)> {
    let request = SearchRequest { query, limit: PAGE_ROWS, offset, after: None };
    let mut bytes = 0;
    let found = engine.search(&Principal::operator(), &request, |found| {
        let json = serde_json::to_vec(&found.into_audit_log()?).expect("an event is JSON");
        bytes += json.len();
        Ok(json)
    });
    let found = found.with_context(|| format!("`{query}`"))?;
    Ok((found.count, found.events))
}

fn time_of(event: &[u8]) -> anyhow::Result<i64> {
    let event: Value = serde_json::from_slice(event)?;
    Ok(event["time"].as_str().context("a time")?.parse::<jiff::Timestamp>()?.as_microsecond())
}

/// Ids of requests that occur, spread over the log.
///
/// # Errors
/// If the log fails.
pub fn request_ids(dir: &Path, events: u64) -> anyhow::Result<Vec<String>> {
    let engine = open_quiet(dir)?;
    (0..QUERIES)
        .map(|at| {
            let (_, page) = ask(&engine, "", events / QUERIES * at)?;
            let event: Value = serde_json::from_slice(page.first().context("an event")?)?;
            Ok(event["request_id"].as_str().context("a request")?.to_owned())
        })
        .collect()
}
