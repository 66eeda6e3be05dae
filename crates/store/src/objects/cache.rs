//! Resident ranges of remote objects, kept in a local directory.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::objects::ObjectError;
use crate::objects::error::in_file;
use crate::sqlite::{make_private_dir, open_private_file};

/// Characters of object names that stand in names of files as they are.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A directory of files `NAME@BYTES.START-END`: name and size of the object, and the range. May be shared by processes.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    /// Numbers the temporary files.
    temporary: AtomicU64,
}

impl Cache {
    pub(super) fn new(dir: PathBuf) -> Cache {
        Cache { dir, temporary: AtomicU64::new(0) }
    }

    /// Opens the cached range; what it lacks, or has in another length, is fetched first.
    pub(super) fn open(
        &self,
        name: &str,
        bytes: u64,
        range: &Range<u64>,
        fetch: impl FnOnce() -> Result<bytes::Bytes, ObjectError>,
    ) -> Result<(PathBuf, File), ObjectError> {
        let path = self.dir.join(format!("{}{bytes}.{}-{}", begin(name), range.start, range.end));
        if let Ok(file) = File::open(&path)
            && file.metadata().is_ok_and(|meta| meta.len() == range.end - range.start)
        {
            return Ok((path, file));
        }
        let content = fetch()?;
        self.write(&path, &content).map_err(|source| in_file(&path, source))?;
        let file = File::open(&path).map_err(|source| in_file(&path, source))?;
        Ok((path, file))
    }

    /// Writes under a name of its own, then renames: a cached file is whole whenever it is there. Synced before, because
    /// after a power cut the length alone would not tell.
    fn write(&self, path: &PathBuf, content: &[u8]) -> io::Result<()> {
        make_private_dir(&self.dir)?;
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!("temporary-{}-{number}", std::process::id()));
        let written = open_private_file(&temporary).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)
        });
        if written.is_err() {
            drop(std::fs::remove_file(&temporary));
        }
        written
    }

    /// Deletes what is cached of an object.
    pub(super) fn remove(&self, name: &str) -> Result<(), ObjectError> {
        if !self.dir.exists() {
            return Ok(());
        }
        let begin = begin(name);
        let failed = |source| in_file(&self.dir, source);
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_str().is_some_and(|file| file.starts_with(&begin)) {
                continue;
            }
            match std::fs::remove_file(entry.path()) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(in_file(&entry.path(), source));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the names of an object's files begin with, and of no other's.
fn begin(name: &str) -> String {
    format!("{}@", utf8_percent_encode(name, FILE_NAME))
}
