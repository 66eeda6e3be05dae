//! What a damaged log can be rebuilt from, and rebuilding it.

use std::collections::HashSet;
use std::path::Path;

use annals_model::id::EventId;
use annals_model::record::Record;
use annals_model::time::Time;
use annals_segment::{SegmentWriter, each_event};
use annals_store::{Objects, SegmentRow, Store};
use annals_tlog::{Hash, perfect_root};
use sha2::{Digest, Sha256};

use crate::error::EngineError;
use crate::location::Location;
use crate::seal::{fingerprint_key, object_name, push_record, seqs_of};
use crate::verify::check_segment;

/// One thing to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// An object that no manifest names: the rest of a crash, or replaced by a merge. It can be deleted.
    DeleteOrphan {
        /// The object.
        object: String,
    },
    /// The events of a segment are whole, its index is not: it can be written again from its own events.
    Rebuild {
        /// The object.
        object: String,
        /// What is wrong with it.
        damage: String,
    },
    /// A backup holds the same segment.
    FromBackup {
        /// The object.
        object: String,
        /// What is wrong with it.
        damage: String,
    },
    /// An object of events beyond those that the database knows as sealed, as after a restore to an earlier moment: it may
    /// be all that is left of them, and nothing is done.
    BeyondSealed {
        /// The object.
        object: String,
    },
    /// Neither the object itself nor the backup, if one was named, holds its events.
    NotPossible {
        /// The object.
        object: String,
        /// What is wrong with it.
        damage: String,
    },
}

/// What was found, and whether it was done.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// In the order of the log; orphans last.
    pub repairs: Vec<Repair>,
    /// The repairs were made; otherwise they were only named.
    pub applied: bool,
}

/// Names what can be repaired, and repairs it if `apply` says so. `backup` is a directory that [`crate::backup`] wrote.
/// `progress` hears the segments done and in all.
///
/// # Errors
/// [`EngineError`] if the log cannot be opened or written; [`EngineError::SealingElsewhere`] if a server works on it.
pub fn repair(
    location: &Location,
    backup: Option<&Path>,
    apply: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RepairReport, EngineError> {
    let store = if apply { Store::open(&location.database)? } else { Store::open_as_is(&location.database)? };
    let objects = Objects::open(&location.objects, &location.cache_dir())?;
    let mut lease = match apply {
        true => Some(store.try_seal_lease()?.ok_or(EngineError::SealingElsewhere)?),
        false => None,
    };
    // Listed before the manifest is read: what a server publishes between the two is named.
    let listed = objects.list()?;
    let (state, rows) = store.segments()?;
    let mut report = RepairReport { applied: apply, ..RepairReport::default() };
    for (done, row) in (0..).zip(&rows) {
        progress(done, rows.len() as u64);
        let Err(error) = check_segment(&objects, row, store.log_id()) else { continue };
        if !error.is_damage() {
            return Err(error);
        }
        let (object, damage) = (row.object.clone(), error.to_string());
        if let Some((rebuilt, bytes)) = rebuild(&store, &objects, row) {
            if let Some(lease) = &mut lease {
                objects.put(&rebuilt.object, bytes.into())?;
                lease.replace(&rebuilt, &[rebuilt.first_seq])?;
            }
            report.repairs.push(Repair::Rebuild { object, damage });
        } else if let Some(bytes) = backup.and_then(|backup| same_in_backup(backup, row)) {
            if lease.is_some() {
                objects.put(&object, bytes.into())?;
            }
            report.repairs.push(Repair::FromBackup { object, damage });
        } else {
            report.repairs.push(Repair::NotPossible { object, damage });
        }
    }
    progress(rows.len() as u64, rows.len() as u64);
    let mut named: HashSet<String> = rows.iter().map(|row| row.object.clone()).collect();
    if let Some(lease) = &mut lease {
        // The check took a while: a server may have sealed.
        named.extend(lease.segments()?.1.into_iter().map(|row| row.object));
    }
    for object in listed.into_iter().map(|object| object.name).filter(|name| !named.contains(name)) {
        match seqs_of(&object) {
            // Another program's, or another log's.
            None => {}
            Some(seqs) if seqs.end > state.sealed => report.repairs.push(Repair::BeyondSealed { object }),
            Some(_) => {
                if let Some(lease) = &mut lease {
                    if !lease.holds()? {
                        return Err(EngineError::SealingElsewhere);
                    }
                    objects.delete(&object)?;
                }
                report.repairs.push(Repair::DeleteOrphan { object });
            }
        }
    }
    Ok(report)
}

/// Writes a segment again from the events of its own file, if they are all there and lead to the root of the manifest.
pub(crate) fn rebuild(store: &Store, objects: &Objects, row: &SegmentRow) -> Option<(SegmentRow, Vec<u8>)> {
    let bytes = objects.read_all(&row.object).ok()?;
    let mut records = Vec::new();
    each_event(bytes, &mut |event| {
        let time = Time::from_micros_saturating(event.time_us);
        let record = Record::from_envelope(EventId::from_bytes(event.id), time, event.body, event.envelope);
        if let Ok(record) = record {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            records.push((event.seq, Hash::from_bytes(record.leaf_hash(store.log_id())), bytes));
        }
    })
    .ok()?;
    records.sort_unstable_by_key(|(seq, ..)| *seq);
    let seqs_fit =
        records.iter().map(|(seq, ..)| *seq).eq(row.first_seq..row.first_seq + u64::from(row.event_count));
    let leaves: Vec<Hash> = records.iter().map(|(_, leaf, _)| *leaf).collect();
    if !seqs_fit || !leaves.len().is_power_of_two() || perfect_root(&leaves) != row.root {
        return None;
    }
    let mut writer: Option<SegmentWriter> = None;
    for (seq, _, bytes) in &records {
        let (record, _) = Record::decode(bytes).ok()?;
        let writer =
            writer.get_or_insert_with(|| SegmentWriter::new(row.first_seq, fingerprint_key(store, &record)));
        push_record(writer, *seq, &record).ok()?;
    }
    let file = writer?.finish().ok()?;
    let sha256: [u8; 32] = Sha256::digest(&file.bytes).into();
    let rebuilt = SegmentRow {
        object: object_name(row.first_seq, row.event_count, &sha256),
        bytes: file.bytes.len() as u64,
        sha256,
        index_at: file.index_at,
        index_bytes: file.index_bytes,
        ..row.clone()
    };
    Some((rebuilt, file.bytes))
}

fn same_in_backup(backup: &Path, row: &SegmentRow) -> Option<Vec<u8>> {
    let bytes = std::fs::read(crate::backup::segments_dir(backup).join(&row.object)).ok()?;
    (<[u8; 32]>::from(Sha256::digest(&bytes)) == row.sha256).then_some(bytes)
}
