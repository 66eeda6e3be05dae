//! Exporting the whole log, in process and to nowhere: what making an export costs in each form.

use std::path::Path;
use std::time::Instant;

use annals_bench::log::{bench_data, build, events_asked, open_quiet, warm_page_cache};
use annals_bench::measure::{Machine, own_cpu_seconds};
use annals_bench::results::Results;
use annals_engine::{ExportFormat, ExportRequest, Principal};

/// The forms that are made in ways of their own, and the one that SIEM systems take most.
const FORMATS: [&str; 4] = ["ndjson", "csv", "parquet", "ocsf"];

pub(crate) fn main() -> anyhow::Result<()> {
    let events = events_asked()?;
    let mut results = Results::load()?;
    let dir = build(events, &mut results)?;
    // An export is an event: it goes into a copy, so that the log stays what the other benchmarks expect.
    let copy = tempfile::tempdir_in(bench_data()?)?;
    link_or_copy(&dir, copy.path())?;
    warm_page_cache(copy.path())?;
    let engine = open_quiet(copy.path())?;
    for name in FORMATS {
        let format: ExportFormat = name.parse()?;
        let request = ExportRequest { query: "-resource_type:audit_log", after_seq: None, format };
        let (machine, started, cpu) = (Machine::watch()?, Instant::now(), own_cpu_seconds());
        let mut export = engine.export(&Principal::operator(), &request)?;
        anyhow::ensure!(export.count() == events, "{} events of {events}", export.count());
        let (mut batch, mut bytes) = (Vec::new(), 0);
        loop {
            batch.clear();
            let more = engine.export_batch(&mut export, &mut batch)?;
            bytes += batch.len();
            if !more {
                break;
            }
        }
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), own_cpu_seconds() - cpu);
        let (a_second, a_cpu_second) = (events as f64 / seconds, events as f64 / cpu);
        let (an_event, others) = (bytes as f64 / events as f64, machine.cores_of_others(cpu)?);
        println!(
            "export as {name:8} {a_second:9.0} events/s, {a_cpu_second:9.0} a second of CPU, {an_event:6.0} bytes an event; \
             others used {others:.2} cores"
        );
        let numbers = [
            ("events_per_second", a_second),
            ("events_per_cpu_second", a_cpu_second),
            ("bytes_per_event", an_event),
            ("cores_of_others", others),
        ];
        results.put("export", &format!("{events} {name}"), "annals", &numbers);
    }
    results.save()
}

/// Copies a directory; segments, which are never changed, become links.
fn link_or_copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&copy)?;
            link_or_copy(&path, &copy)?;
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            std::fs::hard_link(&path, &copy)?;
        } else {
            std::fs::copy(&path, &copy)?;
        }
    }
    Ok(())
}
