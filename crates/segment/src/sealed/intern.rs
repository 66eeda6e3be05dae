//! Values of the rows as small numbers, each distinct value kept once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::bytes::to_u32;

/// The values of one key, row by row as they arrive. Number 0 is "no value"; the others are one more than an index.
#[derive(Debug)]
pub(super) struct Column<K> {
    numbers: HashMap<K, u32>,
    pub(super) values: Vec<K>,
    pub(super) rows: Vec<u32>,
}

impl<K> Default for Column<K> {
    fn default() -> Column<K> {
        Column { numbers: HashMap::new(), values: Vec::new(), rows: Vec::new() }
    }
}

impl<K: Eq + Hash + Clone> Column<K> {
    /// Adds the next row; `own` makes the value when it comes for the first time.
    pub(super) fn push<Q: Eq + Hash + ?Sized>(&mut self, value: Option<&Q>, own: impl FnOnce(&Q) -> K)
    where
        K: Borrow<Q>,
    {
        let number = match value {
            None => 0,
            Some(value) => match self.numbers.get(value) {
                Some(number) => *number,
                None => self.add(own(value)),
            },
        };
        self.rows.push(number);
    }

    fn add(&mut self, value: K) -> u32 {
        self.values.push(value.clone());
        let number = to_u32(self.values.len());
        self.numbers.insert(value, number);
        number
    }
}
