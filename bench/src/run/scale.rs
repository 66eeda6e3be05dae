//! Ten times the log: every sealed object is opened ten times, so that a machine that holds 10M events can ask 100M.
//!
//! What this shows is the work of searching 390 segments. What it does not show: the copies share the page cache, so memory
//! traffic is that of 10M; and they share their times, so the merge for the newest rows always looks at ten segments.

use std::collections::BTreeMap;
use std::time::Instant;

use annals_bench::Generator;
use annals_bench::log::{SEED, events_asked, log_dir, warm_page_cache};
use annals_bench::measure::{Machine, Times, anonymous_bytes, own_cpu_seconds};
use annals_bench::results::Results;
use annals_bench::row::Row;
use annals_bench::shapes::{QUERIES, Query, shapes};
use annals_query::{Context, Filter, Vocabulary};
use annals_segment::{NoCounts, Page, SealedSegment, Segment, search};
use annals_store::{DatabaseLocation, Object, Objects, ObjectsLocation, Store};
use bytes::Bytes;

const COPIES: usize = 10;
/// How often the queries of a shape with few values are asked.
const REPEATS: usize = 5;

struct Part {
    object: Object,
    segment: SealedSegment<Bytes>,
}

pub(crate) fn main() -> anyhow::Result<()> {
    let events = events_asked()?;
    let mut results = Results::load()?;
    let dir = log_dir(events)?;
    // Not built here: memory that an engine had in this process would be used again, and hide what the segments take.
    anyhow::ensure!(dir.join("complete").exists(), "there is no log of {events} events; `load` makes it");
    let store = Store::open(&DatabaseLocation::Directory(dir.clone()))?;
    let (_, rows) = store.segments()?;
    drop(store);
    let objects = Objects::open(&ObjectsLocation::Directory(dir.join("segments")), &dir.join("cache"))?;

    warm_page_cache(&dir)?;
    let machine = Machine::watch()?;
    let (cpu, memory, started) = (own_cpu_seconds(), anonymous_bytes(std::process::id())?, Instant::now());
    let mut parts = Vec::new();
    for _ in 0..COPIES {
        for row in &rows {
            let index = row.index_at..row.index_at + row.index_bytes;
            let object = objects.open_object(&row.object, row.bytes, index)?;
            parts.push(Part { segment: SealedSegment::open(object.resident())?, object });
        }
    }
    let open_ms = started.elapsed().as_secs_f64() * 1e3;
    let sealed: u64 = parts.iter().map(|part| u64::from(part.segment.row_count())).sum();
    let opened_bytes = anonymous_bytes(std::process::id())? - memory;
    println!(
        "{} segments, {sealed} events: open {open_ms:.0} ms, {:.1} MB of anonymous memory",
        parts.len(),
        opened_bytes / 1e6
    );

    let segments: Vec<&dyn Segment> = parts.iter().map(|part| &part.segment as &dyn Segment).collect();
    let size = (events * COPIES as u64).to_string();
    let mut peak: f64 = 0.0;
    for shape in shapes(events, &request_ids()?) {
        let (mut total, mut counts, mut pages) = (Times::default(), Times::default(), Times::default());
        let mut cpu_seconds = 0.0;
        let repeats = if shape.is_small { REPEATS } else { 1 };
        for query in (0..repeats).flat_map(|_| &shape.queries) {
            let filter = filter(query)?;
            let begun = Instant::now();
            let found = search(&segments, &filter, &Page { limit: 0, offset: 0, after: None }, &NoCounts)?;
            counts.push(begun.elapsed());
            // Counted anew, as the two are one in the engine: what is compared is the whole.
            let (begun_whole, cpu_whole) = (Instant::now(), own_cpu_seconds());
            let whole = search(
                &segments,
                &filter,
                &Page { limit: 25, offset: query.offset, after: None },
                &NoCounts,
            )?;
            anyhow::ensure!(
                whole.count == found.count && whole.count.is_multiple_of(COPIES as u64),
                "a count differs"
            );
            let read = Instant::now();
            let mut wanted: BTreeMap<(usize, u32), Vec<u32>> = BTreeMap::new();
            for place in &whole.places {
                let page = parts[place.segment].segment.place(place.row).page;
                wanted.entry((place.segment, page)).or_default().push(place.row);
            }
            for ((segment, page), rows) in wanted {
                let part = &parts[segment];
                let ranges = part.segment.page_ranges(page)?;
                let bytes: [Bytes; 3] = part
                    .object
                    .read_ranges(&ranges)?
                    .try_into()
                    .map_err(|_| anyhow::anyhow!("three ranges"))?;
                let page = part.segment.decode_page(page, &bytes)?;
                anyhow::ensure!(rows.iter().all(|row| page.get(*row).is_some()), "a row is missing");
            }
            pages.push(read.elapsed());
            total.push(begun_whole.elapsed());
            cpu_seconds += own_cpu_seconds() - cpu_whole;
        }
        peak = peak.max(anonymous_bytes(std::process::id())? - memory);
        let cpu_ms = cpu_seconds * 1e3 / total.len() as f64;
        println!(
            "{:5} {:28} p50 {:8.3}  p99 {:8.3}  CPU {cpu_ms:8.3} | count p50 {:8.3}  p99 {:8.3} | pages p50 {:.3} ms",
            shape.name,
            shape.what,
            total.at(0.5),
            total.at(0.99),
            counts.at(0.5),
            counts.at(0.99),
            pages.at(0.5)
        );
        let numbers = [
            ("p50_ms", total.at(0.5)),
            ("p99_ms", total.at(0.99)),
            ("cpu_ms", cpu_ms),
            ("count_p50_ms", counts.at(0.5)),
            ("count_p99_ms", counts.at(0.99)),
            ("pages_p50_ms", pages.at(0.5)),
            ("queries", total.len() as f64),
        ];
        results.put("search", &format!("{size} {}", shape.name), "annals", &numbers);
    }
    let others = machine.cores_of_others(own_cpu_seconds() - cpu)?;
    println!("anonymous memory after all: {:.1} MB; others used {others:.2} cores", peak / 1e6);
    let numbers = [
        ("open_ms", open_ms),
        ("open_memory_bytes", opened_bytes),
        ("memory_bytes", peak),
        ("cores_of_others", others),
    ];
    results.put("scale", &size, "annals", &numbers);
    results.save()
}

fn filter(query: &Query) -> anyhow::Result<Filter> {
    let vocabulary = Vocabulary {
        resource_types: Generator::kinds_and_actions().map(|(kind, _)| kind.to_owned()).collect(),
        actions: Generator::kinds_and_actions().map(|(_, action)| action.to_owned()).collect(),
        ..Vocabulary::default()
    };
    // No query here speaks of the present.
    let context = Context { now: jiff::Timestamp::UNIX_EPOCH, me: None, vocabulary: &vocabulary };
    let checked = annals_query::parse(&query.text(), &context);
    Ok(checked.map_err(|errors| anyhow::anyhow!("{errors:?}"))?.into_filter())
}

/// Ids of requests of the first events: no engine is opened here that would take memory of its own.
fn request_ids() -> anyhow::Result<Vec<String>> {
    let mut generator = Generator::new(SEED);
    (0..QUERIES)
        .map(|_| Ok(Row::read(generator.batch(500).lines().next().unwrap_or_default())?.request_id))
        .collect()
}
