//! Resident ranges of remote objects, kept in a local directory.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::files::{is_being_written, make_private_dir, write_whole};
use crate::objects::ObjectError;
use crate::objects::error::in_file;

/// Characters of object names that stand in names of files as they are.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A directory of files `NAME@BYTES.START-END`: name and size of the object, and the range. May be shared by processes.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub(super) fn new(dir: PathBuf) -> Cache {
        Cache { dir }
    }

    /// Opens the cached range; what it lacks, or has in another length, is fetched first.
    pub(super) fn open(
        &self,
        name: &str,
        bytes: u64,
        range: &Range<u64>,
        fetch: impl FnOnce() -> Result<bytes::Bytes, ObjectError>,
    ) -> Result<(PathBuf, File), ObjectError> {
        let path = self.path(name, bytes, range);
        if let Ok(file) = File::open(&path)
            && file.metadata().is_ok_and(|meta| meta.len() == range.end - range.start)
        {
            return Ok((path, file));
        }
        self.replace(name, bytes, range, &fetch()?)
    }

    /// Puts a range in the place of what is cached of it; who has that mapped keeps it.
    pub(super) fn replace(
        &self,
        name: &str,
        bytes: u64,
        range: &Range<u64>,
        content: &[u8],
    ) -> Result<(PathBuf, File), ObjectError> {
        let path = self.path(name, bytes, range);
        // Synced before it has its name, because after a power cut the length alone would not tell.
        make_private_dir(&self.dir)
            .and_then(|()| write_whole(&path, content))
            .map_err(|source| in_file(&path, source))?;
        let file = File::open(&path).map_err(|source| in_file(&path, source))?;
        Ok((path, file))
    }

    fn path(&self, name: &str, bytes: u64, range: &Range<u64>) -> PathBuf {
        self.dir.join(format!("{}{bytes}.{}-{}", begin(name), range.start, range.end))
    }

    /// Deletes what is cached of an object.
    pub(super) fn remove(&self, name: &str) -> Result<(), ObjectError> {
        let begin = begin(name);
        self.remove_those(|file| file.starts_with(&begin))
    }

    /// Deletes what is cached of all objects but these.
    pub(super) fn keep(&self, names: &[&str]) -> Result<(), ObjectError> {
        let kept: HashSet<String> = names.iter().map(|name| begin(name)).collect();
        self.remove_those(|file| file.split_inclusive('@').next().is_some_and(|begin| !kept.contains(begin)))
    }

    fn remove_those(&self, is_meant: impl Fn(&str) -> bool) -> Result<(), ObjectError> {
        if !self.dir.exists() {
            return Ok(());
        }
        let failed = |source| in_file(&self.dir, source);
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_its = entry.file_name().to_str().is_some_and(&is_meant);
            // What is left unfinished goes too, but not from under one who fetches at this moment.
            if !is_its || is_being_written(&entry.path()) {
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
