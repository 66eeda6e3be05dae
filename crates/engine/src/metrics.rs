//! Numbers for the operator: what was taken, what waits, what failed.
//!
//! Names follow the conventions of Prometheus: base units, `_total` for what only grows.

mod streams;

use std::sync::Mutex;
use std::sync::PoisonError;

use annals_store::ObjectStats;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use streams::StreamMetrics;

/// Which text a scraper reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older text format of Prometheus.
    Prometheus,
}

/// All numbers of one process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) events: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) refused_batches: Counter,
    pub(crate) commits: Counter,
    pub(crate) commit_failures: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) searches: Counter,
    pub(crate) search_seconds: Histogram,
    pub(crate) log_events: Gauge,
    pub(crate) tail_events: Gauge,
    pub(crate) segments: Gauge,
    pub(crate) sealed_segments: Counter,
    pub(crate) seal_failures: Counter,
    pub(crate) seal_seconds: Histogram,
    pub(crate) sealing_lag_seconds: Gauge,
    pub(crate) checkpoint_events: Gauge,
    pub(crate) checkpoint_time: Gauge,
    pub(crate) refused: Gauge,
    pub(crate) object_requests: Counter,
    pub(crate) object_errors: Counter,
    pub(crate) object_read_bytes: Counter,
    pub(crate) object_written_bytes: Counter,
    pub(crate) streams: StreamMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("annals");
        let mut registrar = Registrar { registry: &mut registry };
        let metrics = Metrics {
            events: registrar.counter("events", "Events that this process appended"),
            duplicates: registrar.counter("duplicate_events", "Events that were in the log already"),
            refused_batches: registrar
                .counter("refused_batches", "Batches that were not taken, whatever the reason"),
            commits: registrar.counter("commits", "Commits of this process; one holds many events"),
            commit_failures: registrar
                .counter("commit_failures", "Commits that failed; their events were not acknowledged"),
            commit_seconds: registrar.seconds("commit", "Time of a commit, its fsync included"),
            searches: registrar.counter("searches", "Searches, histograms and facets"),
            search_seconds: registrar.seconds("search", "Time of a search, reading its page included"),
            log_events: registrar.gauge("log_events", "Events in the log"),
            tail_events: registrar.gauge("tail_events", "Events that are not in segments yet"),
            segments: registrar.gauge("segments", "Sealed segments"),
            sealed_segments: registrar.counter("sealed_segments", "Segments that this process sealed"),
            seal_failures: registrar
                .counter("seal_failures", "Attempts to seal that failed; they are made again"),
            seal_seconds: registrar.seconds("seal", "Time of sealing one segment"),
            sealing_lag_seconds: registrar.gauge(
                "sealing_lag_seconds",
                "How long a full segment of events has waited to be sealed; 0 if none waits",
            ),
            checkpoint_events: registrar.gauge("checkpoint_events", "Events of the last signed checkpoint"),
            checkpoint_time: registrar
                .gauge("checkpoint_timestamp_seconds", "When the last checkpoint was signed, since 1970"),
            refused: registrar.gauge(
                "log_refused",
                "1 if the log takes no events because it was put back, cut or forked, or its key is missing; 0 else",
            ),
            object_requests: registrar.counter("object_store_requests", "Requests to the object store"),
            object_errors: registrar
                .counter("object_store_errors", "Requests to the object store that failed"),
            object_read_bytes: registrar
                .counter("object_store_read_bytes", "Bytes read from the object store"),
            object_written_bytes: registrar
                .counter("object_store_written_bytes", "Bytes written to the object store"),
            streams: StreamMetrics::default(),
            registry: Mutex::new(Registry::default()),
        };
        metrics.streams.register(&mut registry);
        Metrics { registry: Mutex::new(registry), ..metrics }
    }

    /// Takes the numbers of the object store, which counts for itself.
    pub(crate) fn set_objects(&self, stats: &ObjectStats) {
        // One at a time, so that no growth is counted twice.
        let _turn = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, value) in [
            (&self.object_requests, stats.requests),
            (&self.object_errors, stats.errors),
            (&self.object_read_bytes, stats.read_bytes),
            (&self.object_written_bytes, stats.written_bytes),
        ] {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
    }

    pub(crate) fn text(&self, format: MetricsFormat) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a String does not fail");
        match format {
            MetricsFormat::OpenMetrics => text,
            MetricsFormat::Prometheus => classic(&text),
        }
    }
}

/// The older format has no end mark, and names a counter as its sample is named.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let counters: Vec<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        let is_counter = line.starts_with("# ") && words.nth(2).is_some_and(|name| counters.contains(&name));
        if is_counter {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_default();
            text.push_str(&format!("{} {} {}_total {}\n", word(), word(), word(), word()));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

struct Registrar<'r> {
    registry: &'r mut Registry,
}

impl Registrar<'_> {
    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.registry.register(name, help, counter.clone());
        counter
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.registry.register(name, help, gauge.clone());
        gauge
    }

    /// 0.1 ms to 26 s.
    fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        self.registry.register(format!("{name}_seconds"), help, histogram.clone());
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_as_their_samples() {
        let metrics = Metrics::new();
        metrics.events.inc_by(3);
        metrics.tail_events.set(7);
        let text = metrics.text(MetricsFormat::Prometheus);
        for line in ["# TYPE annals_events_total counter", "annals_events_total 3", "annals_tail_events 7"] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("# EOF"));
        assert!(metrics.text(MetricsFormat::OpenMetrics).ends_with("# EOF\n"));
    }
}
