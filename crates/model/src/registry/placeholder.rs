//! Templates of sentences and links: text with `{placeholders}`.

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// What stood between braces.
    Placeholder(&'a str),
}

/// Splits a template. A brace without its partner is text here and refused by [`check`].
pub(super) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let (piece, after) = match (rest.find('{'), rest.find('}')) {
            _ if rest.is_empty() => return None,
            (Some(0), Some(close)) => (Piece::Placeholder(&rest[1..close]), &rest[close + 1..]),
            (Some(open), Some(_)) if open > 0 => (Piece::Text(&rest[..open]), &rest[open..]),
            _ => (Piece::Text(rest), ""),
        };
        rest = after;
        Some(piece)
    })
}

/// Returns the first placeholder that `is_known` rejects, or the first brace without its partner.
pub(super) fn check(template: &str, is_known: impl Fn(&str) -> bool) -> Result<(), &str> {
    for piece in pieces(template) {
        match piece {
            Piece::Placeholder(name) if !is_known(name) => return Err(name),
            Piece::Text(text) => {
                if let Some(at) = text.find(['{', '}']) {
                    return Err(&text[at..]);
                }
            }
            Piece::Placeholder(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_text_and_placeholders() {
        let all: Vec<_> = pieces("/@{additional.owner|username}/{target}").collect();
        assert_eq!(
            all,
            [
                Piece::Text("/@"),
                Piece::Placeholder("additional.owner|username"),
                Piece::Text("/"),
                Piece::Placeholder("target"),
            ]
        );
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn names_what_is_wrong_with_a_template() {
        let known = |name: &str| name == "user";
        assert_eq!(check("{user} was here", known), Ok(()));
        assert_eq!(check("{users}", known), Err("users"));
        assert_eq!(check("a } b", known), Err("} b"));
        assert_eq!(check("{user} {", known), Err("{"));
        assert_eq!(check("} {user}", known), Err("} "));
        assert_eq!(check("{}", known), Err(""));
    }
}
