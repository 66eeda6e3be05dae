//! One-time secrets: the set-up link, and the first person who comes with it.

use crate::connection::Mode;
use crate::error::StoreError;
use crate::people::{Person, insert_person};
use crate::store::Store;
use crate::value::Value;

impl Store {
    /// Keeps the hash of a one-time secret under a name, in place of an older one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn put_secret(&self, name: &str, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "INSERT INTO secret (name, secret_hash) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET secret_hash = excluded.secret_hash",
                &[Value::Text(name), Value::Bytes(secret_hash)],
            )?;
            Ok(())
        })
    }

    /// Returns the hash of a one-time secret.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT secret_hash FROM secret WHERE name = $1";
            connection.query_optional(sql, &[Value::Text(name)], |row| row.bytes(0))
        })
    }

    /// Adds the first site manager and uses up the secret, in one transaction: of two who hold the link one succeeds.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written. Returns false if the secret is used up or someone exists already.
    pub fn add_first_person(&self, secret_name: &str, person: &Person) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            // First, because in PostgreSQL the second of two waits here for the first one's commit.
            let used =
                transaction.execute("DELETE FROM secret WHERE name = $1", &[Value::Text(secret_name)])?;
            let sql = "SELECT count(*) FROM person";
            let people = transaction.query_one(sql, &[], "the table of people", |row| row.int(0))?;
            if people > 0 || used == 0 {
                return Ok(false);
            }
            insert_person(&mut transaction, person)?;
            transaction.commit()?;
            Ok(true)
        })
    }
}
