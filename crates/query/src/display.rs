//! The canonical text of a filter.

use crate::parse::{DAY_US, TIME_US_MAX, date_time};
use crate::{Filter, Glob, GlobPart, Key, Pattern, Term, Test};
use std::borrow::Cow;
use std::fmt;

/// What every event matches; each has a position.
const EVERYTHING: &str = "seq:*";
/// What no event matches.
const NOTHING: &str = "-seq:*";

/// Where a filter stands, which decides whether it needs parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Query,
    Branch,
    Part,
    Negated,
}

/// Writes the query that means this filter.
///
/// Parsing the text of a filter that came from [`parse`](crate::parse()) gives the same filter. The text of any other
/// filter means the same, unless it holds a text that no query can: one with a quotation mark inside a pattern, or
/// an empty or nil value.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() { Ok(()) } else { write_filter(f, self, Level::Query) }
    }
}

fn write_filter(f: &mut fmt::Formatter<'_>, filter: &Filter, level: Level) -> fmt::Result {
    match filter {
        Filter::And(filters) | Filter::Or(filters) if filters.len() == 1 => {
            write_filter(f, &filters[0], level)
        }
        Filter::And(filters) if filters.is_empty() => write_constant(f, true, level),
        Filter::Or(filters) if filters.is_empty() => write_constant(f, false, level),
        Filter::And(_) if level >= Level::Part => write_group(f, filter),
        Filter::And(filters) => write_conjunction(f, filters),
        Filter::Or(filters) => match ordered_list(filters) {
            Some((key, tests)) => write_ordered(f, key, &tests),
            None if level >= Level::Branch => write_group(f, filter),
            None => write_separated(f, filters, " OR ", Level::Branch),
        },
        Filter::Not(_) if level == Level::Negated => write_group(f, filter),
        Filter::Not(inner) => {
            f.write_str("-")?;
            write_filter(f, inner, Level::Negated)
        }
        Filter::Term(term) => write_term(f, term, level),
    }
}

fn write_constant(f: &mut fmt::Formatter<'_>, is_everything: bool, level: Level) -> fmt::Result {
    match (is_everything, level) {
        (true, _) | (false, Level::Negated) => {
            // A negated nothing has its minus already, so only the group keeps the two apart.
            if is_everything { f.write_str(EVERYTHING) } else { write!(f, "({NOTHING})") }
        }
        (false, _) => f.write_str(NOTHING),
    }
}

fn write_group(f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
    f.write_str("(")?;
    write_filter(f, filter, Level::Query)?;
    f.write_str(")")
}

fn write_separated(
    f: &mut fmt::Formatter<'_>,
    filters: &[Filter],
    separator: &str,
    level: Level,
) -> fmt::Result {
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write_filter(f, filter, level)?;
    }
    Ok(())
}

/// Writes the parts of a conjunction. Side by side, equalities of the same key would mean any of their values, so
/// all but the first stand in parentheses.
fn write_conjunction(f: &mut fmt::Formatter<'_>, filters: &[Filter]) -> fmt::Result {
    let mut equalities = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        match equality_key(filter) {
            Some(key) if equalities.contains(&key) => write_apart(f, filter)?,
            key => {
                equalities.extend(key);
                write_filter(f, filter, Level::Part)?;
            }
        }
    }
    Ok(())
}

/// Writes an equality so that it is not joined with its neighbours: in parentheses, or twice negated if a bare `)`
/// in its text would close them.
fn write_apart(f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
    let text = filter.to_string();
    let unquoted = text.split('"').step_by(2);
    if unquoted.flat_map(str::chars).any(|character| character == ')') {
        write!(f, "NOT -{text}")
    } else {
        write!(f, "({text})")
    }
}

/// Returns the key of a filter that is written as an equality of a single-valued key.
fn equality_key(filter: &Filter) -> Option<Key> {
    let is_one = |test: &Test| matches!(test, Test::Int { at_least, at_most } if at_least == at_most);
    match filter {
        Filter::And(filters) | Filter::Or(filters) if filters.len() == 1 => equality_key(&filters[0]),
        Filter::Term(Term { key, test }) => {
            let is_equality = matches!(test, Test::AnyOf(_) | Test::Net(_) | Test::Uuid(_)) || is_one(test);
            (is_equality && !key.is_multi_valued()).then_some(*key)
        }
        Filter::Or(filters) => {
            let (key, tests) = ordered_list(filters)?;
            tests.into_iter().all(is_one).then_some(key)
        }
        Filter::And(_) | Filter::Not(_) => None,
    }
}

/// Returns the key and the tests if all filters are ranges of one key, which are written as a list.
fn ordered_list(filters: &[Filter]) -> Option<(Key, Vec<&Test>)> {
    let mut key = None;
    let mut tests = Vec::new();
    for filter in filters {
        let Filter::Term(term) = filter else { return None };
        let is_range = match term.test {
            Test::Int { at_least: None, at_most: None } | Test::Time { from_us: None, before_us: None } => {
                false
            }
            Test::Int { at_least: Some(least), at_most: Some(most) } => least <= most,
            Test::Time { from_us: Some(from_us), before_us: Some(before_us) } => from_us < before_us,
            Test::Int { .. } | Test::Time { .. } => true,
            Test::AnyOf(_) | Test::Net(_) | Test::Uuid(_) | Test::Exists => false,
        };
        if !is_range || *key.get_or_insert(term.key) != term.key {
            return None;
        }
        tests.push(&term.test);
    }
    Some((key?, tests))
}

fn write_ordered(f: &mut fmt::Formatter<'_>, key: Key, tests: &[&Test]) -> fmt::Result {
    let items: Vec<String> = tests.iter().map(|test| range(test)).collect();
    write!(f, "{}:{}", key.name(), items.join(","))
}

fn write_term(f: &mut fmt::Formatter<'_>, term: &Term, level: Level) -> fmt::Result {
    let name = term.key.name();
    match &term.test {
        Test::AnyOf(patterns) => write_patterns(f, term.key, patterns, level),
        Test::Net(networks) if networks.is_empty() => write_constant(f, false, level),
        Test::Net(networks) => {
            write!(f, "{name}:{}", joined(networks.iter().map(network)))
        }
        Test::Uuid(ids) if ids.is_empty() => write_constant(f, false, level),
        Test::Uuid(ids) => write!(f, "{name}:{}", joined(ids.iter().map(ToString::to_string))),
        Test::Int { at_least: None, at_most: None } | Test::Time { from_us: None, before_us: None } => {
            write!(f, "{name}:*")
        }
        Test::Int { .. } | Test::Time { .. } => match ordered_list(&[Filter::Term(term.clone())]) {
            Some((key, tests)) => write_ordered(f, key, &tests),
            None => write_constant(f, false, level),
        },
        Test::Exists => write!(f, "{name}:*"),
    }
}

fn write_patterns(f: &mut fmt::Formatter<'_>, key: Key, patterns: &[Pattern], level: Level) -> fmt::Result {
    if let ([Pattern::Contains(word)], Key::Text) = (patterns, key)
        && !word.is_empty()
        && !word.contains('"')
    {
        // Always quoted: a bare word may name a resource type or be a keyword.
        return write!(f, "\"{word}\"");
    }
    let can_match = |pattern: &&Pattern| match pattern {
        Pattern::Exact(text) => !text.is_empty(),
        Pattern::Glob(glob) => !glob.parts().is_empty(),
        Pattern::Contains(_) => true,
    };
    let items: Vec<String> = patterns.iter().filter(can_match).map(|it| pattern(key, it)).collect();
    if items.is_empty() {
        return write_constant(f, false, level);
    }
    write!(f, "{}:{}", key.name(), items.join(","))
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

/// Writes a network; a single address without its length.
pub(crate) fn network(network: &ipnet::IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// Writes one value of a list.
pub(crate) fn pattern(key: Key, pattern: &Pattern) -> String {
    match pattern {
        Pattern::Exact(text) => literal(text).into_owned(),
        Pattern::Glob(glob) => glob_text(glob),
        Pattern::Contains(text) if key == Key::Text && !text.is_empty() && !text.contains('"') => {
            format!("\"{text}\"")
        }
        Pattern::Contains(text) => glob_text(&Glob::new([GlobPart::Literal(text.clone())]).anywhere()),
    }
}

fn glob_text(glob: &Glob) -> String {
    let mut text = String::new();
    for part in glob.parts() {
        match part {
            // There is no escape for a quotation mark inside a pattern; a `?` matches it.
            GlobPart::Literal(inner) if inner.contains('"') => {
                text.push_str(&quoted(&inner.replace('"', "\"?\"")))
            }
            GlobPart::Literal(inner) if inner.chars().all(is_plain) => text.push_str(inner),
            GlobPart::Literal(inner) => text.push_str(&quoted(inner)),
            GlobPart::AnyOne => text.push('?'),
            GlobPart::AnyMany => text.push('*'),
        }
    }
    // A value may not begin or end with a bare colon.
    let open = if text.starts_with(':') { "\"\"" } else { "" };
    let close = if text.ends_with(':') { "\"\"" } else { "" };
    format!("{open}{text}{close}")
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Writes a text so that it is read as it is, in quotes where necessary.
///
/// A query has no escapes: quotes toggle, those around a value are dropped, those inside stay. So a text with
/// quotation marks inside is written with every other section of it quoted, beginning with the first or the second.
pub(crate) fn literal(text: &str) -> Cow<'_, str> {
    let sections: Vec<&str> = text.split('"').collect();
    let fits = |is_first_quoted: bool, is_fit: fn(char) -> bool| {
        let mut unquoted = sections.iter().skip(usize::from(is_first_quoted)).step_by(2);
        unquoted.all(|section| section.chars().all(is_fit))
    };
    let is_first_quoted = match (fits(false, is_plain), fits(true, is_plain)) {
        _ if text.is_empty() => true,
        (true, true) => text.starts_with(':'),
        (true, false) => false,
        (false, true) => true,
        (false, false) => !fits(false, is_bearable),
    };
    // A value may not begin or end with a bare colon, but it may with quotes, which are dropped.
    let open = match (is_first_quoted, text.starts_with(':')) {
        (true, _) => "\"",
        (false, true) => "\"\"",
        (false, false) => "",
    };
    let quote_count = sections.len() - 1 + open.len();
    let close = match (quote_count % 2, text.ends_with(':')) {
        (1, _) => "\"",
        (_, true) => "\"\"",
        (_, false) => "",
    };
    if open.is_empty() && close.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{open}{text}{close}"))
    }
}

/// Whether a character is written without quotes.
fn is_plain(character: char) -> bool {
    is_bearable(character) && !matches!(character, '(' | ')') && !character.is_control()
}

/// Whether a character can be written without quotes where inner quotes leave no choice. Parentheses can, because a
/// value that had them outside quotes was not in a group.
fn is_bearable(character: char) -> bool {
    !matches!(character, ' ' | ',' | '*' | '?')
}

/// Writes a range as a value of a list. The range is not empty and has an end.
fn range(test: &Test) -> String {
    match *test {
        Test::Int { at_least: Some(least), at_most: Some(most) } if least == most => least.to_string(),
        Test::Int { at_least: Some(least), at_most: Some(most) } => format!("{least}..{most}"),
        Test::Int { at_least: Some(least), .. } => format!(">={least}"),
        // There is no sign in the language; below zero there is nothing.
        Test::Int { at_most: Some(most), .. } if most < 0 => "<0".to_owned(),
        Test::Int { at_most: Some(most), .. } => format!("<={most}"),
        Test::Time { from_us: Some(from_us), before_us: Some(before_us) } => period(from_us, before_us),
        Test::Time { from_us: Some(from_us), .. } => bound(from_us, ">=", ">"),
        Test::Time { before_us: Some(before_us), .. } => bound(before_us, "<", "<="),
        _ => "*".to_owned(),
    }
}

/// Writes a period as a range of whole days if it is one, else of instants, both ends included.
fn period(from_us: i64, before_us: i64) -> String {
    let last_us = before_us.saturating_sub(1);
    let write: fn(i64) -> String =
        if is_midnight(from_us) && is_midnight(before_us) { date } else { instant };
    let (first, last) = (write(from_us), write(last_us));
    if first == last { first } else { format!("{first}..{last}") }
}

/// Writes a bound: a date if it is midnight, else an instant. The midnight after the last day that can be written
/// is written as the end of that day, with the other operator.
fn bound(at_us: i64, operator: &str, operator_at_end: &str) -> String {
    match at_us {
        _ if at_us > TIME_US_MAX => format!("{operator_at_end}{}", date(TIME_US_MAX)),
        _ if is_midnight(at_us) => format!("{operator}{}", date(at_us)),
        _ => format!("{operator}{}", instant(at_us)),
    }
}

fn date(at_us: i64) -> String {
    date_time(at_us).date().to_string()
}

/// Writes an instant as RFC 3339 in UTC.
pub(crate) fn instant(at_us: i64) -> String {
    format!("{}Z", date_time(at_us))
}

fn is_midnight(at_us: i64) -> bool {
    at_us.rem_euclid(DAY_US) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        let cases = [
            ("alice", "alice"),
            ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket"),
            ("a b", "\"a b\""),
            ("a*", "\"a*\""),
            (":a", "\":a\""),
            ("a:", "a:\"\""),
            ("a\"b c\"d", "a\"b c\"d"),
            ("a\"b", "a\"b\""),
            ("a b\"c", "\"a b\"c"),
            ("a b\"c\"d e", "\"a b\"c\"d e\""),
            (")\"a b", ")\"a b\""),
            (":\"a b", "\"\":\"a b\""),
        ];
        for (text, expected) in cases {
            assert_eq!(literal(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_and_everything_can_be_written_anywhere() {
        let nothing = Filter::Or(vec![]);
        assert_eq!(nothing.to_string(), "-seq:*");
        assert_eq!(Filter::Not(Box::new(nothing.clone())).to_string(), "-(-seq:*)");
        assert_eq!(Filter::Or(vec![Filter::all(), nothing]).to_string(), "seq:* OR -seq:*");
    }

    #[test]
    fn joined_scopes_are_not_read_as_alternatives() {
        let scope = |name: &str| Filter::from(Term::exact(Key::Organization, name));
        assert_eq!(scope("a").and(scope("b")).to_string(), "organization:a (organization:b)");
    }
}
