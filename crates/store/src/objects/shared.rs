//! What open objects share with the place that they are in.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::ObjectStore as _;
use object_store::aws::AmazonS3;
use object_store::client::HttpClient;
use object_store::path::Path as ObjectPath;
use tokio::runtime::Runtime;

use crate::files::UNFINISHED;
use crate::map::map_file;
use crate::objects::ObjectError;
use crate::objects::cache::Cache;
use crate::objects::error::in_file;
use crate::objects::local;

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
    Directory(PathBuf),
    S3 { client: AmazonS3, http: HttpClient, prefix: String },
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

    /// The path of an object in a bucket.
    pub(super) fn remote_path(&self, prefix: &str, name: &str) -> Result<ObjectPath, ObjectError> {
        check_name(name)?;
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        ObjectPath::parse(full).map_err(|_| ObjectError::BadName { name: name.to_owned() })
    }

    /// The path of an object in a directory of objects.
    pub(super) fn local_path(&self, dir: &Path, name: &str) -> Result<PathBuf, ObjectError> {
        check_name(name)?;
        Ok(dir.join(name))
    }

    /// Does something to a local object and counts it.
    pub(super) fn run_local<T>(
        &self,
        operation: impl FnOnce() -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        operation().inspect_err(|_| {
            self.stats.errors.fetch_add(1, Ordering::Relaxed);
        })
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

    pub(super) fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ObjectError> {
        let asked: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        let parts = match &self.place {
            _ if asked.is_empty() => Vec::new(),
            Place::Directory(dir) => self.read_local(&self.local_path(dir, name)?, name, &asked)?,
            Place::S3 { client, prefix, .. } => {
                let path = self.remote_path(prefix, name)?;
                self.run(name, async { client.get_ranges(&path, &asked).await })?
            }
        };
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

    fn read_local(&self, path: &Path, name: &str, asked: &[Range<u64>]) -> Result<Vec<Bytes>, ObjectError> {
        self.run_local(|| {
            let parts =
                local::read_ranges(path, asked).map_err(|source| self.in_local(path, name, source))?;
            parts.map_err(|actual| ObjectError::WrongSize {
                name: name.to_owned(),
                location: self.location.clone(),
                expected: asked.iter().map(|range| range.end).max().unwrap_or_default(),
                actual,
            })
        })
    }

    /// Says what failed with a local object that should be there.
    pub(super) fn in_local(&self, path: &Path, name: &str, source: std::io::Error) -> ObjectError {
        match source.kind() {
            std::io::ErrorKind::NotFound => {
                ObjectError::Missing { name: name.to_owned(), location: self.location.clone() }
            }
            _ => in_file(path, source),
        }
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
        let file = File::open(path).map_err(|source| self.in_local(path, name, source))?;
        let actual = file.metadata().map_err(|source| in_file(path, source))?.len();
        self.check_length(name, bytes, actual)?;
        map_file(&file).map_err(|source| in_file(path, source))
    }

    /// Maps the resident range of an object in S3; fetches it if the cache lacks it, or `afresh` is asked for.
    pub(super) fn map_cached(
        &self,
        name: &str,
        bytes: u64,
        range: Range<u64>,
        afresh: bool,
    ) -> Result<Bytes, ObjectError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let fetch = || Ok(self.read_ranges(name, std::slice::from_ref(&range))?.pop().unwrap_or_default());
        let (path, file) = match afresh {
            true => self.cache.replace(name, bytes, &range, &fetch()?)?,
            false => self.cache.open(name, bytes, &range, fetch)?,
        };
        map_file(&file).map_err(|source| in_file(&path, source))
    }
}

/// Objects stand side by side in their place, so that a list of it shows them all, and nothing else.
fn check_name(name: &str) -> Result<(), ObjectError> {
    let is_plain = !matches!(name, "" | "." | "..");
    if is_plain && !name.contains(|character: char| character == '/' || character.is_ascii_control()) {
        return Ok(());
    }
    Err(ObjectError::BadName { name: name.to_owned() })
}

/// As [`check_name`], for an object that is to be written.
pub(super) fn check_new_name(name: &str) -> Result<(), ObjectError> {
    match name.ends_with(UNFINISHED) {
        true => Err(ObjectError::BadName { name: name.to_owned() }),
        false => check_name(name),
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
