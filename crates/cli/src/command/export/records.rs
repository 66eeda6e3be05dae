//! Where the records of an exported file end: to count them, and to find the last whole one of a file that was cut off. A Parquet file has none; of it
//! is known whether it begins and ends as a whole one does.

use annals_engine::ExportFormat;
use annals_model::formats::EventFormat;

/// Reads the bytes of an export as they come and keeps where whole records end.
#[derive(Debug)]
pub(super) struct Records {
    format: ExportFormat,
    in_quotes: bool,
    /// The first bytes of the record that is being read, as many as a seq may need.
    head: Vec<u8>,
    /// Bytes of the record that is being read.
    open_bytes: u64,
    /// Whole records; the line of column names is one.
    pub(super) count: u64,
    /// Bytes of the whole records.
    pub(super) bytes: u64,
    /// The first bytes of the last whole record.
    last_head: Vec<u8>,
    /// The last bytes of it, where NDJSON may have its seq.
    last_line: Vec<u8>,
    line: Vec<u8>,
}

/// Bytes of a record's begin that are kept: a seq of twenty digits and a comma fit.
const HEAD_BYTES: usize = 64;

/// What a Parquet file begins and ends with.
const PARQUET_WORD: &[u8] = b"PAR1";

impl Records {
    pub(super) fn new(format: ExportFormat) -> Records {
        Records {
            format,
            in_quotes: false,
            head: Vec::new(),
            open_bytes: 0,
            count: 0,
            bytes: 0,
            last_head: Vec::new(),
            last_line: Vec::new(),
            line: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.format.has_records() {
            return self.push_to_file(bytes);
        }
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                // A quote inside a quoted cell is written twice, which changes nothing in the end.
                b'"' if self.format == ExportFormat::Csv => self.in_quotes = !self.in_quotes,
                b'\n' if !self.in_quotes => {
                    self.take(&bytes[from..=at]);
                    from = at + 1;
                    self.end_record();
                }
                _ => {}
            }
        }
        self.take(&bytes[from..]);
    }

    fn push_to_file(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = PARQUET_WORD.len().saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.line.extend_from_slice(&bytes[bytes.len().saturating_sub(PARQUET_WORD.len())..]);
        self.line.drain(..self.line.len().saturating_sub(PARQUET_WORD.len()));
    }

    /// The bytes begin and end as a whole Parquet file does. It is larger than the word that stands on both ends.
    pub(super) fn are_whole_parquet(&self) -> bool {
        self.bytes > 2 * PARQUET_WORD.len() as u64 && self.head == PARQUET_WORD && self.line == PARQUET_WORD
    }

    fn take(&mut self, bytes: &[u8]) {
        self.open_bytes += bytes.len() as u64;
        match self.format {
            ExportFormat::Csv => {
                let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..room]);
            }
            ExportFormat::Lines(_) | ExportFormat::Parquet => self.line.extend_from_slice(bytes),
        }
    }

    fn end_record(&mut self) {
        self.count += 1;
        self.bytes += std::mem::take(&mut self.open_bytes);
        std::mem::swap(&mut self.last_head, &mut self.head);
        std::mem::swap(&mut self.last_line, &mut self.line);
        self.head.clear();
        self.line.clear();
    }

    /// The event of the last whole record; nothing if there is none, or it is the line of column names.
    ///
    /// # Errors
    /// If that record is none of an export in this format.
    pub(super) fn last_event(&self) -> anyhow::Result<Option<LastEvent>> {
        if self.count == 0 {
            return Ok(None);
        }
        let found = match self.format {
            ExportFormat::Csv if self.count == 1 && self.last_head.starts_with(b"seq,") => return Ok(None),
            ExportFormat::Csv => {
                let cell = self.last_head.split(|byte| *byte == b',').next().unwrap_or_default();
                std::str::from_utf8(cell).ok().and_then(|cell| cell.parse().ok()).map(LastEvent::Seq)
            }
            ExportFormat::Lines(format) => event_of(format, &self.last_line),
            ExportFormat::Parquet => None,
        };
        match found {
            Some(found) => Ok(Some(found)),
            None => anyhow::bail!("its last whole line is none of an export as {}", self.format),
        }
    }
}

/// What a record says of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LastEvent {
    /// Its position in the log.
    Seq(u64),
    /// Its id, where the form has no place for the position.
    Id(String),
}

fn event_of(format: EventFormat, line: &[u8]) -> Option<LastEvent> {
    if format == EventFormat::Human {
        let line = std::str::from_utf8(line).ok()?;
        let (_, from) = line.split_once("  ID=")?;
        return id_of(from.split(' ').next()?);
    }
    let event: serde_json::Value = serde_json::from_slice(line).ok()?;
    let seq = |pointer: &str| event.pointer(pointer)?.as_u64().map(LastEvent::Seq);
    match format {
        EventFormat::Native => seq("/seq"),
        EventFormat::Classic => seq("/message/fields/audit_log/seq"),
        EventFormat::Ocsf => seq("/metadata/sequence"),
        EventFormat::Ecs => seq("/event/sequence"),
        EventFormat::Coder => id_of(event.pointer("/fields/ID")?.as_str()?),
        EventFormat::Stackdriver => id_of(event.pointer("/ID")?.as_str()?),
        EventFormat::Human => None,
    }
}

fn id_of(text: &str) -> Option<LastEvent> {
    uuid::Uuid::try_parse(text).ok().map(|id| LastEvent::Id(id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, and wherever they end, the whole records are the same.
    fn check(format: ExportFormat, text: &str, count: u64, whole: &str, last_seq: Option<u64>) {
        for size in 1..=text.len() {
            let mut records = Records::new(format);
            text.as_bytes().chunks(size).for_each(|chunk| records.push(chunk));
            assert_eq!((records.count, records.bytes), (count, whole.len() as u64), "{text:?} by {size}");
            assert_eq!(records.last_event().unwrap(), last_seq.map(LastEvent::Seq), "{text:?} by {size}");
        }
    }

    #[test]
    fn a_parquet_file_is_whole_with_its_word_on_both_ends() {
        for (text, expect) in [
            ("PAR1 rows PAR1", true),
            ("PAR1 rows", false),
            ("rows PAR1", false),
            ("PAR1", false),
            ("", false),
        ] {
            for size in 1..=text.len().max(1) {
                let mut records = Records::new(ExportFormat::Parquet);
                text.as_bytes().chunks(size).for_each(|chunk| records.push(chunk));
                assert_eq!(records.are_whole_parquet(), expect, "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn the_last_whole_record_is_found() {
        use ExportFormat::Csv;
        const NDJSON: ExportFormat = ExportFormat::NDJSON;
        check(NDJSON, "{\"seq\":7}\n", 1, "{\"seq\":7}\n", Some(7));
        check(NDJSON, "{\"seq\":7}\n{\"seq\":12,\"a\":\"b", 1, "{\"seq\":7}\n", Some(7));
        check(NDJSON, "{\"seq\":", 0, "", None);
        check(Csv, "seq,time\r\n", 1, "seq,time\r\n", None);
        check(Csv, "seq,ti", 0, "", None);
        check(Csv, "seq,time\r\n7,x\r\n8,\"a\r\n9,b", 2, "seq,time\r\n7,x\r\n", Some(7));
        let whole = "seq,time\r\n7,x\r\n8,\"a\r\n9,\"\"b\"\"\r\n\"\r\n";
        check(Csv, &format!("{whole}10,\"\r\n\"\r"), 3, whole, Some(8));
        let id = "01000000-0000-7000-8000-000000000001";
        for (format, line, expect) in [
            (EventFormat::Coder, format!(r#"{{"fields":{{"ID":"{id}"}}}}"#), LastEvent::Id(id.to_owned())),
            (EventFormat::Stackdriver, format!(r#"{{"ID":"{id}"}}"#), LastEvent::Id(id.to_owned())),
            (
                EventFormat::Human,
                format!("2026 [info]  coderd: audit_log  ID={id}  Time=x"),
                LastEvent::Id(id.to_owned()),
            ),
            (
                EventFormat::Classic,
                r#"{"message":{"fields":{"audit_log":{"seq":7}}}}"#.to_owned(),
                LastEvent::Seq(7),
            ),
            (EventFormat::Ocsf, r#"{"metadata":{"sequence":7}}"#.to_owned(), LastEvent::Seq(7)),
            (EventFormat::Ecs, r#"{"event":{"sequence":7}}"#.to_owned(), LastEvent::Seq(7)),
        ] {
            let mut records = Records::new(ExportFormat::Lines(format));
            records.push(format!("{line}\n{line}").as_bytes());
            assert_eq!(records.last_event().unwrap(), Some(expect), "{format}");
            records.push(b"\nsomething else\n");
            assert!(records.last_event().is_err(), "{format}");
        }
        assert!({
            let mut records = Records::new(NDJSON);
            records.push(b"seq,time\r\n");
            records.last_event().is_err()
        });
        assert!({
            let mut records = Records::new(Csv);
            records.push(b"{\"seq\":1}\n{\"seq\":2}\n");
            records.last_event().is_err()
        });
    }
}
