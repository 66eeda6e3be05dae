//! Case folding.

use std::borrow::Cow;

/// Folds a name for case-insensitive comparison: the Unicode lower case of each character on its own.
///
/// Text that is lower-case ASCII already, which is nearly every name in a log, is returned as it is. Folding is
/// context-free (a final sigma is folded like any other), so the fold of a part is a part of the fold, which
/// "contains" and prefix searches rely on. Folding twice changes nothing.
///
/// # Examples
/// ```
/// assert_eq!(annals_query::fold("Web-01"), "web-01");
/// assert_eq!(annals_query::fold("ΟΔΟΣ"), "οδοσ");
/// ```
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_lower_case_ascii() {
        assert!(matches!(fold("resource_type 10.0.0.1"), Cow::Borrowed(_)));
    }

    #[test]
    fn is_idempotent_for_every_character() {
        for character in '\0'..=char::MAX {
            let once = fold(character.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(fold(&once), once, "{character:?}");
        }
    }
}
