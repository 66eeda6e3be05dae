//! Texts made of a record: templates with placeholders, alternatives, tables of words; and conditions.

use std::borrow::Cow;

use super::Scope;
use super::path::{Glob, Path};
use crate::import::tree::{Content, Node};

/// Pieces of one template; a sentence has about ten.
const PIECES_MAX: usize = 64;

/// A text with placeholders: `{org}/{repo|last:"/"}`. `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder { source: Source, filters: Vec<Filter> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Path(Path),
    /// `{*}`: what the `*` of a path stands for.
    Star,
}

/// What a placeholder does to its text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    /// What stands before the first separator; the whole text where there is none.
    Before(String),
    /// What stands after the first separator; nothing where there is none.
    After(String),
    /// What stands after the last separator; the whole text where there is none.
    Last(String),
    Lower,
    /// The form of a type's or action's name.
    Word,
    /// `_`, `-` and `.` become spaces.
    Spaces,
    /// An English plural becomes the singular.
    Singular,
}

/// The names of filters, for messages.
pub(super) const FILTERS: [&str; 7] = ["before", "after", "last", "lower", "word", "spaces", "singular"];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(format!("`{text}` has a `}}` without its `{{`; a brace itself is written twice"));
            }
            let end = end_of_placeholder(rest).ok_or_else(|| {
                format!("`{text}` has a `{{` without its `}}`; a brace itself is written twice")
            })?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(placeholder(&rest[..end])?);
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        if pieces.len() > PIECES_MAX {
            return Err(format!("more than {PIECES_MAX} placeholders and texts"));
        }
        Ok(Template { pieces })
    }

    /// The text for a record; nothing if a placeholder has none.
    pub(super) fn fill(&self, scope: &Scope<'_, '_>) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder { source, filters } => {
                    let mut text = Cow::Borrowed(source.text(scope)?);
                    for filter in filters {
                        text = filter.apply(text)?;
                    }
                    filled.push_str(&text);
                }
            }
        }
        Some(filled).filter(|filled| !filled.is_empty())
    }

    /// The paths of its placeholders.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder { source: Source::Path(path), .. } => Some(path),
            _ => None,
        })
    }

    /// The path, if the template is one placeholder and nothing else.
    fn only_path(&self) -> Option<&Path> {
        match self.pieces.as_slice() {
            [Piece::Placeholder { source: Source::Path(path), filters }] if filters.is_empty() => Some(path),
            _ => None,
        }
    }
}

impl Source {
    fn text<'t>(&'t self, scope: &Scope<'t, '_>) -> Option<&'t str> {
        match self {
            Source::Star => scope.star,
            Source::Path(path) => match path.variable() {
                Some(name) => scope.variable(name),
                None => path.find(scope)?.to_text(),
            },
        }
    }
}

/// Where the placeholder ends whose inside `text` begins with; quotation marks may enclose a brace.
fn end_of_placeholder(text: &str) -> Option<usize> {
    let mut in_quotes = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => in_quotes = !in_quotes,
            '}' if !in_quotes => return Some(at),
            '{' if !in_quotes => return None,
            _ => {}
        }
    }
    None
}

fn placeholder(inside: &str) -> Result<Piece, String> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut in_quotes = false;
    for (at, character) in inside.char_indices() {
        match character {
            '"' => in_quotes = !in_quotes,
            '|' if !in_quotes => {
                parts.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[from..]);
    let source = match parts.remove(0).trim() {
        "*" => Source::Star,
        path => Source::Path(Path::parse(path)?),
    };
    let filters = parts.into_iter().map(|part| filter(part.trim())).collect::<Result<Vec<_>, _>>()?;
    Ok(Piece::Placeholder { source, filters })
}

fn filter(text: &str) -> Result<Filter, String> {
    let (name, argument) = match text.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (text, None),
    };
    let quoted = argument.and_then(|argument| argument.strip_prefix('"')?.strip_suffix('"'));
    let with = |make: fn(String) -> Filter| match quoted {
        Some(separator) if !separator.is_empty() => Ok(make(separator.to_owned())),
        _ => Err(format!("the filter `{name}` needs a separator: `{name}:\".\"`")),
    };
    let plain = |filter: Filter| match argument {
        None => Ok(filter),
        Some(_) => Err(format!("the filter `{name}` takes no argument")),
    };
    match name {
        "before" => with(Filter::Before),
        "after" => with(Filter::After),
        "last" => with(Filter::Last),
        "lower" => plain(Filter::Lower),
        "word" => plain(Filter::Word),
        "spaces" => plain(Filter::Spaces),
        "singular" => plain(Filter::Singular),
        _ => Err(match annals_model::registry::nearest(name, FILTERS) {
            Some(nearest) => format!("unknown filter `{name}`; did you mean `{nearest}`?"),
            None => format!("unknown filter `{name}`; expected one of `{}`", FILTERS.join("`, `")),
        }),
    }
}

impl Filter {
    fn apply<'t>(&self, text: Cow<'t, str>) -> Option<Cow<'t, str>> {
        let part = |text: Cow<'t, str>, cut: &dyn Fn(&str) -> (usize, usize)| match text {
            Cow::Borrowed(text) => {
                let (from, to) = cut(text);
                Cow::Borrowed(&text[from..to])
            }
            Cow::Owned(text) => {
                let (from, to) = cut(&text);
                Cow::Owned(text[from..to].to_owned())
            }
        };
        let text = match self {
            Filter::Before(separator) => {
                part(text, &|text| (0, text.find(separator.as_str()).unwrap_or(text.len())))
            }
            Filter::After(separator) => {
                let at = text.find(separator.as_str())? + separator.len();
                part(text, &|text| (at, text.len()))
            }
            Filter::Last(separator) => part(text, &|text| {
                (text.rfind(separator.as_str()).map_or(0, |at| at + separator.len()), text.len())
            }),
            Filter::Lower => Cow::Owned(text.to_lowercase()),
            Filter::Word => Cow::Owned(word(&text)),
            Filter::Spaces => Cow::Owned(text.replace(['_', '-', '.'], " ")),
            Filter::Singular => Cow::Owned(singular(&text)),
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

/// The form that the registry takes, less the beginning with a letter, which is checked on the whole name.
fn word(text: &str) -> String {
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '.' | ':' | '-') => c,
        _ => '_',
    };
    text.trim().chars().map(allowed).collect()
}

fn singular(text: &str) -> String {
    // Words that end in `s` in the singular, as Kubernetes has them.
    const EXCEPT: [&str; 4] = ["ss", "status", "ics", "us"];
    if let Some(stem) = text.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for plural in ["sses", "xes", "ches", "shes"] {
        if text.ends_with(plural) {
            return text[..text.len() - 2].to_owned();
        }
    }
    match text.strip_suffix('s') {
        Some(stem) if !EXCEPT.iter().any(|end| text.ends_with(end)) => stem.to_owned(),
        _ => text.to_owned(),
    }
}

/// Alternatives of which the first counts that yields a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) alternatives: Vec<Alternative>,
}

/// One way to make a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) from: Input,
    /// Under which condition this alternative counts.
    pub(super) when: Option<Condition>,
    /// What becomes of the text; the first pattern that fits counts.
    pub(super) map: Option<Vec<(Glob, Template)>>,
    /// What stands where `from` has no text or the map does not name it.
    pub(super) default: Option<Template>,
}

/// Where an alternative takes its text from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Template(Template),
    Value(Box<Value>),
}

impl Value {
    pub(super) fn text(&self, scope: &Scope<'_, '_>) -> Option<String> {
        self.alternatives.iter().find_map(|alternative| alternative.text(scope))
    }

    /// The texts of each alternative; a place that holds a list yields all of its elements.
    pub(super) fn texts(&self, scope: &Scope<'_, '_>) -> Vec<Vec<String>> {
        self.alternatives.iter().map(|alternative| alternative.texts(scope)).collect()
    }

    /// Every template, for checks.
    pub(super) fn templates(&self) -> Vec<&Template> {
        let mut templates = Vec::new();
        for alternative in &self.alternatives {
            match &alternative.from {
                Input::Template(template) => templates.push(template),
                Input::Value(value) => templates.extend(value.templates()),
            }
            templates.extend(alternative.map.iter().flatten().map(|(_, template)| template));
            templates.extend(&alternative.default);
        }
        templates
    }
}

impl Alternative {
    fn texts(&self, scope: &Scope<'_, '_>) -> Vec<String> {
        if self.when.as_ref().is_some_and(|when| !when.holds(scope)) {
            return Vec::new();
        }
        let list = match (&self.from, &self.map) {
            (Input::Template(template), None) => template.only_path().and_then(|path| path.find(scope)),
            (Input::Value(value), None) => return value.texts(scope).into_iter().flatten().collect(),
            _ => None,
        };
        match list.map(|node| &node.content) {
            Some(Content::List(elements)) => {
                elements.iter().filter_map(|element| element.to_text().map(str::to_owned)).collect()
            }
            _ => self.text(scope).into_iter().collect(),
        }
    }

    fn text(&self, scope: &Scope<'_, '_>) -> Option<String> {
        if self.when.as_ref().is_some_and(|when| !when.holds(scope)) {
            return None;
        }
        let text = match &self.from {
            Input::Template(template) => template.fill(scope),
            Input::Value(value) => value.text(scope),
        };
        let mapped = match (&self.map, text) {
            (Some(map), Some(text)) => map
                .iter()
                .find_map(|(glob, template)| {
                    let star = glob.stands_for(&text)?;
                    Some(template.fill(&Scope { star: Some(star), ..*scope }))
                })
                .flatten(),
            (None, text) => text,
            (Some(_), None) => None,
        };
        mapped.or_else(|| self.default.as_ref()?.fill(scope))
    }
}

/// What must hold of a record: every test of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) tests: Vec<(Path, Test)>,
}

/// What must hold of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// There is something, or nothing.
    Present(bool),
    /// It has one of these texts.
    OneOf(Vec<Glob>),
    /// It is absent, or has none of these texts.
    NoneOf(Vec<Glob>),
}

impl Condition {
    pub(super) fn holds(&self, scope: &Scope<'_, '_>) -> bool {
        self.tests.iter().all(|(path, test)| {
            let fits = |globs: &[Glob]| {
                let text = match path.variable() {
                    Some(name) => scope.variable(name),
                    // A member that is there and null is what some records differ in.
                    None => path.find(scope).and_then(|node| match node.content {
                        Content::Null => Some("null"),
                        _ => node.to_text(),
                    }),
                };
                text.is_some_and(|text| globs.iter().any(|glob| glob.fits(text)))
            };
            match test {
                Test::Present(expected) => {
                    let is_present = match path.variable() {
                        Some(name) => scope.variable(name).is_some(),
                        None => path.find(scope).is_some_and(Node::is_something),
                    };
                    is_present == *expected
                }
                Test::OneOf(globs) => fits(globs),
                Test::NoneOf(globs) => !fits(globs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tree::checked;

    const RECORD: &str = r#"{"action":"repo.add_member","repo":"octo/hello","n":12345678901234567890.50,"ok":true,
        "none":null,"blank":"","one":["x"],"two":["x","y"],"object":{"a":1},"odd":"É Mail.Box"}"#;

    fn filled(template: &str) -> Option<String> {
        let text = checked(RECORD).unwrap();
        let tree = Node::parse(&text);
        Template::parse(template).unwrap().fill(&Scope::of(&tree))
    }

    #[test]
    fn placeholders_and_filters() {
        for (template, expect) in [
            ("{repo}", Some("octo/hello")),
            ("{action|before:\".\"} of {repo|last:\"/\"}", Some("repo of hello")),
            ("{action|after:\".\"|spaces}", Some("add member")),
            ("{repo|before:\"!\"}", Some("octo/hello")),
            ("{repo|after:\"!\"}", None),
            ("{n} {ok} {one}", Some("12345678901234567890.50 true x")),
            ("{none}", None),
            ("{blank}", None),
            ("{two}", None),
            ("{object}", None),
            ("{object.a}", Some("1")),
            ("{odd|word}", Some("__mail.box")),
            ("{odd|lower}", Some("é mail.box")),
            ("{{{ok}}}", Some("{true}")),
            ("constant", Some("constant")),
            ("{repo|after:\"}\"}", None),
        ] {
            assert_eq!(filled(template).as_deref(), expect, "{template}");
        }
    }

    #[test]
    fn plurals() {
        for (plural, one) in [
            ("pods", "pod"),
            ("ingresses", "ingress"),
            ("policies", "policy"),
            ("endpoints", "endpoint"),
            ("storageclasses", "storageclass"),
            ("componentstatus", "componentstatus"),
            ("sandboxes", "sandbox"),
        ] {
            assert_eq!(singular(plural), one);
        }
    }

    #[test]
    fn faults_of_templates() {
        for (template, fault) in [
            ("{a", "`{a` has a `{` without its `}`; a brace itself is written twice"),
            ("a}", "`a}` has a `}` without its `{`; a brace itself is written twice"),
            ("{a|lowr}", "unknown filter `lowr`; did you mean `lower`?"),
            (
                "{a|x}",
                "unknown filter `x`; expected one of `before`, `after`, `last`, `lower`, `word`, `spaces`, `singular`",
            ),
            ("{a|before}", "the filter `before` needs a separator: `before:\".\"`"),
            ("{a|lower:\"x\"}", "the filter `lower` takes no argument"),
            ("{}", "`` is no path: a name is missing"),
        ] {
            assert_eq!(Template::parse(template).unwrap_err(), fault, "{template}");
        }
    }
}
