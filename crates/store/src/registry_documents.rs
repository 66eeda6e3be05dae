//! Documents that applications registered, by version.

use annals_model::time::Time;
use rusqlite::params;

use crate::error::StoreError;
use crate::sqlite::Store;

/// One registered document.
#[derive(Debug, Clone)]
pub struct RegistryDocument {
    /// Version of the registry that it made; from 1, dense.
    pub version: u32,
    /// When it came.
    pub received: Time,
    /// Who sent it.
    pub source: String,
    /// Its TOML text.
    pub document: String,
}

impl Store {
    /// Lists the documents after a version, in order.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn registry_documents(&self, after_version: u32) -> Result<Vec<RegistryDocument>, StoreError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT version, received_us, source, document FROM registry_document WHERE version > ? ORDER BY version",
            )?;
            let documents = select.query_map([after_version], |row| {
                Ok(RegistryDocument {
                    version: row.get(0)?,
                    received: Time::from_micros_saturating(row.get(1)?),
                    source: row.get(2)?,
                    document: row.get(3)?,
                })
            })?;
            Ok(documents.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Keeps a document as the given version; returns false if another process took that version.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_registry_document(&self, document: &RegistryDocument) -> Result<bool, StoreError> {
        self.with(|connection| {
            let added = connection.execute(
                "INSERT INTO registry_document (version, received_us, source, document) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
                params![document.version, document.received.as_micros(), document.source, document.document],
            )?;
            Ok(added == 1)
        })
    }
}
