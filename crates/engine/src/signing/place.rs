//! The directory of the key: the key itself, and the last checkpoint that it signed.
//!
//! It is not in the database, nor in what `annals backup` copies, because it is what a database that was put back is compared with. A copy of the
//! whole data directory takes it along, unless it was given a place of its own (--key-dir).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use annals_store::{make_private_dir, open_private_file, write_whole};
use annals_tlog::{Checkpoint, SignedNote, SigningKey};

use super::SigningError;

/// Bytes of a file here, at most: a note with a hundred signatures is smaller.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where the key of a log lies.
#[derive(Debug, Clone)]
pub(crate) struct KeyPlace {
    dir: PathBuf,
}

/// The last checkpoint that was signed.
#[derive(Debug, Clone)]
pub(crate) struct LastSigned {
    pub(crate) note: String,
    pub(crate) checkpoint: Checkpoint,
}

impl KeyPlace {
    pub(crate) fn new(dir: &Path) -> KeyPlace {
        KeyPlace { dir: dir.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a file; none if there is none.
    fn read(&self, name: &str) -> Result<Option<String>, SigningError> {
        let path = self.file(name);
        let failed = |source| SigningError::File { path: path.clone(), source };
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(SigningError::Malformed { path, what: "it is too large".to_owned() });
            }
            Ok(metadata) => check_private(&path, &metadata)?,
        }
        fs::read_to_string(&path).map(Some).map_err(failed)
    }

    fn write(&self, name: &str, content: &str) -> Result<(), SigningError> {
        let path = self.file(name);
        let failed = |source| SigningError::File { path: path.clone(), source };
        make_private_dir(&self.dir).map_err(failed)?;
        write_whole(&path, content.as_bytes()).map_err(failed)
    }

    /// Keeps others from signing with this key until the returned file is dropped.
    pub(crate) fn lock(&self) -> Result<File, SigningError> {
        let path = self.file("lock");
        let failed = |source| SigningError::File { path: path.clone(), source };
        make_private_dir(&self.dir).map_err(failed)?;
        let file = open_private_file(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    pub(crate) fn key(&self) -> Result<Option<SigningKey>, SigningError> {
        let Some(text) = self.read("key")? else { return Ok(None) };
        let key = SigningKey::from_text(text.trim_end_matches('\n'));
        key.map(Some)
            .map_err(|error| SigningError::Malformed { path: self.file("key"), what: error.to_string() })
    }

    pub(crate) fn put_key(&self, key: &SigningKey) -> Result<(), SigningError> {
        self.write("key", &format!("{}\n", key.to_text().as_str()))
    }

    pub(crate) fn last(&self) -> Result<Option<LastSigned>, SigningError> {
        let Some(note) = self.read("last-checkpoint")? else { return Ok(None) };
        let malformed = |what: String| SigningError::Malformed { path: self.file("last-checkpoint"), what };
        let signed: SignedNote =
            note.parse().map_err(|error: annals_tlog::NoteError| malformed(error.to_string()))?;
        let checkpoint = signed
            .text()
            .parse()
            .map_err(|error: annals_tlog::CheckpointError| malformed(error.to_string()))?;
        Ok(Some(LastSigned { note, checkpoint }))
    }

    /// Keeps the last checkpoint; it is durable when this returns.
    pub(crate) fn put_last(&self, note: &str) -> Result<(), SigningError> {
        self.write("last-checkpoint", note)
    }

    /// Lays key and last checkpoint of an ended epoch aside: `key.e1`, `last-checkpoint.e1`.
    pub(crate) fn lay_aside(&self, epoch: u64) -> Result<(), SigningError> {
        for name in ["key", "last-checkpoint"] {
            let (from, to) = (self.file(name), self.file(&format!("{name}.e{epoch}")));
            match fs::rename(&from, to) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SigningError::File { path: from, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a key that signed nothing.
    pub(crate) fn remove_key(&self) -> Result<(), SigningError> {
        let path = self.file("key");
        fs::remove_file(&path).map_err(|source| SigningError::File { path, source })
    }

    /// The highest number of an epoch whose key was laid aside; 0 if there is none.
    pub(crate) fn last_laid_aside(&self) -> Result<u64, SigningError> {
        let failed = |source| SigningError::File { path: self.dir.clone(), source };
        let mut last = 0;
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("key.e")?.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    /// The last checkpoint of an ended epoch, as it was laid aside.
    pub(crate) fn laid_aside(&self, epoch: u64) -> Option<String> {
        fs::read_to_string(self.file(&format!("last-checkpoint.e{epoch}"))).ok()
    }
}

/// A key that others can read is none.
#[cfg(unix)]
fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), SigningError> {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o077 != 0 && path.ends_with("key") {
        let what = "others than its owner may read it: chmod 600".to_owned();
        return Err(SigningError::Malformed { path: path.to_owned(), what });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), SigningError> {
    Ok(())
}
