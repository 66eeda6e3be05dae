//! Old and new values in a record, and the diff made of them.

use annals_model::json;
use annals_model::limits::{DIFF_FIELDS_MAX, NAME_BYTES_MAX, SNAPSHOT_FIELDS_MAX};
use serde_json::value::RawValue;

use super::Scope;
use super::path::{Glob, Path};
use super::value::{Condition, Value};
use crate::import::tree::{Content, Node};

/// Where a record has old and new values.
#[derive(Debug, Clone)]
pub(super) struct DiffRule {
    pub(super) when: Condition,
    pub(super) form: Form,
    /// A list of one value counts as the value.
    pub(super) unwrap: bool,
}

/// How it has them.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// One value before and one after; with a `*`, one of each for everything it stands for.
    Values { field: Value, old: Vec<Path>, new: Vec<Path> },
    /// Objects whose members are the fields.
    Objects { before: Vec<Path>, after: Vec<Path> },
    /// Only the names of what changed: a list, or a text with commas.
    Names { changed: Path },
}

/// Which fields are shown how. A mapping's word for all its types.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) secret: Vec<Glob>,
    pub(super) ignore: Vec<Glob>,
    pub(super) personal: Vec<Glob>,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) field: String,
    pub(super) is_secret: bool,
    pub(super) is_personal: bool,
}

/// The diff of a record as JSON, and its fields.
pub(super) fn diff(rules: &[DiffRule], fields: &Fields, scope: &Scope<'_, '_>) -> Diffed {
    let mut out = Out { fields, json: "{".to_owned(), changed: Vec::new(), secrets: Vec::new() };
    for rule in rules.iter().filter(|rule| rule.when.holds(scope)) {
        match &rule.form {
            Form::Values { field, old, new } => values(&mut out, rule, field, old, new, scope),
            Form::Objects { before, after } => objects(&mut out, rule, before, after, scope),
            Form::Names { changed } => names(&mut out, changed, scope),
        }
    }
    out.json.push('}');
    Diffed { json: out.json, changed: out.changed, secrets: out.secrets }
}

/// What became of the old and new values of a record.
#[derive(Debug)]
pub(super) struct Diffed {
    /// The diff.
    pub(super) json: String,
    /// Its fields.
    pub(super) changed: Vec<Changed>,
    /// The values of its secret fields, as JSON.
    pub(super) secrets: Vec<String>,
}

/// What a `*` may stand for in one record: as much as a snapshot may have fields.
const STARS_MAX: usize = SNAPSHOT_FIELDS_MAX;

struct Out<'f> {
    fields: &'f Fields,
    json: String,
    changed: Vec<Changed>,
    secrets: Vec<String>,
}

impl Out<'_> {
    /// Adds a field. The first rule that knows one counts; beyond the limit of a diff the rest stands in the record.
    fn add(&mut self, field: &str, old: Option<&str>, new: Option<&str>, is_withheld: bool) {
        let matches = |globs: &[Glob]| globs.iter().any(|glob| glob.fits(field));
        let is_known = self.changed.iter().any(|changed| changed.field == field);
        let fits = !field.is_empty() && field.len() <= NAME_BYTES_MAX && self.changed.len() < DIFF_FIELDS_MAX;
        if is_known || !fits || matches(&self.fields.ignore) || (!is_withheld && is_same(old, new)) {
            return;
        }
        let is_secret = matches(&self.fields.secret);
        if !self.changed.is_empty() {
            self.json.push(',');
        }
        let mut name = Vec::new();
        json::push_text(&mut name, field);
        self.json.push_str(&String::from_utf8_lossy(&name));
        self.json.push_str(":{");
        if is_secret {
            self.secrets.extend([old, new].into_iter().flatten().map(str::to_owned));
        }
        if is_secret || is_withheld {
            self.json.push_str("\"secret\":true");
        } else {
            let sides = [("\"old\":", old), ("\"new\":", new)];
            let sides: Vec<String> =
                sides.iter().filter_map(|(key, value)| value.map(|value| format!("{key}{value}"))).collect();
            self.json.push_str(&sides.join(","));
        }
        self.json.push('}');
        let is_personal = matches(&self.fields.personal);
        self.changed.push(Changed { field: field.to_owned(), is_secret, is_personal });
    }
}

fn values(
    out: &mut Out<'_>,
    rule: &DiffRule,
    field: &Value,
    old: &[Path],
    new: &[Path],
    scope: &Scope<'_, '_>,
) {
    let side = |paths: &[Path], scope: &Scope<'_, '_>| {
        let node = paths.iter().find_map(|path| path.find(scope));
        node.and_then(|node| value_of(node, rule.unwrap)).map(str::to_owned)
    };
    let Some(driver) = old.iter().chain(new).find(|path| path.has_star()) else {
        // A rule for old values says nothing of a record without one.
        let has_old = old.is_empty() || old.iter().any(|path| path.find(scope).is_some());
        if has_old && let Some(field) = field.text(scope) {
            out.add(&field, side(old, scope).as_deref(), side(new, scope).as_deref(), false);
        }
        return;
    };
    for (star, _) in driver.find_all(scope).into_iter().take(STARS_MAX) {
        let scope = Scope { star: Some(&star), ..*scope };
        let has_old = old.is_empty() || old.iter().any(|path| path.find(&scope).is_some());
        if has_old && let Some(field) = field.text(&scope) {
            out.add(&field, side(old, &scope).as_deref(), side(new, &scope).as_deref(), false);
        }
    }
}

fn objects(out: &mut Out<'_>, rule: &DiffRule, before: &[Path], after: &[Path], scope: &Scope<'_, '_>) {
    let mut one = |scope: &Scope<'_, '_>| {
        let old = members(before, scope);
        let mut new = members(after, scope);
        if old.len() > DIFF_FIELDS_MAX || new.len() > DIFF_FIELDS_MAX {
            return;
        }
        for (name, value) in old {
            let at = new.iter().position(|(other, _)| *other == name);
            let other = at.and_then(|at| value_of(new.remove(at).1, rule.unwrap));
            out.add(name, value_of(value, rule.unwrap), other, false);
        }
        for (name, value) in new {
            out.add(name, None, value_of(value, rule.unwrap), false);
        }
    };
    let stars = || before.iter().chain(after).filter(|path| path.has_star());
    if stars().next().is_none() {
        // A rule for old values says nothing of a record without them.
        if before.is_empty() || before.iter().any(|path| path.find(scope).is_some()) {
            one(scope);
        }
        return;
    }
    let mut seen: Vec<String> = Vec::new();
    for (star, _) in stars().flat_map(|path| path.find_all(scope)) {
        if !seen.contains(&star) && seen.len() < DIFF_FIELDS_MAX {
            one(&Scope { star: Some(&star), ..*scope });
            seen.push(star);
        }
    }
}

/// The members of the first place that is there, if it is an object.
fn members<'n>(paths: &[Path], scope: &Scope<'n, '_>) -> Vec<(&'n str, &'n Node<'n>)> {
    match paths.iter().find_map(|path| path.find(scope)).map(|node| &node.content) {
        Some(Content::Object(members)) => {
            members.iter().map(|(name, value)| (name.as_ref(), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn names(out: &mut Out<'_>, changed: &Path, scope: &Scope<'_, '_>) {
    let Some(node) = changed.find(scope) else { return };
    match &node.content {
        Content::List(elements) => {
            for name in elements.iter().filter_map(Node::to_text) {
                out.add(name.trim(), None, None, true);
            }
        }
        _ => {
            for name in node.to_text().unwrap_or_default().split(',') {
                out.add(name.trim(), None, None, true);
            }
        }
    }
}

/// The JSON text of a value; nothing for null.
fn value_of<'n>(node: &'n Node<'_>, unwrap: bool) -> Option<&'n str> {
    match &node.content {
        Content::Null => None,
        Content::List(elements) if unwrap => match elements.as_slice() {
            [] => None,
            [only] => value_of(only, false),
            _ => Some(node.text),
        },
        _ => Some(node.text),
    }
}

fn is_same(old: Option<&str>, new: Option<&str>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return old.is_none() && new.is_none() };
    let raw = |text| serde_json::from_str::<&RawValue>(text);
    matches!((raw(old), raw(new)), (Ok(old), Ok(new)) if json::equal(old, new))
}
