//! Mapping files into memory, the project's only `unsafe` code.
//!
//! Why map at all: the indexes of 100 million events are about 5 GB. Mapped, the kernel keeps the pages that searches
//! touch and drops them under pressure; read into memory they would have to fit.

#![expect(
    unsafe_code,
    reason = "a map is sound only while nobody changes the file, which no type can promise"
)]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// Maps a whole file for reading. The bytes live as long as any slice of them.
///
/// The file must be one that nobody changes in place: an object, or a cached part of one.
pub(crate) fn map_file(file: &File) -> io::Result<Bytes> {
    // SAFETY: objects and cached parts are written under another name, then renamed, and never written to or truncated
    // afterwards, by us or by any other process of ours; replacing or deleting the name leaves the mapped file as it is.
    // The directory is the operator's. One who truncates an object by hand makes the process end with SIGBUS when it
    // touches the lost part, the same as if the disk had failed under it; one who overwrites bytes makes searches read
    // the changed bytes, as they would from any file.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
