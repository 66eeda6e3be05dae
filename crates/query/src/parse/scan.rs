//! Finding words, as Coder splits them: at spaces outside quotes, and at nothing else.

use std::ops::Range;

/// The next token and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    End,
    Open,
    Close,
    And,
    Or,
    Not,
    /// A `-` directly before what it negates.
    Minus,
    /// A `-` before a space or the end.
    LoneMinus,
    /// A word that begins with two `-`.
    DoubleMinus,
    Word(Word),
}

/// A word: what is between two spaces outside quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The key and the operator, if it has them.
    pub(super) head: Option<Head>,
    /// Whether the word ends in front of the `(` of a list of values.
    pub(super) opens_list: bool,
    /// The first `)` that no `(` of the word belongs to.
    pub(super) unopened: Option<usize>,
}

/// The part of a word in front of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) key: Range<usize>,
    pub(super) operator: Operator,
    /// Where the value begins.
    pub(super) value_start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Colon,
    Equal,
    NotEqual,
    Contains,
    Compare(Comparison),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Comparison {
    /// Longer spellings first, so that the first that fits is right.
    pub(super) const ALL: [Self; 4] = [Self::AtLeast, Self::AtMost, Self::Above, Self::Below];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::Below => "<",
        }
    }
}

impl Operator {
    /// Reads the operator a text begins with; its length comes with it.
    fn at_start(text: &str) -> Option<(Self, usize)> {
        const FIXED: [(&str, Operator); 4] = [
            ("==", Operator::Equal),
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("~", Operator::Contains),
        ];
        let comparisons = Comparison::ALL.map(|comparison| (comparison.as_str(), Self::Compare(comparison)));
        FIXED
            .into_iter()
            .chain(comparisons)
            .find(|(spelling, _)| text.starts_with(spelling))
            .map(|(spelling, operator)| (operator, spelling.len()))
    }
}

/// Returns the token at or after `at`. Outside parentheses a `)` is an ordinary character, as in Coder.
pub(super) fn next(text: &str, at: usize, is_in_group: bool) -> Token {
    let bytes = text.as_bytes();
    let start = at + bytes[at..].iter().take_while(|&&byte| byte == b' ').count();
    let Some(&first) = bytes.get(start) else {
        return Token { kind: TokenKind::End, span: start..start };
    };
    let single = |kind| Token { kind, span: start..start + 1 };
    match first {
        b'(' => single(TokenKind::Open),
        b')' if is_in_group => single(TokenKind::Close),
        b'-' => match bytes.get(start + 1) {
            None | Some(b' ') => single(TokenKind::LoneMinus),
            Some(b')') if is_in_group => single(TokenKind::LoneMinus),
            Some(b'-') => {
                let (_, end) = word(text, start, is_in_group);
                Token { kind: TokenKind::DoubleMinus, span: start..end }
            }
            Some(_) => single(TokenKind::Minus),
        },
        _ => keyword(text, start, is_in_group).unwrap_or_else(|| {
            let (word, end) = word(text, start, is_in_group);
            Token { kind: TokenKind::Word(word), span: start..end }
        }),
    }
}

fn keyword(text: &str, start: usize, is_in_group: bool) -> Option<Token> {
    let keywords = [("AND", TokenKind::And), ("OR", TokenKind::Or), ("NOT", TokenKind::Not)];
    let (spelling, kind) = keywords.into_iter().find(|(spelling, _)| text[start..].starts_with(spelling))?;
    let end = start + spelling.len();
    let is_whole = match text.as_bytes().get(end) {
        None | Some(b' ' | b'(') => true,
        Some(b')') => is_in_group,
        Some(_) => false,
    };
    is_whole.then_some(Token { kind, span: start..end })
}

/// Reads the word at `start`; returns it and where it ends. Linear in the word.
pub(super) fn word(text: &str, start: usize, is_in_group: bool) -> (Word, usize) {
    let bytes = text.as_bytes();
    let mut word = Word { head: None, opens_list: false, unopened: None };
    let mut is_quoted = false;
    let mut open_count = 0_usize;
    let mut is_identifier = true;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b' ' => break,
            b'(' if opens_list(bytes, at, word.head.as_ref()) => {
                word.opens_list = true;
                break;
            }
            b'(' => open_count += 1,
            b')' if open_count > 0 => open_count -= 1,
            b')' if is_in_group => break,
            b')' => word.unopened = word.unopened.or(Some(at)),
            b':' if word.head.is_none() => {
                word.head = Some(Head { key: start..at, operator: Operator::Colon, value_start: at + 1 });
            }
            _ if word.head.is_none() && is_identifier && at > start => {
                if let Some((operator, length)) = Operator::at_start(&text[at..]) {
                    word.head = Some(Head { key: start..at, operator, value_start: at + length });
                    at += length;
                    continue;
                }
            }
            _ => {}
        }
        let is_letter = byte.is_ascii_alphabetic();
        is_identifier &= is_letter || (at > start && (byte.is_ascii_digit() || byte == b'_' || byte == b'.'));
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    (word, at)
}

/// Whether a `(` begins a list of values: directly after the operator, or after a run of colons.
fn opens_list(bytes: &[u8], at: usize, head: Option<&Head>) -> bool {
    head.is_some_and(|head| {
        at >= head.value_start
            && bytes[head.value_start..at].iter().all(|&byte| byte == b':')
            && (at == head.value_start || head.operator == Operator::Colon)
    })
}
