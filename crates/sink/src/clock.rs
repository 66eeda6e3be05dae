//! The system's clock. It signs webhooks and reads dates in `Retry-After`; no event shows it.

use jiff::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the system's clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
