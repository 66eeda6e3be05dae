//! Segment objects: immutable files in a local directory or a bucket.

mod cache;
mod error;
mod location;
mod object;
mod s3;
mod shared;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt as _, PutPayload};

pub use error::ObjectError;
pub use location::{ObjectsLocation, ObjectsLocationError};
pub use object::Object;

use crate::objects::error::in_file;
use crate::objects::object::Rest;
use crate::objects::shared::{Place, Shared};
use crate::sqlite::make_private_dir;

/// The place where segment objects are kept, for any number of threads.
///
/// An object is never changed under its name: other content needs another name. Every call blocks until it is done;
/// calls from async code panic. Call from a thread that may block.
#[derive(Debug)]
pub struct Objects {
    shared: Arc<Shared>,
}

/// What was done since the start, for metrics. Reading from a mapped object counts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectStats {
    /// Operations asked for; an operation may take several requests.
    pub requests: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

impl Objects {
    /// Opens the place; a missing directory is made. Does not speak to S3 yet. `cache_dir` takes the resident ranges of
    /// objects in S3; it is made when it is needed and may be emptied while nothing runs.
    ///
    /// # Errors
    /// [`ObjectError::File`] if the directory cannot be used, [`ObjectError::Unusable`] if the settings of S3 cannot.
    pub fn open(location: &ObjectsLocation, cache_dir: &Path) -> Result<Objects, ObjectError> {
        Objects::open_with(location, cache_dir, None)
    }

    /// As [`Objects::open`], with the given settings in place of the `AWS_*` environment variables, by the same names.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub fn open_with_settings(
        location: &ObjectsLocation,
        cache_dir: &Path,
        settings: &[(String, String)],
    ) -> Result<Objects, ObjectError> {
        Objects::open_with(location, cache_dir, Some(settings))
    }

    fn open_with(
        location: &ObjectsLocation,
        cache_dir: &Path,
        settings: Option<&[(String, String)]>,
    ) -> Result<Objects, ObjectError> {
        let unusable = |source| ObjectError::Unusable { location: location.to_string(), source };
        let place = match location {
            ObjectsLocation::Directory(dir) => {
                make_private_dir(dir).map_err(|source| in_file(dir, source))?;
                let files = LocalFileSystem::new_with_prefix(dir).map_err(unusable)?.with_fsync(true);
                Place::Directory(files)
            }
            ObjectsLocation::S3 { bucket, prefix } => {
                Place::S3 { client: s3::client(bucket, settings).map_err(unusable)?, prefix: prefix.clone() }
            }
        };
        let shared = Shared::new(place, location.to_string(), cache_dir)
            .map_err(|source| in_file(Path::new("the threads for transfers"), source))?;
        Ok(Objects { shared: Arc::new(shared) })
    }

    /// Writes an object, in place of one of that name; it is durable when this returns. If we stop before, the object is
    /// there whole or not at all.
    ///
    /// # Errors
    /// [`ObjectError`] if it cannot be written.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<(), ObjectError> {
        let shared = &self.shared;
        let count = bytes.len() as u64;
        let path = shared.path(name)?;
        shared
            .run(name, async {
                match &shared.place {
                    Place::Directory(files) => {
                        files.put(&path, PutPayload::from_bytes(bytes)).await.map(drop)
                    }
                    Place::S3 { client, .. } => s3::put(client, &path, bytes).await,
                }
            })
            .map_err(|error| match error {
                // Writing needs no object to be there, so it is the bucket that is missing.
                ObjectError::Missing { location, .. } => {
                    let source = object_store::Error::Generic {
                        store: "S3",
                        source: "the bucket does not exist".into(),
                    };
                    ObjectError::Unusable { location, source }
                }
                error => error,
            })?;
        shared.stats.written_bytes.fetch_add(count, Ordering::Relaxed);
        if let Place::Directory(files) = &shared.place {
            make_private(&shared.local_path(files, name)?)?;
        }
        self.remove_cached(name)
    }

    /// Reads a range of an object.
    ///
    /// # Errors
    /// [`ObjectError`] if it cannot be read.
    pub fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.shared.read(name, range)
    }

    /// Reads ranges of an object, in the order asked for; ranges close to each other are one request.
    ///
    /// # Errors
    /// [`ObjectError`] if one cannot be read.
    pub fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ObjectError> {
        self.shared.read_ranges(name, ranges)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`ObjectError`] if it cannot be read.
    pub fn read_all(&self, name: &str) -> Result<Bytes, ObjectError> {
        let shared = &self.shared;
        let path = shared.path(name)?;
        let bytes = shared.run(name, async { shared.store().get(&path).await?.bytes().await })?;
        shared.count_read(bytes.len());
        Ok(bytes)
    }

    /// Returns the bytes of an object; none if there is no such object.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails.
    pub fn size(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        let shared = &self.shared;
        let path = shared.path(name)?;
        match shared.run(name, async { shared.store().head(&path).await }) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(ObjectError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists names and bytes of all objects, by name.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails.
    pub fn list(&self) -> Result<Vec<(String, u64)>, ObjectError> {
        let shared = &self.shared;
        let prefix = match &shared.place {
            Place::S3 { prefix, .. } => prefix.as_str(),
            Place::Directory(_) => "",
        };
        let root = ObjectPath::parse(prefix).map_err(|_| ObjectError::BadName { name: prefix.to_owned() })?;
        let mut found = shared.run("the list of objects", async {
            let mut found = Vec::new();
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                let listed = shared.store().list_with_delimiter(Some(&folder)).await?;
                folders.extend(listed.common_prefixes);
                found.extend(listed.objects.into_iter().map(|meta| (meta.location, meta.size)));
            }
            Ok(found)
        })?;
        found.sort();
        let skip = if prefix.is_empty() { 0 } else { prefix.len() + 1 };
        Ok(found.into_iter().map(|(path, size)| (path.as_ref()[skip..].to_owned(), size)).collect())
    }

    /// Deletes an object and what is cached of it. That it is absent already is fine.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails.
    pub fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let shared = &self.shared;
        let path = shared.path(name)?;
        match shared.run(name, async { shared.store().delete(&path).await }) {
            Ok(()) | Err(ObjectError::Missing { .. }) => self.remove_cached(name),
            Err(error) => Err(error),
        }
    }

    /// Opens an object of the given size for searching, with a resident range.
    ///
    /// From S3 the resident range is fetched once and kept in the cache directory.
    ///
    /// # Errors
    /// [`ObjectError`] if it is missing, has another size (local objects), or cannot be read.
    pub fn open_object(&self, name: &str, bytes: u64, resident: Range<u64>) -> Result<Object, ObjectError> {
        let shared = &self.shared;
        let object_name: Arc<str> = Arc::from(name);
        match &shared.place {
            Place::Directory(files) => {
                let whole = shared.map_local(&shared.local_path(files, name)?, name, bytes)?;
                let resident = object::slice(&whole, &resident, name, bytes)?;
                Ok(Object { name: object_name, bytes, resident, rest: Rest::Mapped(whole) })
            }
            Place::S3 { .. } => {
                let resident = shared.map_cached(name, bytes, resident)?;
                Ok(Object { name: object_name, bytes, resident, rest: Rest::Remote(Arc::clone(shared)) })
            }
        }
    }

    /// Deletes what is cached of an object; open objects keep what they have mapped.
    ///
    /// # Errors
    /// [`ObjectError::File`] if the cache directory cannot be used.
    pub fn remove_cached(&self, name: &str) -> Result<(), ObjectError> {
        match self.shared.place {
            Place::Directory(_) => Ok(()),
            Place::S3 { .. } => self.shared.cache.remove(name),
        }
    }

    /// Returns what was done so far.
    pub fn stats(&self) -> ObjectStats {
        let stats = &self.shared.stats;
        ObjectStats {
            requests: stats.requests.load(Ordering::Relaxed),
            errors: stats.errors.load(Ordering::Relaxed),
            read_bytes: stats.read_bytes.load(Ordering::Relaxed),
            written_bytes: stats.written_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Segments hold personal data: only the owner of the process may read them.
fn make_private(path: &Path) -> Result<(), ObjectError> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).map_err(|source| in_file(path, source))?;
    }
    Ok(())
}
