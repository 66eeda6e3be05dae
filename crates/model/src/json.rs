//! JSON as the log keeps it: the exact text, checked once, never canonicalised.
//!
//! `serde_json` does the reading; this module adds what it leaves open. [`check`] refuses duplicate keys, numbers
//! that no double can hold, lone surrogates and deep nesting, and says where. [`equal`] compares two values without
//! rounding numbers. [`push_compact`] copies a value without the white space between its tokens.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::JSON_DEPTH_MAX;

/// What is wrong inside a JSON value, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonFault {
    /// JSON Pointer from the value that was checked.
    pub pointer: String,
    /// What is wrong, lower case, no period.
    pub detail: String,
}

/// Checks a whole value: no key twice in one object, every number finite as a double, every string valid Unicode, at
/// most [`JSON_DEPTH_MAX`] levels.
///
/// # Errors
/// The first fault, with its JSON Pointer.
pub fn check(raw: &RawValue) -> Result<(), JsonFault> {
    let fault = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let result = Strict { place: Place::Root, depth: 0, fault: &fault }.deserialize(&mut deserializer);
    match result {
        Ok(()) => Ok(()),
        Err(error) => {
            let pointer = fault.into_inner().unwrap_or_default();
            Err(JsonFault { pointer, detail: plain_message(&error) })
        }
    }
}

/// Cuts the line and column that `serde_json` adds: inside one value they mislead.
pub(crate) fn plain_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.find(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Where the reader stands: a chain on the stack, turned into a pointer only when something is wrong.
#[derive(Clone, Copy)]
enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Place::Root => String::new(),
            Place::Key(parent, key) => format!("{}/{}", parent.pointer(), escape_pointer(key)),
            Place::Index(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// Escapes one step of a JSON Pointer (RFC 6901).
pub fn escape_pointer(step: &str) -> Cow<'_, str> {
    if step.contains(['~', '/']) {
        Cow::Owned(step.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(step)
    }
}

struct Strict<'p> {
    place: Place<'p>,
    depth: usize,
    fault: &'p RefCell<Option<String>>,
}

impl Strict<'_> {
    fn note<E>(&self, place: &Place<'_>, error: E) -> E {
        self.fault.borrow_mut().get_or_insert_with(|| place.pointer());
        error
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth >= JSON_DEPTH_MAX {
            let error = A::Error::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels"));
            return Err(self.note(&self.place, error));
        }
        let mut index = 0;
        loop {
            let place = Place::Index(&self.place, index);
            let child = Strict { place, depth: self.depth + 1, fault: self.fault };
            match seq.next_element_seed(child) {
                Ok(Some(())) => index += 1,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.note(&place, error)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth >= JSON_DEPTH_MAX {
            let error = A::Error::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels"));
            return Err(self.note(&self.place, error));
        }
        let mut keys = Keys::default();
        loop {
            let key = match map.next_key::<Text<'de>>() {
                Ok(Some(Text(key))) => key,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.note(&self.place, error)),
            };
            let place = Place::Key(&self.place, &key);
            if keys.contains(&key) {
                return Err(self.note(&place, A::Error::custom(format_args!("the key `{key}` occurs twice"))));
            }
            let child = Strict { place, depth: self.depth + 1, fault: self.fault };
            map.next_value_seed(child).map_err(|error| self.note(&place, error))?;
            keys.insert(key);
        }
    }
}

/// The keys of one object: a list while it is short, then also a set, so that an object of 100,000 keys costs no square.
#[derive(Default)]
struct Keys<'de> {
    list: Vec<Cow<'de, str>>,
    set: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const LIST_MAX: usize = 16;

    fn contains(&self, key: &str) -> bool {
        if self.set.is_empty() { self.list.iter().any(|known| known == key) } else { self.set.contains(key) }
    }

    fn insert(&mut self, key: Cow<'de, str>) {
        if self.set.is_empty() && self.list.len() < Keys::LIST_MAX {
            self.list.push(key);
        } else {
            self.set.extend(self.list.drain(..));
            self.set.insert(key);
        }
    }
}

/// A text that borrows from the input where it has no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the text out.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The members of an object in their order, each value as its exact text.
///
/// # Errors
/// If the value is not an object or a key occurs twice at this level. Deeper levels are not looked at; see [`check`].
pub fn members(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, JsonFault> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
            let mut keys = Keys::default();
            while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                if keys.contains(&key) {
                    return Err(A::Error::custom(format_args!("the key `{key}` occurs twice")));
                }
                keys.insert(key.clone());
                members.push((key, value));
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer
        .deserialize_map(Members)
        .map_err(|error| JsonFault { pointer: String::new(), detail: plain_message(&error) })
}

/// The JSON type of a checked value, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the six types of JSON")]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// Returns the type of a value.
pub fn kind(raw: &RawValue) -> Kind {
    match raw.get().as_bytes().first() {
        Some(b't' | b'f') => Kind::Bool,
        Some(b'"') => Kind::String,
        Some(b'[') => Kind::Array,
        Some(b'{') => Kind::Object,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// Says whether two checked values are the same: lists in order, objects by key, numbers by their exact decimal value
/// (`1.0` is `1`, but 2^64+1 is not 2^64).
pub fn equal(left: &RawValue, right: &RawValue) -> bool {
    if left.get() == right.get() {
        return true;
    }
    let kind_of_both = kind(left);
    if kind_of_both != kind(right) {
        return false;
    }
    match kind_of_both {
        Kind::Null | Kind::Bool => false,
        Kind::Number => decimal(left.get()) == decimal(right.get()),
        Kind::String => {
            // Equal strings may differ in escapes; without one in either text they differ for good.
            let escaped = left.get().contains('\\') || right.get().contains('\\');
            escaped && text(left) == text(right)
        }
        Kind::Array => match (elements(left), elements(right)) {
            (Some(left), Some(right)) => {
                left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| equal(left, right))
            }
            _ => false,
        },
        Kind::Object => match (members(left), members(right)) {
            (Ok(mut left), Ok(mut right)) => {
                left.sort_by(|a, b| a.0.cmp(&b.0));
                right.sort_by(|a, b| a.0.cmp(&b.0));
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(&right)
                        .all(|(left, right)| left.0 == right.0 && equal(left.1, right.1))
            }
            _ => false,
        },
    }
}

/// Returns the text of a JSON string, or nothing for another type.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(Text::into_cow)
}

fn elements(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// A number as sign, significant digits and power of ten, so that every spelling of one value compares equal.
fn decimal(number: &str) -> (bool, String, i64) {
    let (negative, rest) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        // An exponent too long for an i64 belongs to a zero or to a value of no practical size: saturate.
        Some(at) => {
            let digits = &rest[at + 1..];
            let saturated = if digits.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
            (&rest[..at], digits.parse::<i64>().unwrap_or(saturated).clamp(i64::MIN / 4, i64::MAX / 4))
        }
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return (false, String::new(), 0);
    }
    let cut = i64::try_from(significant.len() - trimmed.len()).unwrap_or(i64::MAX / 4);
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 4);
    (negative, trimmed.to_owned(), exponent - places + cut)
}

/// Appends a value without the white space between its tokens; strings are copied to the letter.
pub fn push_compact(out: &mut Vec<u8>, raw: &RawValue) {
    let bytes = raw.get().as_bytes();
    let mut from = 0;
    let mut in_string = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => {
                out.extend_from_slice(&bytes[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Appends a text as a JSON string.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text always serialises into memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn check_names_the_place() {
        let deep = format!("{}{}", "[".repeat(121), "]".repeat(121));
        let cases = [
            (r#"{"a":{"b/c":1,"b/c":2}}"#, "/a/b~1c", "the key `b/c` occurs twice"),
            (r#"{"a":[1,1e999]}"#, "/a/1", "number out of range"),
            (r#"["\ud800"]"#, "/0", "unexpected end of hex escape"),
            (r#"{"\udc00":1}"#, "", "lone leading surrogate in hex escape"),
            (deep.as_str(), &"/0".repeat(120), "nested deeper than 120 levels"),
        ];
        for (text, pointer, detail) in cases {
            let fault = check(&raw(text)).unwrap_err();
            assert_eq!((fault.pointer.as_str(), fault.detail.as_str()), (pointer, detail), "{text}");
        }
        check(&raw(&format!("{}{}", "[".repeat(120), "]".repeat(120)))).unwrap();
    }

    #[test]
    fn many_keys_are_compared_through_a_set() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"k{n}\":0")).collect();
            members.join(",")
        };
        check(&raw(&format!("{{{}}}", object(5_000)))).unwrap();
        assert!(check(&raw(&format!("{{{},\"k7\":1}}", object(5_000)))).is_err());
    }

    #[test]
    fn equality_is_exact() {
        let same = [
            ("1", "1.0"),
            ("10", "1e1"),
            ("-0", "0"),
            ("0.10", "1E-1"),
            (r#""a""#, r#""\u0061""#),
            ("[1, 2]", "[1,2]"),
            (r#"{"a":1,"b":[2.0]}"#, r#"{"b":[2],"a":1}"#),
        ];
        for (left, right) in same {
            assert!(equal(&raw(left), &raw(right)), "{left} {right}");
        }
        let different = [
            ("1", "\"1\""),
            ("18446744073709551616", "18446744073709551617"),
            ("[1,2]", "[2,1]"),
            ("null", "0"),
            ("true", "false"),
            ("1", "-1"),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("\"a\"", "\"A\""),
        ];
        for (left, right) in different {
            assert!(!equal(&raw(left), &raw(right)), "{left} {right}");
        }
    }

    #[test]
    fn compacts_outside_strings_only() {
        let mut out = Vec::new();
        push_compact(&mut out, &raw("{ \"a b\" :\n[ 1 , \"x \\\" y\\\\\" , -0 ] }"));
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a b\":[1,\"x \\\" y\\\\\",-0]}");
    }
}
