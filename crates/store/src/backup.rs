//! Copying the embedded database while it is in use.

use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::files::{open_private_file, sync_parent};
use crate::store::{Database, Store};

/// Pages copied between two reports of progress: 8 MB.
const STEP_PAGES: i32 = 1_024;

impl Store {
    /// Copies the database as it is at one moment into a new file, readable for its owner only. Appends go on meanwhile.
    ///
    /// `progress` hears of pages done and pages in all. When it returns the file is durable; if we stop before, at most
    /// `TO.partial` is there.
    ///
    /// # Errors
    /// [`StoreError::BackupExists`] if the file exists; [`StoreError::BackupOfPostgres`] for PostgreSQL.
    pub fn backup(&self, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        if matches!(self.database(), Database::Postgres(_)) {
            return Err(StoreError::BackupOfPostgres);
        }
        if to.exists() {
            return Err(StoreError::BackupExists { file: to.to_owned() });
        }
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |source| StoreError::File { path: partial.clone(), source };
        let file = open_private_file(&partial).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        let copied = self.read(|connection| copy(connection, &partial, progress));
        let finished = copied.and_then(|()| {
            file.sync_all().map_err(failed)?;
            std::fs::rename(&partial, to).map_err(failed)?;
            sync_parent(to).map_err(failed)
        });
        if finished.is_err() {
            drop(std::fs::remove_file(&partial));
        }
        finished
    }
}

fn copy(
    connection: &mut Connection,
    partial: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), StoreError> {
    // The read transaction pins one state; without it every commit of another connection would begin the copy anew.
    let mut snapshot = connection.begin(Mode::Snapshot)?;
    snapshot.query("SELECT size FROM head", &[], |_| Ok(()))?;
    let Connection::Sqlite(source) = &mut *snapshot else { return Err(StoreError::BackupOfPostgres) };
    let mut target = rusqlite::Connection::open(partial)?;
    {
        let backup = Backup::new(source, &mut target)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let pages = backup.progress();
            let total = u64::try_from(pages.pagecount).unwrap_or_default();
            let left = u64::try_from(pages.remaining).unwrap_or_default();
            progress(total.saturating_sub(left), total);
            if step == StepResult::Done {
                break;
            }
        }
    }
    target.close().map_err(|(_, error)| error)?;
    snapshot.commit()
}
