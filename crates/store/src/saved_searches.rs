//! Searches that people keep under a name, for themselves or for everyone who reads the log.

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::people::PersonId;
use crate::store::Store;
use crate::value::{Row, Value};

/// Identity of a saved search: the text of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SavedSearchId(pub String);

/// A search under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSearch {
    /// Identity.
    pub id: SavedSearchId,
    /// Whose it is.
    pub owner: PersonId,
    /// Log-in name of the owner, looked up on reading.
    pub owner_username: String,
    /// What people call it; unique among those of the owner without regard to case.
    pub name: String,
    /// Text of the query.
    pub query: String,
    /// Others see it too.
    pub is_shared: bool,
    /// When it was saved.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

/// The name of the owner is looked up and not joined, so that a lock on the row takes no lock on the person.
const COLUMNS: &str = "id, owner_id, (SELECT username FROM person WHERE person.id = saved_search.owner_id), name, \
    query, is_shared, created_us, updated_us";

fn saved_search(row: Row<'_>) -> Result<SavedSearch, StoreError> {
    Ok(SavedSearch {
        id: SavedSearchId(row.text(0)?),
        owner: PersonId(row.text(1)?),
        owner_username: row.text(2)?,
        name: row.text(3)?,
        query: row.text(4)?,
        is_shared: row.int(5)? != 0,
        created: Time::from_micros_saturating(row.int(6)?),
        updated: Time::from_micros_saturating(row.int(7)?),
    })
}

fn read_locked(connection: &mut Connection, id: &SavedSearchId) -> Result<Option<SavedSearch>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM saved_search WHERE id = $1{}", connection.for_update());
    connection.query_optional(&sql, &[Value::Text(&id.0)], saved_search)
}

/// The searches of a person that others see.
pub(crate) fn shared_of(connection: &mut Connection, id: &PersonId) -> Result<Vec<SavedSearch>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM saved_search WHERE owner_id = $1 AND is_shared = 1 ORDER BY name_folded"
    );
    connection.query_all(&sql, &[Value::Text(&id.0)], saved_search)
}

fn taken(search: &SavedSearch) -> StoreError {
    StoreError::NameTaken { what: "a saved search", name: search.name.clone() }
}

impl Store {
    /// Keeps a search, unless its owner has `max` already: then it says `false`.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if the owner has one of that name.
    pub fn add_saved_search(&self, search: &SavedSearch, max: usize) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let owner = Value::Text(&search.owner.0);
            // The lock on the person makes two that are saved at once count each other.
            let sql = format!("SELECT id FROM person WHERE id = $1{}", transaction.for_update());
            transaction.query_optional(&sql, &[owner], |row| row.text(0))?;
            let sql = "SELECT count(*) FROM saved_search WHERE owner_id = $1";
            let count = transaction
                .query_one(sql, &[owner], "a count", |row| row.unsigned(0, "the count of saved searches"))?;
            if count >= max as u64 {
                return Ok(false);
            }
            let added = transaction.execute(
                "INSERT INTO saved_search (id, owner_id, name, name_folded, query, is_shared, created_us, updated_us)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    Value::Text(&search.id.0),
                    owner,
                    Value::Text(&search.name),
                    Value::Text(&search.name.to_lowercase()),
                    Value::Text(&search.query),
                    Value::Int(search.is_shared.into()),
                    Value::Int(search.created.as_micros()),
                    Value::Int(search.updated.as_micros()),
                ],
            )?;
            if added == 0 {
                return Err(taken(search));
            }
            transaction.commit()?;
            Ok(true)
        })
    }

    /// Finds a saved search by identity, whoever may see it.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn saved_search(&self, id: &SavedSearchId) -> Result<Option<SavedSearch>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM saved_search WHERE id = $1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Text(&id.0)], saved_search))
    }

    /// Lists the searches of a person, then those that others share, each by name; `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn saved_searches(
        &self,
        person: Option<&PersonId>,
        limit: usize,
    ) -> Result<Vec<SavedSearch>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM saved_search WHERE owner_id = $1 OR is_shared = 1
             ORDER BY CASE WHEN owner_id = $1 THEN 0 ELSE 1 END, name_folded, owner_id LIMIT $2"
        );
        // Nobody has the empty identity.
        let person = person.map_or("", |person| person.0.as_str());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| {
            connection.query_all(&sql, &[Value::Text(person), Value::Int(limit)], saved_search)
        })
    }

    /// Changes a saved search as `change` does to what is stored now, and returns it before and after; none if there is no such
    /// search, or `change` says `false`.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if its owner has another one of that name.
    pub fn change_saved_search(
        &self,
        id: &SavedSearchId,
        now: Time,
        change: impl FnOnce(&mut SavedSearch) -> bool,
    ) -> Result<Option<(SavedSearch, SavedSearch)>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let Some(before) = read_locked(&mut transaction, id)? else { return Ok(None) };
            let mut after = before.clone();
            if !change(&mut after) {
                return Ok(None);
            }
            after.updated = now;
            let changed = transaction.execute(
                "UPDATE saved_search SET name = $1, name_folded = $2, query = $3, is_shared = $4, updated_us = $5
                 WHERE id = $6",
                &[
                    Value::Text(&after.name),
                    Value::Text(&after.name.to_lowercase()),
                    Value::Text(&after.query),
                    Value::Int(after.is_shared.into()),
                    Value::Int(now.as_micros()),
                    Value::Text(&id.0),
                ],
            );
            match changed {
                Err(error) if error.is_repetition() => return Err(taken(&after)),
                other => other.map(drop)?,
            }
            transaction.commit()?;
            Ok(Some((before, after)))
        })
    }

    /// Deletes a saved search if `may` agrees to what is stored now, and returns it; none if there is no such search, or `may`
    /// does not agree.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_saved_search(
        &self,
        id: &SavedSearchId,
        may: impl FnOnce(&SavedSearch) -> bool,
    ) -> Result<Option<SavedSearch>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let Some(search) = read_locked(&mut transaction, id)?.filter(may) else { return Ok(None) };
            transaction.execute("DELETE FROM saved_search WHERE id = $1", &[Value::Text(&id.0)])?;
            transaction.commit()?;
            Ok(Some(search))
        })
    }
}
