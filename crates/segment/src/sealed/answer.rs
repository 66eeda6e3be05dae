//! What a sealed segment answers to single terms. The meaning of every test is that of [`annals_query::matches`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use annals_query::{Key, Pattern, Term, Test};
use ipnet::IpNet;

use super::layout::Section;
use super::postings::NO_ROWS;
use super::segment::SealedSegment;
use super::writer::address_key;
use super::{fingerprints, scan};
use crate::{RowBits, RowSet, Segment, SegmentError};

/// Dictionaries that free words search, besides the addresses.
const WORDS: [Section; 8] = [
    Section::ResourceTargets,
    Section::Usernames,
    Section::Emails,
    Section::UserNames,
    Section::ResourceTypes,
    Section::Actions,
    Section::OrganizationNames,
    Section::Changed,
];

/// Rows that a term matches, before they are made.
enum Found {
    Rows(RowSet),
    /// The rows of these postings together. If they are `apart`, no row is in two of them.
    Postings {
        references: Vec<u32>,
        are_apart: bool,
    },
}

impl Found {
    fn one(reference: u32) -> Found {
        Found::Postings { references: vec![reference], are_apart: true }
    }
}

/// The dictionary of a text key, and whether a row can have several of its terms.
fn dictionary(key: Key) -> Option<(Section, bool)> {
    Some(match key {
        Key::ResourceType => (Section::ResourceTypes, false),
        Key::ResourceTarget => (Section::ResourceTargets, false),
        Key::Action => (Section::Actions, false),
        Key::Username => (Section::Usernames, false),
        Key::Email => (Section::Emails, false),
        Key::UserId => (Section::UserIds, false),
        Key::Organization => (Section::Organizations, true),
        Key::BuildReason => (Section::BuildReasons, false),
        Key::UserAgent => (Section::UserAgents, false),
        Key::Outcome => (Section::Outcomes, false),
        Key::ActorType => (Section::ActorTypes, false),
        Key::Changed => (Section::Changed, true),
        Key::Source => (Section::Sources, false),
        Key::Impersonator => (Section::Impersonators, true),
        Key::OnBehalfOf => (Section::OnBehalfOf, true),
        Key::ResourceId
        | Key::RequestId
        | Key::Id
        | Key::Ip
        | Key::StatusCode
        | Key::Seq
        | Key::Time
        | Key::Text => {
            return None;
        }
    })
}

impl<B: AsRef<[u8]> + Send + Sync> SealedSegment<B> {
    fn find(&self, term: &Term) -> Result<Found, SegmentError> {
        match &term.test {
            Test::AnyOf(patterns) => self.find_texts(term.key, patterns),
            Test::Net(nets) if term.key == Key::Ip => self.find_networks(nets),
            Test::Uuid(ids) => match term.key {
                Key::Id => self.find_ids(Section::Ids, ids.iter().map(|id| id.as_bytes().as_slice())),
                Key::RequestId => {
                    self.find_ids(Section::RequestIds, ids.iter().map(|id| id.as_bytes().as_slice()))
                }
                _ => Ok(Found::one(NO_ROWS)),
            },
            Test::Int { at_least, at_most } => match term.key {
                Key::Seq => self.find_seqs(*at_least, *at_most),
                Key::StatusCode => self.find_statuses(*at_least, *at_most),
                _ => Ok(Found::one(NO_ROWS)),
            },
            Test::Time { from_us, before_us } if term.key == Key::Time => {
                let from = from_us.map_or(Ok(0), |time_us| self.first_row_at(time_us))?;
                let to = before_us.map_or(Ok(self.row_count()), |time_us| self.first_row_at(time_us))?;
                Ok(Found::Rows(RowSet::range(from..to)))
            }
            Test::Net(_) | Test::Time { .. } => Ok(Found::one(NO_ROWS)),
            Test::Exists => self.find_present(term.key),
        }
    }

    fn find_texts(&self, key: Key, patterns: &[Pattern]) -> Result<Found, SegmentError> {
        if key == Key::ResourceId {
            return self.find_resource_ids(patterns);
        }
        let sections = match dictionary(key) {
            Some((section, _)) => &[section][..],
            None if key == Key::Text => &WORDS,
            None => return Ok(Found::one(NO_ROWS)),
        };
        let mut references = Vec::new();
        for section in sections {
            let texts = self.texts(*section)?;
            let mut terms = Vec::new();
            for pattern in patterns {
                texts.find(pattern, &mut terms)?;
            }
            if patterns.len() > 1 {
                terms.sort_unstable();
                terms.dedup();
            }
            for term in terms {
                references.push(texts.reference(term)?);
            }
        }
        if key == Key::Text {
            self.add_addresses(patterns, &mut references)?;
        }
        let are_apart = dictionary(key).is_some_and(|(_, is_many)| !is_many);
        Ok(Found::Postings { references, are_apart })
    }

    /// Adds the postings of the addresses whose text matches.
    fn add_addresses(&self, patterns: &[Pattern], references: &mut Vec<u32>) -> Result<(), SegmentError> {
        let patterns: Vec<&Pattern> = patterns.iter().filter(|pattern| can_match_address(pattern)).collect();
        if patterns.is_empty() {
            return Ok(());
        }
        let addresses = self.keys::<16>(Section::Addresses)?;
        for (number, key) in (0..).zip(addresses.keys) {
            let text = Ipv6Addr::from(*key).to_canonical().to_string();
            if patterns.iter().any(|pattern| pattern.matches(&text)) {
                references.push(addresses.reference(number)?);
            }
        }
        Ok(())
    }

    fn find_resource_ids(&self, patterns: &[Pattern]) -> Result<Found, SegmentError> {
        let exact = |pattern: &Pattern| match pattern {
            Pattern::Exact(text) => Some(text.clone()),
            Pattern::Glob(_) | Pattern::Contains(_) => None,
        };
        if let Some(texts) = patterns.iter().map(exact).collect::<Option<Vec<String>>>() {
            return self.find_ids(Section::ResourceIds, texts.iter().map(String::as_bytes));
        }
        let source = self.source.as_ref().ok_or_else(|| SegmentError::Unreadable {
            reason: "it was opened without its file, which wildcards in resource ids need".into(),
        })?;
        let table = self.sections.all(Section::Columns)?;
        Ok(Found::Rows(scan::resource_ids(table, self.row_count(), source.as_ref(), patterns)?))
    }

    fn find_ids<'i>(
        &self,
        section: Section,
        ids: impl Iterator<Item = &'i [u8]>,
    ) -> Result<Found, SegmentError> {
        let mut references = Vec::new();
        for id in ids {
            references.push(fingerprints::find(&self.sections, section, id)?);
        }
        references.sort_unstable();
        references.dedup();
        Ok(Found::Postings { references, are_apart: true })
    }

    fn find_networks(&self, nets: &[IpNet]) -> Result<Found, SegmentError> {
        let addresses = self.keys::<16>(Section::Addresses)?;
        let mapped =
            [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST].map(|address| address_key(IpAddr::V4(address)));
        let [first_mapped, last_mapped] = mapped;
        let mut numbers: Vec<u32> = Vec::new();
        for net in nets {
            let (least, most) = (address_key(net.network()), address_key(net.broadcast()));
            let range = addresses.between(least, most);
            // Addresses of IPv4 are mapped among those of IPv6, but no network of IPv6 holds them.
            let not_in = match net {
                IpNet::V4(_) => 0..0,
                IpNet::V6(_) => addresses.between(first_mapped, last_mapped),
            };
            numbers.extend(range.filter(|number| !not_in.contains(number)));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let references = numbers.into_iter().map(|number| addresses.reference(number));
        Ok(Found::Postings { references: references.collect::<Result<_, _>>()?, are_apart: true })
    }

    fn find_statuses(&self, at_least: Option<i64>, at_most: Option<i64>) -> Result<Found, SegmentError> {
        let bound = |bound: Option<i64>, open: u16| match bound {
            None => Some(open),
            Some(bound) => u16::try_from(bound.clamp(-1, i64::from(u16::MAX) + 1)).ok(),
        };
        // A bound outside of all numbers either cuts nothing off or everything.
        let least = bound(at_least.filter(|least| *least > 0), 0);
        let most = bound(at_most.filter(|most| *most < i64::from(u16::MAX)), u16::MAX);
        let (Some(least), Some(most)) = (least, most) else { return Ok(Found::one(NO_ROWS)) };
        let statuses = self.keys::<2>(Section::Statuses)?;
        let numbers = statuses.between(least.to_be_bytes(), most.to_be_bytes());
        let references = numbers.map(|number| statuses.reference(number));
        Ok(Found::Postings { references: references.collect::<Result<_, _>>()?, are_apart: true })
    }

    fn find_seqs(&self, at_least: Option<i64>, at_most: Option<i64>) -> Result<Found, SegmentError> {
        let from = at_least.map_or(0, |least| u64::try_from(least).unwrap_or(0));
        let to = match at_most {
            None => u64::MAX,
            Some(most) => u64::try_from(most).map_or(0, |most| most + 1),
        };
        Ok(Found::Rows(self.rows_of_seqs(from..to)?))
    }

    fn find_present(&self, key: Key) -> Result<Found, SegmentError> {
        let reference = match key {
            Key::Seq | Key::Time => return Ok(Found::Rows(RowSet::range(0..self.row_count()))),
            Key::Text => {
                let mut references = vec![self.keys::<16>(Section::Addresses)?.present];
                for section in WORDS {
                    references.push(self.texts(section)?.present);
                }
                return Ok(Found::Postings { references, are_apart: false });
            }
            Key::Ip => self.keys::<16>(Section::Addresses)?.present,
            Key::StatusCode => self.keys::<2>(Section::Statuses)?.present,
            Key::ResourceId => fingerprints::present(&self.sections, Section::ResourceIds)?,
            Key::RequestId => fingerprints::present(&self.sections, Section::RequestIds)?,
            Key::Id => fingerprints::present(&self.sections, Section::Ids)?,
            key => match dictionary(key) {
                Some((section, _)) => self.texts(section)?.present,
                None => NO_ROWS,
            },
        };
        Ok(Found::one(reference))
    }

    fn rows(&self, found: Found) -> Result<RowSet, SegmentError> {
        let references = match found {
            Found::Rows(rows) => return Ok(rows),
            Found::Postings { references, .. } => references,
        };
        match references.as_slice() {
            [] => Ok(RowSet::empty()),
            [one] => self.posting(*one)?.rows(self.row_count()),
            many => {
                let mut words = vec![0; self.row_count().div_ceil(64) as usize];
                for reference in many {
                    self.posting(*reference)?.add_to(&mut words)?;
                }
                Ok(RowSet::from_words(words))
            }
        }
    }
}

/// Whether the text of an address can match: one with a letter that no address has cannot.
fn can_match_address(pattern: &Pattern) -> bool {
    let is_of_address =
        |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'.' | b':'));
    match pattern {
        Pattern::Exact(text) | Pattern::Contains(text) => is_of_address(text),
        Pattern::Glob(glob) => glob.parts().iter().all(|part| match part {
            annals_query::GlobPart::Literal(text) => is_of_address(text),
            annals_query::GlobPart::AnyOne | annals_query::GlobPart::AnyMany => true,
        }),
    }
}

impl<B: AsRef<[u8]> + Send + Sync> Segment for SealedSegment<B> {
    fn row_count(&self) -> u32 {
        self.row_count()
    }

    fn time_range(&self) -> Option<(i64, i64)> {
        Some(self.time_range())
    }

    fn time_of(&self, row: u32) -> Result<i64, SegmentError> {
        self.time_of(row)
    }

    fn seq_of(&self, row: u32) -> Result<u64, SegmentError> {
        self.seq_of(row)
    }

    fn first_row_at(&self, time_us: i64) -> Result<u32, SegmentError> {
        self.first_row_at(time_us)
    }

    fn term_count(&self, term: &Term) -> Result<u32, SegmentError> {
        match self.find(term)? {
            Found::Postings { references, are_apart } if are_apart || references.len() < 2 => {
                let mut count = 0;
                for reference in references {
                    count += self.posting(reference)?.count();
                }
                Ok(count)
            }
            found => Ok(self.rows(found)?.len()),
        }
    }

    fn term_rows(&self, term: &Term) -> Result<RowSet, SegmentError> {
        let found = self.find(term)?;
        self.rows(found)
    }

    fn term_rows_within(&self, term: &Term, rows: &RowSet) -> Result<RowSet, SegmentError> {
        match self.find(term)? {
            Found::Postings { references, .. } if references.len() == 1 => {
                self.posting(references[0])?.rows_within(rows, self.row_count())
            }
            found => Ok(self.rows(found)?.intersection(rows)),
        }
    }

    fn facet(
        &self,
        key: Key,
        rows: Option<&RowSet>,
        each: &mut dyn FnMut(&str, u32),
    ) -> Result<(), SegmentError> {
        let mut words = rows.map(|rows| {
            let mut bits = RowBits::new(self.row_count());
            bits.insert_rows(rows);
            bits
        });
        let words = words.as_mut().map(|bits| &*bits.words_mut());
        let count = |reference| {
            let posting = self.posting(reference)?;
            words.map_or(Ok(posting.count()), |words| posting.count_in(words))
        };
        let mut tell = |text: &str, count: u32| {
            if count > 0 {
                each(text, count);
            }
        };
        match key {
            Key::Ip => {
                let addresses = self.keys::<16>(Section::Addresses)?;
                for (number, address) in (0..).zip(addresses.keys) {
                    let text = Ipv6Addr::from(*address).to_canonical().to_string();
                    tell(&text, count(addresses.reference(number)?)?);
                }
            }
            Key::StatusCode => {
                let statuses = self.keys::<2>(Section::Statuses)?;
                for (number, status) in (0..).zip(statuses.keys) {
                    tell(&u16::from_be_bytes(*status).to_string(), count(statuses.reference(number)?)?);
                }
            }
            Key::Impersonator | Key::OnBehalfOf => return Err(SegmentError::NotCounted(key)),
            key => {
                let (section, _) = dictionary(key).ok_or(SegmentError::NotCounted(key))?;
                let section = if key == Key::Organization { Section::OrganizationNames } else { section };
                let texts = self.texts(section)?;
                for term in 0..texts.count() {
                    tell(texts.term(term)?, count(texts.reference(term)?)?);
                }
            }
        }
        Ok(())
    }
}
