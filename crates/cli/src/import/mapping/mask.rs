//! Secrets in the kept original: what a mapping names is written as `******`.

use super::Scope;
use super::path::Path;
use super::value::Condition;
use crate::import::tree::Node;

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
    if places.is_empty() {
        return None;
    }
    places.sort_unstable();
    let mut text = String::with_capacity(record.text.len());
    let mut at = 0;
    for (start, end) in places {
        // A place inside one that is masked already.
        if start < at {
            continue;
        }
        text.push_str(&record.text[at..start]);
        text.push_str(MASK);
        at = end;
    }
    text.push_str(&record.text[at..]);
    Some(text)
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
}
