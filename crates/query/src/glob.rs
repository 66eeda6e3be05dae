//! Wildcard patterns.

use crate::fold;

/// A pattern of literal text, `*` (any number of characters) and `?` (exactly one character).
///
/// Kept in one normal form, so that equal patterns compare equal: literals are folded, joined and never empty, and
/// of neighbouring wildcards the `?` come first and at most one `*` follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    parts: Vec<GlobPart>,
}

/// One part of a [`Glob`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GlobPart {
    /// This text, folded.
    Literal(String),
    /// Exactly one character.
    AnyOne,
    /// Any number of characters.
    AnyMany,
}

impl Glob {
    /// Builds the normal form of a sequence of parts.
    pub fn new(parts: impl IntoIterator<Item = GlobPart>) -> Self {
        let mut glob = Self { parts: Vec::new() };
        for part in parts {
            glob.push(part);
        }
        glob
    }

    /// Reads a pattern in which every `*` and `?` is a wildcard.
    ///
    /// # Examples
    /// ```
    /// use annals_query::Glob;
    /// let glob = Glob::from_wildcards("Web-??.**");
    /// assert!(glob.matches("web-01.example"));
    /// assert_eq!(glob.prefix(), "web-");
    /// assert_eq!(glob, Glob::from_wildcards("web-??.*"));
    /// ```
    pub fn from_wildcards(text: &str) -> Self {
        Self::new(text.chars().map(|character| match character {
            '*' => GlobPart::AnyMany,
            '?' => GlobPart::AnyOne,
            _ => GlobPart::Literal(character.to_string()),
        }))
    }

    /// Returns the pattern "contains this pattern anywhere".
    #[must_use]
    pub fn anywhere(self) -> Self {
        let inner = self.parts.into_iter();
        Self::new(std::iter::once(GlobPart::AnyMany).chain(inner).chain([GlobPart::AnyMany]))
    }

    /// Returns the parts, in order.
    pub fn parts(&self) -> &[GlobPart] {
        &self.parts
    }

    /// Returns the literal text that every match begins with; empty if the pattern begins with a wildcard.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(GlobPart::Literal(text)) => text,
            _ => "",
        }
    }

    /// Returns the text if the pattern is `text*`, which an ordered index answers with one range.
    pub fn as_prefix(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [GlobPart::Literal(text), GlobPart::AnyMany] => Some(text),
            _ => None,
        }
    }

    /// Returns the text if the pattern is `*text*`.
    pub fn as_contains(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [GlobPart::AnyMany, GlobPart::Literal(text), GlobPart::AnyMany] => Some(text),
            _ => None,
        }
    }

    /// Whether the pattern is `*`, which every value matches.
    pub fn is_any(&self) -> bool {
        self.parts == [GlobPart::AnyMany]
    }

    /// Tells whether a folded value matches the whole pattern.
    ///
    /// Linear in the value for patterns without `?`; with them, at most the value times the longest run between two
    /// stars. There is no backtracking over stars: between two of them the leftmost place is always good enough.
    pub fn matches(&self, folded_value: &str) -> bool {
        let mut runs = self.parts.split(|part| *part == GlobPart::AnyMany);
        // `split` yields at least one run, empty if the pattern is empty or begins with a star.
        let first = runs.next().unwrap_or_default();
        let Some(mut rest) = strip_start(first, folded_value) else { return false };
        let Some(last) = runs.next_back() else { return rest.is_empty() };
        for run in runs {
            match strip_leftmost(run, rest) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        has_end(last, rest)
    }

    fn push(&mut self, part: GlobPart) {
        match (self.parts.last_mut(), part) {
            (_, GlobPart::Literal(text)) if text.is_empty() => {}
            (Some(GlobPart::Literal(before)), GlobPart::Literal(text)) => before.push_str(&fold(&text)),
            (_, GlobPart::Literal(text)) => self.parts.push(GlobPart::Literal(fold(&text).into_owned())),
            (Some(GlobPart::AnyMany), GlobPart::AnyMany) => {}
            (Some(GlobPart::AnyMany), GlobPart::AnyOne) => {
                let star_index = self.parts.len() - 1;
                self.parts.insert(star_index, GlobPart::AnyOne);
            }
            (_, part) => self.parts.push(part),
        }
    }
}

/// Returns what follows a run of parts without stars at the start of the text.
fn strip_start<'t>(run: &[GlobPart], mut text: &'t str) -> Option<&'t str> {
    for part in run {
        text = match part {
            GlobPart::Literal(literal) => text.strip_prefix(literal.as_str())?,
            GlobPart::AnyOne | GlobPart::AnyMany => {
                let mut characters = text.chars();
                characters.next()?;
                characters.as_str()
            }
        };
    }
    Some(text)
}

/// Returns what follows the leftmost place where the run occurs.
fn strip_leftmost<'t>(run: &[GlobPart], text: &'t str) -> Option<&'t str> {
    if let [GlobPart::Literal(literal)] = run {
        return text.find(literal.as_str()).map(|at| &text[at + literal.len()..]);
    }
    text.char_indices().map(|(at, _)| &text[at..]).chain([""]).find_map(|place| strip_start(run, place))
}

/// Tells whether the text ends with the run.
fn has_end(run: &[GlobPart], mut text: &str) -> bool {
    for part in run.iter().rev() {
        let before = match part {
            GlobPart::Literal(literal) => text.strip_suffix(literal.as_str()),
            GlobPart::AnyOne | GlobPart::AnyMany => {
                let mut characters = text.chars();
                characters.next_back().map(|_| characters.as_str())
            }
        };
        match before {
            Some(before) => text = before,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form_puts_question_marks_first() {
        assert_eq!(Glob::from_wildcards("a*?*?b"), Glob::from_wildcards("a??*b"));
        assert_eq!(Glob::from_wildcards("**"), Glob::from_wildcards("*"));
    }

    #[test]
    fn names_the_shapes_an_index_answers_at_once() {
        assert_eq!(Glob::from_wildcards("web*").as_prefix(), Some("web"));
        assert_eq!(Glob::from_wildcards("web").anywhere().as_contains(), Some("web"));
        assert_eq!(Glob::from_wildcards("w?b*").prefix(), "w");
        assert!(Glob::from_wildcards("***").is_any());
    }

    #[test]
    fn star_runs_may_not_overlap() {
        assert!(!Glob::from_wildcards("aba*ba").matches("aba"));
        assert!(Glob::from_wildcards("aba*ba").matches("ababa"));
        assert!(!Glob::from_wildcards("*?*").matches(""));
    }

    #[test]
    fn question_mark_is_one_character_not_one_byte() {
        assert!(Glob::from_wildcards("?").matches("é"));
        assert!(Glob::from_wildcards("*?é").matches("xxé"));
    }
}
