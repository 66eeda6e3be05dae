//! What open objects share with the place that they are in.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Runtime;

use crate::map::map_file;
use crate::objects::ObjectError;
use crate::objects::cache::Cache;
use crate::objects::error::in_file;

/// Threads that drive transfers; the callers' threads do the rest.
const WORKERS: usize = 2;

/// What open objects share with [`Objects`].
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) place: Place,
    /// The place as errors call it.
    location: String,
    pub(super) cache: Cache,
    /// Always there; taken out only to be shut down.
    runtime: Option<Runtime>,
    pub(super) stats: Stats,
}

#[derive(Debug)]
pub(super) enum Place {
    Directory(LocalFileSystem),
    S3 { client: AmazonS3, prefix: String },
}

#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    pub(super) written_bytes: AtomicU64,
}

impl Shared {
    pub(super) fn new(place: Place, location: String, cache_dir: &Path) -> std::io::Result<Shared> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("objects")
            .enable_all()
            .build()?;
        let cache = Cache::new(cache_dir.to_owned());
        Ok(Shared { place, location, cache, runtime: Some(runtime), stats: Stats::default() })
    }

    pub(super) fn store(&self) -> &dyn ObjectStore {
        match &self.place {
            Place::Directory(files) => files,
            Place::S3 { client, .. } => client,
        }
    }

    pub(super) fn path(&self, name: &str) -> Result<ObjectPath, ObjectError> {
        let full = match &self.place {
            Place::S3 { prefix, .. } if !prefix.is_empty() => format!("{prefix}/{name}"),
            _ => name.to_owned(),
        };
        let parsed = ObjectPath::parse(&full).ok().filter(|path| !name.is_empty() && path.as_ref() == full);
        parsed.ok_or_else(|| ObjectError::BadName { name: name.to_owned() })
    }

    pub(super) fn local_path(&self, files: &LocalFileSystem, name: &str) -> Result<PathBuf, ObjectError> {
        let path = files.path_to_filesystem(&self.path(name)?);
        path.map_err(|source| ObjectError::new(name, &self.location, source))
    }

    /// Runs an operation on this thread and counts it.
    pub(super) fn run<T>(
        &self,
        name: &str,
        operation: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, ObjectError> {
        let runtime = self.runtime.as_ref().expect("taken only by drop");
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(operation).map_err(|source| {
            self.stats.errors.fetch_add(1, Ordering::Relaxed);
            ObjectError::new(name, &self.location, source)
        })
    }

    pub(super) fn count_read(&self, bytes: usize) {
        self.stats.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let path = self.path(name)?;
        let expected = range.end - range.start;
        let bytes = self.run(name, async { self.store().get_range(&path, range).await })?;
        self.count_read(bytes.len());
        self.check_length(name, expected, bytes.len() as u64)?;
        Ok(bytes)
    }

    pub(super) fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ObjectError> {
        let path = self.path(name)?;
        let asked: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        if asked.is_empty() {
            return Ok(vec![Bytes::new(); ranges.len()]);
        }
        let parts = self.run(name, async { self.store().get_ranges(&path, &asked).await })?;
        let mut parts = parts.into_iter();
        let mut results = Vec::with_capacity(ranges.len());
        for range in ranges {
            let part = if range.is_empty() { Bytes::new() } else { parts.next().unwrap_or_default() };
            self.count_read(part.len());
            self.check_length(name, range.end.saturating_sub(range.start), part.len() as u64)?;
            results.push(part);
        }
        Ok(results)
    }

    fn check_length(&self, name: &str, expected: u64, actual: u64) -> Result<(), ObjectError> {
        if expected == actual {
            return Ok(());
        }
        Err(ObjectError::WrongSize {
            name: name.to_owned(),
            location: self.location.clone(),
            expected,
            actual,
        })
    }

    /// Maps a local object whole.
    pub(super) fn map_local(&self, path: &Path, name: &str, bytes: u64) -> Result<Bytes, ObjectError> {
        let file = File::open(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                ObjectError::Missing { name: name.to_owned(), location: self.location.clone() }
            }
            _ => in_file(path, source),
        })?;
        let actual = file.metadata().map_err(|source| in_file(path, source))?.len();
        self.check_length(name, bytes, actual)?;
        map_file(&file).map_err(|source| in_file(path, source))
    }

    /// Maps the resident range of an object in S3; fetches it if the cache lacks it.
    pub(super) fn map_cached(&self, name: &str, bytes: u64, range: Range<u64>) -> Result<Bytes, ObjectError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (path, file) = self.cache.open(name, bytes, &range, || self.read(name, range.clone()))?;
        map_file(&file).map_err(|source| in_file(&path, source))
    }
}

/// Dropping a runtime waits for it, which panics on a thread that runs async code.
impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
