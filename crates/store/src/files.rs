//! Files of ours: readable for their owner only, and whole whenever they have their name.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What the name of a file ends with until it is whole.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// Makes a directory, and those above it, that only the owner of the process may read: events hold personal data.
///
/// # Errors
/// What the system says.
pub fn make_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens a file for writing, and makes it if it is missing, readable for the owner of the process only.
///
/// # Errors
/// What the system says.
pub fn open_private_file(file: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Writes a file, in place of one of that name; it is durable when this returns.
///
/// It is written as `NAME.unfinished`, then renamed. If we stop before, that file is left; the next attempt writes over
/// it. Of several who write the same name, each waits for the one before.
///
/// # Errors
/// What the system says.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    let unfinished = PathBuf::from(name);
    let mut file = open_unfinished(&unfinished)?;
    let written = write_and_rename(&mut file, content, &unfinished, path);
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written?;
    sync_parent(path)
}

fn write_and_rename(file: &mut File, content: &[u8], unfinished: &Path, path: &Path) -> io::Result<()> {
    make_private(file)?;
    file.set_len(0)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// What was left unfinished may have come from elsewhere, and be readable for others.
fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut permissions = file.metadata()?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            file.set_permissions(permissions)?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Opens a file to write to, which nobody else writes to until it is closed.
fn open_unfinished(path: &Path) -> io::Result<File> {
    loop {
        let file = open_private_file(path)?;
        match file.lock() {
            // While we waited, another writer may have renamed it: then it is finished, and must not be cut to zero.
            Ok(()) if is_at(&file, path)? => return Ok(file),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The file system knows no locks; the lease of the one who seals is all that keeps writers apart.
            Err(_) => return Ok(file),
        }
    }
}

/// Says whether an open file still has this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Says whether a file is unfinished, and somebody writes to it at this moment.
pub(crate) fn is_being_written(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == OsStr::new(&UNFINISHED[1..]))
        && File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Makes the name of a new file durable.
pub(crate) fn sync_parent(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_whoever_writes_it_at_the_same_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::thread::scope(|scope| {
            for letter in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for round in 1..60 {
                        write_whole(path, &vec![letter; 10_000 * (usize::from(letter) + 1) + round]).unwrap();
                        let read = fs::read(path).unwrap();
                        assert!(read.len() > 10_000 && read.iter().all(|byte| *byte == read[0]));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_a_stopped_process_left_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (path, left) = (dir.path().join("a"), dir.path().join("a.unfinished"));
        let writing = open_unfinished(&left).unwrap();
        (&writing).write_all(b"longer than what comes next").unwrap();
        assert!(is_being_written(&left));
        drop(writing);
        assert!(!is_being_written(&left));
        write_whole(&path, b"short").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), left.exists()), (&b"short"[..], false));
    }

    #[test]
    fn what_cannot_get_its_name_is_not_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        assert!(write_whole(&dir.path().join("a"), b"x").is_err(), "a directory has the name");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
