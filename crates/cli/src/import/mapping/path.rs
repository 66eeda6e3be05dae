//! Places in a record: `actor.login`, `target.0.id`, `target[type=User].alternateId`, `changes.*.from`.

use std::fmt;

use super::Scope;
use crate::import::tree::{Content, Node};

/// Steps of one path: the deepest value of any record that was looked at lies nine steps down.
const STEPS_MAX: usize = 32;

/// A place in a record. It may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    root: Root,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    /// The element, then the record around it.
    Record,
    /// What the record is about.
    Subject,
    /// A text computed before.
    Variable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member, or an element by its index; `last` is the last one.
    Name(String),
    /// Members or elements whose name fits; `*` is what it stands for.
    Star(Glob),
    /// The first element of a list whose member has a value.
    Where { member: String, value: Glob },
}

/// A pattern of a text, in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// What stands before, between and after the stars.
    parts: Vec<String>,
}

impl Glob {
    pub(super) fn parse(text: &str) -> Glob {
        Glob { parts: text.split('*').map(str::to_owned).collect() }
    }

    /// What `*` stands for: the empty text if there is none, the whole text if there are several. Nothing if the pattern
    /// does not fit.
    pub(super) fn stands_for<'t>(&self, text: &'t str) -> Option<&'t str> {
        let [first, between @ .., last] = self.parts.as_slice() else {
            return (self.parts.first().is_some_and(|only| only == text)).then_some("");
        };
        let star = text.strip_prefix(first.as_str())?.strip_suffix(last.as_str())?;
        let mut rest = star;
        for part in between {
            let at = rest.find(part.as_str())?;
            rest = &rest[at + part.len()..];
        }
        Some(if between.is_empty() { star } else { text })
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        self.stands_for(text).is_some()
    }

    fn star_count(&self) -> usize {
        self.parts.len() - 1
    }

    fn filled(&self, star: &str) -> String {
        self.parts.join(star)
    }
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Path, String> {
        let mut steps = split(text)?;
        if steps.len() > STEPS_MAX {
            return Err(format!("`{text}` has more than {STEPS_MAX} steps"));
        }
        let root = match steps.first() {
            Some(Step::Name(name)) if name == "$subject" => Root::Subject,
            Some(Step::Name(name)) if name.starts_with('$') => Root::Variable(name[1..].to_owned()),
            _ => Root::Record,
        };
        if root != Root::Record {
            steps.remove(0);
        }
        if matches!(root, Root::Variable(_)) && !steps.is_empty() {
            return Err(format!("`{text}` goes into `${}`, which is a text", variable_of(&root)));
        }
        let stars = |step: &Step| if let Step::Star(glob) = step { glob.star_count() } else { 0 };
        if steps.iter().map(stars).sum::<usize>() > 1 {
            return Err(format!("`{text}` has more than one `*`"));
        }
        Ok(Path { root, steps })
    }

    /// The variable whose text the path is.
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.root {
            Root::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it needs nothing but the record.
    pub(super) fn is_of_record(&self) -> bool {
        self.root == Root::Record
    }

    pub(super) fn has_star(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Star(_)))
    }

    /// The value at this place; where the path has a `*`, the one for what `star` says, else the first.
    pub(super) fn find<'n, 'r>(&self, scope: &Scope<'n, 'r>) -> Option<&'n Node<'r>> {
        scope_roots(self, scope).find_map(|root| walk(root, &self.steps, scope.star))
    }

    /// Every value that the path fits, with what its `*` stands for.
    pub(super) fn find_all<'n, 'r>(&self, scope: &Scope<'n, 'r>) -> Vec<(String, &'n Node<'r>)> {
        let Some(at) = self.steps.iter().position(|step| matches!(step, Step::Star(_))) else {
            return self.find(scope).map(|node| (String::new(), node)).into_iter().collect();
        };
        let Step::Star(glob) = &self.steps[at] else { return Vec::new() };
        let mut found = Vec::new();
        for root in scope_roots(self, scope) {
            let Some(parent) = walk(root, &self.steps[..at], None) else { continue };
            let mut add = |name: &str, child: &'n Node<'r>| {
                if let Some(star) = glob.stands_for(name)
                    && let Some(node) = walk(child, &self.steps[at + 1..], None)
                {
                    found.push((star.to_owned(), node));
                }
            };
            match &parent.content {
                Content::Object(members) => members.iter().for_each(|(name, child)| add(name, child)),
                Content::List(elements) => {
                    elements.iter().enumerate().for_each(|(at, child)| add(&at.to_string(), child));
                }
                _ => {}
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }
}

fn variable_of(root: &Root) -> &str {
    match root {
        Root::Variable(name) => name,
        _ => "",
    }
}

fn scope_roots<'n, 'r>(path: &Path, scope: &Scope<'n, 'r>) -> impl Iterator<Item = &'n Node<'r>> {
    let roots = match path.root {
        Root::Record => [Some(scope.element), scope.record],
        Root::Subject => [scope.subject, None],
        Root::Variable(_) => [None, None],
    };
    roots.into_iter().flatten()
}

fn walk<'n, 'r>(root: &'n Node<'r>, steps: &[Step], star: Option<&str>) -> Option<&'n Node<'r>> {
    let mut node = root;
    for (at, step) in steps.iter().enumerate() {
        node = match step {
            Step::Name(name) => node.get(name)?,
            Step::Where { member, value } => {
                let Content::List(elements) = &node.content else { return None };
                let fits = |element: &&Node<'r>| {
                    element.get(member).and_then(Node::to_text).is_some_and(|text| value.fits(text))
                };
                elements.iter().find(fits)?
            }
            Step::Star(glob) => match star {
                Some(star) => node.get(&glob.filled(star))?,
                None => {
                    let rest = &steps[at + 1..];
                    return match &node.content {
                        Content::Object(members) => members
                            .iter()
                            .filter(|(name, _)| glob.fits(name))
                            .find_map(|(_, child)| walk(child, rest, None)),
                        Content::List(elements) => elements.iter().find_map(|child| walk(child, rest, None)),
                        _ => None,
                    };
                }
            },
        };
    }
    Some(node)
}

/// Cuts a path at its dots and brackets; a name in quotation marks may hold both.
fn split(text: &str) -> Result<Vec<Step>, String> {
    let bad = |what: &str| Err(format!("`{text}` is no path: {what}"));
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let Some((name, after)) = quoted.split_once('"') else { return bad("a quotation mark is open") };
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let length = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            if name.is_empty() {
                return bad("a name is missing");
            }
            let glob = Glob::parse(name);
            steps.push(if glob.star_count() > 0 { Step::Star(glob) } else { Step::Name(name.to_owned()) });
            rest = after;
        }
        while let Some(inner) = rest.strip_prefix('[') {
            let Some((condition, after)) = inner.split_once(']') else { return bad("a bracket is open") };
            let Some((member, value)) = condition.split_once('=') else {
                return bad("in brackets stands `member=value`");
            };
            steps.push(Step::Where { member: member.to_owned(), value: Glob::parse(value) });
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(steps),
            None => return bad("a dot is missing"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Record => {}
            Root::Subject => f.write_str("$subject")?,
            Root::Variable(name) => write!(f, "${name}")?,
        }
        for (at, step) in self.steps.iter().enumerate() {
            if !matches!(step, Step::Where { .. }) && (at > 0 || self.root != Root::Record) {
                f.write_str(".")?;
            }
            match step {
                Step::Name(name) if name.contains(['.', '[']) => write!(f, "\"{name}\"")?,
                Step::Name(name) => f.write_str(name)?,
                Step::Star(glob) => f.write_str(&glob.filled("*"))?,
                Step::Where { member, value } => {
                    write!(f, "[{member}={}]", value.filled("*"))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"a":{"b":["x","y"],"c.d":1},"target":[{"type":"App","id":"1"},{"type":"User","id":"2"}],
        "changes":{"name":{"from":"old"},"color":{"from":"red"}},"old_name":"n","old_color":"c"}"#;

    fn all(path: &str) -> Vec<(String, String)> {
        let text = crate::import::tree::checked(RECORD).unwrap();
        let tree = Node::parse(&text);
        let scope = Scope::of(&tree);
        let path = Path::parse(path).unwrap();
        path.find_all(&scope).into_iter().map(|(star, node)| (star, node.text.to_owned())).collect()
    }

    #[test]
    fn finds_values() {
        let one = |path: &str| all(path).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ");
        assert_eq!(one("a.b.1"), "\"y\"");
        assert_eq!(one("a.\"c.d\""), "1");
        assert_eq!(one("target[type=User].id"), "\"2\"");
        assert_eq!(one("target[type=Us*].id"), "\"2\"");
        assert_eq!(one("target[type=Group].id"), "");
        assert_eq!(one("a.b.x.y"), "");
        let pairs = |path: &str| {
            all(path).into_iter().map(|(star, text)| format!("{star}={text}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pairs("changes.*.from"), "name=\"old\" color=\"red\"");
        assert_eq!(pairs("old_*"), "name=\"n\" color=\"c\"");
        assert_eq!(pairs("target.*.id"), "0=\"1\" 1=\"2\"");
    }

    #[test]
    fn patterns() {
        for (pattern, text, star) in [
            ("a.b", "a.b", Some("")),
            ("a.b", "a.c", None),
            ("user.*", "user.login", Some("login")),
            ("*.create", "policy.lifecycle.create", Some("policy.lifecycle")),
            ("a*a", "a", None),
            ("*", "", Some("")),
            ("*mail*", "e_mail_x", Some("e_mail_x")),
            ("*a*b*", "xbxa", None),
        ] {
            assert_eq!(Glob::parse(pattern).stands_for(text), star, "{pattern} {text}");
        }
    }

    #[test]
    fn prints_what_it_reads_and_names_what_is_wrong() {
        for path in
            ["a.b.0", "a.\"c.d\".e", "target[type=Us*].id", "changes.*.from", "$subject.name", "$event"]
        {
            assert_eq!(Path::parse(path).unwrap().to_string(), path);
        }
        for (path, fault) in [
            ("", "`` is no path: a name is missing"),
            ("a..b", "`a..b` is no path: a name is missing"),
            ("a[b", "`a[b` is no path: a bracket is open"),
            ("a[b]", "`a[b]` is no path: in brackets stands `member=value`"),
            ("\"a", "`\"a` is no path: a quotation mark is open"),
            ("*.*", "`*.*` has more than one `*`"),
            ("$x.y", "`$x.y` goes into `$x`, which is a text"),
        ] {
            assert_eq!(Path::parse(path).unwrap_err(), fault);
        }
    }
}
