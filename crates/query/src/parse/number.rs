//! Numbers and ranges of numbers.

use super::scan::Comparison;
use super::value::Place;
use crate::errors::{Problem, QueryError};
use crate::{Test, fold};

/// The numbers a key can have, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) at_least: i64,
    pub(super) at_most: i64,
}

/// Reads `404`, `400..499`, `400..`, `..499` or, with a comparison, the number compared with.
pub(super) fn read(
    text: &str,
    comparison: Option<Comparison>,
    bounds: Bounds,
    place: &Place,
) -> Result<Test, QueryError> {
    let number = |text: &str| read_one(text, bounds, place);
    let (at_least, at_most) = match (comparison, text.split_once("..")) {
        (Some(Comparison::AtLeast), _) => {
            // One more than the largest, so that `>` the largest has a canonical text.
            let bounds = Bounds { at_most: bounds.at_most.saturating_add(1), ..bounds };
            (Some(read_one(text, bounds, place)?), None)
        }
        (Some(Comparison::Above), _) => (Some(number(text)?.saturating_add(1)), None),
        (Some(Comparison::AtMost), _) => (None, Some(number(text)?)),
        (Some(Comparison::Below), _) => (None, Some(number(text)? - 1)),
        (None, None) => {
            let number = number(text)?;
            (Some(number), Some(number))
        }
        (None, Some(("", ""))) => return Err(bad(text, place)),
        (None, Some((from, ""))) => (Some(number(from)?), None),
        (None, Some(("", to))) => (None, Some(number(to)?)),
        (None, Some((from, to))) => {
            let (at_least, at_most) = (number(from)?, number(to)?);
            if at_least > at_most {
                return Err(place.error(&Problem::Reversed).with_replacement(format!("{to}..{from}")));
            }
            (Some(at_least), Some(at_most))
        }
    };
    Ok(Test::Int { at_least, at_most })
}

fn read_one(text: &str, bounds: Bounds, place: &Place) -> Result<i64, QueryError> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits {
        return Err(bad(text, place));
    }
    let Bounds { at_least, at_most } = bounds;
    match text.parse::<i64>() {
        Ok(number) if (at_least..=at_most).contains(&number) => Ok(number),
        // Digits alone fail to parse only by being too many.
        _ => Err(place.error(&Problem::NumberOutside { number: text.to_owned(), at_least, at_most })),
    }
}

fn bad(text: &str, place: &Place) -> QueryError {
    let error = place.error(&Problem::BadNumber(text.to_owned()));
    match fold(text).as_bytes() {
        [class @ b'1'..=b'5', b'x', b'x'] => {
            let class = char::from(*class);
            error.with_replacement(format!("{class}00..{class}99"))
        }
        _ => error.with_hint("expected a number such as `404`, a range such as `400..499`, or `>=400`"),
    }
}
