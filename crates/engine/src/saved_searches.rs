//! Searches that people keep under a name, for themselves or for everyone who reads the log.
//!
//! A saved search is a text: whoever opens it finds what they may see themselves. One that is kept for oneself is nobody's business
//! and no event; what others come to see, and what becomes of it, is.

use annals_query::QueryErrors;
use annals_store::{PersonId, SavedSearch, SavedSearchId, StoreError};
use serde_json::{Value, json};

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::random;

/// Saved searches of one person: more than anyone finds their way in.
pub const SAVED_SEARCHES_MAX: usize = 200;
/// Characters of the name of a saved search: what a menu shows on one line.
pub const SAVED_SEARCH_NAME_MAX: usize = 64;
/// Saved searches of one list: one's own, and as many again of others as five people can share.
pub const LISTED_SEARCHES_MAX: usize = 6 * SAVED_SEARCHES_MAX;

/// A search to keep.
#[derive(Debug, Clone, Copy)]
pub struct NewSavedSearch<'s> {
    /// What to call it.
    pub name: &'s str,
    /// Text of the query.
    pub query: &'s str,
    /// Whether others see it too.
    pub is_shared: bool,
}

/// What to change of a saved search; what is none stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct SavedSearchChange<'s> {
    /// What to call it.
    pub name: Option<&'s str>,
    /// Text of the query.
    pub query: Option<&'s str>,
    /// Whether others see it too.
    pub is_shared: Option<bool>,
}

/// Why a search was not kept, changed or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedSearchError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// Nobody could be its owner.
    #[error("only a person who is logged in can save a search; a token cannot")]
    NotOneself,
    /// The name cannot be taken.
    #[error("a saved search needs a name of 1 to {SAVED_SEARCH_NAME_MAX} characters on one line")]
    BadName,
    /// The owner has one of that name.
    #[error("a saved search named `{name}` exists already; choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The query has errors.
    #[error("the query has errors, and only a query without them can be saved")]
    Query(QueryErrors),
    /// The owner has as many as they may.
    #[error("you have {max} saved searches already; delete those that are not used")]
    TooMany {
        /// How many they may have.
        max: usize,
    },
    /// There is none of that id, or it is somebody else's own.
    #[error("there is no such saved search")]
    Unknown,
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for SavedSearchError {
    fn from(error: StoreError) -> SavedSearchError {
        match error {
            StoreError::NameTaken { name, .. } => SavedSearchError::NameTaken { name },
            other => SavedSearchError::Engine(other.into()),
        }
    }
}

/// A search that others see, as events show it.
fn snapshot(search: &SavedSearch) -> Value {
    json!({
        "name": search.name, "query": search.query, "is_shared": search.is_shared, "owner_id": search.owner.0,
    })
}

fn event_on(action: &str, search: &SavedSearch) -> OwnEvent {
    OwnEvent::new(action, "saved_search", &search.name).resource_id(&search.id.0)
}

/// The event of a change, if others saw the search before or see it after.
fn change_event(before: &SavedSearch, after: &SavedSearch) -> Option<OwnEvent> {
    let event = match (before.is_shared, after.is_shared) {
        (false, false) => return None,
        // What stood in it before was its owner's own.
        (false, true) => event_on("write", after).before(json!({"is_shared": false})).after(snapshot(after)),
        // And so is what stands in it from now on.
        (true, false) => {
            let after = SavedSearch { is_shared: false, ..before.clone() };
            event_on("write", before).before(snapshot(before)).after(snapshot(&after))
        }
        (true, true) => event_on("write", after).before(snapshot(before)).after(snapshot(after)),
    };
    Some(event)
}

/// The event of a shared search that is deleted, by itself or with its owner.
pub(crate) fn deletion_event(search: &SavedSearch) -> OwnEvent {
    event_on("delete", search).before(snapshot(search))
}

fn checked_name(name: &str) -> Result<&str, SavedSearchError> {
    let name = name.trim();
    let count = name.chars().count();
    if count == 0 || count > SAVED_SEARCH_NAME_MAX || name.chars().any(char::is_control) {
        return Err(SavedSearchError::BadName);
    }
    Ok(name)
}

fn is_own(principal: &Principal, owner: &PersonId) -> bool {
    principal.oneself().is_some_and(|oneself| oneself.id == *owner)
}

/// Whether the caller knows that it exists.
fn is_in_sight(principal: &Principal, search: &SavedSearch) -> bool {
    search.is_shared || is_own(principal, &search.owner)
}

/// Whether the caller may change or delete it.
fn may_change(principal: &Principal, search: &SavedSearch) -> bool {
    is_own(principal, &search.owner) || (search.is_shared && principal.may_manage().is_ok())
}

impl Engine {
    /// Lists the caller's own saved searches, then those that others share, each by name; [`LISTED_SEARCHES_MAX`] at most.
    ///
    /// # Errors
    /// [`SavedSearchError`] if the caller may not read the log.
    pub fn saved_searches(&self, principal: &Principal) -> Result<Vec<SavedSearch>, SavedSearchError> {
        principal.may_read()?;
        let oneself = principal.oneself().map(|oneself| &oneself.id);
        Ok(self.store.saved_searches(oneself, LISTED_SEARCHES_MAX)?)
    }

    /// Whether the caller may change and delete a saved search: its owner may, and a site manager if it is shared.
    pub fn may_change_search(&self, principal: &Principal, search: &SavedSearch) -> bool {
        principal.may_read().is_ok() && may_change(principal, search)
    }

    /// Keeps a search for the caller, who may read the log. One that is shared is recorded.
    ///
    /// # Errors
    /// [`SavedSearchError`] if the caller may not, or name or query cannot be taken.
    pub fn save_search(
        &self,
        principal: &Principal,
        search: &NewSavedSearch<'_>,
    ) -> Result<SavedSearch, SavedSearchError> {
        principal.may_read()?;
        let oneself = principal.oneself().ok_or(SavedSearchError::NotOneself)?;
        let now = self.now();
        let search = SavedSearch {
            id: SavedSearchId(random::event_id(now).to_string()),
            owner: oneself.id.clone(),
            owner_username: oneself.username.clone(),
            name: checked_name(search.name)?.to_owned(),
            query: self.checked_query_text(principal, search.query)?,
            is_shared: search.is_shared,
            created: now,
            updated: now,
        };
        if !self.store.add_saved_search(&search, SAVED_SEARCHES_MAX)? {
            return Err(SavedSearchError::TooMany { max: SAVED_SEARCHES_MAX });
        }
        if search.is_shared {
            self.record_own(principal, event_on("create", &search).after(snapshot(&search)));
        }
        Ok(search)
    }

    /// Changes a saved search, and records that if others saw it before or see it now.
    ///
    /// # Errors
    /// [`SavedSearchError::Unknown`] if there is none, also if somebody keeps it for themselves: that it exists is not said;
    /// [`SavedSearchError`] if the caller may not, or name or query cannot be taken.
    pub fn change_saved_search(
        &self,
        principal: &Principal,
        id: &SavedSearchId,
        change: &SavedSearchChange<'_>,
    ) -> Result<SavedSearch, SavedSearchError> {
        self.allow_change(principal, id, "write")?;
        let name = change.name.map(checked_name).transpose()?;
        let query = change.query.map(|query| self.checked_query_text(principal, query)).transpose()?;
        let changed = self.store.change_saved_search(id, self.now(), |search| {
            // It may have changed since it was looked at.
            if !may_change(principal, search) {
                return false;
            }
            if let Some(name) = name {
                name.clone_into(&mut search.name);
            }
            if let Some(query) = query {
                search.query = query;
            }
            search.is_shared = change.is_shared.unwrap_or(search.is_shared);
            true
        })?;
        let (before, after) = changed.ok_or(SavedSearchError::Unknown)?;
        let is_same =
            (&before.name, &before.query, before.is_shared) == (&after.name, &after.query, after.is_shared);
        if let Some(event) = change_event(&before, &after).filter(|_| !is_same) {
            self.record_own(principal, event);
        }
        Ok(after)
    }

    /// Deletes a saved search, and records that if others saw it.
    ///
    /// # Errors
    /// As [`Engine::change_saved_search`].
    pub fn delete_saved_search(
        &self,
        principal: &Principal,
        id: &SavedSearchId,
    ) -> Result<(), SavedSearchError> {
        self.allow_change(principal, id, "delete")?;
        let deleted = self.store.delete_saved_search(id, |search| may_change(principal, search))?;
        let deleted = deleted.ok_or(SavedSearchError::Unknown)?;
        if deleted.is_shared {
            self.record_own(principal, deletion_event(&deleted));
        }
        Ok(())
    }

    /// Lets whoever may change a search go on; anybody else's attempt at one that they see is recorded.
    fn allow_change(
        &self,
        principal: &Principal,
        id: &SavedSearchId,
        action: &str,
    ) -> Result<(), SavedSearchError> {
        principal.may_read()?;
        let search = self.store.saved_search(id)?.filter(|search| is_in_sight(principal, search));
        let search = search.ok_or(SavedSearchError::Unknown)?;
        if !may_change(principal, &search) {
            self.manage(principal, || event_on(action, &search))?;
        }
        Ok(())
    }

    /// The text of a query that has no errors, on one line.
    fn checked_query_text(&self, principal: &Principal, text: &str) -> Result<String, SavedSearchError> {
        let text = text.replace(char::is_control, " ").trim().to_owned();
        self.registry.refresh(&self.store)?;
        self.check_query(principal, &text).map_err(SavedSearchError::Query)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_of_some_characters() {
        let longest = "ß".repeat(SAVED_SEARCH_NAME_MAX);
        for good in ["a", " Log-ins of the week ", "<b>", &longest] {
            assert_eq!(checked_name(good).unwrap(), good.trim(), "{good}");
        }
        for bad in ["", "  ", "two\nlines", "a\0b", &format!("{longest}x")] {
            assert!(matches!(checked_name(bad), Err(SavedSearchError::BadName)), "{bad}");
        }
    }
}
