//! Copying an embedded log while it runs, and putting a copy back.
//!
//! A backup is a data directory, `annals.db` and `segments/`, with a file `BACKUP` that names its log, so that nothing but
//! a backup of the same log is ever written over. The database is copied as of one moment; the segments it
//! names never change, and those that a merge replaces stay for an hour. The copy of the database gets its name last, so that a
//! backup that was cut off is none, and one that is made again into the same directory copies only what is new.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use annals_store::{DatabaseLocation, Objects, SegmentRow, Store};
use sha2::{Digest, Sha256};

use crate::error::EngineError;
use crate::location::Location;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file cannot be written or read.
    #[error("cannot use `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A segment is not what the manifest says.
    #[error("segment `{object}` is damaged; `annals verify` checks the whole log")]
    Damaged {
        /// Its object.
        object: String,
    },
    /// There are files already where a log should be restored.
    #[error("`{}` is not empty; restore into an empty directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds other files than a backup.
    #[error("`{}` is no backup and not empty; name an empty directory, or a backup to renew", dir.display())]
    NoBackupButFiles {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds the backup of another log.
    #[error("`{}` holds the backup of another log; name another directory", dir.display())]
    OtherLog {
        /// The directory.
        dir: PathBuf,
    },
    /// The backup is of a later moment than the log.
    #[error("the backup in `{}` has {events} events, more than the log; name another directory", dir.display())]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// Its events.
        events: u64,
    },
    /// There is no backup in the directory.
    #[error("there is no backup in `{}`", dir.display())]
    NoBackup {
        /// The directory.
        dir: PathBuf,
    },
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupReport {
    /// Events in the copy.
    pub events: u64,
    /// Segments in the copy.
    pub segments: usize,
    /// Of these, segments that were there from an earlier backup.
    pub unchanged: usize,
    /// Bytes of the segments that were copied.
    pub bytes: u64,
}

/// The file that makes a directory a backup.
const MARK: &str = "BACKUP";

/// Where a backup has its segments.
pub(crate) fn segments_dir(dir: &Path) -> PathBuf {
    dir.join("segments")
}

/// Copies an embedded log into a directory; a server may work on it meanwhile. `progress` hears the bytes of segments done
/// and in all.
///
/// # Errors
/// [`BackupError`]; the directory then holds the backup that it held before, if any.
pub fn backup(
    location: &Location,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, BackupError> {
    let store = Store::open_as_is(&location.database).map_err(EngineError::from)?;
    let state = store.state().map_err(EngineError::from)?;
    let mark = format!("backup of log {}\n", hex(store.log_id().as_bytes()));
    let mark_file = to.join(MARK);
    match fs::read_to_string(&mark_file) {
        Ok(text) if text == mark => refuse_newer(to, state.head.size)?,
        Ok(_) => return Err(BackupError::OtherLog { dir: to.to_owned() }),
        Err(_) if !is_empty(to)? => return Err(BackupError::NoBackupButFiles { dir: to.to_owned() }),
        Err(_) => {}
    }
    make_dir(to)?;
    write_synced(&mark_file, mark.as_bytes())?;
    let (report, rows) = copy_log(&store, location, to, progress)?;
    remove_unnamed(&segments_dir(to), &rows)?;
    Ok(report)
}

/// Copies database and segments; the database gets its name last.
fn copy_log(
    store: &Store,
    location: &Location,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(BackupReport, Vec<SegmentRow>), BackupError> {
    let objects = Objects::open(&location.objects, &location.cache_dir()).map_err(EngineError::from)?;
    make_dir(&segments_dir(to))?;
    // The unfinished copy has a directory of its own: a database is opened by the directory it stands in.
    let unfinished = to.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .map_err(|source| BackupError::File { path: unfinished.clone(), source })?;
    }
    make_dir(&unfinished)?;
    store.backup(&unfinished.join("annals.db"), &mut |_, _| {}).map_err(EngineError::from)?;
    let copy = DatabaseLocation::Directory(unfinished.clone());
    let copy = Store::open_as_is(&copy).map_err(EngineError::from)?;
    let (state, rows) = copy.segments().map_err(EngineError::from)?;
    drop(copy);
    let (unchanged, bytes) = copy_segments(&objects, &rows, &segments_dir(to), progress)?;
    for name in ["annals.db-wal", "annals.db-shm"] {
        // Opening the copy left them empty; they belong to it, not to the file under its final name.
        drop(fs::remove_file(unfinished.join(name)));
        drop(fs::remove_file(to.join(name)));
    }
    let (from, database) = (unfinished.join("annals.db"), to.join("annals.db"));
    fs::rename(from, &database).map_err(|source| BackupError::File { path: database, source })?;
    drop(fs::remove_dir_all(&unfinished));
    sync_dir(to)?;
    let report = BackupReport { events: state.head.size, segments: rows.len(), unchanged, bytes };
    Ok((report, rows))
}

/// Puts a backup into an empty place. `progress` as in [`backup`].
///
/// # Errors
/// [`BackupError`]; no log can be opened there then.
pub fn restore(
    from: &Path,
    data_dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, BackupError> {
    if !from.join("annals.db").exists() {
        return Err(BackupError::NoBackup { dir: from.to_owned() });
    }
    if !is_empty(data_dir)? {
        return Err(BackupError::NotEmpty { dir: data_dir.to_owned() });
    }
    make_dir(data_dir)?;
    let source = Location::embedded(from);
    let store = Store::open_as_is(&source.database).map_err(EngineError::from)?;
    Ok(copy_log(&store, &source, data_dir, progress)?.0)
}

/// A backup that holds more than the log is of a later moment: the log was restored, or this is another copy of it.
fn refuse_newer(to: &Path, size: u64) -> Result<(), BackupError> {
    if !to.join("annals.db").exists() {
        return Ok(());
    }
    let copy = DatabaseLocation::Directory(to.to_owned());
    let head = Store::open_as_is(&copy).and_then(|copy| copy.head()).map_err(EngineError::from)?;
    if head.size > size {
        return Err(BackupError::Newer { dir: to.to_owned(), events: head.size });
    }
    Ok(())
}

fn is_empty(dir: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(BackupError::File { path: dir.to_owned(), source }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn copy_segments(
    objects: &Objects,
    rows: &[SegmentRow],
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(usize, u64), BackupError> {
    let all: u64 = rows.iter().map(|row| row.bytes).sum();
    let (mut done, mut unchanged, mut copied) = (0, 0, 0);
    for row in rows {
        progress(done, all);
        let path = to.join(&row.object);
        let is_there = fs::read(&path).is_ok_and(|bytes| is_whole(row, &bytes));
        if is_there {
            unchanged += 1;
        } else {
            let bytes = objects.read_all(&row.object).map_err(EngineError::from)?;
            if !is_whole(row, &bytes) {
                return Err(BackupError::Damaged { object: row.object.clone() });
            }
            write_synced(&path, &bytes)?;
            copied += row.bytes;
        }
        done += row.bytes;
    }
    progress(all, all);
    sync_dir(to)?;
    Ok((unchanged, copied))
}

fn is_whole(row: &SegmentRow, bytes: &[u8]) -> bool {
    bytes.len() as u64 == row.bytes && <[u8; 32]>::from(Sha256::digest(bytes)) == row.sha256
}

/// Deletes segments of earlier backups that the log has merged since.
fn remove_unnamed(dir: &Path, rows: &[SegmentRow]) -> Result<(), BackupError> {
    let failed = |source| BackupError::File { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if rows.iter().all(|row| name != *row.object.as_str()) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| BackupError::File { path: path.to_owned(), source })
}

/// Events hold personal data: only the owner of the process may read them.
fn make_dir(dir: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| BackupError::File { path: dir.to_owned(), source })
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| BackupError::File { path: dir.to_owned(), source })
}
