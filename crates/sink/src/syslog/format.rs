//! Messages of RFC 5424.

use jiff::Timestamp;

use crate::{Outcome, Outgoing};

/// Longest fields of the header, by section 6 of the RFC.
const HOSTNAME_MAX: usize = 255;
const APP_NAME_MAX: usize = 48;
const MSGID_MAX: usize = 32;
/// What stands before a text in UTF-8.
const BOM: &str = "\u{feff}";

/// What every message of a sink has in its header.
#[derive(Debug)]
pub(super) struct Header {
    facility: u8,
    hostname: String,
    app_name: String,
}

impl Header {
    pub(super) fn new(facility: u8, hostname: &str, app_name: &str) -> Header {
        let (hostname, app_name) = (field(hostname, HOSTNAME_MAX), field(app_name, APP_NAME_MAX));
        Header { facility, hostname, app_name }
    }

    /// Writes an event as a message.
    pub(super) fn message(&self, event: &Outgoing) -> Vec<u8> {
        let severity = match event.outcome {
            Outcome::Success => 6,
            Outcome::Denied => 5,
            Outcome::Failure => 4,
        };
        let priority = u32::from(self.facility) * 8 + severity;
        let message_id = field(&format!("{}.{}", event.resource_type, event.action), MSGID_MAX);
        format!(
            "<{priority}>1 {} {} {} - {message_id} [annals@32473 id=\"{}\" seq=\"{}\"] {BOM}{}",
            timestamp(event.time_us),
            self.hostname,
            self.app_name,
            parameter(&event.id),
            event.seq,
            event.line
        )
        .into_bytes()
    }
}

/// A time with microseconds, the finest that the RFC allows; `-` for one that has no date of four digits.
fn timestamp(micros: i64) -> String {
    let time = Timestamp::from_microsecond(micros).ok();
    let text = time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
    text.filter(|text| text.len() == 27 && !text.starts_with('-')).unwrap_or_else(|| "-".to_owned())
}

/// A field of the header: visible characters of ASCII, others replaced; `-` if there is none.
fn field(text: &str, characters_max: usize) -> String {
    let visible = text.chars().take(characters_max);
    let field: String =
        visible.map(|character| if character.is_ascii_graphic() { character } else { '_' }).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

/// The value of a parameter, escaped by section 6.3.3.
fn parameter(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> Outgoing {
        Outgoing {
            seq: 42,
            id: "0190a1b2-0000-7000-8000-000000000001".to_owned(),
            time_us: 1_763_000_000_123_456,
            received_us: 1_763_000_000_223_456,
            action: "login".to_owned(),
            resource_type: "user".to_owned(),
            outcome: Outcome::Denied,
            line: "{\"a\":\"é\"}".to_owned(),
        }
    }

    #[test]
    fn a_message_is_that_of_the_rfc() {
        let message = Header::new(13, "log.example.com", "annals").message(&event());
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "<109>1 2025-11-13T02:13:20.123456Z log.example.com annals - user.login \
             [annals@32473 id=\"0190a1b2-0000-7000-8000-000000000001\" seq=\"42\"] \u{feff}{\"a\":\"é\"}"
        );
    }

    #[test]
    fn a_time_without_a_plain_date_is_left_out() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!((timestamp(i64::MAX).as_str(), timestamp(-70_000_000_000_000_000).as_str()), ("-", "-"));
    }

    /// Reads a message back, by the grammar of the RFC alone.
    fn parse(message: &str) -> Option<(u32, [&str; 5], String, &str)> {
        let (priority, rest) = message.strip_prefix('<')?.split_once(">1 ")?;
        let mut fields = [""; 5];
        let mut rest = rest;
        for field in &mut fields {
            (*field, rest) = rest.split_once(' ')?;
            let is_valid = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_graphic());
            is_valid.then_some(())?;
        }
        let data = rest.strip_prefix("[annals@32473 id=\"")?;
        let (mut id, mut characters, mut at) = (String::new(), data.char_indices(), 0);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => id.push(characters.next()?.1),
                '"' => {
                    at = index;
                    break;
                }
                ']' => return None,
                other => id.push(other),
            }
        }
        let (_, line) = data[at..].split_once("\"] \u{feff}")?;
        Some((priority.parse().ok()?, fields, id, line))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            facility in 0_u8..24,
            names in prop::array::uniform4(".{0,300}"),
            id in "[^\\p{C}]{0,40}|[\"\\\\\\]]{0,10}",
            line in "[^\n\r]{0,200}",
            time_us in any::<i64>(),
        ) {
            let [hostname, app_name, action, resource_type] = names;
            let event = Outgoing { id: id.clone(), line: line.clone(), action, resource_type, time_us, ..event() };
            let message = Header::new(facility, &hostname, &app_name).message(&event);
            let message = String::from_utf8(message).unwrap();
            let (priority, [_, hostname, app_name, _, message_id], read_id, read_line) =
                parse(&message).ok_or_else(|| TestCaseError::fail(message.clone()))?;
            prop_assert_eq!(priority, u32::from(facility) * 8 + 5);
            prop_assert!(hostname.len() <= 255 && app_name.len() <= 48 && message_id.len() <= 32);
            prop_assert_eq!((read_id, read_line), (id, line.as_str()));
        }
    }
}
