//! Dictionaries: the sorted terms of one key, and where the rows of each are.
//!
//! The terms stand one behind the other without separators, with a table of where each begins. One structure answers an exact
//! term and a prefix by halving, a part of a term by one pass over all bytes, and everything else by a walk.

use std::ops::Range;

use annals_query::{Glob, Pattern};
use memchr::memmem::Finder;

use super::bytes::{damaged, to_u32, u32_at, u32_of};
use crate::SegmentError;

/// Count of terms and reference to the rows that have any.
const HEADER_BYTES: usize = 8;

/// Writes a dictionary of texts. Terms are sorted and distinct.
pub(super) fn encode_texts(terms: &[&str], references: &[u32], present: u32) -> Vec<u8> {
    let mut bytes = encode_head(references, present);
    let mut at = 0usize;
    for term in terms.iter().chain(&[""]) {
        bytes.extend(to_u32(at).to_le_bytes());
        at += term.len();
    }
    terms.iter().for_each(|term| bytes.extend_from_slice(term.as_bytes()));
    bytes
}

/// Writes a dictionary of keys of one width. Keys are sorted and distinct.
pub(super) fn encode_keys<const N: usize>(keys: &[[u8; N]], references: &[u32], present: u32) -> Vec<u8> {
    let mut bytes = encode_head(references, present);
    bytes.extend(keys.as_flattened());
    bytes
}

fn encode_head(references: &[u32], present: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(to_u32(references.len()).to_le_bytes());
    bytes.extend(present.to_le_bytes());
    references.iter().for_each(|reference| bytes.extend(reference.to_le_bytes()));
    bytes
}

/// A dictionary of texts, read where it stands.
pub(super) struct Texts<'s> {
    name: &'static str,
    count: u32,
    pub(super) present: u32,
    references: &'s [u8],
    starts: &'s [u8],
    bytes: &'s [u8],
}

impl<'s> Texts<'s> {
    pub(super) fn read(name: &'static str, bytes: &'s [u8]) -> Result<Texts<'s>, SegmentError> {
        let parse = || {
            let count = u32_at(bytes, 0)?;
            let starts_at = HEADER_BYTES + count as usize * 4;
            let bytes_at = starts_at + (count as usize + 1) * 4;
            Some(Texts {
                name,
                count,
                present: u32_at(bytes, 4)?,
                references: bytes.get(HEADER_BYTES..starts_at)?,
                starts: bytes.get(starts_at..bytes_at)?,
                bytes: bytes.get(bytes_at..)?,
            })
        };
        parse().ok_or_else(|| damaged(format!("{name}: cut off")))
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn reference(&self, term: u32) -> Result<u32, SegmentError> {
        u32_of(self.references, term).ok_or_else(|| self.wrong())
    }

    pub(super) fn term(&self, term: u32) -> Result<&'s str, SegmentError> {
        std::str::from_utf8(self.raw(term)?).map_err(|_| self.wrong())
    }

    /// Adds the numbers of the terms that match to `into`; the same one may come twice for several patterns.
    pub(super) fn find(&self, pattern: &Pattern, into: &mut Vec<u32>) -> Result<(), SegmentError> {
        match pattern {
            Pattern::Exact(text) => into.extend(self.exact(text)?),
            Pattern::Contains(text) => self.containing(text, into)?,
            Pattern::Glob(glob) => self.find_glob(glob, into)?,
        }
        Ok(())
    }

    fn find_glob(&self, glob: &Glob, into: &mut Vec<u32>) -> Result<(), SegmentError> {
        if glob.is_any() {
            into.extend(0..self.count);
        } else if let Some(text) = glob.as_contains() {
            self.containing(text, into)?;
        } else if let Some(prefix) = glob.as_prefix() {
            into.extend(self.with_prefix(prefix)?);
        } else {
            for term in self.with_prefix(glob.prefix())? {
                if glob.matches(self.term(term)?) {
                    into.push(term);
                }
            }
        }
        Ok(())
    }

    fn exact(&self, text: &str) -> Result<Option<u32>, SegmentError> {
        let at = self.first_where(0..self.count, |term| term >= text.as_bytes())?;
        Ok((at < self.count && self.raw(at)? == text.as_bytes()).then_some(at))
    }

    fn with_prefix(&self, prefix: &str) -> Result<Range<u32>, SegmentError> {
        let prefix = prefix.as_bytes();
        let start = self.first_where(0..self.count, |term| term >= prefix)?;
        let end = self.first_where(start..self.count, |term| !term.starts_with(prefix))?;
        Ok(start..end)
    }

    /// One pass over the bytes of all terms. A hit that reaches over the end of its term is none, and then no other hit of
    /// that term is: it would begin later and reach further. So the pass goes on with the next term either way.
    fn containing(&self, text: &str, into: &mut Vec<u32>) -> Result<(), SegmentError> {
        if text.is_empty() {
            into.extend(0..self.count);
            return Ok(());
        }
        let finder = Finder::new(text);
        let (mut term, mut from) = (0u32, 0usize);
        while let Some(found) = self.bytes.get(from..).and_then(|rest| finder.find(rest)) {
            let hit = from + found;
            term = self.term_at(hit, term)?;
            let end = self.start(term + 1)?;
            if hit + text.len() <= end {
                into.push(term);
            }
            // The next term begins after the hit, or the table is damaged and the pass would not end.
            from = Some(end).filter(|end| *end > hit).ok_or_else(|| self.wrong())?;
            term += 1;
        }
        Ok(())
    }

    /// The term that a byte belongs to, at or after another term: doubling steps, then halving.
    fn term_at(&self, byte: usize, from: u32) -> Result<u32, SegmentError> {
        let (mut low, mut step) = (from, 1u32);
        while low + step < self.count && self.start(low + step)? <= byte {
            low += step;
            step *= 2;
        }
        let mut high = self.count.min(low + step);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.start(middle)? <= byte {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The first term of a range that passes a test which all later ones pass too; the end if none does.
    fn first_where(&self, range: Range<u32>, test: impl Fn(&[u8]) -> bool) -> Result<u32, SegmentError> {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if test(self.raw(middle)?) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    fn raw(&self, term: u32) -> Result<&'s [u8], SegmentError> {
        let (start, end) = (self.start(term)?, self.start(term + 1)?);
        self.bytes.get(start..end).ok_or_else(|| self.wrong())
    }

    fn start(&self, term: u32) -> Result<usize, SegmentError> {
        u32_of(self.starts, term).map(|start| start as usize).ok_or_else(|| self.wrong())
    }

    fn wrong(&self) -> SegmentError {
        damaged(format!("{}: not what was written", self.name))
    }
}

/// A dictionary of keys of one width, read where it stands. Keys compare as bytes.
pub(super) struct Keys<'s, const N: usize> {
    name: &'static str,
    pub(super) present: u32,
    references: &'s [u8],
    pub(super) keys: &'s [[u8; N]],
}

impl<'s, const N: usize> Keys<'s, N> {
    pub(super) fn read(name: &'static str, bytes: &'s [u8]) -> Result<Keys<'s, N>, SegmentError> {
        let parse = || {
            let count = u32_at(bytes, 0)? as usize;
            let keys_at = HEADER_BYTES + count * 4;
            Some(Keys {
                name,
                present: u32_at(bytes, 4)?,
                references: bytes.get(HEADER_BYTES..keys_at)?,
                keys: bytes.get(keys_at..keys_at + count * N)?.as_chunks().0,
            })
        };
        parse().ok_or_else(|| damaged(format!("{name}: cut off")))
    }

    /// The numbers of the keys between two, both included.
    pub(super) fn between(&self, least: [u8; N], most: [u8; N]) -> Range<u32> {
        let start = self.keys.partition_point(|key| *key < least);
        let end = self.keys.partition_point(|key| *key <= most);
        to_u32(start)..to_u32(end.max(start))
    }

    pub(super) fn reference(&self, key: u32) -> Result<u32, SegmentError> {
        u32_of(self.references, key).ok_or_else(|| damaged(format!("{}: not what was written", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(terms: &[&str], pattern: &Pattern) -> Vec<u32> {
        let references = vec![7; terms.len()];
        let bytes = encode_texts(terms, &references, 9);
        let mut into = Vec::new();
        Texts::read("test", &bytes).unwrap().find(pattern, &mut into).unwrap();
        into
    }

    #[test]
    fn a_part_over_the_border_of_two_terms_is_none() {
        let terms = ["aab", "abab", "b", "bab"];
        let by_definition =
            |text: &str| (0..4).filter(|at| terms[*at as usize].contains(text)).collect::<Vec<u32>>();
        for text in ["a", "b", "ab", "ba", "bb", "aba", "baba", "bba", ""] {
            assert_eq!(found(&terms, &Pattern::Contains(text.into())), by_definition(text), "{text}");
        }
    }

    #[test]
    fn wildcards_agree_with_the_pattern() {
        let terms = ["", "10.0.0.1", "web", "web-01", "web-02", "x*y", "ärger"];
        for glob in ["*", "web*", "*0*", "w?b", "?", "web-0?", "*r", "ä*", "zz*", "x*y"] {
            let pattern = Pattern::Glob(Glob::from_wildcards(glob));
            let expect: Vec<u32> = (0..7).filter(|at| pattern.matches(terms[*at as usize])).collect();
            assert_eq!(found(&terms, &pattern), expect, "{glob}");
        }
    }
}
