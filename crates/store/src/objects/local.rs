//! Objects in a local directory.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;

/// What reading gives; the bytes of the object if a range does not lie in it.
pub(super) type Parts = Result<Vec<Bytes>, u64>;

/// Reads ranges of a file, in the order asked for.
pub(super) fn read_ranges(path: &Path, ranges: &[Range<u64>]) -> io::Result<Parts> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        if range.is_empty() {
            parts.push(Bytes::new());
            continue;
        }
        // Compared before the buffer is made: the range comes from a manifest, the file may be cut off.
        let Some(count) = usize::try_from(range.end - range.start).ok().filter(|_| range.end <= bytes) else {
            return Ok(Err(bytes));
        };
        let mut part = vec![0; count];
        file.seek(SeekFrom::Start(range.start))?;
        file.read_exact(&mut part)?;
        parts.push(part.into());
    }
    Ok(Ok(parts))
}

/// Lists names, bytes and times of the files in a directory, in no order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(String, u64, SystemTime)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Another name is none of ours.
        let Ok(name) = entry.file_name().into_string() else { continue };
        match fs::metadata(entry.path()) {
            Ok(meta) if meta.is_file() => found.push((name, meta.len(), meta.modified()?)),
            // A folder; or it was deleted, or got its final name, a moment ago.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Deletes a file; that it is absent already is fine.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
