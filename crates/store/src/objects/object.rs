//! One object, open for searching.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::objects::ObjectError;
use crate::objects::shared::Shared;

/// An object whose resident range, the index, is mapped into memory. Cheap to clone; reading needs no lock.
///
/// A local object is mapped whole. Of an object in S3 the resident range is a mapped file in the cache directory, the
/// rest is fetched when it is asked for.
#[derive(Debug, Clone)]
pub struct Object {
    pub(super) name: Arc<str>,
    pub(super) bytes: u64,
    pub(super) resident: Bytes,
    pub(super) rest: Rest,
}

/// Where the bytes outside the resident range are.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// The whole object, mapped.
    Mapped(Bytes),
    /// In S3.
    Remote(Arc<Shared>),
}

impl Object {
    /// Name of the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The resident range. Its slices share the map and keep it.
    pub fn resident(&self) -> Bytes {
        self.resident.clone()
    }

    /// Reads a range, in bytes from the begin of the object; a slice of the map where the object is local.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails, or the range does not lie in the object.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let mut parts = self.read_ranges(std::slice::from_ref(&range))?;
        Ok(parts.pop().unwrap_or_default())
    }

    /// Reads ranges, in the order asked for. From S3, ranges close to each other are one request, and distant ones are
    /// fetched at the same time.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails, or a range does not lie in the object.
    pub fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ObjectError> {
        match &self.rest {
            Rest::Mapped(whole) => {
                ranges.iter().map(|range| slice(whole, range, &self.name, self.bytes)).collect()
            }
            Rest::Remote(shared) => shared.read_ranges(&self.name, ranges),
        }
    }
}

/// Cuts a range out of a mapped object.
pub(super) fn slice(whole: &Bytes, range: &Range<u64>, name: &str, bytes: u64) -> Result<Bytes, ObjectError> {
    let within = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    match within {
        Some((start, end)) if start <= end && end <= whole.len() => Ok(whole.slice(start..end)),
        _ => Err(ObjectError::WrongSize {
            name: name.to_owned(),
            location: "its file".to_owned(),
            expected: range.end,
            actual: bytes,
        }),
    }
}
