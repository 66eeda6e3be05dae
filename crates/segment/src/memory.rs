//! The index of a part of the tail: rows in the order of their seq, terms in hash tables.

use std::net::IpAddr;

use annals_query::{Document, Filter, Key, Pattern, Term, Test, fold};
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::Segment;
use crate::dictionary::Dictionary;
use crate::search::Hit;

/// Rows of one memory segment. 65,536 rows are one container of a bitmap, and inserting a late time moves 256 KB at most.
pub const MEMORY_SEGMENT_ROWS: u32 = 65_536;

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

/// An index that grows by one event at a time. Row `n` is the event of seq `first_seq + n`.
#[derive(Debug)]
pub struct MemorySegment {
    first_seq: u64,
    times: Vec<i64>,
    /// Rows by (time, seq), oldest first.
    order: Vec<u32>,
    /// `order` is 0, 1, 2, ...: no event came late.
    in_order: bool,
    texts: [Dictionary<Box<str>>; TEXT_KEYS.len()],
    names: Dictionary<Box<str>>,
    organization_names: Dictionary<Box<str>>,
    addresses: Dictionary<IpAddr>,
    request_ids: Dictionary<Uuid>,
    ids: Dictionary<Uuid>,
    statuses: Dictionary<u16>,
}

impl MemorySegment {
    /// An empty index whose first row is the event of seq `first_seq`.
    pub fn new(first_seq: u64) -> MemorySegment {
        MemorySegment {
            first_seq,
            times: Vec::new(),
            order: Vec::new(),
            in_order: true,
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
        self.row_count() == MEMORY_SEGMENT_ROWS
    }

    /// Returns the seq of the event with an id.
    pub fn seq_of(&self, id: Uuid) -> Option<u64> {
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
        let row = self.row_count();
        self.push_time(document.time_us, row);
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

    fn row_count(&self) -> u32 {
        u32::try_from(self.times.len()).expect("at most MEMORY_SEGMENT_ROWS rows")
    }

    fn push_time(&mut self, time_us: i64, row: u32) {
        let is_newest = self.order.last().is_none_or(|last| self.time_of(*last) <= time_us);
        self.times.push(time_us);
        if is_newest {
            self.order.push(row);
        } else {
            let at = self.order.partition_point(|other| self.time_of(*other) <= time_us);
            self.order.insert(at, row);
            self.in_order = false;
        }
    }

    fn time_of(&self, row: u32) -> i64 {
        self.times[row as usize]
    }

    fn hit(&self, row: u32) -> Hit {
        Hit { time_us: self.time_of(row), seq: self.first_seq + u64::from(row) }
    }

    fn everything(&self) -> RoaringBitmap {
        let mut rows = RoaringBitmap::new();
        rows.insert_range(0..self.row_count());
        rows
    }

    fn dictionary(&self, key: Key) -> Option<&Dictionary<Box<str>>> {
        TEXT_KEYS.iter().position(|text_key| *text_key == key).map(|at| &self.texts[at])
    }

    fn word_dictionaries(&self) -> impl Iterator<Item = &Dictionary<Box<str>>> {
        let of_keys = WORD_KEYS.into_iter().filter_map(|key| self.dictionary(key));
        of_keys.chain([&self.names, &self.organization_names])
    }

    fn matching_term(&self, term: &Term) -> RoaringBitmap {
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
            Test::Time { from_us, before_us } => rows = self.time_rows(*from_us, *before_us),
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
            let row = (seq - i128::from(self.first_seq)).clamp(0, i128::from(self.row_count()));
            u32::try_from(row).expect("clamped to the row count")
        };
        let from = at_least.map_or(0, |seq| row_after(i128::from(seq)));
        let to = at_most.map_or(self.row_count(), |seq| row_after(i128::from(seq) + 1));
        let mut rows = RoaringBitmap::new();
        if from < to {
            rows.insert_range(from..to);
        }
        rows
    }

    fn time_rows(&self, from_us: Option<i64>, before_us: Option<i64>) -> RoaringBitmap {
        let from = from_us.map_or(0, |from| self.order.partition_point(|row| self.time_of(*row) < from));
        let to = before_us
            .map_or(self.order.len(), |before| self.order.partition_point(|row| self.time_of(*row) < before));
        let mut rows = RoaringBitmap::new();
        if from >= to {
            return rows;
        }
        if self.in_order {
            // Position and row are the same number, so the range needs no look at the rows.
            let row = |at: usize| u32::try_from(at).expect("at most MEMORY_SEGMENT_ROWS rows");
            rows.insert_range(row(from)..row(to));
        } else {
            rows.extend(self.order[from..to].iter().copied());
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
    fn time_range(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.order.first()?, self.order.last()?);
        Some((self.time_of(*first), self.time_of(*last)))
    }

    fn matching(&self, filter: &Filter) -> RoaringBitmap {
        match filter {
            Filter::And(filters) => {
                let mut filters = filters.iter();
                let Some(first) = filters.next() else { return self.everything() };
                let mut rows = self.matching(first);
                for filter in filters {
                    if rows.is_empty() {
                        break;
                    }
                    rows &= self.matching(filter);
                }
                rows
            }
            Filter::Or(filters) => {
                filters.iter().fold(RoaringBitmap::new(), |rows, filter| rows | self.matching(filter))
            }
            Filter::Not(filter) => self.everything() - self.matching(filter),
            Filter::Term(term) => self.matching_term(term),
        }
    }

    fn newest_first<'s>(&'s self, rows: &'s RoaringBitmap) -> Box<dyn Iterator<Item = Hit> + 's> {
        if self.in_order {
            return Box::new(rows.iter().rev().map(|row| self.hit(row)));
        }
        // Sorting few rows is cheaper than walking all; walking stops early when many match.
        if rows.len() * 16 < u64::from(self.row_count()) {
            let mut hits: Vec<Hit> = rows.iter().map(|row| self.hit(row)).collect();
            hits.sort_unstable_by(|left, right| right.cmp(left));
            return Box::new(hits.into_iter());
        }
        Box::new(self.order.iter().rev().filter(|row| rows.contains(**row)).map(|row| self.hit(*row)))
    }
}
