//! One word: a key with its values, or a free word.

use super::Parser;
use super::check::free_word;
use super::field::Field;
use super::join::{Element, Part};
use super::scan::{self, Head, Operator, TokenKind, Word};
use super::value::{self, Item};
use crate::errors::{Problem, QueryError};
use crate::suggest::{nearest, synonym};
use crate::{Key, Term, Test, fold};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

impl<'t> Parser<'t> {
    /// Reads the word at `span`, after which the parser stands.
    pub(super) fn element(&mut self, word: &Word, span: Range<usize>, depth: usize) -> Part {
        let raw = &self.text[span.clone()];
        let Some(head) = &word.head else { return self.bare(word, raw, span) };
        if let Some(error) = bare_address(raw, &span) {
            self.count_terms(1, span);
            self.report(error);
            return Part::Nothing;
        }
        let field = self.field(head);
        if word.opens_list {
            let items = self.list(field, depth);
            let span = span.start..self.at;
            return field.map_or(Part::Nothing, |field| self.values(field, head, &items, span));
        }
        if self.has_edge_colon(field, head, raw, &span) {
            return Part::Nothing;
        }
        let Some(field) = field else {
            self.count_terms(1, span);
            return Part::Nothing;
        };
        let mut start = head.value_start;
        if field.is_coders() && head.operator == Operator::Colon {
            let value = &self.text[start..span.end];
            start += value.len() - value.trim_start_matches(':').len();
        }
        let items = value::items(&self.text[start..span.end], start);
        self.values(field, head, &items, span)
    }

    /// Finds the field of a key; reports an unknown one.
    fn field(&mut self, head: &Head) -> Option<Field> {
        let raw = &self.text[head.key.clone()];
        let name = fold(raw.trim_matches('"'));
        let field = Field::from_name(&name);
        // A word that begins with a colon has no key, which is reported as that.
        if field.is_none() && !raw.is_empty() {
            let error = QueryError::new(&name, head.key.clone(), &Problem::UnknownKey(name.to_string()));
            let names = || Field::all().map(Field::name);
            let error = match synonym(&name).or_else(|| nearest(&name, names())) {
                Some(key) => error.with_replacement(key),
                None => error.with_hint(unknown_key_hint()),
            };
            self.report(error);
        }
        field
    }

    /// Reports a word that begins or ends with a colon. IPv6 addresses may end with two.
    fn has_edge_colon(&mut self, field: Option<Field>, head: &Head, raw: &str, span: &Range<usize>) -> bool {
        let is_address = field == Some(Field::Key(Key::Ip)) && head.value_start + 2 <= span.end;
        if !raw.starts_with(':') && (!raw.ends_with(':') || (is_address && raw.ends_with("::"))) {
            return false;
        }
        let hint = match field {
            Some(field) => format!("add a value, or write `{}:*` for any", field.name()),
            None => "put it in quotes to search for the text".to_owned(),
        };
        self.count_terms(1, span.clone());
        // An unknown key is an error of its own, and enough.
        if field.is_some() || raw.starts_with(':') {
            let problem = Problem::EdgeColon(raw.to_owned());
            self.report(QueryError::new("q", span.clone(), &problem).with_hint(hint));
        }
        true
    }

    /// Reads a free word.
    fn bare(&mut self, word: &Word, raw: &str, span: Range<usize>) -> Part {
        if !self.count_terms(1, span.clone()) {
            return Part::Nothing;
        }
        if raw.ends_with(':') {
            let hint = "close the quotation mark";
            let problem = Problem::EdgeColon(raw.to_owned());
            self.report(QueryError::new("q", span, &problem).with_hint(hint));
            return Part::Nothing;
        }
        if let Some(at) = word.unopened {
            let hint = "remove it, or put the word in quotes to search for it";
            self.report(QueryError::new("q", at..at + 1, &Problem::Unopened).with_hint(hint));
            return Part::Nothing;
        }
        let is_type = !raw.contains('"') && {
            let folded = fold(raw);
            self.context.vocabulary.resource_types.iter().any(|known| fold(known) == folded)
        };
        if is_type {
            let term = Term::exact(Key::ResourceType, raw);
            self.note(span.clone(), format!("`{raw}` was read as `resource_type:{}`", fold(raw)));
            return Part::Element(Element {
                field: Field::Key(Key::ResourceType),
                span,
                is_bare: true,
                is_equality: true,
                filter: Some(term.into()),
                errors: Vec::new(),
            });
        }
        let item = value::item(raw, span.clone());
        let field = Field::Key(Key::Text);
        let filter = match item.glob {
            _ if item.is_empty() => None,
            Some(ref glob) if glob.is_any() => Some(Test::Exists),
            _ => free_word(&item).map(|pattern| Test::AnyOf(vec![pattern])),
        };
        let filter = filter.map(|test| Term::new(Key::Text, test).into());
        Part::Element(Element { field, span, is_bare: true, is_equality: false, filter, errors: Vec::new() })
    }

    /// Reads a list of values, at whose `(` the parser stands.
    fn list(&mut self, field: Option<Field>, depth: usize) -> Vec<Item<'t>> {
        let open = self.at..self.at + 1;
        let key = field.map_or("q", Field::name);
        let text = self.text;
        let mut items = Vec::new();
        let mut nested_count = 0_usize;
        // An `OR` must stand between two values.
        let mut last_or: Option<Range<usize>> = None;
        self.at = open.end;
        loop {
            let token = scan::next(text, self.at, true);
            let span = token.span;
            self.at = span.end;
            match token.kind {
                TokenKind::End => {
                    self.unclosed(open);
                    break;
                }
                TokenKind::Close if nested_count > 0 => nested_count -= 1,
                TokenKind::Close => break,
                TokenKind::Or if items.is_empty() || last_or.is_some() => self.missing_side("OR", span),
                TokenKind::Or => last_or = Some(span),
                // In a list a colon is part of the value.
                TokenKind::Word(word) if !word.opens_list => {
                    let words = value::items(&text[span.clone()], span.start);
                    // `(a, b)` is as good as `(a b)`.
                    items.extend(words.into_iter().filter(|item| !item.raw.is_empty()));
                    last_or = None;
                }
                kind => {
                    nested_count += usize::from(kind == TokenKind::Open);
                    let hint = "put the value in quotes, or write the condition outside the list";
                    let error = QueryError::new(key, span, &Problem::NotAValue { key });
                    self.report(error.with_hint(hint));
                }
            }
        }
        if let Some(span) = last_or
            && !self.is_stopped
        {
            self.missing_side("OR", span);
        }
        self.list_tail(depth);
        items
    }

    /// Reports what stands directly after a list, which Coder would take for a part of the value.
    fn list_tail(&mut self, depth: usize) {
        let is_end = match self.text.as_bytes().get(self.at) {
            None | Some(b' ') => true,
            Some(b')') => depth > 0,
            Some(_) => false,
        };
        if !is_end {
            let (_, end) = scan::word(self.text, self.at, depth > 0);
            // A `(` here ends a word only in front of a list, so there is always progress.
            let end = end.max(self.text.ceil_char_boundary(self.at + 1));
            let error = QueryError::new("q", self.at..end, &Problem::ListTail);
            self.report(error.with_hint("put the value in quotes if the parentheses belong to it"));
            self.at = end;
        }
    }

    /// Reads the values of a field.
    fn values(&mut self, field: Field, head: &Head, items: &[Item<'_>], span: Range<usize>) -> Part {
        if !self.count_terms(items.len().max(1), span.clone()) {
            return Part::Nothing;
        }
        let name = field.name();
        let error_count = self.errors.len();
        let (filter, is_equality) = match items {
            [] => {
                let problem = Problem::MissingValue { key: name };
                self.report(QueryError::new(name, span, &problem).with_hint("write a value in the list"));
                return Part::Nothing;
            }
            [item] if item.raw.is_empty() => {
                let problem = Problem::MissingValue { key: name };
                let hint = format!("write a value, or `{name}:*` for any");
                self.report(QueryError::new(name, span, &problem).with_hint(hint));
                return Part::Nothing;
            }
            [item] if item.is_empty() => (None, true),
            items => self.check(field, head, items).unwrap_or((None, true)),
        };
        let errors = self.errors.split_off(error_count);
        let is_bare = !self.text[span.clone()].contains(':');
        let part = Part::Element(Element { field, span, is_bare, is_equality, filter, errors });
        if head.operator == Operator::NotEqual { part.negate() } else { part }
    }
}

/// Returns the error for an IPv6 address without its key, whose colons make it look like one.
fn bare_address(raw: &str, span: &Range<usize>) -> Option<QueryError> {
    let is_address = raw.parse::<IpAddr>().is_ok() || raw.parse::<IpNet>().is_ok();
    let problem = Problem::UnknownKey(raw.to_owned());
    is_address.then(|| QueryError::new("q", span.clone(), &problem).with_replacement(format!("ip:{raw}")))
}

fn unknown_key_hint() -> String {
    let names: Vec<&str> = Field::all().map(Field::name).collect();
    format!("put the word in quotes to search for it; the keys are {}", names.join(", "))
}
