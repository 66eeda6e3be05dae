//! Lists and objects as trees: a line for each value inside them, marked where only one side has it.

use std::collections::HashMap;

use annals_model::json::{self, Kind};
use serde_json::value::RawValue;

use super::diff_view::{Run, compare};

/// Levels that are laid out; what lies deeper stands as its JSON text.
const LEVELS_MAX: usize = 16;
/// Lines of one side.
const LINES_MAX: usize = 200;
/// Members by which two objects of a list are known to be the same one, before and after.
const NAMES: [&str; 3] = ["id", "key", "name"];

/// What stands on the page in turn. A line is closed by its own [`Part::End`], after the lines below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Line { key: Option<Run>, runs: Vec<Run> },
    Down,
    Up,
    End,
}

/// A JSON value with its text as it was written.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    raw: &'a str,
    shape: Shape<'a>,
}

#[derive(Debug)]
enum Shape<'a> {
    /// Its text as people read it.
    Leaf(String),
    List(Vec<Tree<'a>>),
    Object(Vec<(String, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    pub(super) fn new(raw: &'a RawValue) -> Tree<'a> {
        Tree::at(raw, 0)
    }

    fn at(raw: &'a RawValue, level: usize) -> Tree<'a> {
        let shape = match json::kind(raw) {
            Kind::String => {
                json::text(raw).filter(|text| !text.is_empty()).map(|text| Shape::Leaf(text.into_owned()))
            }
            Kind::Array if level < LEVELS_MAX => serde_json::from_str::<Vec<&RawValue>>(raw.get())
                .ok()
                .filter(|items| !items.is_empty())
                .map(|items| Shape::List(items.into_iter().map(|item| Tree::at(item, level + 1)).collect())),
            Kind::Object if level < LEVELS_MAX => {
                json::members(raw).ok().filter(|members| !members.is_empty()).map(|members| {
                    let members = members
                        .into_iter()
                        .map(|(key, value)| (key.into_owned(), Tree::at(value, level + 1)));
                    Shape::Object(members.collect())
                })
            }
            _ => None,
        };
        Tree { raw: raw.get(), shape: shape.unwrap_or_else(|| Shape::Leaf(raw.get().to_owned())) }
    }

    /// Whether it holds nothing but plain values, so that it needs no tree.
    pub(super) fn plain_items(&self) -> Option<Vec<String>> {
        let Shape::List(items) = &self.shape else { return None };
        items
            .iter()
            .map(|item| if let Shape::Leaf(text) = &item.shape { Some(text.clone()) } else { None })
            .collect()
    }

    fn name(&self) -> Option<&str> {
        let Shape::Object(members) = &self.shape else { return None };
        NAMES.iter().find_map(|name| members.iter().find(|(key, _)| key == name).map(|(_, value)| value.raw))
    }
}

/// Lays out a tree that stands alone, marked or not.
pub(super) fn alone(tree: &Tree<'_>, is_marked: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    below(tree, is_marked, &mut parts);
    parts
}

/// Lays out both sides of a change.
pub(super) fn both(old: &Tree<'_>, new: &Tree<'_>) -> (Vec<Part>, Vec<Part>) {
    match (&old.shape, &new.shape) {
        (Shape::Object(old), Shape::Object(new)) => objects(old, new),
        (Shape::List(old), Shape::List(new)) => lists(old, new),
        _ => (alone(old, true), alone(new, true)),
    }
}

/// Keeps the first lines, and says how many are left out.
pub(super) fn cut(parts: Vec<Part>) -> (Vec<Part>, usize) {
    let (mut kept, mut lines, mut hidden) = (Vec::with_capacity(parts.len()), 0_usize, 0_usize);
    for part in parts {
        match &part {
            Part::Line { .. } => {
                lines += 1;
                if lines > LINES_MAX {
                    hidden += 1;
                    continue;
                }
            }
            Part::End if hidden > 0 => {
                hidden -= 1;
                continue;
            }
            Part::Down | Part::Up if hidden > 0 => continue,
            Part::Down | Part::Up | Part::End => {}
        }
        kept.push(part);
    }
    (kept, lines.saturating_sub(LINES_MAX))
}

fn line(key: Option<&str>, runs: Vec<Run>, is_marked: bool, parts: &mut Vec<Part>) {
    parts.push(Part::Line { key: key.map(|key| Run { text: key.to_owned(), is_marked }), runs });
}

/// One value on its line, with what lies in it below.
fn entry(key: Option<&str>, tree: &Tree<'_>, is_marked: bool, parts: &mut Vec<Part>) {
    match &tree.shape {
        Shape::Leaf(text) => line(key, vec![Run { text: text.clone(), is_marked }], is_marked, parts),
        Shape::List(_) | Shape::Object(_) => {
            line(key, Vec::new(), is_marked, parts);
            below(tree, is_marked, parts);
        }
    }
    parts.push(Part::End);
}

fn below(tree: &Tree<'_>, is_marked: bool, parts: &mut Vec<Part>) {
    parts.push(Part::Down);
    match &tree.shape {
        Shape::Leaf(_) => entry(None, tree, is_marked, parts),
        Shape::List(items) => items.iter().for_each(|item| entry(None, item, is_marked, parts)),
        Shape::Object(members) => {
            members.iter().for_each(|(key, value)| entry(Some(key), value, is_marked, parts));
        }
    }
    parts.push(Part::Up);
}

/// The same place on both sides.
fn entries(key: Option<&str>, old: &Tree<'_>, new: &Tree<'_>) -> (Vec<Part>, Vec<Part>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    match (&old.shape, &new.shape) {
        _ if old.raw == new.raw => {
            entry(key, old, false, &mut before);
            entry(key, new, false, &mut after);
        }
        (Shape::Leaf(old_text), Shape::Leaf(new_text)) => {
            let (old_runs, new_runs) = compare(old_text, new_text);
            line(key, old_runs, false, &mut before);
            line(key, new_runs, false, &mut after);
            before.push(Part::End);
            after.push(Part::End);
        }
        (Shape::List(_), Shape::List(_)) | (Shape::Object(_), Shape::Object(_)) => {
            let (old_below, new_below) = both(old, new);
            for (parts, below) in [(&mut before, old_below), (&mut after, new_below)] {
                line(key, Vec::new(), false, parts);
                parts.extend(below);
                parts.push(Part::End);
            }
        }
        _ => {
            entry(key, old, true, &mut before);
            entry(key, new, true, &mut after);
        }
    }
    (before, after)
}

type Pairs = HashMap<usize, Vec<Part>>;

fn objects(old: &[(String, Tree<'_>)], new: &[(String, Tree<'_>)]) -> (Vec<Part>, Vec<Part>) {
    let by_key: HashMap<&str, usize> =
        new.iter().enumerate().map(|(at, (key, _))| (key.as_str(), at)).collect();
    let (mut before, mut after) = (Pairs::new(), Pairs::new());
    for (at, (key, value)) in old.iter().enumerate() {
        if let Some(other) = by_key.get(key.as_str()) {
            let (old_parts, new_parts) = entries(Some(key), value, &new[*other].1);
            before.insert(at, old_parts);
            after.insert(*other, new_parts);
        }
    }
    let side = |members: &[(String, Tree<'_>)], pairs: Pairs| {
        laid_out(members.iter().map(|(key, value)| (Some(key.as_str()), value)), pairs)
    };
    (side(old, before), side(new, after))
}

fn lists(old: &[Tree<'_>], new: &[Tree<'_>]) -> (Vec<Part>, Vec<Part>) {
    let (mut before, mut after) = (Pairs::new(), Pairs::new());
    let mut pair = |known: &dyn Fn(&Tree<'_>) -> Option<String>| {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        // The last place of a value is taken first, so the list is turned around.
        for (at, item) in new.iter().enumerate().rev().filter(|(at, _)| !after.contains_key(at)) {
            if let Some(name) = known(item) {
                places.entry(name).or_default().push(at);
            }
        }
        for (at, item) in old.iter().enumerate() {
            if before.contains_key(&at) {
                continue;
            }
            let Some(other) = known(item).and_then(|name| places.get_mut(&name)?.pop()) else { continue };
            let (old_parts, new_parts) = entries(None, item, &new[other]);
            before.insert(at, old_parts);
            after.insert(other, new_parts);
        }
    };
    pair(&|item| Some(item.raw.to_owned()));
    pair(&|item| item.name().map(str::to_owned));
    let side = |items: &[Tree<'_>], pairs: Pairs| laid_out(items.iter().map(|item| (None, item)), pairs);
    (side(old, before), side(new, after))
}

/// The entries of one side: as they were laid out with the other side, or marked where it has none.
fn laid_out<'t, 'a: 't>(
    entries: impl Iterator<Item = (Option<&'t str>, &'t Tree<'a>)>,
    mut pairs: Pairs,
) -> Vec<Part> {
    let mut parts = vec![Part::Down];
    for (at, (key, value)) in entries.enumerate() {
        match pairs.remove(&at) {
            Some(paired) => parts.extend(paired),
            None => entry(key, value, true, &mut parts),
        }
    }
    parts.push(Part::Up);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(json: &str) -> Tree<'_> {
        Tree::new(serde_json::from_str::<&RawValue>(json).unwrap())
    }

    /// Lines with their level as dots and marked text in brackets.
    fn shown(parts: &[Part]) -> String {
        let marked = |run: &Run| if run.is_marked { format!("[{}]", run.text) } else { run.text.clone() };
        let (mut out, mut level) = (Vec::new(), 0_usize);
        for part in parts {
            match part {
                Part::Down => level += 1,
                Part::Up => level -= 1,
                Part::End => {}
                Part::Line { key, runs } => {
                    let key = key.as_ref().map(|key| format!("{}:", marked(key))).unwrap_or_default();
                    let runs: String = runs.iter().map(marked).collect();
                    out.push(format!("{}{key}{runs}", ".".repeat(level)));
                }
            }
        }
        assert_eq!(level, 0);
        out.join(" ")
    }

    fn check(old: &str, new: &str, expect: (&str, &str)) {
        let (before, after) = both(&tree(old), &tree(new));
        assert_eq!((shown(&before).as_str(), shown(&after).as_str()), expect);
    }

    #[test]
    fn only_what_changed_inside_is_marked() {
        check(
            r#"{"users":{"ada":"use","bob":"admin"},"groups":{},"n":1.10}"#,
            r#"{"users":{"bob":"use","ada":"use","eve":"use"},"groups":{},"n":1.10}"#,
            (
                ".users: ..ada:use ..bob:[admin] .groups:{} .n:1.10",
                ".users: ..bob:[use] ..ada:use ..[eve]:[use] .groups:{} .n:1.10",
            ),
        );
    }

    #[test]
    fn objects_of_a_list_are_known_by_their_name() {
        check(
            r#"[{"name":"a","port":80},{"name":"b","port":81},{"x":1}]"#,
            r#"[{"name":"b","port":443},{"name":"a","port":80},{"x":2}]"#,
            (
                ". ..name:a ..port:80 . ..name:b ..port:[81] . ..[x]:[1]",
                ". ..name:b ..port:[443] . ..name:a ..port:80 . ..[x]:[2]",
            ),
        );
        // As often as it is there.
        check(r#"[{"a":1},{"a":1}]"#, r#"[{"a":1}]"#, (". ..a:1 . ..[a]:[1]", ". ..a:1"));
    }

    #[test]
    fn kinds_that_differ_are_marked_whole() {
        check(r#"{"a":[1]}"#, r#"{"a":"x"}"#, (".[a]: ..[1]", ".[a]:[x]"));
        assert_eq!(shown(&alone(&tree(r#"[[1],""]"#), true)), ". ..[1] .[\"\"]");
    }

    #[test]
    fn depth_and_length_have_an_end() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(alone(&tree(&deep), true).len() < 4 * (LEVELS_MAX + 2));
        let long = format!("[{}]", vec![r#"{"a":[1]}"#; 300].join(","));
        let (parts, more) = cut(alone(&tree(&long), true));
        let lines = parts.iter().filter(|part| matches!(part, Part::Line { .. })).count();
        assert_eq!((lines, more), (LINES_MAX, 700));
        let opened = parts.iter().filter(|part| matches!(part, Part::Down)).count();
        let closed = parts.iter().filter(|part| matches!(part, Part::Up)).count();
        let ends = parts.iter().filter(|part| matches!(part, Part::End)).count();
        assert_eq!((opened, ends), (closed, lines));
    }
}
