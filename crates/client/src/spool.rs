//! The spool: events on disk, from when an application gave them away until the server has them.
//!
//! A directory of files that are only appended to. An event is in the kernel's hands when [`Spool::append`] returns, so it survives whatever
//! becomes of the process; [`Spool::sync`] brings it to the disk. One process uses a spool at a time. `docs/STORAGE.md` has the formats.

mod read;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use annals_model::limits::NAME_BYTES_MAX;

pub(crate) use read::{Batch, Reader};
use record::{HEADER, RecordWriter};

/// Bytes of a file, about.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
const EXTENSION: &str = "spool";
/// The next file, before it has a number.
const SPARE: &str = "spare";

/// Why a spool cannot be used, or did not take an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process has it open.
    #[error("the spool `{}` is in use by another process; give each process a directory of its own", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// It was written by a newer version.
    #[error("`{}` is no spool file that this version can read", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The server would refuse every event.
    #[error(
        "`{source_name}` is no name of a source: 1 to {NAME_BYTES_MAX} bytes, and not `annals`, which is the log's own"
    )]
    Source {
        /// The name.
        source_name: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It holds as much as it may, because the server did not take events for long.
    #[error("the spool `{}` is full: {bytes} bytes wait for the server", dir.display())]
    Full {
        /// The directory.
        dir: PathBuf,
        /// Bytes in it.
        bytes: u64,
    },
    /// The disk did not take an event in the set time.
    #[error("the disk of the spool did not answer in {} ms", waited.as_millis())]
    Slow {
        /// How long we waited.
        waited: Duration,
    },
}

/// Events on disk; shared by those who append and the one who sends.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    max_bytes: u64,
    /// Bytes after which a file is followed by the next one. What was sent is deleted by whole files.
    file_bytes: u64,
    /// The next file is there, filled with zeros: writing over what the kernel has in memory costs a third of writing behind the end.
    has_spare: AtomicBool,
    state: Mutex<State>,
    /// It is another one's turn to write, or there is room again.
    changed: Condvar,
    /// Held until the end of the process.
    _lock: File,
}

#[derive(Debug)]
struct State {
    /// Somebody writes. Not the mutex itself, so that others can stop waiting.
    is_writing: bool,
    waiting: usize,
    writer: Option<RecordWriter>,
    /// First number and bytes of each file, the oldest first; the last one is written to.
    files: Vec<(u64, u64)>,
    /// Number of the next event.
    next: u64,
}

impl Spool {
    /// Opens or creates a spool. What a process that was killed had not written whole, and so not accepted, is cut off.
    pub(crate) fn open(dir: &Path, source: &str, max_bytes: u64) -> Result<(Spool, Reader), SpoolError> {
        Spool::open_with(dir, source, max_bytes, FILE_BYTES)
    }

    fn open_with(
        dir: &Path,
        source: &str,
        max_bytes: u64,
        file_bytes: u64,
    ) -> Result<(Spool, Reader), SpoolError> {
        if source.trim().is_empty() || source.len() > NAME_BYTES_MAX || source.eq_ignore_ascii_case("annals")
        {
            return Err(SpoolError::Source { source_name: source.to_owned() });
        }
        make_private_dir(dir).map_err(in_file(dir))?;
        let path = dir.join("lock");
        let lock = private().create(true).truncate(false).open(&path).map_err(in_file(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(SpoolError::InUse { dir: dir.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => return Err(SpoolError::File { path, source }),
        }
        let sent = read::read_cursor(dir)?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(in_file(dir))? {
            let path = entry.map_err(in_file(dir))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION)
                && let Some(first) = path.file_stem().and_then(|name| name.to_str()?.parse().ok())
            {
                let bytes = std::fs::metadata(&path).map_err(in_file(&path))?.len();
                files.push((first, bytes));
            }
        }
        files.sort_unstable();
        let mut next = sent;
        if let Some((first, bytes)) = files.last_mut() {
            let path = file_of(dir, *first);
            let (end, behind) = read::end_of(&path, *first)?;
            if end < *bytes {
                let file = private().open(&path).map_err(in_file(&path))?;
                file.set_len(end).map_err(in_file(&path))?;
            }
            (*bytes, next) = (end, next.max(behind));
        }
        let writer = RecordWriter::new(source);
        let state = State { is_writing: false, waiting: 0, writer: Some(writer), files, next };
        let spool = Spool {
            dir: dir.to_owned(),
            max_bytes,
            file_bytes,
            has_spare: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
            _lock: lock,
        };
        let reader = Reader::new(dir, sent)?;
        if let Err(error) = spool.prepare() {
            // As where the disk is full: what is in the spool must be sent all the same.
            tracing::warn!(%error, "the next file of the spool cannot be made now; it is made when it is needed");
        }
        Ok((spool, reader))
    }

    /// Appends an event, a JSON object, with its source and its number, and returns the number. Waits at most so long for others, the disk and room.
    pub(crate) fn append(&self, event: &[u8], wait: Duration) -> Result<u64, SpoolError> {
        let mut state = self.state();
        if state.is_writing || self.is_full(&state, event.len()) {
            state = self.wait_for_turn(state, event.len(), wait)?;
        }
        state.is_writing = true;
        let (number, mut writer) = (state.next, state.writer.take().unwrap_or_default());
        let last = state.files.last().copied();
        drop(state);
        let written = self.write(&mut writer, event, number, last);
        let mut state = self.state();
        state.is_writing = false;
        state.writer = Some(writer);
        if let Ok((first, bytes)) = &written {
            match state.files.last_mut() {
                Some(last) if last.0 == *first => last.1 = *bytes,
                _ => state.files.push((*first, *bytes)),
            }
            state.next = number + 1;
        }
        if state.waiting > 0 {
            self.changed.notify_all();
        }
        written.map(|_| number)
    }

    fn wait_for_turn<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        bytes: usize,
        wait: Duration,
    ) -> Result<MutexGuard<'s, State>, SpoolError> {
        let until = Instant::now() + wait;
        state.waiting += 1;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !state.is_writing && !self.is_full(&state, bytes) {
                state.waiting -= 1;
                return Ok(state);
            }
            if left.is_zero() {
                state.waiting -= 1;
                return Err(match state.is_writing {
                    true => SpoolError::Slow { waited: wait },
                    false => SpoolError::Full { dir: self.dir.clone(), bytes: state.bytes() },
                });
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn is_full(&self, state: &State, bytes: usize) -> bool {
        state.bytes() + bytes as u64 > self.max_bytes
    }

    /// Writes one event at the end of the last file, or of a new one; returns that file's first number and bytes.
    fn write(
        &self,
        writer: &mut RecordWriter,
        event: &[u8],
        number: u64,
        last: Option<(u64, u64)>,
    ) -> Result<(u64, u64), SpoolError> {
        let (first, bytes) = match last {
            Some((first, bytes)) if bytes < self.file_bytes => {
                if !writer.has_file() {
                    let path = file_of(&self.dir, first);
                    let file = private().open(&path).map_err(in_file(&path))?;
                    writer.set_file(file, bytes).map_err(in_file(&path))?;
                }
                (first, bytes)
            }
            _ => {
                let path = file_of(&self.dir, number);
                let begin = HEADER.len() as u64;
                if self.has_spare.swap(false, Ordering::SeqCst) {
                    std::fs::rename(self.dir.join(SPARE), &path).map_err(in_file(&path))?;
                }
                let mut file = private().create(true).open(&path).map_err(in_file(&path))?;
                file.write_all(HEADER).map_err(in_file(&path))?;
                writer.set_file(file, begin).map_err(in_file(&path))?;
                (number, begin)
            }
        };
        match writer.write(event, number) {
            Ok(written) => Ok((first, bytes + written)),
            Err(source) => {
                // Half a record would hide those behind it.
                let path = file_of(&self.dir, first);
                writer.cut_off(bytes);
                Err(SpoolError::File { path, source })
            }
        }
    }

    /// Makes the next file before it is needed.
    pub(crate) fn prepare(&self) -> Result<(), SpoolError> {
        if self.has_spare.load(Ordering::SeqCst) {
            return Ok(());
        }
        let path = self.dir.join(SPARE);
        let make = || {
            let mut file = private().create(true).truncate(true).open(&path)?;
            file.write_all(HEADER)?;
            io::copy(&mut io::repeat(0).take(self.file_bytes), &mut file)
        };
        make().map_err(in_file(&path))?;
        self.has_spare.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Brings everything to the disk.
    pub(crate) fn sync(&self) -> Result<(), SpoolError> {
        let last = self.state().files.last().copied();
        let Some((first, _)) = last else { return Ok(()) };
        let path = file_of(&self.dir, first);
        File::open(&path).and_then(|file| file.sync_data()).map_err(in_file(&path))
    }

    /// Number of the next event.
    pub(crate) fn end(&self) -> u64 {
        self.state().next
    }

    /// The files, the oldest first: first number and bytes.
    fn files(&self) -> Vec<(u64, u64)> {
        self.state().files.clone()
    }

    /// Bytes that are kept, sent ones in the last files among them.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes()
    }

    /// Deletes files whose events were all sent; the last one stays, as it knows the numbers.
    fn forget(&self, sent: u64) -> Result<(), SpoolError> {
        let old: Vec<u64> = {
            let mut state = self.state();
            let kept = state.files.windows(2).take_while(|pair| pair[1].0 <= sent).count();
            let old = state.files.drain(..kept).map(|(first, _)| first).collect();
            if kept > 0 {
                self.changed.notify_all();
            }
            old
        };
        for first in old {
            let path = file_of(&self.dir, first);
            std::fs::remove_file(&path).map_err(in_file(&path))?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

fn file_of(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.{EXTENSION}"))
}

fn in_file(path: &Path) -> impl FnOnce(io::Error) -> SpoolError + use<> {
    let path = path.to_owned();
    move |source| SpoolError::File { path, source }
}

/// Events hold personal data: only the owner of the process may read them.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
