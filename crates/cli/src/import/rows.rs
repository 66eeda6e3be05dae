//! From a CSV file to its records: objects whose members are named by the first row.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Read};

use annals_model::json;
use anyhow::Context as _;

use super::records::{Content, Found, VALUE_BYTES_MAX};

/// Columns of a file. A spreadsheet ends at 16,384.
const COLUMNS_MAX: usize = 16_384;

/// Reads every row after the first and hands it to `each` as a JSON object of texts.
///
/// A row with another number of values than the first row has names is handed over as bad, and so is one that the end of the file ends within quotation marks.
///
/// # Errors
/// If the input cannot be read, if the first row names a column twice, or what `each` returns.
pub(super) fn read_rows(
    input: impl Read,
    delimiter: u8,
    each: &mut dyn FnMut(Found<'static>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (left, marks) = (Cell::new(VALUE_BYTES_MAX), Cell::new(0));
    let input = Bounded { inner: input, left: &left, marks: &marks };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(input);
    let mut row = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut row)? {
        return Ok(());
    }
    let names = names(&row)?;
    let mut next = csv::ByteRecord::new();
    let mut is_more = reader.read_byte_record(&mut next)?;
    while is_more {
        std::mem::swap(&mut row, &mut next);
        left.set(VALUE_BYTES_MAX);
        let end = reader.position().line();
        is_more = reader.read_byte_record(&mut next)?;
        // The position is that of the first byte, which may be an empty line before the row.
        let line = row.position().map_or(0, csv::Position::line);
        // A mark that nothing closes makes one value of all that follows.
        let is_open = !is_more && marks.get() % 2 == 1 && end > line + 1;
        let content = match is_open {
            true => {
                let reason = format!(
                    "a quotation mark is open since line {line}, so that no row behind it can be told; close it and import again"
                );
                Content::Bad { reason, text: text(&row, delimiter) }
            }
            false => content(&names, &row, delimiter),
        };
        each(Found { line, container: None, content })?;
    }
    Ok(())
}

/// The values of a row as they would stand on a line.
fn text(row: &csv::ByteRecord, delimiter: u8) -> String {
    let values: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
    values.join(char::from(delimiter).encode_utf8(&mut [0; 4]))
}

/// Ends the file at a row that is longer than a value may be, which mostly has a quotation mark that is never closed.
struct Bounded<'l, R> {
    inner: R,
    /// Bytes that the row may still have, to the size of the CSV reader's buffer.
    left: &'l Cell<usize>,
    /// Quotation marks so far.
    marks: &'l Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let marks = buffer[..count].iter().filter(|byte| **byte == b'"').count();
        self.marks.set(self.marks.get() + marks as u64);
        match self.left.get().checked_sub(count) {
            Some(left) => self.left.set(left),
            None => {
                let fault = format!("a row of more than {VALUE_BYTES_MAX} bytes; is a quotation mark open?");
                return Err(io::Error::other(fault));
            }
        }
        Ok(count)
    }
}

fn names(row: &csv::ByteRecord) -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(
        row.len() <= COLUMNS_MAX,
        "the first row names {} columns, more than {COLUMNS_MAX}",
        row.len()
    );
    let mut names: Vec<String> = Vec::with_capacity(row.len());
    let mut known = HashSet::new();
    for (at, name) in row.iter().enumerate() {
        let name = std::str::from_utf8(name).context("the first row is not UTF-8")?;
        let name = name.trim_start_matches('\u{feff}').trim();
        let name = if name.is_empty() { format!("column_{}", at + 1) } else { name.to_owned() };
        anyhow::ensure!(
            known.insert(name.clone()),
            "the first row names two columns `{name}`; rename one of them"
        );
        names.push(name);
    }
    Ok(names)
}

fn content(names: &[String], row: &csv::ByteRecord, delimiter: u8) -> Content {
    let text = || text(row, delimiter);
    if row.len() != names.len() {
        let reason = format!("{} values, but the first row names {} columns", row.len(), names.len());
        return Content::Bad { reason, text: text() };
    }
    let mut object = vec![b'{'];
    for (name, value) in names.iter().zip(row) {
        let Ok(value) = std::str::from_utf8(value) else {
            return Content::Bad { reason: format!("not UTF-8 in the column `{name}`"), text: text() };
        };
        if object.len() > 1 {
            object.push(b',');
        }
        json::push_text(&mut object, name);
        object.push(b':');
        json::push_text(&mut object, value);
    }
    object.push(b'}');
    Content::Value(String::from_utf8(object).expect("JSON made of texts is a text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> anyhow::Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        read_rows(text, b',', &mut |record| {
            found.push((
                record.line,
                match record.content {
                    Content::Value(text) => text,
                    Content::Bad { reason, text } => format!("! {reason}: {text}"),
                },
            ));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn rows_become_objects() {
        let found = all("\u{feff}who, what,\nanna,\"a \"\"b\"\",\n\nc\",1\nben,x\nkim,\u{e9},2\n".as_bytes())
            .unwrap();
        assert_eq!(
            found,
            [
                (2, r#"{"who":"anna","what":"a \"b\",\n\nc","column_3":"1"}"#.to_owned()),
                (5, "! 2 values, but the first row names 3 columns: ben,x".to_owned()),
                (6, r#"{"who":"kim","what":"é","column_3":"2"}"#.to_owned()),
            ]
        );
        let open = all(b"a,b\n1,2\n3,\"x\n5,6\n7,8\n").unwrap();
        assert_eq!((open.len(), open[1].0), (2, 3));
        assert!(open[1].1.starts_with("! a quotation mark is open since line 3"), "{open:?}");
        // A mark within a value is a letter of it.
        assert_eq!(all(b"a,b\n5\" disk,6").unwrap(), [(2, r#"{"a":"5\" disk","b":"6"}"#.to_owned())]);
        assert_eq!(all(b"").unwrap(), []);
        assert_eq!(all(b"a,b\n\xff,1\n2,3").unwrap()[0].1, "! not UTF-8 in the column `a`: \u{fffd},1");
        assert_eq!(
            all(b"a,b,a\n1,2,3").unwrap_err().to_string(),
            "the first row names two columns `a`; rename one of them"
        );
    }
}
