//! Events as comma-separated values: RFC 4180, made safe for spreadsheets.

use annals_model::audit_log::AuditLog;

/// The columns, in this order; `diff` and `additional_fields` are JSON.
pub const CSV_COLUMNS: [&str; 24] = [
    "seq",
    "time",
    "received",
    "id",
    "action",
    "resource_type",
    "resource_id",
    "resource_target",
    "outcome",
    "status_code",
    "actor_type",
    "user_id",
    "username",
    "email",
    "organization_id",
    "organization",
    "ip",
    "user_agent",
    "build_reason",
    "request_id",
    "source",
    "description",
    "diff",
    "additional_fields",
];

/// Appends the line of column names.
pub(super) fn push_head(out: &mut Vec<u8>) {
    out.extend_from_slice(CSV_COLUMNS.join(",").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends one event.
pub(super) fn push_row(out: &mut Vec<u8>, event: &AuditLog<'_>) {
    let user = event.user.as_ref();
    let organization = event.organization.as_ref();
    let cells: [&str; CSV_COLUMNS.len()] = [
        &event.seq.to_string(),
        &event.time.to_string(),
        &event.received.to_string(),
        &event.id,
        event.action,
        event.resource_type,
        event.resource_id,
        event.resource_target,
        event.outcome,
        &event.status_code.to_string(),
        event.actor_type,
        user.map_or("", |user| user.id),
        user.map_or("", |user| user.username),
        user.map_or("", |user| user.email),
        event.organization_id,
        organization.map_or("", |organization| organization.name),
        event.ip,
        event.user_agent,
        event.build_reason,
        event.request_id,
        event.source,
        &event.description,
        event.diff.get(),
        event.additional_fields.get(),
    ];
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_cell(out, cell);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a cell, in quotes where it needs them. One that a spreadsheet would take for a formula gets an apostrophe in front.
fn push_cell(out: &mut Vec<u8>, text: &str) {
    let is_formula = matches!(text.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
    let is_plain = !text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    if !is_plain {
        out.push(b'"');
    }
    if is_formula {
        out.push(b'\'');
    }
    if is_plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        let mut out = Vec::new();
        push_cell(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_needed_and_formulas_are_texts() {
        for (text, expect) in [
            ("", ""),
            ("plain text", "plain text"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM", "'@SUM"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("a=1", "a=1"),
            ("'quoted", "'quoted"),
        ] {
            assert_eq!(cell(text), expect, "{text:?}");
        }
    }
}
