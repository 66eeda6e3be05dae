//! Objects that are written and never read again here: what a stream leaves behind for others.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use tokio::runtime::Runtime;

use crate::files::{UNFINISHED, make_private_dir, sync_parent, write_whole};
use crate::objects::error::in_file;
use crate::objects::{ObjectError, s3};

/// Bytes of a path. S3 takes 1,024, and the prefix needs some.
const PATH_BYTES_MAX: usize = 512;

/// Writes objects whose paths have parts, to a directory or a bucket. Every call blocks until it is done; calls from async code panic.
#[derive(Debug)]
pub struct ObjectWriter {
    place: Place,
    /// The place as errors call it.
    location: String,
}

/// Who makes the connections to a bucket.
#[derive(Debug)]
pub enum BucketHttp {
    /// This client, which has its own limits and decides what may be reached. The environment is not asked; the keys are among the settings.
    Given(reqwest::Client),
    /// A client that is made for it and reaches everything, also the service that hands out the machine's own rights. The environment serves where
    /// the settings say nothing.
    Own {
        /// Certificates in PEM that are trusted beside those of the system; may be empty.
        authorities: String,
    },
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Bucket {
        client: AmazonS3,
        prefix: String,
        /// Always there; taken out only to be shut down.
        runtime: Option<Runtime>,
    },
}

impl ObjectWriter {
    /// Writes to a directory; a missing one is made.
    ///
    /// # Errors
    /// [`ObjectError::File`] if it cannot be used.
    pub fn directory(dir: &Path) -> Result<ObjectWriter, ObjectError> {
        make_durable_dir(dir)?;
        Ok(ObjectWriter { location: dir.display().to_string(), place: Place::Directory(dir.to_owned()) })
    }

    /// Writes to a bucket. `settings` have the names of the `AWS_*` environment variables.
    ///
    /// # Errors
    /// [`ObjectError::Unusable`] if the settings cannot be used, [`ObjectError::BadName`] for the prefix.
    pub fn bucket(
        bucket: &str,
        prefix: &str,
        settings: &[(String, String)],
        http: BucketHttp,
    ) -> Result<ObjectWriter, ObjectError> {
        let prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            check_path(&prefix)?;
        }
        let location = format!("s3://{bucket}");
        let client = s3::writing_client(bucket, settings, http)
            .map_err(|source| ObjectError::Unusable { location: location.clone(), source })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| in_file(Path::new("the connections to the bucket"), source))?;
        Ok(ObjectWriter { place: Place::Bucket { client, prefix, runtime: Some(runtime) }, location })
    }

    /// Writes an object, in place of one of that path; it is durable when this returns. If we stop before, the object is there whole or not at all.
    /// The parts of a path stand between `/`.
    ///
    /// # Errors
    /// [`ObjectError`] if it cannot be written.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), ObjectError> {
        check_path(path)?;
        match &self.place {
            Place::Directory(dir) => {
                let file = dir.join(path);
                if let Some(parent) = file.parent() {
                    make_durable_dir(parent)?;
                }
                write_whole(&file, &bytes.into()).map_err(|source| in_file(&file, source))
            }
            Place::Bucket { client, prefix, runtime } => {
                let full = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
                let full =
                    ObjectPath::parse(full).map_err(|_| ObjectError::BadName { name: path.to_owned() })?;
                let runtime = runtime.as_ref().expect("taken only by drop");
                let put = runtime.block_on(s3::put(client, &full, bytes.into()));
                put.map_err(|source| ObjectError::new(path, &self.location, source))
            }
        }
    }
}

/// Dropping a runtime waits for it, which panics on a thread that runs async code.
impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let Place::Bucket { runtime, .. } = &mut self.place
            && let Some(runtime) = runtime.take()
        {
            runtime.shutdown_background();
        }
    }
}

/// Makes a directory and those above it; their names are durable when this returns.
fn make_durable_dir(dir: &Path) -> Result<(), ObjectError> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    make_private_dir(dir).map_err(|source| in_file(dir, source))?;
    for made in missing.into_iter().rev() {
        sync_parent(made).map_err(|source| in_file(made, source))?;
    }
    Ok(())
}

/// No part leads out of the place, or hides in it.
fn check_path(path: &str) -> Result<(), ObjectError> {
    let is_plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.ends_with(UNFINISHED)
            && !part.chars().any(|character| character.is_control() || character == '\\')
    };
    if path.len() <= PATH_BYTES_MAX && path.split('/').all(is_plain) {
        return Ok(());
    }
    Err(ObjectError::BadName { name: path.chars().take(80).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stands_at_its_path_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let writer = ObjectWriter::directory(&dir.path().join("a/b")).unwrap();
        writer.put("2026/01/x.txt", "one").unwrap();
        writer.put("2026/01/x.txt", "two").unwrap();
        assert_eq!(std::fs::read(dir.path().join("a/b/2026/01/x.txt")).unwrap(), b"two");
        for path in ["", "/x", "a//b", "../x", "a/../x", "a/.", "a/x.unfinished", "a\\b", "a\nb"] {
            assert!(matches!(writer.put(path, "x"), Err(ObjectError::BadName { .. })), "{path}");
        }
        assert!(writer.put(&"a/".repeat(400), "x").is_err());
    }
}
