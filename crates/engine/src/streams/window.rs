//! Getting a window of events to the receiver: batches, acknowledgement, and what it refuses.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use annals_sink::{BatchLimits, Outgoing, SendError, Sink, Which};

use super::service::Signal;

/// Events in a row that a receiver refuses before it counts as broken: a single bad event must not hold up the others, but a receiver that takes
/// nothing must not turn the whole log into dead letters. From then on each attempt costs one event, so that a truly bad one at the head does not
/// stop everything for ever.
pub(super) const REFUSED_RUN_MAX: u64 = 100;

/// The receiver is away, or refuses everything: nothing is wrong with the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    pub(super) reason: String,
    pub(super) after: Option<Duration>,
}

/// Events on their way, cut into batches.
#[derive(Debug, Default)]
pub(super) struct Window {
    batches: Vec<Batch>,
}

#[derive(Debug, Default)]
struct Batch {
    /// What is still to be acknowledged.
    events: Vec<Outgoing>,
    /// What the receiver refused, and what it said.
    refused: Vec<(Outgoing, String)>,
    /// Acknowledged events.
    accepted: u64,
}

/// How many events in a row were refused; shared by those who send at the same time.
#[derive(Debug, Default)]
pub(super) struct RefusedRun(Mutex<u64>);

impl RefusedRun {
    fn accept(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }

    /// Counts one more, and says whether that is too many.
    fn refuse(&self) -> bool {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        *count > REFUSED_RUN_MAX
    }
}

impl Window {
    pub(super) fn new(events: Vec<Outgoing>, limits: BatchLimits) -> Window {
        let mut batches: Vec<Batch> = Vec::new();
        let mut bytes = 0;
        for event in events {
            let fits = |batch: &Batch| {
                batch.events.len() < limits.events && bytes + event.line.len() <= limits.bytes
            };
            if !batches.last().is_some_and(fits) {
                batches.push(Batch::default());
                bytes = 0;
            }
            bytes += event.line.len();
            batches.last_mut().expect("one was pushed").events.push(event);
        }
        Window { batches }
    }

    /// Hands what is left to the sinks, which work at the same time, and waits for their acknowledgement. After an error it is called again
    /// later; what was acknowledged meanwhile is not sent again.
    pub(super) fn deliver(
        &mut self,
        sinks: &mut [Box<dyn Sink>],
        run: &RefusedRun,
        stop: &Signal,
    ) -> Result<(), Later> {
        if let [sink] = sinks {
            return deliver_to(sink.as_mut(), self.batches.iter_mut(), run, stop);
        }
        let mut shares: Vec<Vec<&mut Batch>> = sinks.iter().map(|_| Vec::new()).collect();
        let count = shares.len().max(1);
        for (at, batch) in self.batches.iter_mut().filter(|batch| !batch.events.is_empty()).enumerate() {
            shares[at % count].push(batch);
        }
        let results: Vec<Result<(), Later>> = std::thread::scope(|scope| {
            let work = sinks.iter_mut().zip(shares).filter(|(_, share)| !share.is_empty());
            let threads: Vec<_> = work
                .map(|(sink, share)| scope.spawn(|| deliver_to(sink.as_mut(), share, run, stop)))
                .collect();
            let ended = |_| Later { reason: "a sink ended by a panic".to_owned(), after: None };
            threads.into_iter().map(|thread| thread.join().map_err(ended).flatten()).collect()
        });
        results.into_iter().collect()
    }

    /// Events that were acknowledged.
    pub(super) fn accepted(&self) -> u64 {
        self.batches.iter().map(|batch| batch.accepted).sum()
    }

    /// Events that were refused, by seq, with what the receiver said.
    pub(super) fn refused(&self) -> impl Iterator<Item = (u64, &str)> {
        self.batches
            .iter()
            .flat_map(|batch| &batch.refused)
            .map(|(event, reason)| (event.seq, reason.as_str()))
    }
}

/// Sends batches one after the other, then waits for all of them.
fn deliver_to<'b>(
    sink: &mut dyn Sink,
    batches: impl IntoIterator<Item = &'b mut Batch>,
    run: &RefusedRun,
    stop: &Signal,
) -> Result<(), Later> {
    let mut sent = Vec::new();
    for batch in batches.into_iter().filter(|batch| !batch.events.is_empty()) {
        if stop.is_set() {
            return Err(Later { reason: "the server stops".to_owned(), after: None });
        }
        batch.send(sink, run)?;
        if sink.acknowledges_each() {
            batch.accept();
        } else {
            sent.push(batch);
        }
    }
    if sent.is_empty() {
        return Ok(());
    }
    sink.settle().map_err(later)?;
    sent.into_iter().for_each(Batch::accept);
    Ok(())
}

fn later(error: SendError) -> Later {
    match error {
        SendError::Later { reason, after } => Later { reason, after },
        SendError::Refused { reason, .. } => Later { reason, after: None },
    }
}

impl Batch {
    /// The receiver has what is left of it.
    fn accept(&mut self) {
        self.accepted += self.events.len() as u64;
        self.events.clear();
    }

    /// Hands the batch over. Where the receiver refuses it, the events at fault are found by halving, in the order of the log.
    fn send(&mut self, sink: &mut dyn Sink, run: &RefusedRun) -> Result<(), Later> {
        let mut refused: Vec<(usize, String)> = Vec::new();
        // Ranges still to be sent, the first one last.
        let mut ranges = Vec::new();
        ranges.push(0..self.events.len());
        let mut outcome = Ok(());
        while let Some(range) = ranges.pop() {
            if range.is_empty() {
                continue;
            }
            match sink.send(&self.events[range.clone()]) {
                Ok(()) => run.accept(),
                Err(SendError::Later { reason, after }) => {
                    outcome = Err(Later { reason, after });
                    break;
                }
                Err(SendError::Refused { reason, which }) => {
                    let (start, end) = (range.start, range.end);
                    match which {
                        _ if range.len() == 1 => {
                            refused.push((start, reason));
                        }
                        Which::One(at) if at < range.len() => {
                            refused.push((start + at, reason));
                            ranges.extend([start + at + 1..end, start..start + at]);
                        }
                        // It has the others already; they come twice rather than not at all.
                        Which::Some => ranges.extend((start..end).rev().map(|at| at..at + 1)),
                        Which::All | Which::One(_) => {
                            let middle = start + range.len() / 2;
                            ranges.extend([middle..end, start..middle]);
                            continue;
                        }
                    }
                    if matches!(which, Which::Some) && range.len() > 1 {
                        continue;
                    }
                    if run.refuse() {
                        let reason = refused.last().map(|(_, reason)| reason.as_str()).unwrap_or_default();
                        let reason = format!("the receiver refuses every event: {reason}");
                        outcome = Err(Later { reason, after: None });
                        break;
                    }
                }
            }
        }
        // From the end, so that the places before stay what they are.
        refused.sort_unstable_by_key(|(at, _)| *at);
        for (at, reason) in refused.into_iter().rev() {
            self.refused.push((self.events.remove(at), reason));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use annals_sink::Outcome;
    use proptest::prelude::*;

    use super::super::service::Signal;
    use super::*;

    /// A receiver in memory that refuses some events and is away at some calls.
    #[derive(Debug, Default)]
    struct Fake {
        refuses: BTreeSet<u64>,
        which: Option<Which>,
        acknowledges_each: bool,
        /// Calls that find it away.
        away: BTreeSet<usize>,
        calls: usize,
        /// Handed over since the last settling.
        pending: Vec<u64>,
        received: Vec<u64>,
    }

    impl Fake {
        fn is_away(&mut self) -> bool {
            self.calls += 1;
            self.away.contains(&self.calls)
        }
    }

    impl Sink for Fake {
        fn limits(&self) -> BatchLimits {
            BatchLimits { events: 4, bytes: 1_000 }
        }

        fn acknowledges_each(&self) -> bool {
            self.acknowledges_each
        }

        fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
            if self.is_away() {
                // What was handed over before may have been lost.
                if !self.acknowledges_each {
                    self.pending.clear();
                }
                return Err(SendError::Later { reason: "away".to_owned(), after: None });
            }
            let refused = batch.iter().position(|event| self.refuses.contains(&event.seq));
            let seqs = batch.iter().map(|event| event.seq);
            if let Some(at) = refused {
                let which = match self.which {
                    Some(Which::One(_)) => Which::One(at),
                    Some(Which::Some) => {
                        let taken: Vec<u64> = seqs.filter(|seq| !self.refuses.contains(seq)).collect();
                        self.pending.extend(taken);
                        Which::Some
                    }
                    _ => Which::All,
                };
                return Err(SendError::Refused { reason: "bad".to_owned(), which });
            }
            self.pending.extend(seqs);
            Ok(())
        }

        fn settle(&mut self) -> Result<(), SendError> {
            if self.is_away() {
                self.pending.clear();
                return Err(SendError::Later { reason: "away".to_owned(), after: None });
            }
            self.received.append(&mut self.pending);
            Ok(())
        }
    }

    fn event(seq: u64) -> Outgoing {
        Outgoing {
            seq,
            id: seq.to_string(),
            time_us: 0,
            received_us: 0,
            action: "create".to_owned(),
            resource_type: "template".to_owned(),
            outcome: Outcome::Success,
            line: "x".repeat(10),
        }
    }

    fn window(count: u64) -> Window {
        Window::new((0..count).map(event).collect(), BatchLimits { events: 4, bytes: 1_000 })
    }

    #[test]
    fn batches_keep_to_both_limits() {
        let limits = BatchLimits { events: 3, bytes: 25 };
        let window = Window::new((0..5).map(event).collect(), limits);
        let sizes: Vec<usize> = window.batches.iter().map(|batch| batch.events.len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
        let large = Window::new(vec![event(1)], BatchLimits { events: 3, bytes: 1 });
        assert_eq!(large.batches.len(), 1, "a single event may be larger");
    }

    #[test]
    fn a_receiver_that_refuses_everything_is_broken_and_no_event_is() {
        let fake = Fake { refuses: (0..1_000).collect(), ..Fake::default() };
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(fake)];
        let mut window = window(1_000);
        let run = RefusedRun::default();
        let stop = Signal::default();
        for attempt in 1..5 {
            let later = window.deliver(&mut sinks, &run, &stop).unwrap_err();
            assert_eq!(later.reason, "the receiver refuses every event: bad");
            assert_eq!(window.refused().count() as u64, REFUSED_RUN_MAX + attempt);
        }
    }

    #[test]
    fn nothing_more_is_sent_once_it_is_time_to_stop() {
        let mut sink = Fake { acknowledges_each: true, ..Fake::default() };
        let (mut window, stop) = (window(10), Signal::default());
        stop.set();
        let run = RefusedRun::default();
        assert!(deliver_to(&mut sink, window.batches.iter_mut(), &run, &stop).is_err());
        assert_eq!((sink.calls, window.accepted()), (0, 0));
    }

    proptest! {
        #[test]
        fn everything_is_received_in_order_or_refused(
            count in 1_u64..40,
            refuses in prop::collection::btree_set(0_u64..40, 0..8),
            away in prop::collection::btree_set(1_usize..60, 0..12),
            acknowledges_each in any::<bool>(),
            which in prop::sample::select(vec![Which::All, Which::One(0), Which::Some]),
        ) {
            let mut sink =
                Fake { refuses: refuses.clone(), which: Some(which), away, acknowledges_each, ..Fake::default() };
            let mut window = window(count);
            let (run, stop) = (RefusedRun::default(), Signal::default());
            while deliver_to(&mut sink, window.batches.iter_mut(), &run, &stop).is_err() {}
            sink.received.append(&mut sink.pending);
            let refused: BTreeSet<u64> = window.refused().map(|(seq, _)| seq).collect();
            let expected: BTreeSet<u64> = refuses.into_iter().filter(|seq| *seq < count).collect();
            prop_assert_eq!(&refused, &expected);
            let received: BTreeSet<u64> = sink.received.iter().copied().collect();
            prop_assert_eq!(received, (0..count).filter(|seq| !expected.contains(seq)).collect::<BTreeSet<_>>());
            prop_assert_eq!(window.accepted(), count - expected.len() as u64);
            if which != Which::Some {
                // Half of a refused batch that was taken may come once more.
                let is_in_order = sink.received.is_sorted_by(|a, b| a < b);
                prop_assert!(is_in_order || acknowledges_each, "{:?}", sink.received);
            }
        }
    }
}
