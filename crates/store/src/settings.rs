//! Settings by name, as texts; what they mean is the engine's business.

use std::collections::BTreeMap;

use annals_model::time::Time;

use crate::connection::Mode;
use crate::error::StoreError;
use crate::store::Store;
use crate::value::Value;

impl Store {
    /// Returns every setting that was made.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn settings(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT name, value FROM setting";
            let rows = connection.query_all(sql, &[], |row| Ok((row.text(0)?, row.text(1)?)))?;
            Ok(rows.into_iter().collect())
        })
    }

    /// Keeps settings, all or none of them; an empty value takes one back. What stood there before is returned, so that of two
    /// who change one at a time each knows what it replaced.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be written.
    pub fn put_settings(
        &self,
        settings: &[(&str, &str)],
        now: Time,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let mut before = BTreeMap::new();
            for (name, value) in settings {
                let name = Value::Text(name);
                // Writing first takes the row's lock, where the database has such: nobody changes it between.
                let sql = "INSERT INTO setting (name, value, updated_us) VALUES ($1, '', $2) ON CONFLICT (name) DO UPDATE
                           SET updated_us = excluded.updated_us";
                transaction.execute(sql, &[name, Value::Int(now.as_micros())])?;
                let sql = "SELECT name, value FROM setting WHERE name = $1";
                let (name, old) = transaction
                    .query_one(sql, &[name], "the setting just written", |row| Ok((row.text(0)?, row.text(1)?)))?;
                let sql = "UPDATE setting SET value = $1 WHERE name = $2";
                transaction.execute(sql, &[Value::Text(value), Value::Text(&name)])?;
                before.insert(name, old);
            }
            transaction.execute("DELETE FROM setting WHERE value = ''", &[])?;
            transaction.commit()?;
            Ok(before)
        })
    }
}
