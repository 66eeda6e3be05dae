//! The query as text: its colours, and changing one key of it without touching the rest.
//!
//! Splits words as the language does, and knows no key. What a query means is for `annals_query` alone.

use std::ops::Range;

/// A word at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    span: Range<usize>,
    kind: Kind,
    /// Levels of parentheses around it.
    depth: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `AND`, `OR`, `NOT` or a parenthesis.
    Syntax,
    /// A word without a key.
    Plain { is_negated: bool },
    /// `key:value` with the places of the key, the operator and the value; the span includes a `-`.
    Term { is_negated: bool, key: Range<usize>, operator: Range<usize>, value: Range<usize> },
}

const OPERATORS: [&str; 9] = ["==", "!=", ">=", "<=", "=", "~", ">", "<", ":"];
const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];
/// Keys whose values are dates.
const DATE_KEYS: [&str; 5] = ["date_from", "date_to", "since", "until", "time"];

fn words(text: &str) -> Vec<Word> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        let syntax = |length: usize, depth: usize| Word { span: at..at + length, kind: Kind::Syntax, depth };
        match bytes[at] {
            b' ' => at += 1,
            b'(' => {
                words.push(syntax(1, depth));
                depth += 1;
                at += 1;
            }
            b')' if depth > 0 => {
                depth -= 1;
                words.push(syntax(1, depth));
                at += 1;
            }
            _ => {
                if let Some(keyword) = keyword_at(text, at, depth > 0) {
                    words.push(syntax(keyword.len(), depth));
                    at += keyword.len();
                } else {
                    let word = word_at(text, at, depth);
                    at = word.span.end.max(at + 1);
                    words.push(word);
                }
            }
        }
    }
    words
}

fn keyword_at(text: &str, at: usize, is_in_group: bool) -> Option<&'static str> {
    let keyword = KEYWORDS.into_iter().find(|keyword| text[at..].starts_with(keyword))?;
    let is_whole = match text.as_bytes().get(at + keyword.len()) {
        None | Some(b' ' | b'(') => true,
        Some(b')') => is_in_group,
        Some(_) => false,
    };
    is_whole.then_some(keyword)
}

fn word_at(text: &str, start: usize, depth: usize) -> Word {
    let bytes = text.as_bytes();
    let is_negated = bytes[start] == b'-';
    let body = start + usize::from(is_negated);
    let mut head: Option<(Range<usize>, Range<usize>)> = None;
    let mut is_quoted = false;
    let mut open_count = 0_usize;
    let mut at = body;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            // A list of values may hold spaces.
            b' ' if open_count == 0 || head.is_none() => break,
            b'(' => open_count += 1,
            b')' if open_count > 0 => open_count -= 1,
            b')' if depth > 0 => break,
            _ if head.is_none() && at > body => {
                let operator = OPERATORS.iter().find(|operator| text[at..].starts_with(**operator));
                let is_identifier = || {
                    text[body..at]
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
                };
                if let Some(operator) = operator.filter(|operator| **operator == ":" || is_identifier()) {
                    head = Some((body..at, at..at + operator.len()));
                    at += operator.len();
                    continue;
                }
            }
            _ => {}
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    let kind = match head {
        Some((key, operator)) => Kind::Term { is_negated, key, value: operator.end..at, operator },
        None => Kind::Plain { is_negated },
    };
    Word { span: start..at, kind, depth }
}

/// A value as a query writes it: in quotes where it would be read as syntax.
pub(super) fn term(key: &str, value: &str) -> String {
    let is_plain = !value.is_empty()
        && value.chars().all(|letter| {
            letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '@' | '/' | '+' | ':')
        })
        && !value.contains("..");
    if is_plain {
        return format!("{key}:{value}");
    }
    // There is no escape for a quotation mark; outside of quotes `?` stands for any one character.
    let parts: Vec<String> = value
        .split('"')
        .map(|part| if part.is_empty() { String::new() } else { format!("\"{part}\"") })
        .collect();
    let joined = parts.join("?");
    if joined.is_empty() { format!("{key}:\"\"") } else { format!("{key}:{joined}") }
}

/// The words at the top that say `key:value` and are not negated, if nothing there is an alternative.
fn positive_terms(text: &str, words: &[Word], key: &str) -> Option<Vec<usize>> {
    if words
        .iter()
        .any(|word| word.depth == 0 && word.kind == Kind::Syntax && &text[word.span.clone()] == "OR")
    {
        return None;
    }
    let follows_not = |at: usize| {
        at.checked_sub(1).is_some_and(|before| {
            words[before].kind == Kind::Syntax && &text[words[before].span.clone()] == "NOT"
        })
    };
    let terms = words.iter().enumerate().filter(|(at, word)| match &word.kind {
        Kind::Term { is_negated: false, key: own, operator, .. } => {
            word.depth == 0
                && text[own.clone()].eq_ignore_ascii_case(key)
                && matches!(&text[operator.clone()], ":" | "=" | "==")
                && !follows_not(*at)
        }
        _ => false,
    });
    Some(terms.map(|(at, _)| at).collect())
}

/// The one value that the query asks of a key, if it asks for one.
pub(super) fn chosen<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let words = words(text);
    let [at] = positive_terms(text, &words, key)?[..] else { return None };
    match &words[at].kind {
        Kind::Term { value, .. } => Some(text[value.clone()].trim_matches('"')),
        _ => None,
    }
}

/// The query with `key` asking for `value` and nothing else, or for anything if there is none. Every other word stays.
pub(super) fn with(text: &str, key: &str, value: Option<&str>) -> String {
    let words = words(text);
    let wanted = value.map(|value| term(key, value));
    let mut text = text.to_owned();
    let Some(terms) = positive_terms(&text, &words, key) else {
        // Beside an OR a new word would belong to its last side only.
        return match wanted {
            Some(wanted) => format!("({}) {wanted}", closed(text.trim())),
            None => text,
        };
    };
    // From the end, so that earlier places stay right.
    for (nth, &at) in terms.iter().enumerate().rev() {
        match &wanted {
            Some(wanted) if nth == 0 => {
                let old = words[at].span.clone();
                text.replace_range(old, wanted);
                return text;
            }
            _ => cut(&mut text, &words, at),
        }
    }
    match wanted {
        Some(wanted) if text.trim().is_empty() => wanted,
        Some(wanted) => format!("{} {wanted}", closed(text.trim_end())),
        None => text.trim().to_owned(),
    }
}

/// The query without the events that have a value. If it asked for that value, it does so no more.
pub(super) fn excluding(text: &str, key: &str, value: &str) -> String {
    let asks_for_it = chosen(text, key).is_some_and(|chosen| chosen.eq_ignore_ascii_case(value));
    let text = if asks_for_it { with(text, key, None) } else { text.trim().to_owned() };
    let excluded = format!("-{}", term(key, value));
    if text.is_empty() {
        return excluded;
    }
    let all = words(&text);
    let has_or = all.iter().any(|word| word.kind == Kind::Syntax && &text[word.span.clone()] == "OR");
    if has_or { format!("({}) {excluded}", closed(&text)) } else { format!("{} {excluded}", closed(&text)) }
}

/// The word at the caret that may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// Where it stands.
    pub(super) span: Range<usize>,
    /// `-`, or nothing.
    pub(super) sign: &'static str,
    /// The key, if its value is being written.
    pub(super) key: Option<String>,
    /// What is there of the key or the value.
    pub(super) typed: String,
}

/// Finds the word at a place; a place behind a space begins a new one. Nothing inside of words that cannot go on.
pub(super) fn unfinished(text: &str, at: usize) -> Option<Unfinished> {
    let before = text.get(..at)?;
    let words = words(before);
    let ends_here = words.last().filter(|word| word.span.end == before.len() && !before.ends_with(' '));
    let Some(word) = ends_here else {
        return Some(Unfinished { span: at..at, sign: "", key: None, typed: String::new() });
    };
    let text = &before[word.span.clone()];
    match &word.kind {
        Kind::Syntax => None,
        Kind::Plain { is_negated } => {
            let sign = if *is_negated { "-" } else { "" };
            let typed = text.strip_prefix('-').filter(|_| *is_negated).unwrap_or(text).to_owned();
            Some(Unfinished { span: word.span.clone(), sign, key: None, typed })
        }
        Kind::Term { is_negated, key, value, operator } => {
            let is_equal = matches!(&before[operator.clone()], ":" | "=" | "==")
                && !before[value.clone()].starts_with(['<', '>', '=']);
            is_equal.then(|| Unfinished {
                span: word.span.clone(),
                sign: if *is_negated { "-" } else { "" },
                key: Some(before[key.clone()].to_owned()),
                typed: before[value.clone()].to_owned(),
            })
        }
    }
}

/// Takes a word out, with an AND beside it and one space.
fn cut(text: &mut String, words: &[Word], at: usize) {
    let is_and = |at: usize| {
        words.get(at).is_some_and(|word| word.kind == Kind::Syntax && &text[word.span.clone()] == "AND")
    };
    let mut span = words[at].span.clone();
    if at > 0 && is_and(at - 1) {
        span.start = words[at - 1].span.start;
    } else if is_and(at + 1) {
        span.end = words[at + 1].span.end;
    }
    if text[span.end..].starts_with(' ') {
        span.end += 1;
    } else if text[..span.start].ends_with(' ') {
        span.start -= 1;
    }
    text.replace_range(span, "");
}

/// A quotation mark that is not closed takes the rest; closed, it takes the same and leaves room behind it.
fn closed(text: &str) -> String {
    let is_open = text.matches('"').count() % 2 == 1;
    if is_open { format!("{text}\"") } else { text.to_owned() }
}

/// A stretch of the painted query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// CSS classes; empty for what is between words.
    pub(super) class: &'static str,
    pub(super) parts: Vec<Part>,
}

/// A part of a token in one colour.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) is_bad: bool,
}

/// Splits the query into tokens; together they are the query, character by character. `bad` are the parts with errors.
pub(super) fn paint(text: &str, bad: &[Range<usize>]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    for word in words(text) {
        let span = word.span.clone();
        if span.start > at {
            tokens.push(Token { class: "", parts: parts(text, &[("", at..span.start)], bad) });
        }
        at = span.end;
        let is_bad = bad.iter().any(|bad| bad.start < span.end && span.start < bad.end.max(bad.start + 1));
        let class = |is_negated: bool| match (is_bad, is_negated) {
            (true, _) => "tok err",
            (false, true) => "tok neg",
            (false, false) => "tok",
        };
        let token = match word.kind {
            Kind::Syntax => Token { class: "", parts: parts(text, &[("o", span)], bad) },
            Kind::Plain { is_negated: true } => {
                let pieces = [("n", span.start..span.start + 1), ("", span.start + 1..span.end)];
                Token { class: class(true), parts: parts(text, &pieces, bad) }
            }
            Kind::Plain { is_negated: false } => {
                Token { class: if is_bad { "tok err" } else { "" }, parts: parts(text, &[("", span)], bad) }
            }
            Kind::Term { is_negated, key, operator, value } => {
                let is_date = DATE_KEYS.iter().any(|date| text[key.clone()].eq_ignore_ascii_case(date));
                let value_class = if is_date { "d" } else { "" };
                let pieces =
                    [("n", span.start..key.start), ("k", key), ("o", operator), (value_class, value)];
                Token { class: class(is_negated), parts: parts(text, &pieces, bad) }
            }
        };
        tokens.push(token);
    }
    if at < text.len() {
        tokens.push(Token { class: "", parts: parts(text, &[("", at..text.len())], bad) });
    }
    tokens
}

/// Cuts pieces where a bad part begins or ends.
fn parts(text: &str, pieces: &[(&'static str, Range<usize>)], bad: &[Range<usize>]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (class, piece) in pieces {
        let mut cuts: Vec<usize> = bad.iter().flat_map(|bad| [bad.start, bad.end]).collect();
        cuts.retain(|cut| piece.start < *cut && *cut < piece.end && text.is_char_boundary(*cut));
        cuts.push(piece.end);
        cuts.sort_unstable();
        cuts.dedup();
        let mut from = piece.start;
        for to in cuts {
            if from < to {
                let is_bad = bad.iter().any(|bad| bad.start <= from && to <= bad.end);
                parts.push(Part { class, text: text[from..to].to_owned(), is_bad });
            }
            from = to;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_and_every_other_word_stays() {
        for (text, expect) in [
            ("", "action:delete"),
            ("  ", "action:delete"),
            ("username:me", "username:me action:delete"),
            ("action:create", "action:delete"),
            ("ACTION=create web", "action:delete web"),
            ("web action:create,start \"payment service\"", "web action:delete \"payment service\""),
            ("action:(create OR start) x", "action:delete x"),
            ("action:create x action:start y", "action:delete x y"),
            ("action:create AND action:start AND x", "action:delete AND x"),
            ("-action:create", "-action:create action:delete"),
            ("NOT action:create", "NOT action:create action:delete"),
            ("action!=create", "action!=create action:delete"),
            ("action~cre", "action~cre action:delete"),
            ("a OR b", "(a OR b) action:delete"),
            ("action:create OR action:start", "(action:create OR action:start) action:delete"),
            ("(action:create OR b) c", "(action:create OR b) c action:delete"),
            ("\"action:create x\"", "\"action:create x\" action:delete"),
            ("\"open end", "\"open end\" action:delete"),
            ("ünïcode action:create ß", "ünïcode action:delete ß"),
        ] {
            assert_eq!(with(text, "action", Some("delete")), expect, "{text}");
        }
    }

    #[test]
    fn a_key_is_taken_out() {
        for (text, expect) in [
            ("action:create", ""),
            ("a action:create b", "a b"),
            ("a AND action:create", "a"),
            ("action:create AND a", "a"),
            ("-action:create a", "-action:create a"),
        ] {
            assert_eq!(with(text, "action", None), expect, "{text}");
        }
    }

    #[test]
    fn the_chosen_value_is_the_only_one() {
        for (text, expect) in [
            ("action:create", Some("create")),
            ("x action:\"create\" y", Some("create")),
            ("action:create action:start", None),
            ("-action:create", None),
            ("action:create OR b", None),
            ("(action:create)", None),
            ("", None),
        ] {
            assert_eq!(chosen(text, "action"), expect, "{text}");
        }
    }

    #[test]
    fn values_are_quoted_where_needed() {
        for (value, expect) in [
            ("create", "k:create"),
            ("two words", "k:\"two words\""),
            ("a,b", "k:\"a,b\""),
            ("a*", "k:\"a*\""),
            ("", "k:\"\""),
            ("(x", "k:\"(x\""),
            ("1..2", "k:\"1..2\""),
            ("say \"hi\" now", "k:\"say \"?\"hi\"?\" now\""),
            ("arn:aws:s3:::bucket", "k:arn:aws:s3:::bucket"),
        ] {
            assert_eq!(term("k", value), expect);
        }
    }

    #[test]
    fn quoted_values_find_what_they_name() {
        let vocabulary = annals_query::Vocabulary::default();
        let context =
            annals_query::Context { now: jiff::Timestamp::UNIX_EPOCH, me: None, vocabulary: &vocabulary };
        for target in [
            "plain",
            "two words",
            "say \"hi\" now",
            "a,b",
            "(x)",
            "<script>\"x'",
            "1..2",
            "a*?",
            "-x",
            "tail\\",
        ] {
            let query = annals_query::parse(&term("resource_target", target), &context).unwrap();
            let event = annals_query::Document { resource_target: target, ..Default::default() };
            assert!(annals_query::matches(query.filter(), &event), "{target}");
        }
    }

    #[test]
    fn painting_keeps_every_character() {
        for text in [
            "",
            " ",
            "resource_typ:template -action:create username:x date_from:2026-13-01",
            "(a OR -b) AND NOT action:(x y) \"open",
            "ü:ß -ü ) ( \t x",
            ":: -- - == a!=b",
        ] {
            for bad in [&[][..], &[(0, 12)], &[(1, 3), (2, 20)], &[(5, 5)]] {
                let bad: Vec<_> = bad
                    .iter()
                    .map(|(start, end): &(usize, usize)| (*start).min(text.len())..(*end).min(text.len()))
                    .collect();
                let painted: String = paint(text, &bad)
                    .iter()
                    .flat_map(|token| &token.parts)
                    .map(|part| part.text.as_str())
                    .collect();
                assert_eq!(painted, text);
            }
        }
    }

    #[test]
    fn only_the_bad_part_is_marked() {
        let tokens = paint("acton:create x", &[Range { start: 0, end: 5 }]);
        assert_eq!(tokens[0].class, "tok err");
        let bad: Vec<_> =
            tokens[0].parts.iter().filter(|part| part.is_bad).map(|part| part.text.as_str()).collect();
        assert_eq!(bad, ["acton"]);
        assert!(tokens[1..].iter().all(|token| token.class.is_empty()));
    }

    #[test]
    fn the_word_at_the_caret_goes_on() {
        let word = |text: &str| {
            unfinished(text, text.len()).map(|word| (word.span, word.sign, word.key, word.typed))
        };
        assert_eq!(word(""), Some((0..0, "", None, String::new())));
        assert_eq!(word("acti"), Some((0..4, "", None, "acti".to_owned())));
        assert_eq!(word("a:b -acti"), Some((4..9, "-", None, "acti".to_owned())));
        assert_eq!(word("x action:cre"), Some((2..12, "", Some("action".to_owned()), "cre".to_owned())));
        assert_eq!(word("action:create "), Some((14..14, "", None, String::new())));
        assert_eq!(word("status_code:>=4"), None);
    }

    #[test]
    fn a_value_is_left_out() {
        assert_eq!(excluding("", "action", "login"), "-action:login");
        assert_eq!(excluding("action:login a:b", "action", "login"), "a:b -action:login");
        assert_eq!(excluding("a OR b", "action", "login"), "(a OR b) -action:login");
        assert_eq!(excluding("x", "username", "two words"), "x -username:\"two words\"");
    }
}
