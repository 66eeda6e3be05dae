//! Numbers, times and names as people read them.

use annals_model::time::Time;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::zone::Zone;

/// A number with a comma after each three digits: `4,812,377`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The calendar and the clock in UTC.
pub(super) fn utc(time: Time) -> DateTime {
    let timestamp = jiff::Timestamp::from_microsecond(time.as_micros())
        .expect("the range of `Time` lies inside the range of the library");
    timestamp.to_zoned(TimeZone::UTC).datetime()
}

/// `23:58:33`
pub(super) fn clock(time: Time) -> String {
    utc(time).strftime("%H:%M:%S").to_string()
}

/// `Saturday 21 November 2026`
pub(super) fn day_name(day: Date) -> String {
    day.strftime("%A %-d %B %Y").to_string()
}

/// `today`, `yesterday`, or nothing.
pub(super) fn near_day(day: Date, today: Date) -> &'static str {
    match day {
        _ if day == today => "today",
        _ if today.yesterday().is_ok_and(|yesterday| day == yesterday) => "yesterday",
        _ => "",
    }
}

/// `Saturday 21 November 2026, 23:58:33 UTC`
pub(super) fn long_time(time: Time) -> String {
    format!("{}, {} UTC", day_name(utc(time).date()), clock(time))
}

/// `2026-11-21 23:58:33 UTC`, in the zone of the reader.
pub(super) fn moment(time: Time, zone: &Zone) -> String {
    zone.at(time).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// The first letters of the first and the last part of a name, or its first two letters: `DO` for `demo-ops`.
pub(super) fn initials(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let mut parts = name.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or_default();
    let letters: String = match parts.next_back() {
        Some(last) => first.chars().take(1).chain(last.chars().take(1)).collect(),
        None => first.chars().take(2).collect(),
    };
    letters.to_uppercase()
}

/// The tint of an avatar, 1 to 4: the same for the same name, and without meaning.
pub(super) fn tint(name: &str) -> u32 {
    name.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 4 + 1
}

/// A number of nanoseconds in the two largest units that it fills: `1 d 2 h`, `90.5 s`. Nothing if it is no time that
/// people set, such as one below a millisecond.
pub(super) fn nanoseconds(text: &str) -> Option<String> {
    let nanoseconds: i64 = text.parse().ok()?;
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let milliseconds = nanoseconds.unsigned_abs() / 1_000_000;
    if milliseconds == 0 {
        return None;
    }
    let seconds = milliseconds / 1_000;
    if seconds == 0 {
        return Some(format!("{sign}{milliseconds} ms"));
    }
    Some(format!("{sign}{}", span(seconds)))
}

/// Seconds in the two largest units that they fill: `1 d 2 h`.
pub(super) fn span(seconds: u64) -> String {
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let shown = units.iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    let shown: Vec<String> = shown.map(|(count, unit)| format!("{count} {unit}")).collect();
    if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (4_812_377, "4,812,377")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn days_have_names() {
        let time = Time::parse("2026-11-21T23:58:33.48122Z").unwrap();
        assert_eq!(long_time(time), "Saturday 21 November 2026, 23:58:33 UTC");
        let day = utc(time).date();
        assert_eq!(near_day(day, day), "today");
        assert_eq!(near_day(day, day.tomorrow().unwrap()), "yesterday");
        assert_eq!(near_day(day, day.yesterday().unwrap()), "");
        assert_eq!(
            long_time(Time::parse("0001-01-01T00:00:00Z").unwrap()),
            "Monday 1 January 0001, 00:00:00 UTC"
        );
    }

    #[test]
    fn initials_are_of_first_and_last_part() {
        for (name, expect) in [
            ("demo-ops", "DO"),
            ("demo-dev-4", "D4"),
            ("alice", "AL"),
            ("alice.smith@example.com", "AS"),
            ("", ""),
            ("--", ""),
            ("ß", "SS"),
            ("<b>", "B"),
        ] {
            assert_eq!(initials(name), expect, "{name}");
        }
    }

    #[test]
    fn nanoseconds_are_readable() {
        for (text, expect) in [
            ("28800000000000", Some("8 h")),
            ("93600000000000", Some("1 d 2 h")),
            ("90000000000", Some("1 min 30 s")),
            ("86400000000000", Some("1 d")),
            ("500000000", Some("500 ms")),
            ("-3600000000000", Some("-1 h")),
            ("0", None),
            ("17", None),
            ("1.5", None),
        ] {
            assert_eq!(nanoseconds(text).as_deref(), expect, "{text}");
        }
        assert_eq!((span(0), span(86_461)), ("0 s".to_owned(), "1 d".to_owned()));
    }
}
