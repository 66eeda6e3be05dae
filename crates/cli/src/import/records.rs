//! From the bytes of a file to its records, one at a time, each with its line.
//!
//! Takes one JSON value a line, values spread over several lines, arrays, and objects that hold their records in a
//! list (of a member that the caller names). An array or container is read element by element and a line at a time otherwise, so the
//! size of a file does not matter. What is bad costs only itself: reading goes on with the next line.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use annals_model::json;
use annals_model::limits::JSON_DEPTH_MAX;
use anyhow::Context as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Bytes of one value: far over what an event may have, far under what a machine has.
pub(super) const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'c> {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// The member in whose list it stood.
    pub(super) container: Option<&'c str>,
    /// The record, or what stood in its place.
    pub(super) content: Content,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// JSON text of one value.
    Value(String),
    /// Something that is no JSON.
    Bad {
        /// What is wrong.
        reason: String,
        /// What stood there.
        text: String,
    },
}

/// Reads every record and hands it to `each`. `containers` are the members that may hold a list of records.
///
/// # Errors
/// If the input cannot be read, or what `each` returns.
pub(super) fn read_records<'c>(
    input: impl BufRead,
    containers: &'c [String],
    each: &mut dyn FnMut(Found<'c>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let line = Rc::new(Cell::new(1));
    let left = Rc::new(Cell::new(VALUE_BYTES_MAX));
    let input = Counted { inner: input, line: Rc::clone(&line), left };
    let mut reader = Reader { input, containers, line, put_back: VecDeque::new() };
    reader.skip_byte_order_mark()?;
    while reader.skip_space()? {
        match reader.peek_list()? {
            Some(container) => {
                if !reader.read_list(container, each)? {
                    return Ok(());
                }
            }
            None => reader.read_value(each)?,
        }
    }
    Ok(())
}

/// Counts lines as bytes are taken. A JSON reader takes them one by one, so the count is exact between two elements.
struct Counted<R> {
    inner: R,
    line: Rc<Cell<u64>>,
    /// Bytes that the element of a list may still have. A compressed file could hold one that fills the memory.
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.line.set(self.line.get() + newlines(&buffer[..count]));
        let Some(left) = self.left.get().checked_sub(count) else {
            return Err(io::Error::other(format!("a value of more than {VALUE_BYTES_MAX} bytes")));
        };
        self.left.set(left);
        Ok(count)
    }
}

struct Reader<'c, R> {
    input: Counted<R>,
    containers: &'c [String],
    /// The line of the next byte of `input`.
    line: Rc<Cell<u64>>,
    /// Lines taken as part of a value that never ended, to be read again by themselves.
    put_back: VecDeque<Line>,
}

struct Line {
    number: u64,
    bytes: Vec<u8>,
    /// The line is longer than [`VALUE_BYTES_MAX`]; `bytes` is its beginning.
    is_cut: bool,
}

impl<'c, R: BufRead> Reader<'c, R> {
    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        if self.input.inner.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            self.input.inner.consume(3);
        }
        Ok(())
    }

    /// Goes to the next value; false at the end.
    fn skip_space(&mut self) -> io::Result<bool> {
        if !self.put_back.is_empty() {
            return Ok(true);
        }
        loop {
            let buffer = self.input.inner.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let space = buffer.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(buffer.len());
            let is_found = space < buffer.len();
            self.line.set(self.line.get() + newlines(&buffer[..space]));
            self.input.inner.consume(space);
            if is_found {
                return Ok(true);
            }
        }
    }

    /// Says whether a list begins here, and in which member.
    fn peek_list(&mut self) -> io::Result<Option<Option<&'c str>>> {
        if !self.put_back.is_empty() {
            return Ok(None);
        }
        let buffer = self.input.inner.fill_buf()?;
        if buffer.starts_with(b"[") {
            return Ok(Some(None));
        }
        // The beginning suffices: what says of what kind a list is stands before it, and is short.
        let start = &buffer[..buffer.len().min(HEAD_BYTES)];
        Ok(self.containers.iter().map(String::as_str).find(|name| is_list_in(start, name)).map(Some))
    }

    /// Reads an array, or an object around one, element by element. False if it breaks off: no place after it can be
    /// trusted.
    fn read_list(
        &mut self,
        container: Option<&'c str>,
        each: &mut dyn FnMut(Found<'c>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let mut failure = None;
        self.input.left.set(VALUE_BYTES_MAX);
        let (line, left) = (Rc::clone(&self.line), Rc::clone(&self.input.left));
        let elements = Elements { container, line, left, each, failure: &mut failure };
        let mut deserializer = serde_json::Deserializer::from_reader(&mut self.input);
        let result = elements.deserialize(&mut deserializer);
        if let Some(failure) = failure {
            return Err(failure);
        }
        let Err(error) = result else { return Ok(true) };
        if error.is_io() {
            return Err(io::Error::from(error).into());
        }
        let reason = format!("the list breaks off, and what follows was not read: {}", plain(&error));
        let content = Content::Bad { reason, text: String::new() };
        each(Found { line: self.line.get(), container, content })?;
        Ok(false)
    }

    /// Reads a value that is no list: mostly a line, otherwise as many lines as it takes.
    fn read_value(&mut self, each: &mut dyn FnMut(Found<'c>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let Some(first) = self.next_line()? else { return Ok(()) };
        let line = first.number;
        let bad = |reason: String, bytes: &[u8]| Found {
            line,
            container: None,
            content: Content::Bad { reason, text: String::from_utf8_lossy(bytes).into_owned() },
        };
        if first.is_cut {
            return each(bad(format!("a line of more than {VALUE_BYTES_MAX} bytes"), &first.bytes[..1024]));
        }
        if first.bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut depth = Depth::default();
        let mut value = first.bytes;
        let first_bytes = value.len();
        let mut more: Vec<Line> = Vec::new();
        let mut is_open = depth.take(&value);
        // What is nested deeper is no record, and each of its lines would be looked at again with all that follow.
        while is_open && value.len() <= VALUE_BYTES_MAX && depth.0 <= DEPTH_MAX {
            let Some(next) = self.next_line()? else { break };
            // A whole object on a line of its own is the next record: the one before was cut off.
            let is_next_record = next.bytes.starts_with(b"{") && is_value(&next.bytes);
            value.extend_from_slice(&next.bytes);
            is_open = depth.take(&next.bytes);
            more.push(next);
            if is_next_record {
                break;
            }
        }
        let text = std::str::from_utf8(&value);
        match text.map(serde_json::from_str::<IgnoredAny>) {
            Ok(Ok(_)) => {
                let text = String::from_utf8(value).context("checked above")?;
                return each_of_value(line, text, self.containers, each);
            }
            Ok(Err(error)) => each(bad(format!("not JSON: {}", plain(&error)), &value[..first_bytes]))?,
            Err(_) => each(bad("not UTF-8".to_owned(), &value[..first_bytes]))?,
        }
        for line in more.into_iter().rev() {
            // What is indented belongs to the value that is bad.
            if line.bytes.starts_with(b"{") {
                self.put_back.push_front(line);
            }
        }
        Ok(())
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.put_back.pop_front() {
            return Ok(Some(line));
        }
        let number = self.line.get();
        let mut bytes = Vec::new();
        let limit = VALUE_BYTES_MAX as u64 + 1;
        (&mut self.input.inner).take(limit).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let is_cut = bytes.len() > VALUE_BYTES_MAX && !bytes.ends_with(b"\n");
        if is_cut {
            self.input.inner.skip_until(b'\n')?;
        }
        self.line.set(number + 1);
        Ok(Some(Line { number, bytes, is_cut }))
    }
}

/// Bytes of an object's beginning in which a container's list is looked for.
const HEAD_BYTES: usize = 512;
/// As deep as an event may be nested.
const DEPTH_MAX: i64 = JSON_DEPTH_MAX as i64;

/// Whether an object begins here that has a member of this name with a list.
fn is_list_in(start: &[u8], name: &str) -> bool {
    let member = format!("\"{name}\"");
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = start.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                if depth == 1
                    && let Some(rest) = start[at..].strip_prefix(member.as_bytes())
                    && let Some(rest) = rest.trim_ascii_start().strip_prefix(b":")
                    && rest.trim_ascii_start().starts_with(b"[")
                {
                    return true;
                }
                let Some(end) = end_of_text(&start[at + 1..]) else { return false };
                at += end + 1;
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return false;
        }
    }
    false
}

/// Where the quotation mark stands that ends a text.
fn end_of_text(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })
}

/// How many brackets are open. A string cannot span lines, so each line begins outside one.
#[derive(Default)]
struct Depth(i64);

impl Depth {
    /// Says whether the value goes on after this line.
    fn take(&mut self, line: &[u8]) -> bool {
        let (mut in_string, mut is_escaped) = (false, false);
        for byte in line {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_string => is_escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => self.0 += 1,
                b'}' | b']' if !in_string => self.0 -= 1,
                _ => {}
            }
        }
        self.0 > 0 && !in_string
    }
}

/// Hands over a value, or its records if it is a container after all: one whose list is not its first member.
fn each_of_value<'c>(
    line: u64,
    text: String,
    containers: &'c [String],
    each: &mut dyn FnMut(Found<'c>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for name in containers {
        if !text.contains(name.as_str()) {
            continue;
        }
        let raw: &RawValue = serde_json::from_str(&text)?;
        let Ok(members) = json::members(raw) else { continue };
        let Some((_, list)) = members.iter().find(|(key, _)| key == name) else { continue };
        let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else { continue };
        for element in elements {
            let content = Content::Value(element.get().to_owned());
            each(Found { line, container: Some(name), content })?;
        }
        return Ok(());
    }
    each(Found { line, container: None, content: Content::Value(text) })
}

/// Hands over the elements of an array, or of the list in a container.
struct Elements<'e, 'c> {
    container: Option<&'c str>,
    line: Rc<Cell<u64>>,
    left: Rc<Cell<usize>>,
    each: &'e mut dyn FnMut(Found<'c>) -> anyhow::Result<()>,
    failure: &'e mut Option<anyhow::Error>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<Box<RawValue>>()? {
            self.left.set(VALUE_BYTES_MAX);
            let line = self.line.get() - newlines(element.get().as_bytes());
            let content = Content::Value(String::from(Box::<str>::from(element)));
            if let Err(failure) = (self.each)(Found { line, container: self.container, content }) {
                *self.failure = Some(failure);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.container == Some(key.as_str()) {
                let Elements { container, ref line, ref left, .. } = self;
                let inner = Elements {
                    container,
                    line: Rc::clone(line),
                    left: Rc::clone(left),
                    each: &mut *self.each,
                    failure: &mut *self.failure,
                };
                map.next_value_seed(inner)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

fn is_value(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The message without its place, which is one inside the value, not inside the file.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let containers = ["Records".to_owned(), "audit_logs".to_owned()];
        read_records(text.as_bytes(), &containers, &mut |record| {
            let shown = match record.content {
                Content::Value(text) => text.split_whitespace().collect(),
                Content::Bad { reason, .. } => format!("! {reason}"),
            };
            let container = record.container.map(|name| format!("{name}: ")).unwrap_or_default();
            found.push((record.line, format!("{container}{shown}")));
            Ok(())
        })
        .unwrap();
        found
    }

    fn check(text: &str, expect: &[(u64, &str)]) {
        let expect: Vec<_> = expect.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
        assert_eq!(all(text), expect, "{text}");
    }

    #[test]
    fn finds_records_in_every_arrangement() {
        check("", &[]);
        check(" \n\n", &[]);
        check("{\"a\":1}\n\n{\"b\":2}\r\n", &[(1, "{\"a\":1}"), (3, "{\"b\":2}")]);
        check("\u{feff}{\"a\":1}", &[(1, "{\"a\":1}")]);
        check(
            "[{\"a\":1},\n {\"b\":\n2}]\n{\"c\":3}",
            &[(1, "{\"a\":1}"), (2, "{\"b\":2}"), (4, "{\"c\":3}")],
        );
        check("{\n \"a\": [\n1]\n}\n{\"b\":2}", &[(1, "{\"a\":[1]}"), (5, "{\"b\":2}")]);
        check(
            "{\"Records\":[{\"a\":1}]}\n{\"Records\":[2]}",
            &[(1, "Records: {\"a\":1}"), (2, "Records: 2")],
        );
        check("{ \"audit_logs\" : [\n{}\n], \"count\":1}", &[(2, "audit_logs: {}")]);
        check("{\"count\":1,\"audit_logs\":[{}]}", &[(1, "audit_logs: {}")]);
        check("{\"Records\":5}", &[(1, "{\"Records\":5}")]);
        // What stands before the list says of what kind it is; each of its records has its own line.
        check(
            "{\"kind\":\"a \\\"Records\\\":[\", \"meta\":{\"Records\":[1]},\n\"Records\" : [\n2,\n3]}\n4",
            &[(3, "Records: 2"), (4, "Records: 3"), (5, "4")],
        );
        check("[]", &[]);
    }

    #[test]
    fn brackets_without_end_are_not_looked_at_again_and_again() {
        let text = "{\n".repeat(20_000);
        let found = all(&text);
        assert_eq!(found.len(), 20_000);
        assert!(found.iter().all(|(_, text)| text.starts_with("! not JSON")));
    }

    #[test]
    fn what_is_bad_costs_only_itself() {
        check("{\"a\":\n{\"b\":2}\n", &[(1, "! not JSON: EOF while parsing an object"), (2, "{\"b\":2}")]);
        check(
            "{\"a\":\"x\n{\"b\":2}\n",
            &[
                (1, "! not JSON: control character (\\u0000-\\u001F) found while parsing a string"),
                (2, "{\"b\":2}"),
            ],
        );
        check("oops\n{\"b\":2}", &[(1, "! not JSON: expected value"), (2, "{\"b\":2}")]);
        check("{\"a\":1} {\"b\":2}\n3", &[(1, "! not JSON: trailing characters"), (2, "3")]);
        let broken = "! the list breaks off, and what follows was not read: expected value";
        check("[{\"a\":1},\noops]\n{}", &[(1, "{\"a\":1}"), (2, broken)]);
        check("{\n \"a\": 1,\n \"b\"\n", &[(1, "! not JSON: EOF while parsing an object")]);
    }

    #[test]
    fn bad_utf8_costs_only_its_line() {
        let mut found = Vec::new();
        let bytes: &[u8] = b"{\"a\":\"\xff\"}\n{}";
        read_records(bytes, &[], &mut |record| {
            found.push((record.line, matches!(record.content, Content::Value(_))));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(1, false), (2, true)]);
    }

    #[test]
    fn stops_where_the_caller_fails() {
        for text in ["[1,2,3]", "1\n2\n3", "{\"Records\":[1,2]}"] {
            let mut count = 0;
            let containers = ["Records".to_owned()];
            let result = read_records(text.as_bytes(), &containers, &mut |_| {
                count += 1;
                anyhow::bail!("full")
            });
            assert_eq!((count, result.unwrap_err().to_string()), (1, "full".to_owned()), "{text}");
        }
    }
}
