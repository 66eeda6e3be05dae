//! One changed field, laid out: which words are old, which are new, and what is withheld.

use std::borrow::Cow;
use std::collections::HashMap;

use annals_model::audit_log::StoredEvent;
use annals_model::diff::FieldChange;
use annals_model::json::{self, Kind};
use annals_model::record::Group;
use serde_json::value::RawValue;

use super::diff_tree::{self, Part, Tree};
use super::format;

/// Words of a text that are compared one by one; comparing takes the product of both sides.
const WORDS_MAX: usize = 400;
/// Items of a list that are shown one by one.
const ITEMS_MAX: usize = 200;

/// One row of the table of changes.
#[derive(Debug)]
pub(super) struct DiffRow {
    pub(super) field: String,
    pub(super) old: Side,
    pub(super) new: Side,
}

/// The value before or after.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// There is no value.
    Missing,
    /// It changed, and nobody may read it.
    Withheld,
    /// It was personal and has been erased.
    Erased,
    /// The empty text.
    Empty,
    /// A text or number in runs, with a form for people beside it.
    Text { runs: Vec<Run>, readable: String },
    /// A list of plain values; how many more there are.
    Items { items: Vec<Run>, more: usize },
    /// An object, or a list of lists and objects; how many more lines there are.
    Tree { parts: Vec<Part>, more: usize },
}

/// A stretch of text that is on both sides, or on this one only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) is_marked: bool,
}

impl Side {
    pub(super) fn is_value(&self) -> bool {
        !matches!(self, Side::Missing | Side::Erased | Side::Empty)
    }
}

/// Lays out the changes of an event.
pub(super) fn rows(event: &StoredEvent<'_>) -> Vec<DiffRow> {
    first_rows(event, usize::MAX)
}

/// Lays out the first changes of an event, `max` at most.
pub(super) fn first_rows(event: &StoredEvent<'_>, max: usize) -> Vec<DiffRow> {
    let is_erased = |group: Group| event.erased.contains(&group);
    event
        .changes
        .iter()
        .take(max)
        .map(|change| row(change, is_erased(Group::DiffOld), is_erased(Group::DiffNew)))
        .collect()
}

fn row(change: &FieldChange<'_>, old_erased: bool, new_erased: bool) -> DiffRow {
    let field = change.field.to_string();
    if change.secret {
        return DiffRow { field, old: Side::Withheld, new: Side::Withheld };
    }
    let (mut old, mut new) = match (&change.old, &change.new) {
        (Some(old), Some(new)) => both(&field, old, new),
        (old, new) => {
            let alone =
                |side: &Option<Cow<'_, str>>| side.as_ref().map_or(Side::Missing, |text| alone(&field, text));
            (alone(old), alone(new))
        }
    };
    if change.personal && old_erased {
        old = Side::Erased;
    }
    if change.personal && new_erased {
        new = Side::Erased;
    }
    DiffRow { field, old, new }
}

/// Lays out a value that stands for itself.
pub(super) fn unchanged(field: &str, text: &str) -> Side {
    side(field, text, false)
}

enum Value<'a> {
    Empty,
    /// A text that people read as such.
    Words(String),
    /// Number or truth value.
    Atom(String),
    /// Plain values.
    List(Vec<String>),
    Tree(Tree<'a>),
}

fn value(text: &str) -> Value<'_> {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return Value::Words(text.to_owned()) };
    match json::kind(raw) {
        Kind::String => match json::text(raw) {
            Some(text) if text.is_empty() => Value::Empty,
            Some(text) => Value::Words(text.into_owned()),
            None => Value::Words(raw.get().to_owned()),
        },
        Kind::Array | Kind::Object if matches!(raw.get(), "[]" | "{}") => Value::Atom(raw.get().to_owned()),
        Kind::Array | Kind::Object => {
            let tree = Tree::new(raw);
            tree.plain_items().map_or(Value::Tree(tree), Value::List)
        }
        Kind::Number | Kind::Bool | Kind::Null => Value::Atom(raw.get().to_owned()),
    }
}

fn alone(field: &str, text: &str) -> Side {
    side(field, text, true)
}

fn side(field: &str, text: &str, is_marked: bool) -> Side {
    let run = |text| vec![Run { text, is_marked }];
    match value(text) {
        Value::Empty => Side::Empty,
        Value::List(items) => list(items, |_| is_marked),
        Value::Words(text) => Side::Text { runs: run(text), readable: String::new() },
        Value::Atom(text) => {
            let readable = if is_duration(field) { format::nanoseconds(&text) } else { None };
            Side::Text { readable: readable.unwrap_or_default(), runs: run(text) }
        }
        Value::Tree(tree) => in_lines(diff_tree::alone(&tree, is_marked)),
    }
}

fn in_lines(parts: Vec<Part>) -> Side {
    let (parts, more) = diff_tree::cut(parts);
    Side::Tree { parts, more }
}

fn both(field: &str, old: &str, new: &str) -> (Side, Side) {
    match (value(old), value(new)) {
        (Value::List(old), Value::List(new)) => {
            let (before, after) = (old.clone(), new.clone());
            (list(old, only_in(after)), list(new, only_in(before)))
        }
        (Value::Words(old), Value::Words(new)) => {
            let (old, new) = compare(&old, &new);
            let text = |runs| Side::Text { runs, readable: String::new() };
            (text(old), text(new))
        }
        (Value::Tree(old), Value::Tree(new)) => {
            let (old, new) = diff_tree::both(&old, &new);
            (in_lines(old), in_lines(new))
        }
        _ => (alone(field, old), alone(field, new)),
    }
}

/// Tells the items that the other side does not have, counting how often each is there.
fn only_in(other: Vec<String>) -> impl FnMut(&String) -> bool {
    let mut left: HashMap<String, usize> = HashMap::new();
    for item in other {
        *left.entry(item).or_default() += 1;
    }
    move |item| match left.get_mut(item) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    }
}

fn list(mut items: Vec<String>, mut is_marked: impl FnMut(&String) -> bool) -> Side {
    let more = items.len().saturating_sub(ITEMS_MAX);
    items.truncate(ITEMS_MAX);
    let items = items.into_iter().map(|text| Run { is_marked: is_marked(&text), text }).collect();
    Side::Items { items, more }
}

/// Fields of Coder that hold Go durations: whole nanoseconds.
fn is_duration(field: &str) -> bool {
    field.ends_with("ttl")
        || field.starts_with("time_til")
        || field.ends_with("_duration")
        || field.ends_with("_interval")
        || matches!(field, "activity_bump" | "duration" | "interval")
}

/// Marks the words that only one side has.
pub(super) fn compare(old: &str, new: &str) -> (Vec<Run>, Vec<Run>) {
    let (before, after) = (split(old), split(new));
    if before.len() > WORDS_MAX || after.len() > WORDS_MAX {
        let whole = |text: &str| vec![Run { text: text.to_owned(), is_marked: true }];
        return (whole(old), whole(new));
    }
    let (old_kept, new_kept) = kept(&before, &after);
    (runs(&before, &old_kept), runs(&after, &new_kept))
}

/// Words with the white space behind each.
fn split(text: &str) -> Vec<(&str, &str)> {
    text.split_inclusive(char::is_whitespace)
        .map(|part| part.split_at(part.trim_end_matches(char::is_whitespace).len()))
        .collect()
}

/// Which words of each side belong to a longest common sequence.
fn kept(before: &[(&str, &str)], after: &[(&str, &str)]) -> (Vec<bool>, Vec<bool>) {
    let width = after.len() + 1;
    let mut lengths = vec![0_u16; (before.len() + 1) * width];
    for (row, (old, _)) in before.iter().enumerate().rev() {
        for (column, (new, _)) in after.iter().enumerate().rev() {
            lengths[row * width + column] = if old == new {
                lengths[(row + 1) * width + column + 1] + 1
            } else {
                lengths[(row + 1) * width + column].max(lengths[row * width + column + 1])
            };
        }
    }
    let (mut old_kept, mut new_kept) = (vec![false; before.len()], vec![false; after.len()]);
    let (mut row, mut column) = (0, 0);
    while row < before.len() && column < after.len() {
        if before[row].0 == after[column].0 {
            (old_kept[row], new_kept[column]) = (true, true);
            (row, column) = (row + 1, column + 1);
        } else if lengths[(row + 1) * width + column] >= lengths[row * width + column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    (old_kept, new_kept)
}

fn runs(words: &[(&str, &str)], kept: &[bool]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut push = |text: &str, is_marked: bool| match runs.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.is_marked == is_marked => last.text.push_str(text),
        _ => runs.push(Run { text: text.to_owned(), is_marked }),
    };
    for (at, (word, space)) in words.iter().enumerate() {
        push(word, !kept[at]);
        // The space between two marked words is marked with them.
        let is_between = !kept[at] && kept.get(at + 1).is_some_and(|kept| !kept);
        push(space, is_between);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change<'a>(field: &'a str, old: Option<&'a str>, new: Option<&'a str>) -> FieldChange<'a> {
        FieldChange {
            field: field.into(),
            old: old.map(Cow::Borrowed),
            new: new.map(Cow::Borrowed),
            secret: false,
            personal: true,
        }
    }

    /// Marked text in brackets.
    fn shown(side: &Side) -> String {
        let marked = |run: &Run| if run.is_marked { format!("[{}]", run.text) } else { run.text.clone() };
        match side {
            Side::Text { runs, readable } => {
                let text: String = runs.iter().map(marked).collect();
                if readable.is_empty() { text } else { format!("{text} = {readable}") }
            }
            Side::Items { items, more } => {
                let items: Vec<_> = items.iter().map(marked).collect();
                format!("{} +{more}", items.join("|"))
            }
            Side::Tree { parts, more } => format!("{} parts +{more}", parts.len()),
            other => format!("{other:?}"),
        }
    }

    fn check(field: &str, old: Option<&str>, new: Option<&str>, expect: (&str, &str)) {
        let row = row(&change(field, old, new), false, false);
        assert_eq!((shown(&row.old).as_str(), shown(&row.new).as_str()), expect);
    }

    #[test]
    fn only_changed_words_are_marked() {
        let old = r#""Containers on the shared build hosts, 2 vCPU""#;
        let new = r#""Containers on the dedicated build hosts, 4 vCPU""#;
        check(
            "description",
            Some(old),
            Some(new),
            (
                "Containers on the [shared] build hosts, [2] vCPU",
                "Containers on the [dedicated] build hosts, [4] vCPU",
            ),
        );
        check("name", Some(r#""a""#), Some(r#""b""#), ("[a]", "[b]"));
        check("name", Some(r#""a b c""#), Some(r#""x y c""#), ("[a b] c", "[x y] c"));
    }

    #[test]
    fn every_kind_of_value_has_its_form() {
        check("default_ttl", Some("28800000000000"), Some("0"), ("[28800000000000] = 8 h", "[0]"));
        check("count", Some("28800000000000"), None, ("[28800000000000]", "Missing"));
        check("deprecated", None, Some(r#""soon""#), ("Missing", "[soon]"));
        check("description", Some(r#""""#), Some(r#""x""#), ("Empty", "[x]"));
        check("acl", Some(r#"["a","b"]"#), Some(r#"["a","c","c"]"#), ("a|[b] +0", "a|[c]|[c] +0"));
        check("acl", Some(r#"["a","a"]"#), Some(r#"["a"]"#), ("a|[a] +0", "a +0"));
        check("acl", Some("[]"), Some(r#"["a"]"#), ("[[]]", "[a] +0"));
        check("quota", Some(r#"{"a":1}"#), Some(r#"{"a":2}"#), ("4 parts +0", "4 parts +0"));
        check("quota", Some("{}"), Some(r#"[{"a":1}]"#), ("[{}]", "8 parts +0"));
        check("on", Some("true"), Some("false"), ("[true]", "[false]"));
    }

    #[test]
    fn secrets_and_erased_values_are_never_shown() {
        let mut secret = change("key", Some(r#""S3CRET""#), Some(r#""S3CRET""#));
        secret.secret = true;
        let row = row(&secret, false, false);
        assert_eq!((row.old, row.new), (Side::Withheld, Side::Withheld));
        let row = super::row(&change("email", None, None), true, true);
        assert_eq!((row.old, row.new), (Side::Erased, Side::Erased));
    }

    #[test]
    fn long_texts_are_not_compared_word_by_word() {
        let old = format!("\"{}\"", "word ".repeat(5_000));
        let new = format!("\"{}\"", "other ".repeat(5_000));
        let row = row(&change("motd", Some(&old), Some(&new)), false, false);
        assert!(matches!(&row.old, Side::Text { runs, .. } if runs.len() == 1));
    }
}
