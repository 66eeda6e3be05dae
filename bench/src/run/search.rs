//! Searches over Annals and its peers: newest 25 whole events and the exact count.
//!
//! Arguments:  [--peers postgres,sqlite,...]. The number of events stands in `ANNALS_BENCH_EVENTS`.

use annals_bench::log::{build, events_asked};
use annals_bench::results::Results;
use annals_bench::search::{measure_annals, measure_peer, request_ids};
use annals_bench::{peers, shapes};

pub(crate) fn main(mut args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut peers = "postgres".to_owned();
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--peers", Some(names)) => peers = names,
            _ => anyhow::bail!("usage: search [--peers NAMES]"),
        }
    }
    let events = events_asked()?;
    let size = events.to_string();
    let mut results = Results::load()?;
    let dir = build(events, &mut results)?;
    let shapes = shapes::shapes(events, &request_ids(&dir, events)?);
    let answers = measure_annals(&dir, &size, &shapes, &mut results)?;
    results.save()?;
    for name in peers.split(',').filter(|name| !name.is_empty() && *name != "none") {
        // A peer that is not installed is no reason to measure nothing.
        match peers::open(name, events, &mut results) {
            Ok(mut peer) => {
                let bytes = peer.disk_bytes()? as f64 / events as f64;
                println!("{name}: {bytes:.0} bytes an event");
                results.put("size", &size, name, &[("bytes_per_event", bytes)]);
                measure_peer(&mut *peer, &size, &shapes, &answers, &mut results)?;
            }
            Err(error) => println!("{name} is left out: {error:#}"),
        }
        results.save()?;
    }
    Ok(())
}
