//! The licenses that were added: signed texts, read by the engine.

use annals_model::time::Time;

use crate::error::StoreError;
use crate::store::Store;
use crate::value::Value;

/// A license as it was added.
#[derive(Debug, Clone)]
pub struct StoredLicense {
    /// Identity: the text of a UUID.
    pub id: String,
    /// The signed text.
    pub jwt: String,
    /// When it was added.
    pub added: Time,
}

impl Store {
    /// Lists the licenses, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn licenses(&self) -> Result<Vec<StoredLicense>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT id, jwt, added_us FROM license ORDER BY added_us DESC, id";
            connection.query_all(sql, &[], |row| {
                Ok(StoredLicense {
                    id: row.text(0)?,
                    jwt: row.text(1)?,
                    added: Time::from_micros_saturating(row.int(2)?),
                })
            })
        })
    }

    /// Keeps a license; returns false if one of that id is there already.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_license(&self, license: &StoredLicense) -> Result<bool, StoreError> {
        self.write(|connection| {
            let added = connection.execute(
                "INSERT INTO license (id, jwt, added_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                &[Value::Text(&license.id), Value::Text(&license.jwt), Value::Int(license.added.as_micros())],
            )?;
            Ok(added == 1)
        })
    }

    /// Removes a license; returns false if there is none of that id.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn remove_license(&self, id: &str) -> Result<bool, StoreError> {
        self.write(|connection| {
            let removed = connection.execute("DELETE FROM license WHERE id = $1", &[Value::Text(id)])?;
            Ok(removed == 1)
        })
    }
}
