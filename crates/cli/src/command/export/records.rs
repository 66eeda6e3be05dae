//! Where the records of an exported file end: to count them, and to find the last whole one of a file that was cut off.

use annals_engine::ExportFormat;

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

    fn take(&mut self, bytes: &[u8]) {
        self.open_bytes += bytes.len() as u64;
        match self.format {
            ExportFormat::Csv => {
                let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..room]);
            }
            ExportFormat::Ndjson => self.line.extend_from_slice(bytes),
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

    /// The seq of the last whole record; nothing if there is none, or it is the line of column names.
    ///
    /// # Errors
    /// If that record is none of an export in this format.
    pub(super) fn last_seq(&self) -> anyhow::Result<Option<u64>> {
        if self.count == 0 {
            return Ok(None);
        }
        let seq = match self.format {
            ExportFormat::Ndjson => serde_json::from_slice::<serde_json::Value>(&self.last_line)
                .ok()
                .and_then(|event| event["seq"].as_u64()),
            ExportFormat::Csv if self.count == 1 && self.last_head.starts_with(b"seq,") => return Ok(None),
            ExportFormat::Csv => {
                let cell = self.last_head.split(|byte| *byte == b',').next().unwrap_or_default();
                std::str::from_utf8(cell).ok().and_then(|cell| cell.parse().ok())
            }
        };
        match seq {
            Some(seq) => Ok(Some(seq)),
            None => anyhow::bail!("its last whole line is none of an export as {}", self.format),
        }
    }
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
            assert_eq!(records.last_seq().unwrap(), last_seq, "{text:?} by {size}");
        }
    }

    #[test]
    fn the_last_whole_record_is_found() {
        use ExportFormat::{Csv, Ndjson};
        check(Ndjson, "{\"seq\":7}\n", 1, "{\"seq\":7}\n", Some(7));
        check(Ndjson, "{\"seq\":7}\n{\"seq\":12,\"a\":\"b", 1, "{\"seq\":7}\n", Some(7));
        check(Ndjson, "{\"seq\":", 0, "", None);
        check(Csv, "seq,time\r\n", 1, "seq,time\r\n", None);
        check(Csv, "seq,ti", 0, "", None);
        check(Csv, "seq,time\r\n7,x\r\n8,\"a\r\n9,b", 2, "seq,time\r\n7,x\r\n", Some(7));
        let whole = "seq,time\r\n7,x\r\n8,\"a\r\n9,\"\"b\"\"\r\n\"\r\n";
        check(Csv, &format!("{whole}10,\"\r\n\"\r"), 3, whole, Some(8));
        assert!({
            let mut records = Records::new(Ndjson);
            records.push(b"seq,time\r\n");
            records.last_seq().is_err()
        });
        assert!({
            let mut records = Records::new(Csv);
            records.push(b"{\"seq\":1}\n{\"seq\":2}\n");
            records.last_seq().is_err()
        });
    }
}
