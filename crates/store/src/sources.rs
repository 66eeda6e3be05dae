//! What each source has sent: how far it counts, what is missing, what came twice. Kept in the transaction of each append.

use std::collections::BTreeMap;

use annals_model::time::Time;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value, signed};

/// Gaps of one source that are listed; of further ones only the events are counted.
pub const GAPS_MAX: usize = 1_000;
/// Sources that are kept; later ones are not counted.
pub const SOURCES_MAX: u64 = 10_000;

/// A source and the numbers that it gave its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// Its name.
    pub name: String,
    /// When its first event was received.
    pub first: Time,
    /// When its last event was received.
    pub last: Time,
    /// Events that came.
    pub events: u64,
    /// Highest `source_seq`; none if it does not number its events.
    pub last_seq: Option<u64>,
    /// Events whose number had come before.
    pub repeats: u64,
    /// Numbers that were left out and have not come since.
    pub missing: u64,
    /// Where they are left out, first and last number, rising; [`GAPS_MAX`] at most, the newest ones.
    pub gaps: Vec<(u64, u64)>,
}

impl SourceState {
    fn new(name: &str, received: Time) -> SourceState {
        SourceState {
            name: name.to_owned(),
            first: received,
            last: received,
            events: 0,
            last_seq: None,
            repeats: 0,
            missing: 0,
            gaps: Vec::new(),
        }
    }

    /// Counts one more event.
    pub fn note(&mut self, source_seq: Option<u64>, received: Time) {
        self.events += 1;
        self.last = self.last.max(received);
        let Some(seq) = source_seq else { return };
        match self.last_seq {
            // Where it begins is where it was first heard: nobody knows of earlier ones.
            None => self.last_seq = Some(seq),
            Some(last) if seq > last => {
                if seq - last > 1 {
                    self.gaps.push((last + 1, seq - 1));
                    self.missing += seq - last - 1;
                    if self.gaps.len() > GAPS_MAX {
                        self.gaps.remove(0);
                    }
                }
                self.last_seq = Some(seq);
            }
            Some(_) => self.fill(seq),
        }
    }

    /// A number below the highest one: it fills a gap, or came before.
    fn fill(&mut self, seq: u64) {
        let at = self.gaps.partition_point(|(_, end)| *end < seq);
        let Some((from, to)) = self.gaps.get(at).copied().filter(|(from, _)| *from <= seq) else {
            self.repeats += 1;
            return;
        };
        self.missing -= 1;
        let halves = [(from, seq.wrapping_sub(1)), (seq + 1, to)];
        let left = halves
            .into_iter()
            .filter(|(first, last)| (from..=to).contains(first) && first <= last && *last <= to);
        self.gaps.splice(at..=at, left.collect::<Vec<_>>());
    }
}

/// What a source sent in one commit.
pub(crate) type Heard<'r> = BTreeMap<&'r str, Vec<(Option<u64>, Time)>>;

const COLUMNS: &str = "name, first_us, last_us, events, last_seq, repeats, missing, gaps";

fn state(row: Row<'_>) -> Result<SourceState, StoreError> {
    let damaged = || StoreError::Damaged { what: "source.gaps is no list of gaps".to_owned() };
    let seq = row.optional_int(4)?;
    Ok(SourceState {
        name: String::from_utf8_lossy(row.bytes_of_text(0)?).into_owned(),
        first: Time::from_micros_saturating(row.int(1)?),
        last: Time::from_micros_saturating(row.int(2)?),
        events: row.unsigned(3, "source.events")?,
        // Numbers of sources may use all 64 bits.
        last_seq: seq.map(i64::cast_unsigned),
        repeats: row.unsigned(5, "source.repeats")?,
        missing: row.int(6)?.cast_unsigned(),
        gaps: parse_gaps(&row.text(7)?).ok_or_else(damaged)?,
    })
}

/// Reads gaps as they are kept: `3-5 9-9`.
fn parse_gaps(text: &str) -> Option<Vec<(u64, u64)>> {
    let gap = |gap: &str| {
        let (from, to) = gap.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    };
    text.split_ascii_whitespace().map(gap).collect()
}

/// Counts what a commit holds. The head is locked, so no other process counts meanwhile.
pub(crate) fn note_sources(connection: &mut Connection, heard: &Heard<'_>) -> Result<(), StoreError> {
    for (name, events) in heard {
        let Some((_, received)) = events.first() else { continue };
        let sql = format!("SELECT {COLUMNS} FROM source WHERE name = $1");
        let known = connection.query_optional(&sql, &[Value::Text(name)], state)?;
        if known.is_none() && count_sources(connection)? >= SOURCES_MAX {
            // Whoever makes up names must not fill the database; their events are in the log all the same.
            continue;
        }
        let mut source = known.unwrap_or_else(|| SourceState::new(name, *received));
        for (seq, received) in events {
            source.note(*seq, *received);
        }
        let gaps: Vec<String> = source.gaps.iter().map(|(from, to)| format!("{from}-{to}")).collect();
        connection.execute(
            &format!(
                "INSERT INTO source ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (name) DO UPDATE SET last_us = excluded.last_us, events = excluded.events,
                 last_seq = excluded.last_seq, repeats = excluded.repeats, missing = excluded.missing, gaps = excluded.gaps"
            ),
            &[
                Value::Text(name),
                Value::Int(source.first.as_micros()),
                Value::Int(source.last.as_micros()),
                Value::Int(signed(source.events)?),
                Value::optional_int(source.last_seq.map(u64::cast_signed)),
                Value::Int(signed(source.repeats)?),
                Value::Int(source.missing.cast_signed()),
                Value::Text(&gaps.join(" ")),
            ],
        )?;
    }
    Ok(())
}

fn count_sources(connection: &mut Connection) -> Result<u64, StoreError> {
    connection.query_one("SELECT count(*) FROM source", &[], "the sources", |row| {
        row.unsigned(0, "the count of sources")
    })
}

impl Store {
    /// Lists the sources by name, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn sources(&self, limit: usize) -> Result<Vec<SourceState>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM source ORDER BY name LIMIT $1");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| connection.query_all(&sql, &[Value::Int(limit)], state))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_is_filled_from_any_side() {
        let mut source = SourceState::new("a", Time::EPOCH);
        for seq in [7, 8, 12, 10, 10, 3, 20] {
            source.note(Some(seq), Time::EPOCH);
        }
        assert_eq!((source.gaps, source.missing, source.repeats), (vec![(9, 9), (11, 11), (13, 19)], 9, 2));
        assert_eq!((source.events, source.last_seq), (7, Some(20)));
    }

    #[test]
    fn the_highest_numbers_are_counted_too() {
        let mut source = SourceState::new("a", Time::EPOCH);
        for seq in [0, u64::MAX, u64::MAX - 1, 1] {
            source.note(Some(seq), Time::EPOCH);
        }
        assert_eq!(source.gaps, [(2, u64::MAX - 2)]);
        assert_eq!(source.missing, u64::MAX - 3);
    }

    proptest! {
        #[test]
        fn gaps_are_what_has_not_come(seqs in prop::collection::vec(0_u64..60, 1..80)) {
            let mut source = SourceState::new("a", Time::EPOCH);
            let mut seen = BTreeSet::new();
            let mut repeats = 0;
            for seq in &seqs {
                source.note(Some(*seq), Time::EPOCH);
                // What is below the first number heard can only be taken for a repetition.
                if *seq < seqs[0] || !seen.insert(*seq) {
                    repeats += 1;
                }
            }
            let last = source.last_seq.unwrap();
            let missing: Vec<u64> = (seqs[0]..=last).filter(|seq| !seen.contains(seq)).collect();
            let listed: Vec<u64> = source.gaps.iter().flat_map(|(from, to)| *from..=*to).collect();
            prop_assert_eq!(&listed, &missing);
            prop_assert_eq!((source.missing, source.repeats), (missing.len() as u64, repeats));
        }
    }
}
