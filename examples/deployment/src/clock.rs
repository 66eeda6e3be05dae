//! The time: the system's, or one that is set, so that a past can be played through.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Says what time it is.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Microseconds since 1970; 0 for the system's time.
    set_us: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { set_us: AtomicI64::new(0) }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place of this program that reads the clock")]
    pub(crate) fn now(&self) -> Timestamp {
        match self.set() {
            Some(time) => time,
            None => Timestamp::now(),
        }
    }

    /// The time that was set.
    pub(crate) fn set(&self) -> Option<Timestamp> {
        let set_us = self.set_us.load(Ordering::SeqCst);
        Timestamp::from_microsecond(set_us).ok().filter(|_| set_us != 0)
    }

    /// Stands still at a time from now on; goes with the system's without one.
    pub(crate) fn set_to(&self, time: Option<Timestamp>) {
        self.set_us.store(time.map_or(0, Timestamp::as_microsecond), Ordering::SeqCst);
    }
}
