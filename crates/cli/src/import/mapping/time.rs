//! Times as other systems write them.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// Reads a time and returns it in RFC 3339, to the microsecond.
///
/// Takes RFC 3339, the same without an offset (then it is UTC), and numbers since 1970. The unit of a number follows
/// from its size: below 10^11 seconds (until the year 5138), below 10^14 milliseconds, below 10^17 microseconds, above
/// it nanoseconds. With `formats` given, these are tried first, and numbers are none. What is written like a number and
/// means another time than one of [`YEARS`] is something else, such as the days of a spreadsheet.
pub(super) fn parse(text: &str, formats: &[String]) -> Option<String> {
    let text = text.trim();
    let own = formats.iter().find_map(|format| with_format(text, format));
    let numbered = || number(text).filter(|_| formats.is_empty()).filter(is_plausible);
    // A zone in brackets would be dropped without a word.
    let local = || if text.contains('[') { None } else { in_utc(text.parse().ok()?) };
    let timestamp = own.or_else(|| text.parse().ok()).or_else(numbered).or_else(local)?;
    Some(Timestamp::from_microsecond(timestamp.as_microsecond()).ok()?.to_string())
}

/// Years of events: no system that counts since 1970 has older ones.
const YEARS: RangeInclusive<i16> = 1980..=2200;

fn is_plausible(timestamp: &Timestamp) -> bool {
    YEARS.contains(&timestamp.to_zoned(TimeZone::UTC).year())
}

fn in_utc(time: DateTime) -> Option<Timestamp> {
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn with_format(text: &str, format: &str) -> Option<Timestamp> {
    let parts = BrokenDownTime::parse(format, text).ok()?;
    if let Ok(timestamp) = parts.to_timestamp() {
        return Some(timestamp);
    }
    in_utc(parts.to_datetime().or_else(|_| parts.to_date().map(|date| date.at(0, 0, 0, 0))).ok()?)
}

fn number(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 19 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let value: i128 = whole.parse().ok()?;
    let nanoseconds_of_unit: i128 = match value {
        ..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    // Nine digits suffice: a nanosecond is the smallest unit.
    let digits = format!("{:0<9}", fraction.get(..fraction.len().min(9))?);
    let fraction: i128 = digits.parse().ok()?;
    let nanoseconds = value * nanoseconds_of_unit + fraction * nanoseconds_of_unit / 1_000_000_000;
    Timestamp::from_nanosecond(nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_forms() {
        for (text, expect) in [
            ("2023-01-31T18:58:27Z", Some("2023-01-31T18:58:27Z")),
            ("2023-01-31T18:58:27.638+02:00", Some("2023-01-31T16:58:27.638Z")),
            ("2023-01-31 18:58:27.638", Some("2023-01-31T18:58:27.638Z")),
            ("2022-12-29 22:42:44.467000000", Some("2022-12-29T22:42:44.467Z")),
            ("2023-01-31", Some("2023-01-31T00:00:00Z")),
            ("1621305118", Some("2021-05-18T02:31:58Z")),
            ("1621305118.5", Some("2021-05-18T02:31:58.5Z")),
            ("1621305118553", Some("2021-05-18T02:31:58.553Z")),
            ("1621305118553.0", Some("2021-05-18T02:31:58.553Z")),
            ("1621305118553123", Some("2021-05-18T02:31:58.553123Z")),
            ("1621305118553123999", Some("2021-05-18T02:31:58.553123Z")),
            ("0", None),
            ("20251224", Some("2025-12-24T00:00:00Z")),
            ("4102444800000000000000", None),
            ("20250101103000", None),
            ("45658.5", None),
            ("2025-01-01T10:00:00[Europe/Berlin]", None),
            ("2025-01-01T10:00:00+01:00[Europe/Berlin]", Some("2025-01-01T09:00:00Z")),
            ("-5", None),
            ("yesterday", None),
            ("", None),
            ("1.2.3", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(parse(text, &[]).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn reads_a_form_of_its_own() {
        let formats = ["%d/%b/%Y:%H:%M:%S %z".to_owned(), "%d.%m.%Y %H:%M".to_owned(), "%d.%m.%Y".to_owned()];
        for (text, expect) in [
            ("10/Oct/2000:13:55:36 -0700", Some("2000-10-10T20:55:36Z")),
            ("24.12.2025 18:30", Some("2025-12-24T18:30:00Z")),
            ("24.12.2025", Some("2025-12-24T00:00:00Z")),
            ("2025-12-24T00:00:00Z", Some("2025-12-24T00:00:00Z")),
            ("24/12/2025", None),
            ("1621305118", None),
        ] {
            assert_eq!(parse(text, &formats).as_deref(), expect, "{text}");
        }
    }
}
