//! How terms combine: `query = all { "OR" all }`, `all = not { ["AND"] not }`, `not = { "NOT" | "-" } prime`.

use super::Parser;
use super::join::{self, Part};
use super::scan::{self, Token, TokenKind};
use crate::Filter;
use crate::errors::{Problem, QueryError};
use crate::limits::QUERY_DEPTH_MAX;
use std::ops::Range;

/// A keyword that waits for the term it applies to.
struct Pending {
    keyword: &'static str,
    span: Range<usize>,
}

impl Parser<'_> {
    /// Reads the whole query; `None` means that it filters nothing.
    pub(super) fn query(&mut self) -> Option<Filter> {
        // At depth 0 a `)` is an ordinary character, so the alternatives end only at the end of the text.
        self.alternatives(0)
    }

    fn peek(&self, depth: usize) -> Token {
        scan::next(self.text, self.at, depth > 0)
    }

    /// Reads branches joined by `OR`, up to the end or the `)` of this group.
    fn alternatives(&mut self, depth: usize) -> Option<Filter> {
        let mut branches = Vec::new();
        let mut before: Option<Range<usize>> = None;
        loop {
            let (branch, is_written) = self.conjunction(depth);
            branches.extend(branch);
            let token = self.peek(depth);
            let is_or = token.kind == TokenKind::Or;
            let is_alone = before.is_some() || is_or;
            if is_alone && !is_written && !self.is_stopped {
                let span = before.take().unwrap_or_else(|| token.span.clone());
                self.missing_side("OR", span);
            }
            if !is_or {
                break;
            }
            self.at = token.span.end;
            before = Some(token.span);
        }
        if branches.is_empty() { None } else { Some(Filter::any_of(branches)) }
    }

    /// Reads terms joined by AND; returns what they mean and whether there were any.
    fn conjunction(&mut self, depth: usize) -> (Option<Filter>, bool) {
        let mut parts = Vec::new();
        let mut is_written = false;
        let mut negation_count = 0_usize;
        let mut pending: Option<Pending> = None;
        loop {
            let Token { kind, span } = self.peek(depth);
            let mut part = match kind {
                TokenKind::End | TokenKind::Close | TokenKind::Or => break,
                TokenKind::And => {
                    self.at = span.end;
                    if !is_written || pending.is_some() {
                        self.missing_side("AND", span);
                    } else {
                        pending = Some(Pending { keyword: "AND", span });
                    }
                    continue;
                }
                TokenKind::Not | TokenKind::Minus => {
                    self.at = span.end;
                    negation_count += 1;
                    let keyword = if kind == TokenKind::Not { "NOT" } else { "-" };
                    pending = Some(Pending { keyword, span });
                    continue;
                }
                TokenKind::LoneMinus => {
                    self.at = span.end;
                    let hint = "write `-` directly before what it negates, or `\"-\"` to search for it";
                    self.report(QueryError::new("q", span, &Problem::LoneMinus).with_hint(hint));
                    Part::Nothing
                }
                TokenKind::DoubleMinus => {
                    self.at = span.end;
                    let hint = "put the word in quotes to search for it, or write one `-` to negate it";
                    self.report(QueryError::new("q", span, &Problem::DoubleMinus).with_hint(hint));
                    Part::Nothing
                }
                TokenKind::Open => {
                    self.at = span.end;
                    self.group(span, depth + 1).map_or(Part::Nothing, Part::Whole)
                }
                TokenKind::Word(word) => {
                    self.at = span.end;
                    self.element(&word, span, depth)
                }
            };
            // A term negated twice means itself, but the rules on repeated keys no longer apply to it.
            for _ in 0..negation_count {
                part = part.negate();
            }
            parts.push(part);
            is_written = true;
            negation_count = 0;
            pending = None;
        }
        if let Some(Pending { keyword, span }) = pending
            && !self.is_stopped
        {
            let problem = match keyword {
                "AND" => Problem::MissingSide { keyword },
                _ => Problem::MissingOperand { keyword },
            };
            self.report(keyword_error(keyword, span, &problem));
            is_written = true;
        }
        (join::join(parts, &mut self.notes, &mut self.errors), is_written)
    }

    /// Reads a group after its `(`, which `open` is.
    fn group(&mut self, open: Range<usize>, depth: usize) -> Option<Filter> {
        if depth > QUERY_DEPTH_MAX {
            self.stop(open, &Problem::TooDeep { limit: QUERY_DEPTH_MAX });
            return None;
        }
        let first = self.peek(depth);
        if first.kind == TokenKind::Close {
            self.at = first.span.end;
            let span = open.start..first.span.end;
            let hint = "put the parentheses in quotes to search for them";
            self.report(QueryError::new("q", span, &Problem::EmptyGroup).with_hint(hint));
            return None;
        }
        let filter = self.alternatives(depth);
        let close = self.peek(depth);
        if close.kind == TokenKind::Close {
            self.at = close.span.end;
        } else {
            self.unclosed(open);
        }
        filter
    }

    /// Reports a `(` without its `)`, unless a limit ended the parse.
    pub(super) fn unclosed(&mut self, open: Range<usize>) {
        if self.is_stopped {
            return;
        }
        let rest_quote_count = self.text[open.end..].matches('"').count();
        let hint = if rest_quote_count % 2 == 1 {
            "a quotation mark is not closed and takes the rest of the query"
        } else {
            "add the `)`"
        };
        self.report(QueryError::new("q", open, &Problem::Unclosed).with_hint(hint));
    }

    pub(super) fn missing_side(&mut self, keyword: &'static str, span: Range<usize>) {
        self.report(keyword_error(keyword, span, &Problem::MissingSide { keyword }));
    }
}

fn keyword_error(keyword: &str, span: Range<usize>, problem: &Problem) -> QueryError {
    QueryError::new("q", span, problem)
        .with_hint(format!("put it in quotes to search for the text: `\"{keyword}\"`"))
}
