//! Registry documents, by version: what applications registered, and what the operator's files said at each change.

use annals_model::time::Time;
use rusqlite::{Row, params};

use crate::error::StoreError;
use crate::sqlite::Store;

/// Whose word a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentAuthority {
    /// One document of an application, on top of those before.
    Application,
    /// All documents of the operator, in place of those before: a JSON array of TOML texts.
    Operator,
}

impl DocumentAuthority {
    const fn name(self) -> &'static str {
        match self {
            DocumentAuthority::Application => "application",
            DocumentAuthority::Operator => "operator",
        }
    }
}

/// One stored document.
#[derive(Debug, Clone)]
pub struct RegistryDocument {
    /// Version of the registry that it made; from 1, dense.
    pub version: u32,
    /// When it came.
    pub received: Time,
    /// Whose word it is.
    pub authority: DocumentAuthority,
    /// Who sent it.
    pub source: String,
    /// Its text.
    pub document: String,
}

fn document(row: &Row<'_>) -> rusqlite::Result<RegistryDocument> {
    let authority: String = row.get(2)?;
    Ok(RegistryDocument {
        version: row.get(0)?,
        received: Time::from_micros_saturating(row.get(1)?),
        authority: match authority.as_str() {
            "operator" => DocumentAuthority::Operator,
            _ => DocumentAuthority::Application,
        },
        source: row.get(3)?,
        document: row.get(4)?,
    })
}

impl Store {
    /// Lists the documents after a version, in order.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn registry_documents(&self, after_version: u32) -> Result<Vec<RegistryDocument>, StoreError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT version, received_us, authority, source, document FROM registry_document
                 WHERE version > ? ORDER BY version",
            )?;
            let documents = select.query_map([after_version], document)?;
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
                "INSERT INTO registry_document (version, received_us, authority, source, document)
                 VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![
                    document.version,
                    document.received.as_micros(),
                    document.authority.name(),
                    document.source,
                    document.document
                ],
            )?;
            Ok(added == 1)
        })
    }
}
