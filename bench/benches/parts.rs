//! Parts of ingest and search, one at a time.

use annals_bench::Generator;
use annals_engine::{Engine, Options, PartialBatch, Principal, SearchRequest};
use annals_model::event::read_event;
use annals_model::id::EventId;
use annals_model::prepare::{Rules, Salts, prepare};
use annals_model::registry::Registry;
use annals_model::time::Time;
use annals_tlog::{Checkpoint, Frontier, SignedNote, SigningKey, TileBuilder, leaf_hash};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn ingest_parts(criterion: &mut Criterion) {
    let batch = Generator::new(1).batch(1_000);
    let lines: Vec<&str> = batch.lines().collect();
    let registry = Registry::built_in();
    let rules = Rules { registry: &registry, registry_version: 0, allow_unknown: false };
    let mut group = criterion.benchmark_group("ingest, 1,000 events");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("read", |bencher| {
        bencher.iter(|| lines.iter().filter(|line| read_event(line).is_ok()).count());
    });
    let prepared = |line: &str| {
        let event = read_event(line).expect("the generator makes events");
        prepare(event, 0, &rules, Time::EPOCH, EventId::from_bytes([0; 16]))
            .expect("the generator makes good events")
    };
    group.bench_function("read, check, diff", |bencher| {
        bencher.iter(|| lines.iter().map(|line| prepared(line).body.len()).sum::<usize>());
    });
    let salts = Salts::from_bytes(&[7; Salts::BYTES]);
    let log = annals_model::id::LogId::from_bytes([1; 16]);
    group.bench_function("read, check, diff, leaf", |bencher| {
        bencher.iter(|| {
            lines.iter().map(|line| prepared(line).record(&salts).leaf_bytes(log).len()).sum::<usize>()
        });
    });
    group.finish();
}

/// What the tree adds to making 1,000 events ready: with it less without it is the price of the proofs.
fn proofs(criterion: &mut Criterion) {
    let batch = Generator::new(1).batch(1_000);
    let registry = Registry::built_in();
    let rules = Rules { registry: &registry, registry_version: 0, allow_unknown: false };
    let prepared: Vec<_> = batch
        .lines()
        .map(|line| {
            let event = read_event(line).expect("the generator makes events");
            prepare(event, 0, &rules, Time::EPOCH, EventId::from_bytes([0; 16])).expect("good events")
        })
        .collect();
    let salts = Salts::from_bytes(&[7; Salts::BYTES]);
    let log = annals_model::id::LogId::from_bytes([1; 16]);
    let mut group = criterion.benchmark_group("proofs, 1,000 events");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("encode, without the tree", |bencher| {
        bencher.iter(|| {
            let mut out = Vec::new();
            prepared.iter().for_each(|event| event.record(&salts).encode(&mut out));
            out.len()
        });
    });
    group.bench_function("encode, leaf, tree, tiles", |bencher| {
        bencher.iter(|| {
            let (mut out, mut frontier, mut tiles, mut full) =
                (Vec::new(), Frontier::new(), TileBuilder::default(), 0);
            for event in &prepared {
                let record = event.record(&salts);
                record.encode(&mut out);
                let leaf = leaf_hash(&record.leaf_bytes(log));
                frontier.push(leaf);
                tiles.push(leaf, |tile| full += tile.hashes.len());
            }
            (out.len(), frontier.root(), full)
        });
    });
    group.finish();
    let key = SigningKey::from_seed("log.example/bench", &[7; 32]).expect("a name");
    criterion.bench_function("sign a checkpoint", |bencher| {
        bencher.iter(|| {
            let checkpoint = Checkpoint::new("log.example/bench", 1_000, leaf_hash(b"x")).expect("a name");
            SignedNote::sign(&checkpoint.to_string(), &[&key]).expect("a note").to_string().len()
        });
    });
}

fn searches(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = Engine::create_or_open(dir.path(), Options::default()).expect("a new log");
    let operator = Principal::operator();
    let mut generator = Generator::new(1);
    for _ in 0..200 {
        let batch = generator.batch(1_000);
        let pending = engine.append(&operator, batch.as_bytes(), PartialBatch::Refuse).expect("good events");
        pending.wait_blocking().expect("durable events");
    }
    let mut group = criterion.benchmark_group("newest 25 and count, tail of 200,000");
    for query in [
        "",
        "resource_type:workspace",
        "resource_type:user action:create",
        "username:demo-user-0",
        "-action:start",
        "resource_type:workspace_build action:start organization:org-1 outcome:failure",
        "date_from:2026-01-01 date_to:2026-01-01 action:login",
        "resource_target:workspace-1*",
        "space-77",
    ] {
        let name = if query.is_empty() { "(no filter)" } else { query };
        group.bench_function(name, |bencher| {
            let request = SearchRequest { query, limit: 25, offset: 0, after: None };
            bencher.iter(|| {
                engine.search(&operator, &request, |found| Ok(found.added.seq)).expect("a good query").count
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ingest_parts, proofs, searches);
criterion_main!(benches);
