//! Sets of rows of one segment, and what a search does with them.

use std::ops::Range;

/// Lists longer than this become bits: a full segment's bits take 32 KiB, as much as a list of 8,192.
const LIST_ROWS_MAX: usize = 4_096;

/// A set of rows of one segment. Kept in whichever shape is cheapest: a range, a sorted list or bits.
#[derive(Clone, Debug)]
pub struct RowSet {
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Range(Range<u32>),
    List(Vec<u32>),
    Bits { words: Vec<u64>, count: u32 },
}

impl RowSet {
    /// No row.
    pub const fn empty() -> RowSet {
        RowSet { shape: Shape::Range(0..0) }
    }

    /// Every row of a range.
    pub fn range(rows: Range<u32>) -> RowSet {
        RowSet { shape: Shape::Range(if rows.is_empty() { 0..0 } else { rows }) }
    }

    /// The rows of a list that rises strictly.
    pub fn from_sorted(rows: Vec<u32>) -> RowSet {
        debug_assert!(rows.is_sorted_by(|left, right| left < right), "rows rise strictly");
        if rows.len() <= LIST_ROWS_MAX {
            return RowSet { shape: Shape::List(rows) };
        }
        let mut bits = RowBits::new(rows.last().map_or(0, |last| last + 1));
        rows.iter().for_each(|row| bits.insert(*row));
        bits.into_rows()
    }

    /// The rows whose bits are set: bit `i` of word `w` is row `64 w + i`.
    pub fn from_words(words: Vec<u64>) -> RowSet {
        let count: u32 = words.iter().map(|word| word.count_ones()).sum();
        if count as usize > LIST_ROWS_MAX {
            return RowSet { shape: Shape::Bits { words, count } };
        }
        let mut rows = Vec::with_capacity(count as usize);
        rows.extend(bits_of(&words));
        RowSet { shape: Shape::List(rows) }
    }

    /// How many rows.
    pub fn len(&self) -> u32 {
        match &self.shape {
            Shape::Range(range) => range.end - range.start,
            Shape::List(rows) => length(rows.len()),
            Shape::Bits { count, .. } => *count,
        }
    }

    /// No row is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a row is in it.
    pub fn contains(&self, row: u32) -> bool {
        match &self.shape {
            Shape::Range(range) => range.contains(&row),
            Shape::List(rows) => rows.binary_search(&row).is_ok(),
            Shape::Bits { words, .. } => {
                words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
            }
        }
    }

    /// How many rows lie in a range.
    pub fn count_in(&self, rows: Range<u32>) -> u32 {
        match &self.shape {
            Shape::Range(range) => overlap(range, &rows).map_or(0, |both| both.end - both.start),
            Shape::List(list) => length(part(list, &rows).len()),
            Shape::Bits { words, .. } => masked(words, &rows).map(|(_, word)| word.count_ones()).sum(),
        }
    }

    /// The rows of both.
    #[must_use]
    pub fn intersection(&self, other: &RowSet) -> RowSet {
        match (&self.shape, &other.shape) {
            (Shape::Range(left), Shape::Range(right)) => {
                RowSet::range(overlap(left, right).unwrap_or_default())
            }
            (Shape::Range(range), Shape::List(list)) | (Shape::List(list), Shape::Range(range)) => {
                RowSet { shape: Shape::List(part(list, range).to_vec()) }
            }
            (Shape::Range(range), Shape::Bits { words, count })
            | (Shape::Bits { words, count }, Shape::Range(range)) => {
                if range.start == 0 && range.end as usize >= words.len() * 64 {
                    return RowSet { shape: Shape::Bits { words: words.clone(), count: *count } };
                }
                let mut kept = vec![0; words.len()];
                masked(words, range).for_each(|(at, word)| kept[at] = word);
                RowSet::from_words(kept)
            }
            (Shape::List(left), Shape::List(right)) => {
                let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
                RowSet { shape: Shape::List(common(short, long)) }
            }
            (Shape::List(list), Shape::Bits { .. }) => RowSet {
                shape: Shape::List(list.iter().copied().filter(|row| other.contains(*row)).collect()),
            },
            (Shape::Bits { .. }, Shape::List(_)) => other.intersection(self),
            (Shape::Bits { words: left, .. }, Shape::Bits { words: right, .. }) => {
                RowSet::from_words(left.iter().zip(right).map(|(left, right)| left & right).collect())
            }
        }
    }

    /// The rows of either.
    #[must_use]
    pub fn union(&self, other: &RowSet) -> RowSet {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        if let (Shape::Range(left), Shape::Range(right)) = (&self.shape, &other.shape)
            && left.start <= right.end
            && right.start <= left.end
        {
            return RowSet::range(left.start.min(right.start)..left.end.max(right.end));
        }
        if let (Shape::List(left), Shape::List(right)) = (&self.shape, &other.shape)
            && left.len() + right.len() <= LIST_ROWS_MAX
        {
            let mut rows = Vec::with_capacity(left.len() + right.len());
            rows.extend_from_slice(left);
            rows.extend_from_slice(right);
            rows.sort_unstable();
            rows.dedup();
            return RowSet { shape: Shape::List(rows) };
        }
        let mut bits = RowBits::new(self.end().max(other.end()));
        bits.insert_rows(self);
        bits.insert_rows(other);
        bits.into_rows()
    }

    /// The rows that the other set lacks.
    #[must_use]
    pub fn difference(&self, other: &RowSet) -> RowSet {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        match &self.shape {
            Shape::List(rows) => {
                let rows = rows.iter().copied().filter(|row| !other.contains(*row)).collect();
                RowSet { shape: Shape::List(rows) }
            }
            Shape::Range(_) | Shape::Bits { .. } => {
                let mut bits = RowBits::new(self.end());
                bits.insert_rows(self);
                bits.remove_rows(other);
                bits.into_rows()
            }
        }
    }

    /// The rows in rising order.
    pub fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match &self.shape {
            Shape::Range(range) => Box::new(range.clone()),
            Shape::List(rows) => Box::new(rows.iter().copied()),
            Shape::Bits { words, .. } => Box::new(bits_of(words)),
        }
    }

    /// The rows below a bound, in falling order.
    pub fn iter_down(&self, below: u32) -> Box<dyn Iterator<Item = u32> + '_> {
        match &self.shape {
            Shape::Range(range) => Box::new((range.start..range.end.min(below)).rev()),
            Shape::List(rows) => Box::new(part(rows, &(0..below)).iter().rev().copied()),
            Shape::Bits { words, .. } => Box::new(bits_down(words, below)),
        }
    }

    /// One past the last row that can be in it.
    fn end(&self) -> u32 {
        match &self.shape {
            Shape::Range(range) => range.end,
            Shape::List(rows) => rows.last().map_or(0, |last| last + 1),
            Shape::Bits { words, .. } => length(words.len() * 64),
        }
    }
}

impl Default for RowSet {
    fn default() -> RowSet {
        RowSet::empty()
    }
}

/// Equal sets are equal whatever their shapes.
impl PartialEq for RowSet {
    fn eq(&self, other: &RowSet) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for RowSet {}

/// A set of rows that grows, as bits.
#[derive(Clone, Debug)]
pub struct RowBits {
    words: Vec<u64>,
}

impl RowBits {
    /// An empty set for rows below `row_count`.
    pub fn new(row_count: u32) -> RowBits {
        RowBits { words: vec![0; row_count.div_ceil(64) as usize] }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row is not below the row count, rounded up to 64.
    pub fn insert(&mut self, row: u32) {
        self.words[row as usize / 64] |= 1 << (row % 64);
    }

    /// Adds a range of rows.
    ///
    /// # Panics
    /// If the range ends beyond the row count, rounded up to 64.
    pub fn insert_range(&mut self, rows: Range<u32>) {
        for (at, mask) in masks(&rows) {
            self.words[at] |= mask;
        }
    }

    /// The bits: bit `i` of word `w` is row `64 w + i`.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Adds the rows of a set.
    pub fn insert_rows(&mut self, rows: &RowSet) {
        match &rows.shape {
            Shape::Range(range) => self.insert_range(range.clone()),
            Shape::List(list) => list.iter().for_each(|row| self.insert(*row)),
            Shape::Bits { words, .. } => {
                self.words.iter_mut().zip(words).for_each(|(mine, theirs)| *mine |= theirs);
            }
        }
    }

    /// Ends the growing.
    pub fn into_rows(self) -> RowSet {
        RowSet::from_words(self.words)
    }

    fn remove_rows(&mut self, rows: &RowSet) {
        match &rows.shape {
            Shape::Range(range) => {
                for (at, mask) in masks(range) {
                    if let Some(word) = self.words.get_mut(at) {
                        *word &= !mask;
                    }
                }
            }
            Shape::List(list) => {
                for row in list {
                    if let Some(word) = self.words.get_mut(*row as usize / 64) {
                        *word &= !(1 << (row % 64));
                    }
                }
            }
            Shape::Bits { words, .. } => {
                self.words.iter_mut().zip(words).for_each(|(mine, theirs)| *mine &= !theirs);
            }
        }
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("a segment has at most 2^18 rows")
}

fn overlap(left: &Range<u32>, right: &Range<u32>) -> Option<Range<u32>> {
    let both = left.start.max(right.start)..left.end.min(right.end);
    (!both.is_empty()).then_some(both)
}

fn part<'l>(list: &'l [u32], rows: &Range<u32>) -> &'l [u32] {
    let from = list.partition_point(|row| *row < rows.start);
    let to = list.partition_point(|row| *row < rows.end);
    &list[from..to.max(from)]
}

/// The words that a range touches, each with the bits of the range.
fn masks(rows: &Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let (start, end) = (rows.start, rows.end.max(rows.start));
    let words = start / 64..end.div_ceil(64).max(start / 64);
    words.map(move |word| {
        let from = start.saturating_sub(word * 64).min(63);
        let to = (end - word * 64).min(64);
        let above = if to == 64 { u64::MAX } else { (1 << to) - 1 };
        (word as usize, above & (u64::MAX << from))
    })
}

fn masked<'w>(words: &'w [u64], rows: &Range<u32>) -> impl Iterator<Item = (usize, u64)> + 'w {
    let end = rows.end.min(length(words.len() * 64));
    masks(&(rows.start.min(end)..end)).map(|(at, mask)| (at, words[at] & mask))
}

fn common(short: &[u32], long: &[u32]) -> Vec<u32> {
    let mut rows = Vec::with_capacity(short.len());
    if short.len() * 16 < long.len() {
        rows.extend(short.iter().copied().filter(|row| long.binary_search(row).is_ok()));
        return rows;
    }
    let mut at = 0;
    for row in short {
        while at < long.len() && long[at] < *row {
            at += 1;
        }
        if long.get(at) == Some(row) {
            rows.push(*row);
        }
    }
    rows
}

fn bits_of(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    (0u32..).zip(words).flat_map(|(at, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(at * 64 + bit)
        })
    })
}

fn bits_down(words: &[u64], below: u32) -> impl Iterator<Item = u32> + '_ {
    let below = below.min(length(words.len() * 64));
    let masked_words = masks(&(0..below)).collect::<Vec<_>>().into_iter().rev();
    masked_words.flat_map(|(at, mask)| {
        let mut rest = words[at] & mask;
        let base = length(at * 64);
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| 63 - rest.leading_zeros())?;
            rest &= !(1 << bit);
            Some(base + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const ROWS: u32 = 12_000;

    /// Sets of every shape, dense and sparse, with borders at word ends.
    fn set() -> impl Strategy<Value = RowSet> {
        let range = (0..ROWS, 0..ROWS).prop_map(|(from, to)| RowSet::range(from..to));
        let edges = (0..ROWS / 64, 0..ROWS / 64).prop_map(|(from, to)| RowSet::range(from * 64..to * 64));
        let few = prop::collection::btree_set(0..ROWS, 0..50)
            .prop_map(|rows| RowSet::from_sorted(rows.into_iter().collect()));
        let many = (1u32..6, 0..ROWS).prop_map(|(step, to)| {
            RowSet::from_sorted((0..to).filter(|row| row % (step + 1) != 0).collect())
        });
        prop_oneof![range, edges, few, many, Just(RowSet::empty())]
    }

    fn plain(set: &RowSet) -> BTreeSet<u32> {
        set.iter().collect()
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(left in set(), right in set(), from in 0..ROWS, to in 0..ROWS + 200) {
            let (a, b) = (plain(&left), plain(&right));
            prop_assert_eq!(left.len() as usize, a.len());
            prop_assert_eq!(plain(&left.intersection(&right)), &a & &b);
            prop_assert_eq!(plain(&left.union(&right)), &a | &b);
            prop_assert_eq!(plain(&left.difference(&right)), &a - &b);
            prop_assert_eq!(left.intersection(&right).len() as usize, (&a & &b).len());
            prop_assert_eq!(left == right, a == b);
            prop_assert_eq!(left.contains(from), a.contains(&from));
            let within = a.iter().filter(|row| (from..to).contains(*row)).count();
            prop_assert_eq!(left.count_in(from..to) as usize, within);
            let down: Vec<u32> = left.iter_down(to).collect();
            let expect: Vec<u32> = a.iter().rev().copied().filter(|row| *row < to).collect();
            prop_assert_eq!(down, expect);
        }
    }
}
