//! Registry documents, by version: what applications registered, and what the operator's files said at each change.

use annals_model::time::Time;

use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value};

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

fn document(row: Row<'_>) -> Result<RegistryDocument, StoreError> {
    Ok(RegistryDocument {
        version: u32::try_from(row.int(0)?)
            .map_err(|_| StoreError::Damaged { what: "a registry version is out of range".to_owned() })?,
        received: Time::from_micros_saturating(row.int(1)?),
        authority: match row.text(2)?.as_str() {
            "operator" => DocumentAuthority::Operator,
            _ => DocumentAuthority::Application,
        },
        source: row.text(3)?,
        document: row.text(4)?,
    })
}

impl Store {
    /// Lists the documents after a version, in order.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn registry_documents(&self, after_version: u32) -> Result<Vec<RegistryDocument>, StoreError> {
        self.read(|connection| {
            connection.query_all(
                "SELECT version, received_us, authority, source, document FROM registry_document
                 WHERE version > $1 ORDER BY version",
                &[Value::Int(i64::from(after_version))],
                document,
            )
        })
    }

    /// Keeps a document as the given version; returns false if another process took that version.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_registry_document(&self, document: &RegistryDocument) -> Result<bool, StoreError> {
        self.write(|connection| {
            let added = connection.execute(
                "INSERT INTO registry_document (version, received_us, authority, source, document)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                &[
                    Value::Int(i64::from(document.version)),
                    Value::Int(document.received.as_micros()),
                    Value::Text(document.authority.name()),
                    Value::Text(&document.source),
                    Value::Text(&document.document),
                ],
            )?;
            Ok(added == 1)
        })
    }
}
