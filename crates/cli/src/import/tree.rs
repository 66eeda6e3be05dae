//! A record as a tree whose every value keeps its exact text.
//!
//! `serde_json::Value` would round numbers. The tree is made in one pass over text that [`json::check`] has passed, so
//! keys are unique and the depth is bounded.

use std::borrow::Cow;

use annals_model::json;
use serde_json::value::RawValue;

/// A value inside a record.
#[derive(Debug, Clone)]
pub(super) struct Node<'r> {
    /// Its JSON text, without white space between tokens.
    pub(super) text: &'r str,
    /// Where `text` begins in the text of the record.
    pub(super) start: usize,
    pub(super) content: Content<'r>,
}

/// What a value holds.
#[derive(Debug, Clone)]
pub(super) enum Content<'r> {
    Null,
    /// A number, `true` or `false`: its text says all.
    Plain,
    Text(Cow<'r, str>),
    List(Vec<Node<'r>>),
    Object(Vec<(Cow<'r, str>, Node<'r>)>),
}

/// Removes the white space of a record after the checks that the log makes of additional fields.
///
/// # Errors
/// What is wrong with the record, and where.
pub(super) fn checked(record: &str) -> Result<String, String> {
    let raw: &RawValue = serde_json::from_str(record).map_err(|error| format!("not JSON: {error}"))?;
    json::check(raw).map_err(|fault| match fault.pointer.as_str() {
        "" => fault.detail.clone(),
        pointer => format!("{pointer}: {}", fault.detail),
    })?;
    let mut text = Vec::with_capacity(record.len());
    json::push_compact(&mut text, raw);
    Ok(String::from_utf8(text).expect("a text without some of its spaces is a text"))
}

impl<'r> Node<'r> {
    /// Makes the tree of a text that [`checked`] has returned.
    pub(super) fn parse(text: &'r str) -> Node<'r> {
        Parser { text, at: 0 }.value()
    }

    /// The member of an object, or the element of a list if `name` is an index.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'r>> {
        match &self.content {
            Content::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Content::List(elements) if name == "last" => elements.last(),
            Content::List(elements) => elements.get(name.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The text of a text, number or truth value, and of a list of exactly one of these. Nothing if it is empty.
    pub(super) fn to_text(&self) -> Option<&str> {
        match &self.content {
            Content::Plain => Some(self.text),
            Content::Text(text) => Some(text.as_ref()).filter(|text| !text.is_empty()),
            Content::List(elements) => match elements.as_slice() {
                [Node { content: Content::List(_), .. }] => None,
                [only] => only.to_text(),
                _ => None,
            },
            Content::Null | Content::Object(_) => None,
        }
    }

    /// Whether there is something: not null, not empty.
    pub(super) fn is_something(&self) -> bool {
        match &self.content {
            Content::Null => false,
            Content::Plain => true,
            Content::Text(text) => !text.is_empty(),
            Content::List(elements) => !elements.is_empty(),
            Content::Object(members) => !members.is_empty(),
        }
    }

    /// Where `text` ends in the text of the record.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Reads text that is known to be sound JSON without white space between tokens.
struct Parser<'r> {
    text: &'r str,
    at: usize,
}

impl<'r> Parser<'r> {
    fn value(&mut self) -> Node<'r> {
        let start = self.at;
        let content = match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                self.at += 1;
                while self.goes_on(b'}') {
                    let key = self.string();
                    self.at += 1;
                    members.push((key, self.value()));
                }
                Content::Object(members)
            }
            Some(b'[') => {
                let mut elements = Vec::new();
                self.at += 1;
                while self.goes_on(b']') {
                    elements.push(self.value());
                }
                Content::List(elements)
            }
            Some(b'"') => Content::Text(self.string()),
            first => {
                let rest = &self.text.as_bytes()[self.at..];
                let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
                self.at += length.unwrap_or(rest.len());
                if first == Some(b'n') { Content::Null } else { Content::Plain }
            }
        };
        Node { text: &self.text[start..self.at], start, content }
    }

    /// Steps over a comma, or over the end of a list or object, which is then over. So is one at the end of the text.
    fn goes_on(&mut self, end: u8) -> bool {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                false
            }
            Some(b',') => {
                self.at += 1;
                true
            }
            Some(_) => true,
            None => false,
        }
    }

    fn string(&mut self) -> Cow<'r, str> {
        let start = self.at;
        self.at += 1;
        let mut has_escapes = false;
        loop {
            match self.peek() {
                Some(b'\\') => {
                    has_escapes = true;
                    self.at += 2;
                }
                Some(b'"') => break,
                Some(_) => self.at += 1,
                None => return Cow::Borrowed(""),
            }
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        if has_escapes {
            Cow::Owned(serde_json::from_str(quoted).unwrap_or_default())
        } else {
            Cow::Borrowed(&quoted[1..quoted.len() - 1])
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_keeps_its_text_and_place() {
        let text = checked(
            "{ \"a\" : [1.50, {\"b\":\"x\\ny\"}, [], {}], \"big\": 18446744073709551617, \"n\":null,\n\"t\":true}",
        )
        .unwrap();
        let tree = Node::parse(&text);
        let at = |path: &[&str]| path.iter().try_fold(&tree, |node, name| node.get(name)).unwrap();
        assert_eq!(at(&["a", "0"]).to_text(), Some("1.50"));
        assert_eq!(at(&["a", "1", "b"]).to_text(), Some("x\ny"));
        assert_eq!(at(&["big"]).to_text(), Some("18446744073709551617"));
        assert_eq!(at(&["t"]).to_text(), Some("true"));
        assert!(!at(&["a", "2"]).is_something() && !at(&["n"]).is_something());
        for path in [&["a"] as &[&str], &["a", "1"], &["a", "3"], &["big"], &["n"]] {
            let node = at(path);
            assert_eq!(&text[node.start..node.end()], node.text);
        }
        assert_eq!(tree.text, text);
    }

    #[test]
    fn what_the_log_would_refuse_is_refused_with_its_place() {
        assert_eq!(checked("{\"a\":{\"b\":1,\"b\":2}}").unwrap_err(), "/a/b: the key `b` occurs twice");
        assert!(checked("{\"a\":").unwrap_err().starts_with("not JSON: EOF"));
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        assert!(checked(&deep).is_err());
    }
}
