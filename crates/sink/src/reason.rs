//! Reasons that people read: one line, short, without secrets.

use std::fmt;
use std::time::Duration;

use crate::{SendError, Which};

/// Characters of a reason. It is shown in tables.
const REASON_CHARACTERS_MAX: usize = 300;
/// A shorter text is not looked for as a secret: it would be found in every other word.
const SECRET_BYTES_MIN: usize = 6;

/// Texts that no reason may show, even if the receiver repeats them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Remembers a text, and each word of it: of `Bearer TOKEN` the token may be repeated alone.
    pub(crate) fn add(&mut self, secret: &str) {
        let words = secret.split_whitespace().chain([secret]);
        let long = words.filter(|word| word.len() >= SECRET_BYTES_MIN).map(str::to_owned);
        self.0.extend(long);
        // What holds another one is replaced first, so that nothing of it is left over.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.0.dedup();
    }

    /// Makes a reason of any text.
    pub(crate) fn one_line(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "***");
            }
        }
        one_line(&text)
    }
}

/// Makes a line of any text: control characters are spaces, and so are those that change the direction of writing.
pub(crate) fn one_line(text: &str) -> String {
    let is_bad = |character: char| {
        character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain: String =
        text.chars().map(|character| if is_bad(character) { ' ' } else { character }).collect();
    let mut line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > REASON_CHARACTERS_MAX {
        line = line.chars().take(REASON_CHARACTERS_MAX - 1).collect();
        line.push('…');
    }
    line
}

/// The innermost cause of an error, which says most.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

/// Send again later.
pub(crate) fn later(reason: impl Into<String>) -> SendError {
    SendError::Later { reason: one_line(&reason.into()), after: None }
}

/// Send again after the time that the receiver asked for.
pub(crate) fn later_after(reason: impl Into<String>, after: Option<Duration>) -> SendError {
    SendError::Later { reason: one_line(&reason.into()), after }
}

/// Never taken.
pub(crate) fn refused(reason: impl Into<String>, which: Which) -> SendError {
    SendError::Refused { reason: one_line(&reason.into()), which }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31m\tc\u{202e}d "), "a b [31m c d");
        assert_eq!(one_line(&"é".repeat(1_000)).chars().count(), REASON_CHARACTERS_MAX);
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let mut secrets = Secrets::default();
        secrets.add("Bearer abcdef-secret");
        secrets.add("abcdef");
        assert_eq!(secrets.one_line("bad token abcdef-secret!"), "bad token ***!");
        assert_eq!(secrets.one_line("`Bearer abcdef-secret`"), "`***`");
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }
}
