//! Numbers of the streams, by the name of each.

use annals_store::Stream;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

/// Which stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    stream: String,
}

/// A gauge that takes fractions.
type Seconds = Gauge<f64, AtomicU64>;

/// Numbers of the streams.
#[derive(Debug, Default)]
pub(crate) struct StreamMetrics {
    delivered: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    waiting: Family<Labels, Gauge>,
    lag_seconds: Family<Labels, Seconds>,
    dead_letters: Family<Labels, Gauge>,
    is_failing: Family<Labels, Gauge>,
    is_paused: Family<Labels, Gauge>,
    /// Names that have numbers.
    names: Mutex<Vec<String>>,
}

fn labels(name: &str) -> Labels {
    Labels { stream: name.to_owned() }
}

impl StreamMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "stream_delivered_events",
            "Events that the receiver acknowledged, sent by this process",
            self.delivered.clone(),
        );
        registry.register(
            "stream_refused_events",
            "Events that the receiver refused, which became dead letters",
            self.refused.clone(),
        );
        registry.register(
            "stream_failures",
            "Attempts of this process to deliver that failed; they are made again",
            self.failures.clone(),
        );
        registry.register("stream_waiting_events", "Events that wait to be delivered", self.waiting.clone());
        registry.register(
            "stream_lag_seconds",
            "How long the first of them has waited; 0 if none waits",
            self.lag_seconds.clone(),
        );
        registry.register(
            "stream_dead_letters",
            "Events that lie among the dead letters",
            self.dead_letters.clone(),
        );
        registry.register("stream_failing", "1 if nothing gets through, 0 else", self.is_failing.clone());
        registry.register("stream_paused", "1 if the stream is paused, 0 else", self.is_paused.clone());
    }

    pub(crate) fn delivered(&self, stream: &str, count: u64) {
        self.delivered.get_or_create(&labels(stream)).inc_by(count);
    }

    pub(crate) fn refused(&self, stream: &str, count: u64) {
        self.refused.get_or_create(&labels(stream)).inc_by(count);
    }

    pub(crate) fn failed(&self, stream: &str) {
        self.failures.get_or_create(&labels(stream)).inc();
    }

    pub(crate) fn note(&self, stream: &Stream, waiting: u64, lag_us: u64, dead_letters: u64) {
        let labels = labels(&stream.name);
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.waiting.get_or_create(&labels).set(gauge(waiting));
        #[expect(clippy::cast_precision_loss, reason = "seconds of a lag need no more than 52 bits")]
        self.lag_seconds.get_or_create(&labels).set(lag_us as f64 / 1_000_000.0);
        self.dead_letters.get_or_create(&labels).set(gauge(dead_letters));
        self.is_failing.get_or_create(&labels).set(i64::from(stream.progress.failing.is_some()));
        self.is_paused.get_or_create(&labels).set(i64::from(stream.is_paused));
        // There from the start, so that a first failure is a change.
        for counter in [&self.delivered, &self.refused, &self.failures] {
            drop(counter.get_or_create(&labels));
        }
    }

    /// Forgets streams that are gone.
    pub(crate) fn keep<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let names: Vec<String> = names.map(str::to_owned).collect();
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in known.iter().filter(|name| !names.contains(name)) {
            let labels = labels(gone);
            self.delivered.remove(&labels);
            self.refused.remove(&labels);
            self.failures.remove(&labels);
            self.waiting.remove(&labels);
            self.lag_seconds.remove(&labels);
            self.dead_letters.remove(&labels);
            self.is_failing.remove(&labels);
            self.is_paused.remove(&labels);
        }
        *known = names;
    }
}
