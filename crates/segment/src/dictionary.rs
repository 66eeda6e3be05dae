//! Terms of one key and the rows that have them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use roaring::RoaringBitmap;

/// Rows of one term. Most terms of an audit log (ids, addresses) occur once, and a bitmap for one row costs more
/// than the row.
#[derive(Debug)]
enum Rows {
    One(u32),
    Many(RoaringBitmap),
}

/// Term to rows, in memory.
#[derive(Debug)]
pub(crate) struct Dictionary<T> {
    terms: HashMap<T, Rows>,
    /// Rows that have any term.
    present: RoaringBitmap,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Dictionary { terms: HashMap::new(), present: RoaringBitmap::new() }
    }
}

impl<T: Eq + Hash> Dictionary<T> {
    /// Adds a row under a term; `own` makes the key on its first occurrence. Rows come in rising order.
    pub(crate) fn insert<Q: Eq + Hash + ?Sized>(&mut self, term: &Q, row: u32, own: impl FnOnce() -> T)
    where
        T: Borrow<Q>,
    {
        self.present.insert(row);
        match self.terms.get_mut(term) {
            None => {
                self.terms.insert(own(), Rows::One(row));
            }
            Some(Rows::Many(rows)) => {
                rows.insert(row);
            }
            Some(Rows::One(first)) if *first == row => {}
            Some(rows @ Rows::One(_)) => {
                let Rows::One(first) = *rows else { return };
                *rows = Rows::Many(RoaringBitmap::from_iter([first, row]));
            }
        }
    }

    /// Rows that have any term.
    pub(crate) fn present(&self) -> &RoaringBitmap {
        &self.present
    }

    /// Adds the rows of one term to `into`.
    pub(crate) fn exact<Q: Eq + Hash + ?Sized>(&self, term: &Q, into: &mut RoaringBitmap)
    where
        T: Borrow<Q>,
    {
        if let Some(rows) = self.terms.get(term) {
            rows.add_to(into);
        }
    }

    /// Adds the rows of every term that passes the test to `into`.
    pub(crate) fn where_term(&self, test: impl Fn(&T) -> bool, into: &mut RoaringBitmap) {
        for (term, rows) in &self.terms {
            if test(term) {
                rows.add_to(into);
            }
        }
    }
}

impl<T> Dictionary<T> {
    /// Calls `each` with every term that some of the rows have, and how many; without rows, of all.
    pub(crate) fn counts(&self, rows: Option<&RoaringBitmap>, mut each: impl FnMut(&T, u32)) {
        for (term, with_term) in &self.terms {
            let count = match (with_term, rows) {
                (Rows::One(_), None) => 1,
                (Rows::One(row), Some(rows)) => u64::from(rows.contains(*row)),
                (Rows::Many(with_term), None) => with_term.len(),
                (Rows::Many(with_term), Some(rows)) => with_term.intersection_len(rows),
            };
            if count > 0 {
                each(term, u32::try_from(count).expect("at most MEMORY_SEGMENT_ROWS rows"));
            }
        }
    }
}

impl Rows {
    fn add_to(&self, into: &mut RoaringBitmap) {
        match self {
            Rows::One(row) => {
                into.insert(*row);
            }
            Rows::Many(rows) => *into |= rows,
        }
    }
}
