//! A file that gets its name when it is whole.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// A file beside the one that was asked for. Dropped before it is kept, it is deleted; what a killed process leaves ends with `.part`, so that
/// nobody's `*.parquet` finds it.
pub(super) struct WholeFile(NamedTempFile);

impl WholeFile {
    /// Makes the file. That of the name must not be there, now and when it is kept.
    pub(super) fn create(path: &Path) -> anyhow::Result<WholeFile> {
        let shown = path.display();
        anyhow::ensure!(!path.exists(), "`{shown}` exists; name another file");
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().with_context(|| format!("`{shown}` is no name of a file"))?;
        let mut prefix = name.to_owned();
        prefix.push(".");
        // Of permissions 0600: events are personal data.
        let file = tempfile::Builder::new().prefix(&prefix).suffix(".part").tempfile_in(dir);
        Ok(WholeFile(file.with_context(|| format!("cannot write `{shown}`"))?))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.write_all(bytes).context("the file cannot be written")
    }

    /// Gives the file its name. Stopped before, there is none of that name; after, it is whole and on the disk.
    pub(super) fn keep(self, path: &Path) -> anyhow::Result<()> {
        self.0.as_file().sync_all().context("the file could not be brought to the disk")?;
        match self.0.persist_noclobber(path) {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(error.error).with_context(|| format!("`{}` could not get its name", path.display()))
            }
        }
    }
}
