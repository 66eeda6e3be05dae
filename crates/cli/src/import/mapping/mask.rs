//! Secrets in the kept original: what a mapping names is written as `******`.

use std::collections::HashSet;

use super::Scope;
use super::path::Path;
use super::value::Condition;
use crate::import::tree::{Content, Node};

/// What stands in the place of a secret.
const MASK: &str = "\"******\"";

/// Places that hold secrets, in records for which a condition holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Mask {
    pub(super) when: Condition,
    pub(super) paths: Vec<Path>,
}

/// The text of a record without its secrets; nothing if there are none.
///
/// Everything else of an event is made of what this returns, so that no secret gets into a diff either.
pub(super) fn masked(masks: &[Mask], record: &Node<'_>) -> Option<String> {
    let scope = Scope::of(record);
    let mut places: Vec<(usize, usize)> = masks
        .iter()
        .filter(|mask| mask.when.holds(&scope))
        .flat_map(|mask| &mask.paths)
        .flat_map(|path| path.find_all(&scope))
        .filter(|(_, node)| node.is_something())
        .map(|(_, node)| (node.start, node.end()))
        .collect();
    (!places.is_empty()).then(|| without(record, &mut places))
}

/// Bytes of the shortest value that is looked for: `true`, `1` and `""` stand for too much else.
const SECRET_BYTES_MIN: usize = 5;

/// The text of a record in which no value is one of these, given as JSON: those of the secret fields of a diff.
pub(super) fn without_values(record: &Node<'_>, secrets: &[String]) -> Option<String> {
    let secrets: HashSet<&str> =
        secrets.iter().map(String::as_str).filter(|text| text.len() >= SECRET_BYTES_MIN).collect();
    if secrets.is_empty() {
        return None;
    }
    let mut places = Vec::new();
    let mut nodes = vec![record];
    while let Some(node) = nodes.pop() {
        match &node.content {
            _ if secrets.contains(node.text) => places.push((node.start, node.end())),
            Content::Object(members) => nodes.extend(members.iter().map(|(_, value)| value)),
            Content::List(elements) => nodes.extend(elements),
            _ => {}
        }
    }
    (!places.is_empty()).then(|| without(record, &mut places))
}

/// The text with `******` in some places.
fn without(record: &Node<'_>, places: &mut [(usize, usize)]) -> String {
    places.sort_unstable();
    let mut text = String::with_capacity(record.text.len());
    let mut at = 0;
    for &mut (start, end) in places {
        // A place inside one that is masked already.
        if start < at {
            continue;
        }
        text.push_str(&record.text[at..start]);
        text.push_str(MASK);
        at = end;
    }
    text.push_str(&record.text[at..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tree::checked;

    #[test]
    fn secrets_are_replaced_and_nothing_else() {
        let masks = [Mask {
            when: Condition::default(),
            paths: ["s.data.*", "s.data.a", "token", "absent", "list.*.t"]
                .map(|path| Path::parse(path).unwrap())
                .into(),
        }];
        let text =
            checked(r#"{"n":1.50,"s":{"data":{"a":"x","b":{"c":1}}},"token":"t","list":[{"t":"u"},{"k":2}],"z":null}"#)
                .unwrap();
        let expect = r#"{"n":1.50,"s":{"data":{"a":"******","b":"******"}},"token":"******","list":[{"t":"******"},{"k":2}],"z":null}"#;
        assert_eq!(masked(&masks, &Node::parse(&text)).as_deref(), Some(expect));
        assert_eq!(masked(&masks, &Node::parse("{\"n\":1}")), None);
    }

    #[test]
    fn a_secret_value_is_masked_wherever_it_stands() {
        let text =
            checked(r#"{"hunter2":1,"old":"hunter2","list":["hunter2",{"k":"hunter"}],"n":12345}"#).unwrap();
        let secrets = ["\"hunter2\"".to_owned(), "12345".to_owned(), "true".to_owned()];
        let expect = r#"{"hunter2":1,"old":"******","list":["******",{"k":"hunter"}],"n":"******"}"#;
        assert_eq!(without_values(&Node::parse(&text), &secrets).as_deref(), Some(expect));
        assert_eq!(without_values(&Node::parse(&text), &["true".to_owned()]), None);
    }
}
