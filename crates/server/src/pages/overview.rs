//! The chart over time and the most frequent values beside a page of events. Each bar and each value is a link that narrows the
//! query; the query's text stays the one truth.

use annals_engine::{Facets, Key, OutcomeBucket, Overview};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::query_text::{chosen, excluding, with};
use super::{format, search_href};

/// Keys whose values stand beside the events.
pub(super) const FACET_KEYS: [Key; 6] =
    [Key::ResourceType, Key::Action, Key::Outcome, Key::Username, Key::Organization, Key::BuildReason];
/// Values shown of each.
pub(super) const FACET_VALUES: usize = 6;

/// The chart.
pub(super) struct Histogram {
    pub(super) span: String,
    pub(super) unit: String,
    pub(super) success: String,
    pub(super) denied: String,
    pub(super) failure: String,
    /// Labels of the lines: place in percent, and number.
    pub(super) lines: Vec<(String, String)>,
    pub(super) bars: Vec<Bar>,
    /// Labels of the time axis: place in percent, text.
    pub(super) ticks: Vec<(String, String)>,
}

/// One span of time. Lengths are percent of the chart.
pub(super) struct Bar {
    pub(super) href: String,
    pub(super) title: String,
    pub(super) left: String,
    pub(super) width: String,
    pub(super) inner_left: String,
    pub(super) inner_width: String,
    /// Top and height of success, denied and failure.
    pub(super) parts: [(String, String); 3],
    pub(super) from: String,
    pub(super) to: String,
}

/// The most frequent values of a key.
pub(super) struct Facet {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) distinct: String,
    pub(super) values: Vec<FacetValue>,
}

/// One value.
pub(super) struct FacetValue {
    pub(super) value: String,
    pub(super) count: String,
    /// Percent of the largest.
    pub(super) share: String,
    pub(super) href: String,
    pub(super) exclude_href: String,
    pub(super) is_on: bool,
}

/// The chart of an overview; nothing if no event matches.
pub(super) fn histogram(overview: &Overview, query: &str) -> Option<Histogram> {
    let bucket = overview.bucket?;
    let buckets = &overview.buckets;
    let (first, last) = (buckets.first()?, buckets.last()?);
    let total = |bucket: &OutcomeBucket| bucket.success + bucket.denied + bucket.failure;
    let highest = buckets.iter().map(total).max().unwrap_or(0).max(1);
    let step = step(highest);
    // Some room above the highest bar.
    let top = (highest as f64 * 1.05).max(step as f64);
    let width = 100.0 / buckets.len() as f64;
    let sum = |of: fn(&OutcomeBucket) -> u64| format::grouped(buckets.iter().map(of).sum());
    let bars =
        buckets.iter().enumerate().map(|(at, bucket)| bar(bucket, at as f64 * width, width, top, query));
    let lines = (1..).map(|line| line * step).take_while(|line| *line <= highest);
    Some(Histogram {
        span: format!("{} – {}", day(first.from_us), day(last.to_us - 1)),
        unit: format!("each bar is {}", length_words(&bucket.to_string())),
        success: sum(|bucket| bucket.success),
        denied: sum(|bucket| bucket.denied),
        failure: sum(|bucket| bucket.failure),
        lines: lines.map(|line| (percent(100.0 - line as f64 / top * 100.0), short(line))).collect(),
        bars: bars.collect(),
        ticks: ticks(buckets),
    })
}

fn bar(bucket: &OutcomeBucket, left: f64, width: f64, top: f64, query: &str) -> Bar {
    let mut above = 100.0;
    let parts = [bucket.success, bucket.denied, bucket.failure].map(|count| {
        let height = count as f64 / top * 100.0;
        // A bar that is there is seen, however small.
        let height = if count > 0 { height.max(0.7) } else { 0.0 };
        above -= height;
        (percent(above), percent(height))
    });
    let (from, to) = (time_text(bucket.from_us), time_text(bucket.to_us));
    let count = bucket.success + bucket.denied + bucket.failure;
    let events = if count == 1 { "event" } else { "events" };
    let mut title = format!("{} UTC: {} {events}", long(bucket.from_us), format::grouped(count));
    for (number, word) in [(bucket.denied, "denied"), (bucket.failure, "failed")] {
        if number > 0 {
            title += &format!(", {} {word}", format::grouped(number));
        }
    }
    Bar {
        href: search_href(&between(query, &from, &to), 1),
        title,
        left: percent(left),
        width: percent(width),
        inner_left: percent(left + width * 0.12),
        inner_width: percent(width * 0.76),
        parts,
        from,
        to,
    }
}

/// The query for a span of time instead of the one it names.
pub(super) fn between(query: &str, from: &str, to: &str) -> String {
    let query = ["date_from", "date_to"].iter().fold(query.to_owned(), |query, key| with(&query, key, None));
    with(&with(&query, "since", Some(from)), "until", Some(to))
}

/// The values of an overview.
pub(super) fn facets(overview: &Overview, query: &str) -> Vec<Facet> {
    overview
        .facets
        .iter()
        .filter(|(_, facets)| !facets.top.is_empty())
        .map(|(key, facets)| facet(*key, facets, query))
        .collect()
}

fn facet(key: Key, facets: &Facets, query: &str) -> Facet {
    let name = key.name();
    let largest = facets.top.first().map_or(1, |(_, count)| *count).max(1);
    let asked = chosen(query, name).unwrap_or_default();
    let values = facets.top.iter().map(|(value, count)| {
        let is_on = value.eq_ignore_ascii_case(asked);
        FacetValue {
            count: format::grouped(*count),
            share: percent((*count as f64 / largest as f64 * 100.0).max(1.0)),
            // A second click takes it back.
            href: search_href(&with(query, name, (!is_on).then_some(value.as_str())), 1),
            exclude_href: search_href(&excluding(query, name, value), 1),
            is_on,
            value: value.clone(),
        }
    });
    let values: Vec<FacetValue> = values.collect();
    let more = facets.distinct > values.len() as u64;
    Facet {
        name: title(key),
        key: name,
        distinct: if more {
            format!("{} of {}", values.len(), format::grouped(facets.distinct))
        } else {
            String::new()
        },
        values,
    }
}

pub(super) fn title(key: Key) -> &'static str {
    match key {
        Key::ResourceType => "Resource type",
        Key::Action => "Action",
        Key::Outcome => "Outcome",
        Key::Username => "User",
        Key::Organization => "Organization",
        Key::BuildReason => "Build reason",
        key => key.name(),
    }
}

fn percent(number: f64) -> String {
    format!("{number:.2}%")
}

/// A round number that gives two or three lines.
fn step(highest: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [unit, 2 * unit, 5 * unit] {
            if highest / step <= 3 {
                return step;
            }
        }
        unit *= 10;
    }
}

fn short(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{}k", number as f64 / 1e3),
        _ => format!("{}M", number as f64 / 1e6),
    }
}

fn utc(time_us: i64) -> jiff::civil::DateTime {
    let time = Timestamp::from_microsecond(time_us).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).datetime()
}

fn time_text(time_us: i64) -> String {
    utc(time_us).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn day(time_us: i64) -> String {
    utc(time_us).strftime("%-d %b %Y").to_string()
}

fn long(time_us: i64) -> String {
    utc(time_us).strftime("%-d %b %Y %H:%M").to_string()
}

/// `6h` as words.
fn length_words(length: &str) -> String {
    let (number, unit) = length.split_at(length.len().saturating_sub(1));
    let unit = match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "w" => "week",
        _ => "day",
    };
    if number == "1" { format!("one {unit}") } else { format!("{number} {unit}s") }
}

/// Some four labels: days where the chart spans days, else times.
fn ticks(buckets: &[OutcomeBucket]) -> Vec<(String, String)> {
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Vec::new() };
    let spans_days = utc(first.from_us).checked_add(2.days()).is_ok_and(|after| after < utc(last.to_us));
    let every = buckets.len().div_ceil(5).max(1);
    buckets
        .iter()
        .enumerate()
        .step_by(every)
        .map(|(at, bucket)| {
            let time = utc(bucket.from_us);
            let text = if spans_days { time.strftime("%-d %b") } else { time.strftime("%H:%M:%S") };
            (percent(at as f64 / buckets.len() as f64 * 100.0), text.to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_round_and_few() {
        for (highest, expect) in [(1, 1), (3, 1), (7, 2), (19, 5), (35, 10), (120_000, 50_000)] {
            assert_eq!(step(highest), expect, "{highest}");
        }
    }

    #[test]
    fn a_span_takes_the_place_of_another() {
        let narrowed =
            between("action:login date_from:2026-01-01", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z");
        assert_eq!(narrowed, "action:login since:2026-02-01T00:00:00Z until:2026-02-02T00:00:00Z");
        assert_eq!(
            between(&narrowed, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            "action:login since:2026-03-01T00:00:00Z until:2026-03-02T00:00:00Z"
        );
    }

    #[test]
    fn bars_add_up() {
        let bucket = OutcomeBucket { from_us: 0, to_us: 3_600_000_000, success: 50, denied: 25, failure: 25 };
        let bar = bar(&bucket, 0.0, 100.0, 100.0, "");
        assert_eq!(
            bar.parts,
            [("50.00%", "50.00%"), ("25.00%", "25.00%"), ("0.00%", "25.00%")]
                .map(|(top, height)| (top.to_owned(), height.to_owned()))
        );
        assert_eq!(bar.title, "1 Jan 1970 00:00 UTC: 100 events, 25 denied, 25 failed");
    }
}
