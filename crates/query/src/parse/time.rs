//! Times: absolute, relative, and ranges of them.
//!
//! Every value is a period `[start, end)` as long as its precision: a year, a month, a day, or one microsecond for an
//! instant. The operators then choose which end counts, so that `<=2026-01` includes all of January.

use super::scan::Comparison;
use super::value::Place;
use crate::Test;
use crate::errors::{Problem, QueryError};
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Span, Timestamp};

/// 0000-01-01T00:00:00Z, the first microsecond that RFC 3339 can write.
pub(crate) const TIME_US_MIN: i64 = -62_167_219_200_000_000;
/// 9999-12-31T23:59:59.999999Z, the last microsecond that RFC 3339 can write.
pub(crate) const TIME_US_MAX: i64 = 253_402_300_799_999_999;
/// 0001-01-01T00:00:00Z, Go's zero time, which Coder takes for "no filter".
const GO_ZERO_US: i64 = -62_135_596_800_000_000;

const SECOND_US: i64 = 1_000_000;
pub(crate) const DAY_US: i64 = 86_400 * SECOND_US;
/// 1970-01-01 was a Thursday, three days after the Monday that its week began with.
const MONDAY_TO_EPOCH_US: i64 = 3 * DAY_US;

const EXPECTED: &str = "expected a date such as `2026-01-31`, a month `2026-01`, a year `2026`, an instant \
    `2026-01-31T12:00:00Z`, or a relative time such as `now-7d`, `24h`, `today`";

/// What a value stands for, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start_us: i64,
    /// The first microsecond after.
    pub(super) end_us: i64,
    /// Whether it is a point in time rather than a day, a month or the like.
    pub(super) is_instant: bool,
}

impl Period {
    /// Whether it begins at the zero time of Coder, which means no filter.
    pub(super) fn is_go_zero(self) -> bool {
        self.start_us == GO_ZERO_US
    }

    fn instant(at_us: i64) -> Self {
        Self { start_us: at_us, end_us: at_us.saturating_add(1), is_instant: true }
    }

    fn of_dates(first: Date, next: Option<Date>) -> Self {
        let end_us = next.map_or(TIME_US_MAX + 1, midnight_us);
        Self { start_us: midnight_us(first), end_us, is_instant: false }
    }
}

/// Reads the value of `time`.
pub(super) fn read(
    text: &str,
    comparison: Option<Comparison>,
    now: Timestamp,
    place: &Place,
) -> Result<Test, QueryError> {
    let period = |text: &str| read_period(text, now, place);
    let (from_us, before_us) = match (comparison, text.split_once("..")) {
        (Some(Comparison::AtLeast), _) => (Some(period(text)?.start_us), None),
        (Some(Comparison::Above), _) => (Some(period(text)?.end_us), None),
        (Some(Comparison::AtMost), _) => (None, Some(period(text)?.end_us)),
        (Some(Comparison::Below), _) => (None, Some(period(text)?.start_us)),
        (None, None) => {
            let period = period(text)?;
            (Some(period.start_us), Some(period.end_us))
        }
        (None, Some(("", ""))) => return Err(bad(text, place)),
        (None, Some((from, ""))) => (Some(period(from)?.start_us), None),
        (None, Some(("", to))) => (None, Some(period(to)?.end_us)),
        (None, Some((from, to))) => {
            let (first, last) = (period(from)?, period(to)?);
            if first.start_us >= last.end_us {
                return Err(place.error(&Problem::Reversed).with_replacement(format!("{to}..{from}")));
            }
            (Some(first.start_us), Some(last.end_us))
        }
    };
    Ok(Test::Time { from_us, before_us })
}

/// Reads one time.
pub(super) fn read_period(text: &str, now: Timestamp, place: &Place) -> Result<Period, QueryError> {
    let period = if text.starts_with(|first: char| first.is_ascii_digit()) && !is_ago(text) {
        absolute(text).ok_or_else(|| bad(text, place))?
    } else {
        relative(text, now).ok_or_else(|| bad(text, place))?
    };
    if (TIME_US_MIN..=TIME_US_MAX).contains(&period.start_us) && period.end_us <= TIME_US_MAX + 1 {
        Ok(period)
    } else {
        Err(place.error(&Problem::TimeOutside(text.to_owned())))
    }
}

/// Returns the date and time of a moment, or of the nearest that RFC 3339 can write.
pub(crate) fn date_time(at_us: i64) -> DateTime {
    let since_epoch = SignedDuration::from_micros(at_us.clamp(TIME_US_MIN, TIME_US_MAX));
    epoch().saturating_add(since_epoch)
}

fn epoch() -> DateTime {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
}

fn date_time_us(date_time: DateTime) -> i64 {
    // The years -9999 to 9999 are 6.3e17 microseconds.
    i64::try_from(date_time.duration_since(epoch()).as_micros()).expect("all civil times fit")
}

fn midnight_us(date: Date) -> i64 {
    date_time_us(date.to_datetime(Time::midnight()))
}

fn bad(text: &str, place: &Place) -> QueryError {
    let error = place.error(&Problem::BadTime(text.to_owned()));
    match respelled_date(text) {
        Some(date) => error.with_replacement(date),
        None if is_date_shaped(text) => error.with_hint("the calendar has no such day"),
        None => error.with_hint(EXPECTED),
    }
}

/// Returns the right spelling of dates such as `2026-1-5` and `2026/01/05`.
fn respelled_date(text: &str) -> Option<String> {
    let mut numbers = text.split(['-', '/', '.']);
    let (year, month, day) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let is_short = |number: &str| (1..=2).contains(&number.len());
    if year.len() != 4 || !is_short(month) || !is_short(day) || numbers.next().is_some() {
        return None;
    }
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    Some(date.to_string())
}

/// Whether the text is spelt like `2026-02-30`.
fn is_date_shaped(text: &str) -> bool {
    let mut fields = text.split('-');
    let is_strict =
        [4, 2, 2].into_iter().all(|length| fields.next().and_then(|field| digits(field, length)).is_some());
    is_strict && fields.next().is_none()
}

/// Whether the text is a number and a unit, such as `24h`: that long ago.
fn is_ago(text: &str) -> bool {
    text.trim_start_matches(|first: char| first.is_ascii_digit())
        .starts_with(|unit: char| unit.is_ascii_alphabetic())
}

/// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or an RFC 3339 instant. Digits are strict, as in Coder.
fn absolute(text: &str) -> Option<Period> {
    if text.contains('t') {
        return instant(text);
    }
    let mut fields = text.split('-');
    let year = digits(fields.next()?, 4)?;
    let Some(month) = fields.next() else {
        let first = Date::new(year, 1, 1).ok()?;
        return Some(Period::of_dates(first, year_after(first)));
    };
    let month = i8::try_from(digits(month, 2)?).ok()?;
    let Some(day) = fields.next() else {
        let first = Date::new(year, month, 1).ok()?;
        return Some(Period::of_dates(first, month_after(first)));
    };
    if fields.next().is_some() {
        return None;
    }
    let date = Date::new(year, month, i8::try_from(digits(day, 2)?).ok()?).ok()?;
    Some(Period::of_dates(date, date.tomorrow().ok()))
}

fn digits(text: &str, count: usize) -> Option<i16> {
    let is_strict = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_strict { text.parse().ok() } else { None }
}

fn year_after(first: Date) -> Option<Date> {
    Date::new(first.year().checked_add(1)?, 1, 1).ok()
}

fn month_after(first: Date) -> Option<Date> {
    match first.month() {
        12 => year_after(first),
        month => Date::new(first.year(), month + 1, 1).ok(),
    }
}

/// Reads an RFC 3339 instant, folded. Without an offset it is UTC.
fn instant(text: &str) -> Option<Period> {
    if text.contains('[') {
        return None;
    }
    let (_, time) = text.split_once('t')?;
    let nanoseconds = if time.contains(['+', '-']) {
        text.parse::<Timestamp>().ok()?.as_nanosecond()
    } else {
        let local = text.strip_suffix('z').unwrap_or(text);
        local.parse::<DateTime>().ok()?.duration_since(epoch()).as_nanos()
    };
    // Events have microseconds. With a finer value no event is at it: the period is empty and lies after it.
    let at_us = i64::try_from(nanoseconds.div_euclid(1000)).ok()?;
    let is_whole = nanoseconds.rem_euclid(1000) == 0;
    Some(Period { start_us: at_us + i64::from(!is_whole), end_us: at_us + 1, is_instant: true })
}

/// Reads `now-7d`, `-7d`, `7d`, `today`, `yesterday`, `now/d`, `now-1mo@mo`.
fn relative(text: &str, now: Timestamp) -> Option<Period> {
    let now_us = now.as_microsecond();
    let (mut at_us, mut snap, mut rest) = if let Some(rest) = text.strip_prefix("now") {
        (now_us, None, rest)
    } else if let Some(rest) = text.strip_prefix("today") {
        (now_us, Some(Unit::Day), rest)
    } else if let Some(rest) = text.strip_prefix("yesterday") {
        (now_us.checked_sub(DAY_US)?, Some(Unit::Day), rest)
    } else if text.starts_with(|first: char| first.is_ascii_digit()) {
        let (count, unit, rest) = amount(text)?;
        (unit.shift(now_us, -count)?, None, rest)
    } else if text.starts_with('-') {
        (now_us, None, text)
    } else {
        return None;
    };
    while let Some(sign) = rest.chars().next().filter(|sign| matches!(sign, '+' | '-')) {
        let (count, unit, after) = amount(&rest[1..])?;
        at_us = unit.shift(at_us, if sign == '-' { -count } else { count })?;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(['/', '@']) {
        let (unit, after) = Unit::at_start(after)?;
        (snap, rest) = (Some(unit), after);
    }
    if !rest.is_empty() {
        return None;
    }
    match snap {
        None => Some(Period::instant(at_us)),
        Some(unit) => unit.period_around(at_us),
    }
}

/// Reads a number and a unit; returns what follows with them.
fn amount(text: &str) -> Option<(i64, Unit, &str)> {
    let digit_count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digit_count);
    let count = number.parse().ok()?;
    let (unit, rest) = Unit::at_start(rest)?;
    Some((count, unit, rest))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// Reads the unit a text begins with; `mo` is a month, `m` a minute.
    fn at_start(text: &str) -> Option<(Self, &str)> {
        let letter_count = text.bytes().take_while(u8::is_ascii_lowercase).count();
        let (name, rest) = text.split_at(letter_count);
        let unit = match name {
            "s" => Self::Second,
            "m" | "min" => Self::Minute,
            "h" => Self::Hour,
            "d" => Self::Day,
            "w" => Self::Week,
            "mo" => Self::Month,
            "y" => Self::Year,
            _ => return None,
        };
        Some((unit, rest))
    }

    /// Returns the length, if every such unit has the same.
    fn length_us(self) -> Option<i64> {
        match self {
            Self::Second => Some(SECOND_US),
            Self::Minute => Some(60 * SECOND_US),
            Self::Hour => Some(3600 * SECOND_US),
            Self::Day => Some(DAY_US),
            Self::Week => Some(7 * DAY_US),
            Self::Month | Self::Year => None,
        }
    }

    fn shift(self, at_us: i64, count: i64) -> Option<i64> {
        if let Some(length_us) = self.length_us() {
            return at_us.checked_add(count.checked_mul(length_us)?);
        }
        let span = match self {
            Self::Year => Span::new().try_years(count),
            _ => Span::new().try_months(count),
        };
        Some(date_time_us(date_time(at_us).checked_add(span.ok()?).ok()?))
    }

    fn period_around(self, at_us: i64) -> Option<Period> {
        if let Some(length_us) = self.length_us() {
            let shift_us = if self == Self::Week { MONDAY_TO_EPOCH_US } else { 0 };
            let into_us = at_us.checked_add(shift_us)?.rem_euclid(length_us);
            let start_us = at_us.checked_sub(into_us)?;
            return Some(Period { start_us, end_us: start_us.checked_add(length_us)?, is_instant: false });
        }
        let date = date_time(at_us).date();
        let first_of_month = date.first_of_month();
        Some(match self {
            Self::Year => Period::of_dates(date.first_of_year(), year_after(date)),
            _ => Period::of_dates(first_of_month, month_after(first_of_month)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-18T15:04:05.678901Z, a Wednesday.
    fn now() -> Timestamp {
        "2026-03-18T15:04:05.678901Z".parse().unwrap()
    }

    fn show(text: &str) -> String {
        let place = Place { field: "time", span: 0..0 };
        match read_period(text, now(), &place) {
            Ok(Period { start_us, end_us, is_instant: true }) if end_us == start_us + 1 => {
                format!("at {}", date_time(start_us))
            }
            Ok(Period { start_us, end_us, .. }) => {
                format!("{} to {}", date_time(start_us), date_time(end_us))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn limits_are_the_years_of_rfc_3339() {
        assert_eq!(date_time(TIME_US_MIN).to_string(), "0000-01-01T00:00:00");
        assert_eq!(date_time(TIME_US_MAX).to_string(), "9999-12-31T23:59:59.999999");
        assert_eq!(date_time(GO_ZERO_US).to_string(), "0001-01-01T00:00:00");
    }

    #[test]
    fn reads_every_form() {
        let cases = [
            ("2026", "2026-01-01T00:00:00 to 2027-01-01T00:00:00"),
            ("2026-12", "2026-12-01T00:00:00 to 2027-01-01T00:00:00"),
            ("2024-02-29", "2024-02-29T00:00:00 to 2024-03-01T00:00:00"),
            ("2026-01-31t12:00:00z", "at 2026-01-31T12:00:00"),
            ("2026-01-31t12:00:00.25+02:00", "at 2026-01-31T10:00:00.25"),
            ("2026-01-31t12:00", "at 2026-01-31T12:00:00"),
            ("2026-01-31t12:00:00.0000005z", "2026-01-31T12:00:00.000001 to 2026-01-31T12:00:00.000001"),
            ("now", "at 2026-03-18T15:04:05.678901"),
            ("now-7d", "at 2026-03-11T15:04:05.678901"),
            ("-7d", "at 2026-03-11T15:04:05.678901"),
            ("7d", "at 2026-03-11T15:04:05.678901"),
            ("24h", "at 2026-03-17T15:04:05.678901"),
            ("now-1mo", "at 2026-02-18T15:04:05.678901"),
            ("now-1y+1d", "at 2025-03-19T15:04:05.678901"),
            ("today", "2026-03-18T00:00:00 to 2026-03-19T00:00:00"),
            ("yesterday", "2026-03-17T00:00:00 to 2026-03-18T00:00:00"),
            ("now/d", "2026-03-18T00:00:00 to 2026-03-19T00:00:00"),
            ("-1d@d", "2026-03-17T00:00:00 to 2026-03-18T00:00:00"),
            ("now/w", "2026-03-16T00:00:00 to 2026-03-23T00:00:00"),
            ("now/mo", "2026-03-01T00:00:00 to 2026-04-01T00:00:00"),
            ("now-3mo/y", "2025-01-01T00:00:00 to 2026-01-01T00:00:00"),
            ("now/h", "2026-03-18T15:00:00 to 2026-03-18T16:00:00"),
            ("0000-01-01", "0000-01-01T00:00:00 to 0000-01-02T00:00:00"),
            ("9999-12-31", "9999-12-31T00:00:00 to 9999-12-31T23:59:59.999999"),
            ("9999", "9999-01-01T00:00:00 to 9999-12-31T23:59:59.999999"),
        ];
        for (text, expected) in cases {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn rejects_what_is_no_time() {
        let cases = [
            "",
            "-",
            "now-",
            "now-d",
            "nowadays",
            "7",
            "7q",
            "10000",
            "10000-01-01",
            "2026-1-5",
            "2026-13",
            "2026-02-30",
            "2026-01-01-01",
            "02026",
            "+2026",
            "2026-01-31t25:00:00z",
            "2026-01-31t",
            "t",
            "now/",
            "now/d/d",
            "1700000000",
            "99999999999999999999d",
            "now-9999999999999d",
            "now-99999y",
            "2026-01-31t12:00:00z[utc]",
            "٢٠٢٦",
        ];
        for text in cases {
            assert!(show(text).contains("is not a time"), "{text}: {}", show(text));
        }
        assert!(show("now-9000y").contains("outside the years"), "{}", show("now-9000y"));
        assert!(show("now+90000000d").contains("outside the years"));
    }
}
