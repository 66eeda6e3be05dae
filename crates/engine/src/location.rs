//! Where a log is kept.

use std::path::{Path, PathBuf};

use annals_store::{DatabaseLocation, ObjectsLocation};

/// Where a log is kept: its database and the objects of its sealed segments.
#[derive(Debug, Clone)]
pub struct Location {
    /// Directory of this process: the embedded database and segments, if nothing else is said, and the cache.
    pub data_dir: PathBuf,
    /// The database.
    pub database: DatabaseLocation,
    /// Sealed segments.
    pub objects: ObjectsLocation,
    /// The key that signs checkpoints, and the last one that it signed.
    pub key_dir: PathBuf,
}

impl Location {
    /// Everything in one directory.
    pub fn embedded(dir: &Path) -> Location {
        Location {
            data_dir: dir.to_owned(),
            database: DatabaseLocation::Directory(dir.to_owned()),
            objects: ObjectsLocation::Directory(dir.join("segments")),
            key_dir: dir.join("key"),
        }
    }

    /// Where the indexes of remote segments are kept.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.data_dir.join("cache")
    }
}

impl From<&Path> for Location {
    fn from(dir: &Path) -> Location {
        Location::embedded(dir)
    }
}

impl From<&PathBuf> for Location {
    fn from(dir: &PathBuf) -> Location {
        Location::embedded(dir)
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Location {
        location.clone()
    }
}
