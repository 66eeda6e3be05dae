//! Reading the form of a stream back.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use annals_engine::{PARALLEL_MAX, SILENCE_SECONDS, SinkSetting, SinkSettingKind, StreamStart};
use annals_model::formats::EventFormat;
use annals_model::time::Time;

use super::super::fault::Faults;
use super::setting_field;

/// Values by the names of their fields.
pub(crate) type Values = BTreeMap<String, String>;

/// Minutes of silence, at most: a year, after which nobody remembers the stream.
pub(super) const SILENCE_MINUTES_MAX: u64 = 525_600;

/// What somebody filled in.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) format: EventFormat,
    pub(crate) parallel: u64,
    pub(crate) silence_seconds: u64,
    pub(crate) start: StreamStart,
    pub(crate) is_paused: bool,
    /// Settings of the receiver by name; an empty one is not given.
    pub(crate) settings: Vec<(String, String)>,
}

/// Values as they were meant: browsers end lines with CR LF and send nothing for a switch that is off.
pub(crate) fn normal(settings: &[SinkSetting], mut sent: Values) -> Values {
    for value in sent.values_mut() {
        if value.contains('\r') {
            *value = value.replace("\r\n", "\n");
        }
    }
    for setting in settings {
        let name = setting_field(setting.name);
        if setting.kind == SinkSettingKind::Switch {
            let is_on = sent.contains_key(&name);
            sent.insert(name, is_on.to_string());
        } else if !matches!(setting.kind, SinkSettingKind::Text | SinkSettingKind::SecretText)
            && let Some(value) = sent.get_mut(&name)
        {
            *value = value.trim().to_owned();
        }
    }
    sent
}

/// Reads values; what cannot be read is a fault, and the default in its place.
pub(crate) fn draft(settings: &[SinkSetting], values: &Values, faults: &mut Faults) -> Draft {
    let text = |name: &str| values.get(name).map_or("", |value| value.trim());
    let format = match EventFormat::from_str(text("format")) {
        Ok(format) => format,
        Err(_) if text("format").is_empty() => EventFormat::Native,
        Err(_) => {
            faults.add("format", "Choose one of the forms.");
            EventFormat::Native
        }
    };
    let mut number = |name: &str, default: u64, max: u64, expected: &str| match text(name) {
        "" => default,
        given => given.parse().ok().filter(|number| *number <= max).unwrap_or_else(|| {
            faults.add(name, expected);
            default
        }),
    };
    let parallel =
        number("parallel", 1, u64::MAX, &format!("A whole number from 1 to {PARALLEL_MAX} is expected."));
    let expected = "A whole number of minutes is expected, 525600 at most, or 0 for never.";
    let silence = number("silence", SILENCE_SECONDS / 60, SILENCE_MINUTES_MAX, expected);
    let given = |setting: &SinkSetting| {
        let value = values.get(&setting_field(setting.name)).cloned().unwrap_or_default();
        (setting.name.to_owned(), value)
    };
    Draft {
        name: text("name").to_owned(),
        query: text("query").to_owned(),
        format,
        parallel,
        silence_seconds: silence * 60,
        start: start(text("from"), text("from_date"), "", faults),
        is_paused: values.contains_key("paused"),
        settings: settings.iter().map(given).collect(),
    }
}

/// Reads where to begin; without a word it is now.
pub(crate) fn start(from: &str, date: &str, seq: &str, faults: &mut Faults) -> StreamStart {
    // What was filled in and not chosen would be passed over in silence.
    if from != "date" && !date.trim().is_empty() {
        faults.add("from_date", "Choose “from a date” too, or leave the date empty.");
    }
    if from != "seq" && !seq.trim().is_empty() {
        faults.add("from_seq", "Choose “from a seq” too, or leave the seq empty.");
    }
    match from {
        "" | "now" => StreamStart::Now,
        "beginning" => StreamStart::Beginning,
        "seq" => seq.trim().parse().map_or_else(
            |_| {
                faults.add("from_seq", "A whole number is expected.");
                StreamStart::Now
            },
            StreamStart::Seq,
        ),
        "date" => day(date).unwrap_or_else(|| {
            faults.add("from_date", "A date such as 2026-01-31 is expected.");
            StreamStart::Now
        }),
        _ => {
            faults.add("from", "Choose where to begin.");
            StreamStart::Now
        }
    }
}

/// The begin of a day in UTC.
fn day(text: &str) -> Option<StreamStart> {
    let date: jiff::civil::Date = text.trim().parse().ok()?;
    let begin = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(StreamStart::Time(Time::from_micros_saturating(begin.as_microsecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, date: &str, seq: &str) -> (StreamStart, bool) {
        let mut faults = Faults::default();
        let start = start(from, date, seq, &mut faults);
        (start, faults.is_empty())
    }

    #[test]
    fn a_begin_that_was_not_chosen_is_a_fault() {
        assert_eq!(read("", "", ""), (StreamStart::Now, true));
        assert_eq!(read("beginning", " ", ""), (StreamStart::Beginning, true));
        assert_eq!(read("seq", "", " 7 "), (StreamStart::Seq(7), true));
        let day = StreamStart::Time(Time::parse("2026-01-31T00:00:00Z").unwrap());
        assert_eq!(read("date", "2026-01-31", ""), (day, true));
        for (from, date, seq) in [
            ("now", "2026-01-31", ""),
            ("beginning", "", "7"),
            ("seq", "", ""),
            ("seq", "", "-1"),
            ("date", "", ""),
            ("date", "2026-02-30", ""),
            ("date", "9999-99-99", ""),
            ("elsewhere", "", ""),
        ] {
            assert!(!read(from, date, seq).1, "{from} {date} {seq}");
        }
    }

    #[test]
    fn lines_end_as_they_do_here() {
        let sent = Values::from([("set.ca".to_owned(), "a\r\nb\r\n".to_owned())]);
        assert_eq!(normal(&[], sent)["set.ca"], "a\nb\n");
    }
}
