//! Sealing: the same answers from segments as from the tail, whatever happens to them.

use std::fmt::Write as _;
use std::time::Duration;

use annals_engine::{
    Engine, HistogramRequest, Key, Options, Principal, SealPolicy, backup, repair, restore, verify,
};
use annals_engine::{Location, Repair};
use serde_json::Value;

use crate::support::{TestLog, append, options, search};

const EVENTS: u64 = 3_000;

/// Small segments, made when a test says so.
fn small() -> SealPolicy {
    SealPolicy {
        events: 1_024,
        aged_events: 256,
        age: Duration::from_secs(600),
        bytes_max: 64 << 20,
        in_background: false,
    }
}

fn small_options() -> Options {
    Options { seal: small(), ..options() }
}

/// Events of many kinds, one in seven late, one in eleven without an id of its own.
fn fill(engine: &Engine, from: u64, to: u64) {
    let mut body = String::new();
    for n in from..to {
        let late = if n % 7 == 0 { 40_000 } else { 0 };
        let second = 100_000 + n - late.min(n);
        let (day, hour, minute) = (1 + second / 86_400, second / 3_600 % 24, second / 60 % 60);
        let id = match n % 11 {
            0 => String::new(),
            1 => format!(r#""id":"00000000-0000-4000-8000-{n:012}","#),
            _ => format!(r#""id":"01900000-{:04x}-7000-8000-{n:012}","#, n / 100),
        };
        let action = ["create", "write", "delete"][n as usize % 3];
        let kind = ["workspace", "template", "user"][n as usize / 3 % 3];
        writeln!(
            body,
            r#"{{{id}"time":"2026-01-{day:02}T{hour:02}:{minute:02}:{:02}Z","action":"{action}","resource_type":"{kind}","resource_id":"r-{}","resource_target":"Target-{} Äß","user":{{"id":"u-{}","username":"Demo-{}"}},"ip":"10.0.{}.{}","request_id":"00000000-0000-4000-9000-{n:012}","status_code":{},"diff":{{"name":{{"old":"a{n}","new":"b{n}"}}}},"additional_fields":{{"n":{n}}}}}"#,
            second % 60,
            n % 400,
            n % 400,
            n % 50,
            n % 50,
            n % 4,
            n % 200,
            [200, 201, 403, 500][n as usize % 4],
        )
        .unwrap();
    }
    append(engine, &body).unwrap();
}

const QUERIES: [&str; 16] = [
    "",
    "resource_type:workspace action:delete",
    "-action:create",
    "username:demo-7",
    "resource_id:r-17",
    "resource_id:r-1*",
    "request_id:00000000-0000-4000-9000-000000000777",
    "id:00000000-0000-4000-8000-000000000001",
    "resource_target:\"target-12 äß\"",
    "resource_target:*get-1*",
    "target-39",
    "ip:10.0.1.0/24 outcome:denied",
    "status_code:>=400 (action:write OR action:create)",
    "date_from:2026-01-02 date_to:2026-01-02",
    "seq:100..1999 changed:name",
    "-username:demo-3 resource_type:user status_code:200",
];

/// Everything that a reader can see of a query: count, pages from the front, the middle and the end, histogram, facets.
fn answers(engine: &Engine) -> Vec<Value> {
    let operator = Principal::operator();
    let mut answers = Vec::new();
    for query in QUERIES {
        for offset in [0, 40, 1_200, 2_990] {
            let request = annals_engine::SearchRequest { query, limit: 30, offset, after: None };
            let results = engine
                .search(&operator, &request, |found| {
                    Ok(serde_json::to_value(found.into_audit_log()?).unwrap())
                })
                .unwrap();
            answers.push(serde_json::json!({"q": query, "count": results.count, "page": results.events}));
        }
        let request = HistogramRequest { query, bucket: "1h".parse().ok(), from_us: None, to_us: None };
        let histogram = engine.histogram(&operator, &request).unwrap();
        let count: u64 = histogram.buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(count, histogram.count);
        answers.push(serde_json::json!(histogram.buckets));
        for key in [Key::Username, Key::ResourceTarget, Key::Action, Key::Changed, Key::Ip, Key::StatusCode] {
            let (facets, _) = engine.facets(&operator, query, key, 5).unwrap();
            answers.push(serde_json::json!([facets.top, facets.distinct]));
        }
    }
    answers
}

fn assert_good(engine: &Engine) {
    let report = engine.verify().unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.root, Some(engine.ready().unwrap().root));
}

#[test]
fn segments_answer_as_the_tail_did() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, EVENTS);
    let before = answers(&log.engine);
    assert_eq!(log.engine.seal_due().unwrap(), 2, "two full segments; 952 events wait");
    assert!(answers(&log.engine) == before, "sealed");
    assert_good(&log.engine);
    // What is left, down to segments of 256: 512 + 256; 184 stay in the tail.
    assert_eq!(log.engine.seal_now().unwrap(), 2);
    assert!(answers(&log.engine) == before, "sealed all");
    assert_good(&log.engine);
    let again = Engine::open(log.dir.path(), small_options()).unwrap();
    assert!(answers(&again) == before, "opened again");
    let report = again.verify().unwrap();
    assert_eq!((report.events, report.sealed, report.segments), (EVENTS, 2_816, 4));
    // Out of step: 256, then in step again, and 512 + 256 + 256 become one.
    fill(&again, EVENTS, 4_200);
    assert_eq!(again.seal_due().unwrap(), 3, "256, 1,024, and one merge");
    let report = again.verify().unwrap();
    assert_eq!((report.findings, report.sealed, report.segments), (vec![], 4_096, 4));
}

#[test]
fn another_process_follows_what_is_sealed_and_merged() {
    let log = TestLog::with(Options { seal: SealPolicy { events: 256, ..small() }, ..options() });
    let other = Engine::open(log.dir.path(), small_options()).unwrap();
    fill(&log.engine, 0, 2_000);
    let before = answers(&other);
    assert_eq!(log.engine.seal_due().unwrap(), 7);
    assert!(answers(&other) == before, "sealed elsewhere");
    // The other one makes larger segments: four of 256 become one; its tail is below what it seals.
    assert_eq!(other.seal_due().unwrap(), 1);
    assert!(answers(&other) == before && answers(&log.engine) == before, "merged");
    fill(&other, 2_000, EVENTS);
    assert_eq!(answers(&log.engine), answers(&other));
    let report = log.engine.verify().unwrap();
    assert_eq!((report.findings, report.events, report.segments), (vec![], EVENTS, 4));
}

#[test]
fn ids_are_known_after_they_are_sealed() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, 1_500);
    log.engine.seal_now().unwrap();
    let of = |n: u64, target: &str| {
        let id = if n % 11 == 1 {
            format!("00000000-0000-4000-8000-{n:012}")
        } else {
            format!("01900000-{:04x}-7000-8000-{n:012}", n / 100)
        };
        format!(
            r#"{{"id":"{id}","action":"create","resource_type":"template","resource_target":"{target}"}}"#
        )
    };
    for n in [1, 2, 700, 1_200] {
        let error = log.append(&of(n, "another")).unwrap_err();
        assert!(error.to_string().contains("other content"), "{n}: {error}");
    }
    // Looks like version 7 but is of another variant: its time is no time.
    let odd = r#"{"id":"01980000-0000-7000-0000-000000000001","action":"create","resource_type":"template","resource_target":"odd"}"#;
    assert_eq!(log.append(odd).unwrap().accepted, 1);
    fill(&log.engine, 1_500, 1_900);
    log.engine.seal_now().unwrap();
    assert_eq!(log.append(odd).unwrap().duplicates, 1);
    let fresh = of(5_000, "fresh");
    assert_eq!(log.append(&fresh).unwrap().accepted, 1);
    assert_eq!(log.append(&fresh).unwrap().duplicates, 1);
    assert_eq!(log.search("").0, 1_902);
}

#[test]
fn a_process_that_only_takes_events_knows_what_others_sealed() {
    let log = TestLog::with(small_options());
    let other = Engine::open(log.dir.path(), small_options()).unwrap();
    fill(&log.engine, 0, 1_100);
    other.seal_now().unwrap();
    // Not refreshed by any search: its index still has them in the tail, the database has not.
    let again = r#"{"id":"00000000-0000-4000-8000-000000000001","action":"create","resource_type":"template","resource_target":"x"}"#;
    let error = log.append(again).unwrap_err();
    assert!(error.to_string().contains("other content"), "{error}");
}

#[test]
fn what_is_old_is_sealed_although_it_is_not_many() {
    let clock = crate::support::fixed_clock();
    let options = Options { seal: small(), clock: clock.clone(), ..Options::default() };
    let log = TestLog::with(options);
    fill(&log.engine, 0, 300);
    assert_eq!(log.engine.seal_due().unwrap(), 0);
    let annals_engine::Clock::Fixed(micros) = &clock else { unreachable!() };
    micros.fetch_add(601_000_000, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(log.engine.seal_due().unwrap(), 1);
    assert_eq!(log.search("").0, 300);
}

#[test]
fn large_events_make_small_segments() {
    let log = TestLog::with(Options { seal: SealPolicy { bytes_max: 300_000, ..small() }, ..options() });
    let filler = "x".repeat(600);
    let body: String = (0..1_100)
        .map(|n| {
            format!(
                r#"{{"action":"write","resource_type":"template","resource_target":"t-{n}","additional_fields":{{"f":"{filler}"}}}}{}"#,
                "\n"
            )
        })
        .collect();
    append(&log.engine, &body).unwrap();
    let before = search(&log.engine, "t-7");
    assert!(log.engine.seal_due().unwrap() >= 3, "256 events of 800 bytes fit, 512 do not");
    assert_eq!(search(&log.engine, "t-7"), before);
    assert_eq!(log.search("").0, 1_100);
    assert_good(&log.engine);
}

/// Paths of the segments, by name.
fn segment_files(log: &TestLog) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(log.dir.path().join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn flip(file: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    // A new file under the old name, as a failing disk would show it after the cache is gone.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn damage_is_found_named_and_repaired() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, EVENTS);
    log.engine.seal_due().unwrap();
    let before = answers(&log.engine);
    let saved = tempfile::tempdir().unwrap();
    let location = Location::embedded(log.dir.path());
    backup(&location, saved.path(), &mut |_, _| {}).unwrap();
    log.engine.stop();

    let files = segment_files(&log);
    let size = std::fs::metadata(&files[0]).unwrap().len() as usize;
    // Every part of the file: columns, pages, index, footer.
    for at in (5..size - 5).step_by(size / 40) {
        flip(&files[0], at);
        let report = verify(&location, annals_engine::Depth::Indexes, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings.len(), 1, "byte {at}");
        assert_eq!(report.findings[0].part, files[0].file_name().unwrap().to_str().unwrap());
        let plan = repair(&location, Some(saved.path()), false, &mut |_, _| {}).unwrap();
        assert!(matches!(plan.repairs[..], [Repair::Rebuild { .. } | Repair::FromBackup { .. }]), "{plan:?}");
        let done = repair(&location, Some(saved.path()), true, &mut |_, _| {}).unwrap();
        assert_eq!(done.repairs, plan.repairs);
        assert_eq!(
            verify(&location, annals_engine::Depth::Indexes, &mut |_, _| {}).unwrap().findings,
            [],
            "byte {at}"
        );
    }
    // Torn, and gone.
    let bytes = std::fs::read(&files[1]).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    std::fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(verify(&location, annals_engine::Depth::Indexes, &mut |_, _| {}).unwrap().findings.len(), 1);
    std::fs::remove_file(&files[1]).unwrap();
    let error = Engine::open(log.dir.path(), small_options()).unwrap_err();
    assert!(error.to_string().contains(files[1].file_name().unwrap().to_str().unwrap()), "{error}");
    let plan = repair(&location, None, true, &mut |_, _| {}).unwrap();
    assert!(matches!(plan.repairs[..], [Repair::NotPossible { .. }]), "{plan:?}");
    repair(&location, Some(saved.path()), true, &mut |_, _| {}).unwrap();
    let again = Engine::open(log.dir.path(), small_options()).unwrap();
    assert!(answers(&again) == before);
    assert_good(&again);
}

#[test]
fn repair_deletes_only_what_is_surely_left_over() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, 1_100);
    log.engine.seal_due().unwrap();
    log.engine.stop();
    let segments = log.dir.path().join("segments");
    std::fs::create_dir(segments.join("neighbour")).unwrap();
    let files = [
        "0000000000000000-256-00112233.parquet",
        "0000000000001024-1024-00112233.parquet",
        "somebody-elses.parquet",
        "neighbour/0000000000000000-256-00112233.parquet",
    ];
    files.iter().for_each(|file| std::fs::write(segments.join(file), "x").unwrap());
    let done = repair(&Location::embedded(log.dir.path()), None, true, &mut |_, _| {}).unwrap();
    let expect = [
        Repair::DeleteOrphan { object: files[0].to_owned() },
        Repair::BeyondSealed { object: files[1].to_owned() },
    ];
    assert_eq!(done.repairs, expect);
    let left: Vec<bool> = files.iter().map(|file| segments.join(file).exists()).collect();
    assert_eq!(left, [false, true, true, true]);
    assert_eq!(Engine::open(log.dir.path(), small_options()).unwrap().verify().unwrap().findings, []);
}

#[test]
fn a_broken_index_is_rebuilt_from_the_events() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, 1_024);
    log.engine.seal_due().unwrap();
    let before = answers(&log.engine);
    log.engine.stop();
    let file = &segment_files(&log)[0];
    let whole = std::fs::read(file).unwrap();
    let index_at = whole.windows(4).rposition(|bytes| bytes == b"ANI1").unwrap();
    flip(file, index_at + 600);
    let location = Location::embedded(log.dir.path());
    let done = repair(&location, None, true, &mut |_, _| {}).unwrap();
    assert!(matches!(done.repairs[..], [Repair::Rebuild { .. }]), "{done:?}");
    assert!(std::fs::read(file).unwrap() == whole, "the same bytes again");
    assert!(answers(&Engine::open(log.dir.path(), small_options()).unwrap()) == before);
}

#[test]
fn a_backup_is_a_log_and_grows_by_what_is_new() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, 2_000);
    log.engine.seal_due().unwrap();
    let (saved, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let location = Location::embedded(log.dir.path());
    let first = backup(&location, saved.path(), &mut |_, _| {}).unwrap();
    assert_eq!((first.events, first.segments, first.unchanged), (2_000, 1, 0));
    fill(&log.engine, 2_000, EVENTS);
    log.engine.seal_due().unwrap();
    let before = answers(&log.engine);
    let second = backup(&location, saved.path(), &mut |_, _| {}).unwrap();
    assert_eq!((second.events, second.segments, second.unchanged), (EVENTS, 2, 1));
    let target = restored.path().join("log");
    restore(saved.path(), &target, &mut |_, _| {}).unwrap();
    assert!(restore(saved.path(), &target, &mut |_, _| {}).is_err(), "there is a log already");
    // Arguments swapped, another log, the log itself: nothing but a backup of this log is written over.
    let third = TestLog::with(small_options());
    for (from, to) in [
        (Location::embedded(saved.path()), log.dir.path()),
        (location.clone(), log.dir.path()),
        (location.clone(), third.dir.path()),
        (Location::embedded(third.dir.path()), saved.path()),
    ] {
        assert!(backup(&from, to, &mut |_, _| {}).is_err(), "{from:?} over {to:?}");
    }
    let again = Engine::open(&target, small_options()).unwrap();
    assert!(answers(&again) == before);
    assert_good(&again);
}

#[test]
fn sealing_goes_on_while_events_come_and_are_searched() {
    let seal = SealPolicy { events: 512, aged_events: 256, in_background: true, ..small() };
    let log = TestLog::with(Options { seal, ..options() });
    std::thread::scope(|scope| {
        let engine = &log.engine;
        scope.spawn(move || {
            for batch in 0..60 {
                fill(engine, batch * 100, batch * 100 + 100);
            }
        });
        scope.spawn(move || {
            let mut last = 0;
            while last < 6_000 {
                let (count, page) = search(engine, "");
                assert!(count >= last, "{count} after {last}: a search lost acknowledged events");
                assert_eq!(page.len() as u64, count.min(1_000));
                last = count;
            }
        });
    });
    let sealed = || log.engine.verify().unwrap().sealed;
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while sealed() < 5_632 {
        assert!(std::time::Instant::now() < until, "the thread seals what is due");
        std::thread::yield_now();
    }
    assert_good(&log.engine);
    assert_eq!(log.search("").0, 6_000);
}
