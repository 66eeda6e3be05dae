//! The index of a part of the tail: rows in the order of their seq, terms in hash tables.

use std::net::IpAddr;
use std::sync::OnceLock;

use annals_query::{Document, Key, Pattern, Term, Test, fold};
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::dictionary::Dictionary;
use crate::{RowBits, RowSet, Segment, SegmentError};

/// Rows of one memory segment. 65,536 rows are one container of a bitmap.
pub const MEMORY_SEGMENT_ROWS: u32 = 65_536;

/// Rows that are sorted one by one; more are collected as bits.
const SORTED_ROWS_MAX: u64 = 512;

/// Keys whose values are texts, each with a dictionary of its own.
const TEXT_KEYS: [Key; 16] = [
    Key::ResourceType,
    Key::ResourceId,
    Key::ResourceTarget,
    Key::Action,
    Key::Username,
    Key::Email,
    Key::UserId,
    Key::Organization,
    Key::BuildReason,
    Key::UserAgent,
    Key::Outcome,
    Key::ActorType,
    Key::Changed,
    Key::Source,
    Key::Impersonator,
    Key::OnBehalfOf,
];

/// Keys that free words search, besides names of people and organizations, which have dictionaries of their own, and the
/// address. A dictionary of all words would hold each of these texts a second time.
const WORD_KEYS: [Key; 6] =
    [Key::ResourceTarget, Key::Username, Key::Email, Key::ResourceType, Key::Action, Key::Changed];

/// An index that grows by one event at a time.
///
/// Inside, events are numbered as they arrive; `order` translates to rows and back. Where no event came late, both are the
/// same numbers.
#[derive(Debug)]
pub struct MemorySegment {
    first_seq: u64,
    times: Vec<i64>,
    /// No event came late.
    in_order: bool,
    /// Made by the first search after an event; sorting times that are nearly sorted costs little.
    order: OnceLock<Order>,
    texts: [Dictionary<Box<str>>; TEXT_KEYS.len()],
    names: Dictionary<Box<str>>,
    organization_names: Dictionary<Box<str>>,
    addresses: Dictionary<IpAddr>,
    request_ids: Dictionary<Uuid>,
    ids: Dictionary<Uuid>,
    statuses: Dictionary<u16>,
}

/// Arrivals and rows of a segment to which events came late.
#[derive(Debug)]
struct Order {
    /// Arrival of each row.
    arrivals: Vec<u32>,
    /// Row of each arrival.
    rows: Vec<u32>,
}

impl MemorySegment {
    /// An empty index whose first row is the event of seq `first_seq`.
    pub fn new(first_seq: u64) -> MemorySegment {
        MemorySegment {
            first_seq,
            times: Vec::new(),
            in_order: true,
            order: OnceLock::new(),
            texts: Default::default(),
            names: Dictionary::default(),
            organization_names: Dictionary::default(),
            addresses: Dictionary::default(),
            request_ids: Dictionary::default(),
            ids: Dictionary::default(),
            statuses: Dictionary::default(),
        }
    }

    /// Seq of the first row.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Seq after the last row.
    pub fn next_seq(&self) -> u64 {
        self.first_seq + self.times.len() as u64
    }

    /// No further row may be added; the next event begins a new segment.
    pub fn is_full(&self) -> bool {
        self.len() == MEMORY_SEGMENT_ROWS
    }

    /// Returns the seq of the event with an id.
    pub fn seq_of_id(&self, id: Uuid) -> Option<u64> {
        let mut rows = RoaringBitmap::new();
        self.ids.exact(&id, &mut rows);
        rows.min().map(|row| self.first_seq + u64::from(row))
    }

    /// Adds the next event.
    ///
    /// # Panics
    /// If the segment is full or the document's seq is not [`MemorySegment::next_seq`]: the caller lost or repeated
    /// an event, and going on would show wrong counts.
    pub fn push(&mut self, document: &Document<'_>) {
        assert!(!self.is_full(), "a full memory segment takes no row");
        assert_eq!(document.seq, self.next_seq(), "rows come in the order of their seq");
        let row = self.len();
        self.in_order &= self.times.last().is_none_or(|last| *last <= document.time_us);
        self.times.push(document.time_us);
        self.order.take();
        for (key, dictionary) in TEXT_KEYS.into_iter().zip(&mut self.texts) {
            for text in document.texts(key) {
                insert_text(dictionary, &text, row);
            }
        }
        for (text, dictionary) in [
            (document.user.name, &mut self.names),
            (document.organization_name, &mut self.organization_names),
        ] {
            if !text.is_empty() {
                insert_text(dictionary, text, row);
            }
        }
        if let Some(address) = document.address() {
            self.addresses.insert(&address, row, || address);
        }
        if let Some(request_id) = document.request_id.filter(|id| !id.is_nil()) {
            self.request_ids.insert(&request_id, row, || request_id);
        }
        if !document.id.is_nil() {
            self.ids.insert(&document.id, row, || document.id);
        }
        if document.status_code > 0 {
            self.statuses.insert(&document.status_code, row, || document.status_code);
        }
    }

    fn len(&self) -> u32 {
        u32::try_from(self.times.len()).expect("at most MEMORY_SEGMENT_ROWS rows")
    }

    /// Nothing if rows and arrivals are the same numbers.
    fn order(&self) -> Option<&Order> {
        if self.in_order {
            return None;
        }
        Some(self.order.get_or_init(|| {
            let mut arrivals: Vec<u32> = (0..self.len()).collect();
            arrivals.sort_by_key(|arrival| self.times[*arrival as usize]);
            let mut rows = vec![0; arrivals.len()];
            for (row, arrival) in (0..).zip(&arrivals) {
                rows[*arrival as usize] = row;
            }
            Order { arrivals, rows }
        }))
    }

    fn arrival_of(&self, row: u32) -> u32 {
        self.order().map_or(row, |order| order.arrivals[row as usize])
    }

    /// Translates arrivals to rows.
    fn rows(&self, arrivals: &RoaringBitmap) -> RowSet {
        let Some(order) = self.order() else { return RowSet::from_sorted(arrivals.iter().collect()) };
        if arrivals.len() > SORTED_ROWS_MAX {
            let mut rows = RowBits::new(self.len());
            arrivals.iter().for_each(|arrival| rows.insert(order.rows[arrival as usize]));
            return rows.into_rows();
        }
        let mut rows: Vec<u32> = arrivals.iter().map(|arrival| order.rows[arrival as usize]).collect();
        rows.sort_unstable();
        RowSet::from_sorted(rows)
    }

    fn everything(&self) -> RoaringBitmap {
        let mut rows = RoaringBitmap::new();
        rows.insert_range(0..self.len());
        rows
    }

    fn dictionary(&self, key: Key) -> Option<&Dictionary<Box<str>>> {
        TEXT_KEYS.iter().position(|text_key| *text_key == key).map(|at| &self.texts[at])
    }

    fn word_dictionaries(&self) -> impl Iterator<Item = &Dictionary<Box<str>>> {
        let of_keys = WORD_KEYS.into_iter().filter_map(|key| self.dictionary(key));
        of_keys.chain([&self.names, &self.organization_names])
    }

    /// The arrivals that a term matches.
    fn arrivals_with(&self, term: &Term) -> RoaringBitmap {
        let mut rows = RoaringBitmap::new();
        match &term.test {
            Test::AnyOf(patterns) if term.key == Key::Text => {
                for dictionary in self.word_dictionaries() {
                    add_matching(dictionary, patterns, &mut rows);
                }
                let matches = |address: &IpAddr| {
                    let text = address.to_string();
                    patterns.iter().any(|pattern| pattern.matches(&text))
                };
                self.addresses.where_term(matches, &mut rows);
            }
            Test::AnyOf(patterns) => {
                if let Some(dictionary) = self.dictionary(term.key) {
                    add_matching(dictionary, patterns, &mut rows);
                }
            }
            Test::Net(nets) => {
                for net in nets {
                    if net.prefix_len() == net.max_prefix_len() {
                        self.addresses.exact(&net.addr(), &mut rows);
                    } else {
                        self.addresses.where_term(|address| net.contains(address), &mut rows);
                    }
                }
            }
            Test::Uuid(ids) => {
                let dictionary = if term.key == Key::Id { &self.ids } else { &self.request_ids };
                ids.iter().for_each(|id| dictionary.exact(id, &mut rows));
            }
            Test::Int { at_least, at_most } if term.key == Key::Seq => {
                rows = self.seq_rows(*at_least, *at_most);
            }
            Test::Int { at_least, at_most } => {
                let within = |status: &u16| {
                    let status = i64::from(*status);
                    at_least.is_none_or(|least| status >= least) && at_most.is_none_or(|most| status <= most)
                };
                self.statuses.where_term(within, &mut rows);
            }
            Test::Time { .. } => unreachable!("a span of time is a range of rows; `term_rows` answers it"),
            Test::Exists => {
                rows = match term.key {
                    Key::Seq | Key::Time => self.everything(),
                    Key::Text => {
                        self.word_dictionaries().fold(self.addresses.present().clone(), |rows, dictionary| {
                            rows | dictionary.present()
                        })
                    }
                    Key::Ip => self.addresses.present().clone(),
                    Key::RequestId => self.request_ids.present().clone(),
                    Key::Id => self.ids.present().clone(),
                    Key::StatusCode => self.statuses.present().clone(),
                    key => self
                        .dictionary(key)
                        .map(|dictionary| dictionary.present().clone())
                        .unwrap_or_default(),
                }
            }
        }
        rows
    }

    fn seq_rows(&self, at_least: Option<i64>, at_most: Option<i64>) -> RoaringBitmap {
        let row_after = |seq: i128| {
            let row = (seq - i128::from(self.first_seq)).clamp(0, i128::from(self.len()));
            u32::try_from(row).expect("clamped to the row count")
        };
        let from = at_least.map_or(0, |seq| row_after(i128::from(seq)));
        let to = at_most.map_or(self.len(), |seq| row_after(i128::from(seq) + 1));
        let mut rows = RoaringBitmap::new();
        if from < to {
            rows.insert_range(from..to);
        }
        rows
    }
}

fn add_matching(dictionary: &Dictionary<Box<str>>, patterns: &[Pattern], rows: &mut RoaringBitmap) {
    for pattern in patterns {
        match pattern {
            Pattern::Exact(value) => dictionary.exact(value.as_str(), rows),
            Pattern::Glob(_) | Pattern::Contains(_) => {
                dictionary.where_term(|text| pattern.matches(text), rows);
            }
        }
    }
}

fn insert_text(dictionary: &mut Dictionary<Box<str>>, text: &str, row: u32) {
    let folded = fold(text);
    dictionary.insert(folded.as_ref(), row, || folded.as_ref().into());
}

impl Segment for MemorySegment {
    fn row_count(&self) -> u32 {
        self.len()
    }

    fn time_range(&self) -> Option<(i64, i64)> {
        let last = self.len().checked_sub(1)?;
        let time_of = |row| self.times[self.arrival_of(row) as usize];
        Some((time_of(0), time_of(last)))
    }

    fn time_of(&self, row: u32) -> Result<i64, SegmentError> {
        Ok(self.times[self.arrival_of(row) as usize])
    }

    fn seq_of(&self, row: u32) -> Result<u64, SegmentError> {
        Ok(self.first_seq + u64::from(self.arrival_of(row)))
    }

    fn first_row_at(&self, time_us: i64) -> Result<u32, SegmentError> {
        let row = match self.order() {
            None => self.times.partition_point(|time| *time < time_us),
            Some(order) => order.arrivals.partition_point(|arrival| self.times[*arrival as usize] < time_us),
        };
        Ok(u32::try_from(row).expect("at most MEMORY_SEGMENT_ROWS rows"))
    }

    fn term_count(&self, term: &Term) -> Result<u32, SegmentError> {
        if let Test::Time { .. } = term.test {
            return Ok(self.term_rows(term)?.len());
        }
        Ok(u32::try_from(self.arrivals_with(term).len()).expect("at most MEMORY_SEGMENT_ROWS rows"))
    }

    fn term_rows(&self, term: &Term) -> Result<RowSet, SegmentError> {
        // A span of time is a range of rows whatever the order of arrival.
        if let Test::Time { from_us, before_us } = term.test {
            let from = from_us.map_or(Ok(0), |from| self.first_row_at(from))?;
            let to = before_us.map_or(Ok(self.len()), |before| self.first_row_at(before))?;
            return Ok(RowSet::range(from..to));
        }
        Ok(self.rows(&self.arrivals_with(term)))
    }

    fn term_rows_within(&self, term: &Term, rows: &RowSet) -> Result<RowSet, SegmentError> {
        if matches!(term.test, Test::Time { .. }) || u64::from(rows.len()) > SORTED_ROWS_MAX {
            return Ok(self.term_rows(term)?.intersection(rows));
        }
        // Few rows are looked up, instead of translating all that have the term.
        let arrivals = self.arrivals_with(term);
        Ok(RowSet::from_sorted(rows.iter().filter(|row| arrivals.contains(self.arrival_of(*row))).collect()))
    }

    fn facet(
        &self,
        key: Key,
        rows: Option<&RowSet>,
        each: &mut dyn FnMut(&str, u32),
    ) -> Result<(), SegmentError> {
        let arrivals: Option<RoaringBitmap> =
            rows.map(|rows| rows.iter().map(|row| self.arrival_of(row)).collect());
        let arrivals = arrivals.as_ref();
        let dictionary = match key {
            Key::Organization => Some(&self.organization_names),
            Key::ResourceId | Key::Impersonator | Key::OnBehalfOf => None,
            key => self.dictionary(key),
        };
        match (dictionary, key) {
            (Some(dictionary), _) => dictionary.counts(arrivals, |term, count| each(term, count)),
            (None, Key::Ip) => self.addresses.counts(arrivals, |ip, count| each(&ip.to_string(), count)),
            (None, Key::StatusCode) => {
                self.statuses.counts(arrivals, |status, count| each(&status.to_string(), count));
            }
            (None, key) => return Err(SegmentError::NotCounted(key)),
        }
        Ok(())
    }
}
