//! Lengths of the spans of a histogram.

use std::fmt;
use std::str::FromStr;

/// Most buckets of one answer.
pub const BUCKETS_MAX: usize = 2_000;
/// Buckets that a length chosen by us gives at most.
const BUCKETS_WANTED: i64 = 60;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The length of a bucket. Buckets begin at multiples of their length since 1970-01-01T00:00Z, weeks on Mondays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    micros: i64,
}

/// A text that is no length of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time; write a number and s, m, h, d or w, such as `15m`, `1h` or `1d`")]
pub struct BucketError;

impl Bucket {
    /// One day.
    pub const DAY: Bucket = Bucket { micros: DAY_US };

    /// The shortest usual length that gives at most about 60 buckets.
    pub(crate) fn fitting(from_us: i64, to_us: i64) -> Bucket {
        const USUAL: [i64; 15] = [
            SECOND_US,
            10 * SECOND_US,
            MINUTE_US,
            5 * MINUTE_US,
            15 * MINUTE_US,
            HOUR_US,
            3 * HOUR_US,
            6 * HOUR_US,
            12 * HOUR_US,
            DAY_US,
            2 * DAY_US,
            7 * DAY_US,
            28 * DAY_US,
            91 * DAY_US,
            364 * DAY_US,
        ];
        let span = to_us.saturating_sub(from_us);
        let fits = USUAL.into_iter().find(|micros| span / micros < BUCKETS_WANTED);
        Bucket { micros: fits.unwrap_or_else(|| (span / BUCKETS_WANTED / DAY_US + 1) * DAY_US) }
    }

    /// The edges of the buckets that hold `[from_us, to_us)`; nothing if they are too many.
    pub(crate) fn edges(self, from_us: i64, to_us: i64) -> Option<Vec<i64>> {
        // 1970-01-01 was a Thursday: weeks begin four days later.
        let origin = if self.micros % (7 * DAY_US) == 0 { 4 * DAY_US } else { 0 };
        let first = (from_us - origin).div_euclid(self.micros) * self.micros + origin;
        let count = usize::try_from((to_us - first).div_euclid(self.micros)).ok()?;
        if count > BUCKETS_MAX {
            return None;
        }
        let mut edges: Vec<i64> = Vec::with_capacity(count + 2);
        edges.push(first);
        while *edges.last()? < to_us {
            edges.push(edges.last()?.checked_add(self.micros)?);
        }
        (edges.len() - 1 <= BUCKETS_MAX).then_some(edges)
    }
}

impl FromStr for Bucket {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Bucket, BucketError> {
        let unit = text.char_indices().next_back().ok_or(BucketError)?;
        let micros = match unit.1 {
            's' => SECOND_US,
            'm' => MINUTE_US,
            'h' => HOUR_US,
            'd' => DAY_US,
            'w' => 7 * DAY_US,
            _ => return Err(BucketError),
        };
        let number: i64 = text[..unit.0].parse().map_err(|_| BucketError)?;
        let micros = number.checked_mul(micros).filter(|_| (1..=100_000).contains(&number));
        micros.map(|micros| Bucket { micros }).ok_or(BucketError)
    }
}

/// The shortest text that reads back as the same length.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(7 * DAY_US, 'w'), (DAY_US, 'd'), (HOUR_US, 'h'), (MINUTE_US, 'm'), (SECOND_US, 's')];
        let unit = units.into_iter().find(|(micros, _)| self.micros % micros == 0);
        let (micros, name) = unit.unwrap_or((SECOND_US, 's'));
        write!(f, "{}{name}", self.micros / micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_and_print() {
        for (text, expect) in [("15m", "15m"), ("1h", "1h"), ("24h", "1d"), ("14d", "2w"), ("90s", "90s")] {
            assert_eq!(text.parse::<Bucket>().unwrap().to_string(), expect);
        }
        for text in ["", "h", "0h", "-1h", "1", "1y", "1.5h", "é", "999999999999d"] {
            assert_eq!(text.parse::<Bucket>(), Err(BucketError), "{text}");
        }
    }

    #[test]
    fn edges_hold_the_span_and_begin_at_multiples() {
        let hour: Bucket = "1h".parse().unwrap();
        assert_eq!(hour.edges(1, HOUR_US).unwrap(), [0, HOUR_US]);
        assert_eq!(hour.edges(-1, HOUR_US + 1).unwrap(), [-HOUR_US, 0, HOUR_US, 2 * HOUR_US]);
        // 2026-11-23 is a Monday.
        let monday = 20_780 * DAY_US;
        let week: Bucket = "1w".parse().unwrap();
        assert_eq!(week.edges(monday + 3 * DAY_US, monday + 4 * DAY_US).unwrap()[0], monday);
        assert_eq!(hour.edges(0, 2_001 * HOUR_US), None);
        assert_eq!(hour.edges(i64::MIN / 4, i64::MAX / 4), None);
    }

    #[test]
    fn a_chosen_length_gives_a_readable_number_of_buckets() {
        for days in [1, 7, 30, 365, 4_000, 3_000_000] {
            let count = Bucket::fitting(0, days * DAY_US).edges(0, days * DAY_US).unwrap().len() - 1;
            assert!((12..=61).contains(&count), "{days} days: {count}");
        }
    }
}
