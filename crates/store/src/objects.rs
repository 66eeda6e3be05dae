//! Segment objects: immutable files in a local directory or a bucket.

mod cache;
mod error;
mod local;
mod location;
mod object;
mod s3;
mod shared;
mod versions;
mod writer;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

pub use error::ObjectError;
pub use location::{ObjectsLocation, ObjectsLocationError};
pub use object::Object;
pub use writer::{BucketHttp, ObjectWriter};

use crate::files::{make_private_dir, sync_parent, write_whole};
use crate::objects::error::in_file;
use crate::objects::object::Rest;
use crate::objects::shared::{Place, Shared, check_new_name};
use crate::objects::versions::Version;

/// The place where segment objects are kept, for any number of threads.
///
/// An object is never changed under its name: other content needs another name. Names hold no `/`. Every call blocks until it is done;
/// calls from async code panic. Call from a thread that may block.
#[derive(Debug)]
pub struct Objects {
    shared: Arc<Shared>,
}

/// An object as [`Objects::list`] finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its name. One that ends with `.unfinished` is no object, but what is being written, or was left when a process was
    /// stopped at it; only a local directory has such names.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last written, by the clock of the place.
    pub modified: SystemTime,
}

/// What a bucket keeps of an object that was replaced or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The object's name.
    pub name: String,
    version: Version,
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
                if !dir.exists() {
                    make_private_dir(dir)
                        .and_then(|()| sync_parent(dir))
                        .map_err(|source| in_file(dir, source))?;
                }
                Place::Directory(dir.clone())
            }
            ObjectsLocation::S3 { bucket, prefix } => {
                let (client, http) = s3::clients(bucket, settings).map_err(unusable)?;
                Place::S3 { client, http, prefix: prefix.clone() }
            }
        };
        let shared = Shared::new(place, location.to_string(), cache_dir)
            .map_err(|source| in_file(Path::new("the threads for transfers"), source))?;
        Ok(Objects { shared: Arc::new(shared) })
    }

    /// Writes an object, in place of one of that name; it is durable when this returns. If we stop before, the object is
    /// there whole or not at all; in a local directory `NAME.unfinished` may be left, which the next attempt overwrites.
    ///
    /// # Errors
    /// [`ObjectError`] if it cannot be written.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<(), ObjectError> {
        let shared = &self.shared;
        let count = bytes.len() as u64;
        check_new_name(name)?;
        match &shared.place {
            Place::Directory(dir) => {
                let path = shared.local_path(dir, name)?;
                shared.run_local(|| write_whole(&path, &bytes).map_err(|source| in_file(&path, source)))?;
            }
            Place::S3 { client, prefix, .. } => {
                let path = shared.remote_path(prefix, name)?;
                let written = shared.run(name, s3::put(client, &path, bytes));
                written.map_err(|error| match error {
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
            }
        }
        shared.stats.written_bytes.fetch_add(count, Ordering::Relaxed);
        self.remove_cached(name)
    }

    /// Reads a range of an object.
    ///
    /// # Errors
    /// [`ObjectError`] if it cannot be read.
    pub fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(self.read_ranges(name, &[range])?.pop().unwrap_or_default())
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
        let bytes = match &shared.place {
            Place::Directory(dir) => {
                let path = shared.local_path(dir, name)?;
                let read = || std::fs::read(&path).map_err(|source| shared.in_local(&path, name, source));
                shared.run_local(read)?.into()
            }
            Place::S3 { client, prefix, .. } => {
                let path = shared.remote_path(prefix, name)?;
                shared.run(name, async { client.get(&path).await?.bytes().await })?
            }
        };
        shared.count_read(bytes.len());
        Ok(bytes)
    }

    /// Lists all that is directly in the place, by name: objects, what is left of unfinished ones, and what somebody else
    /// put there. What stands deeper, or beside the place in the same bucket, is not listed.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails.
    pub fn list(&self) -> Result<Vec<ListedObject>, ObjectError> {
        let shared = &self.shared;
        let mut found: Vec<ListedObject> = match &shared.place {
            Place::Directory(dir) => {
                let listed = shared.run_local(|| local::list(dir).map_err(|source| in_file(dir, source)))?;
                listed
                    .into_iter()
                    .map(|(name, bytes, modified)| ListedObject { name, bytes, modified })
                    .collect()
            }
            Place::S3 { client, prefix, .. } => {
                let root =
                    ObjectPath::parse(prefix).map_err(|_| ObjectError::BadName { name: prefix.clone() })?;
                let listed = shared.run("the list of objects", client.list_with_delimiter(Some(&root)))?;
                let named = listed.objects.into_iter().filter_map(|meta| {
                    // Some consoles make an empty object `PREFIX/` for a folder; it has no name in the place.
                    let path = meta.location.as_ref();
                    let name = if prefix.is_empty() {
                        path
                    } else {
                        path.strip_prefix(prefix)?.strip_prefix('/')?
                    };
                    let name = Some(name).filter(|name| !name.is_empty() && !name.contains('/'))?.to_owned();
                    Some(ListedObject { name, bytes: meta.size, modified: meta.last_modified.into() })
                });
                named.collect()
            }
        };
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Deletes an object and what is cached of it, or what is left of an unfinished one. That it is absent already is
    /// fine.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails.
    pub fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let shared = &self.shared;
        let deleted = match &shared.place {
            Place::Directory(dir) => {
                let path = shared.local_path(dir, name)?;
                shared.run_local(|| local::delete(&path).map_err(|source| in_file(&path, source)))
            }
            Place::S3 { client, prefix, .. } => {
                let path = shared.remote_path(prefix, name)?;
                shared.run(name, client.delete(&path))
            }
        };
        match deleted {
            Ok(()) | Err(ObjectError::Missing { .. }) => self.remove_cached(name),
            Err(error) => Err(error),
        }
    }

    /// Lists what a bucket keeps of objects that were replaced or deleted, directly in the place. Empty where the place keeps no versions.
    ///
    /// # Errors
    /// [`ObjectError`] if the place fails; [`ObjectError::Denied`] if we may not list versions, which is a right of its own.
    pub fn older_versions(&self) -> Result<Vec<ObjectVersion>, ObjectError> {
        let Place::S3 { prefix, .. } = &self.shared.place else { return Ok(Vec::new()) };
        let directory = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let all = self.versions(&directory)?.unwrap_or_default();
        let older = all.into_iter().filter_map(|version| {
            let name = version.key.strip_prefix(&directory).filter(|name| !name.contains('/'))?.to_owned();
            (!version.is_latest || version.is_mark).then_some(ObjectVersion { name, version })
        });
        Ok(older.collect())
    }

    /// Deletes a version. That it is absent already is fine.
    ///
    /// # Errors
    /// As [`Objects::older_versions`].
    pub fn delete_version(&self, version: &ObjectVersion) -> Result<(), ObjectError> {
        let Place::S3 { client, http, .. } = &self.shared.place else { return Ok(()) };
        self.shared.run(&version.name, versions::delete(client, http, &version.version))
    }

    /// As [`Objects::delete`], with every version of the object, the newest last: if we stop between, the object is still listed.
    ///
    /// # Errors
    /// As [`Objects::older_versions`]; then the object may be there or not.
    pub fn delete_for_good(&self, name: &str) -> Result<(), ObjectError> {
        let shared = &self.shared;
        let Place::S3 { client, http, prefix } = &shared.place else { return self.delete(name) };
        let key = shared.remote_path(prefix, name)?.to_string();
        let Some(mut all) = self.versions(&key)? else { return self.delete(name) };
        all.retain(|version| version.key == key);
        all.sort_by_key(|version| (version.is_latest, version.is_mark));
        for version in &all {
            shared.run(name, versions::delete(client, http, version))?;
        }
        self.remove_cached(name)
    }

    fn versions(&self, begin: &str) -> Result<Option<Vec<Version>>, ObjectError> {
        let Place::S3 { client, http, .. } = &self.shared.place else { return Ok(None) };
        self.shared.run("the list of versions", versions::list(client, http, begin))
    }

    /// Opens an object of the given size for searching, with a resident range.
    ///
    /// From S3 the resident range is fetched once and kept in the cache directory.
    ///
    /// # Errors
    /// [`ObjectError`] if it is missing, has another size (local objects), or cannot be read.
    pub fn open_object(&self, name: &str, bytes: u64, resident: Range<u64>) -> Result<Object, ObjectError> {
        self.open_as(name, bytes, resident, false)
    }

    /// As [`Objects::open_object`], but what the cache has of the resident range is replaced by what S3 has: for a range
    /// that was found to be damaged. A local object is just opened again.
    ///
    /// # Errors
    /// As [`Objects::open_object`]; the cache is as it was then.
    pub fn refetch(&self, name: &str, bytes: u64, resident: Range<u64>) -> Result<Object, ObjectError> {
        self.open_as(name, bytes, resident, true)
    }

    fn open_as(
        &self,
        name: &str,
        bytes: u64,
        resident: Range<u64>,
        afresh: bool,
    ) -> Result<Object, ObjectError> {
        let shared = &self.shared;
        let object_name: Arc<str> = Arc::from(name);
        match &shared.place {
            Place::Directory(dir) => {
                let whole = shared.map_local(&shared.local_path(dir, name)?, name, bytes)?;
                let resident = object::slice(&whole, &resident, name, bytes)?;
                Ok(Object { name: object_name, bytes, resident, rest: Rest::Mapped(whole) })
            }
            Place::S3 { .. } => {
                let resident = shared.map_cached(name, bytes, resident, afresh)?;
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

    /// Deletes what is cached of all objects but these; open objects keep what they have mapped.
    ///
    /// # Errors
    /// [`ObjectError::File`] if the cache directory cannot be used.
    pub fn keep_cached(&self, names: &[&str]) -> Result<(), ObjectError> {
        match self.shared.place {
            Place::Directory(_) => Ok(()),
            Place::S3 { .. } => self.shared.cache.keep(names),
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
