//! What a stream is doing, in words and signs: colour alone says nothing.

use annals_engine::{StreamState, StreamStatus};
use annals_model::time::Time;

use crate::pages::format;

/// Events that wait for less are on their way; a stream that is further back is behind.
const BEHIND_US: u64 = 60_000_000;

/// A word with its sign and tone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    pub(super) word: &'static str,
}

impl Badge {
    const fn new(tone: &'static str, icon: &'static str, word: &'static str) -> Badge {
        Badge { tone, icon, word }
    }
}

/// What a stream is doing; that it stalled stands before all else.
pub(super) fn badges(status: &StreamStatus) -> Vec<Badge> {
    let state = match status.state {
        StreamState::Paused => Badge::new("wait", "pause", "Paused"),
        StreamState::Failing => Badge::new("bad", "fail", "Failing"),
        StreamState::Behind if status.lag_us < BEHIND_US => Badge::new("wait", "live", "Delivering"),
        StreamState::Behind => Badge::new("warn", "clock", "Behind"),
        StreamState::Idle => Badge::new("ok", "check", "Up to date"),
    };
    let stalled = Badge::new("bad", "ban", "Stalled");
    if status.stream.progress.is_alerted { vec![stalled, state] } else { vec![state] }
}

/// The smaller, the more there is to look at.
pub(super) fn rank(status: &StreamStatus) -> u8 {
    match status.state {
        _ if status.stream.progress.is_alerted => 0,
        StreamState::Failing => 1,
        _ if status.dead_letters.all > 0 => 2,
        StreamState::Behind if status.lag_us >= BEHIND_US => 3,
        StreamState::Paused => 4,
        StreamState::Behind | StreamState::Idle => 5,
    }
}

/// How far back a stream is: `4 min 10 s behind`, or nothing.
pub(super) fn behind(status: &StreamStatus) -> String {
    let seconds = status.lag_us / 1_000_000;
    if status.waiting == 0 || seconds == 0 {
        return String::new();
    }
    format!("{} behind", format::span(seconds))
}

/// Events a second: two digits, or all of a large number.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        _ if rate < 0.05 => "0/s".to_owned(),
        _ if rate < 9.95 => format!("{rate:.1}/s"),
        _ => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is above 9")]
            let whole = rate.round() as u64;
            format!("{}/s", format::grouped(whole))
        }
    }
}

/// Whole seconds from one moment to another; 0 if the second is not later.
pub(super) fn seconds_between(from: Time, to: Time) -> u64 {
    u64::try_from(to.as_micros().saturating_sub(from.as_micros())).unwrap_or_default() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits() {
        for (given, expect) in [
            (0.0, "0/s"),
            (0.04, "0/s"),
            (0.26, "0.3/s"),
            (9.9, "9.9/s"),
            (9.96, "10/s"),
            (12_031.4, "12,031/s"),
        ] {
            assert_eq!(rate(given), expect);
        }
    }

    #[test]
    fn time_does_not_run_backwards() {
        let time = Time::from_micros_saturating;
        assert_eq!(seconds_between(time(1_000_000), time(3_999_999)), 2);
        assert_eq!(seconds_between(time(3_000_000), time(1_000_000)), 0);
    }
}
