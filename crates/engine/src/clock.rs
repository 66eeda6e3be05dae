//! The one place where the time is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals_model::time::Time;

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stands until it is set, for tests and simulations; microseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at a time.
    pub fn fixed(time: Time) -> Clock {
        Clock::Fixed(Arc::new(AtomicI64::new(time.as_micros())))
    }

    /// Returns the time.
    pub fn now(&self) -> Time {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
            Clock::System => Time::from_micros_saturating(jiff::Timestamp::now().as_microsecond()),
            Clock::Fixed(micros) => Time::from_micros_saturating(micros.load(Ordering::Relaxed)),
        }
    }
}
