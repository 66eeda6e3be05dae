//! A line for people, as Coder's logger writes it where nobody asked for JSON.

use serde_json::value::RawValue;

use crate::audit_log::AuditLog;
use crate::json;

use super::coder::{LOGGER, MESSAGE, fields};

/// Appends `TIME [info]  coderd: audit_log  ID=…  Time=…`.
pub(super) fn push(out: &mut Vec<u8>, event: &AuditLog<'_>) {
    // `2026-11-22T10:00:00.123456Z` without what tells nothing here.
    let received = event.received.to_string().replace('T', " ");
    out.extend_from_slice(received.trim_end_matches('Z').as_bytes());
    out.extend_from_slice(format!(" [info]  {LOGGER}: {MESSAGE}").as_bytes());
    let text = serde_json::to_string(&fields(event)).expect("what was read as JSON is a text");
    let raw: &RawValue = serde_json::from_str(&text).expect("what was just written is JSON");
    for (name, value) in json::members(raw).unwrap_or_default() {
        out.extend_from_slice(b"  ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        match json::text(value) {
            Some(text) => push_text(out, &text),
            None => push_text(out, value.get()),
        }
    }
}

/// In quotes where it could be taken for more than one word, or end the line. Nothing that moves a cursor gets through.
fn push_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = !text.is_empty()
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\'));
    if is_plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for c in text.chars() {
        let mut buffer = [0; 4];
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.extend_from_slice(format!("\\u{{{:x}}}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out.push(b'"');
}
