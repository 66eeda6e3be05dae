//! `/searches`: the searches that somebody keeps, and those that others share with them.

use annals_engine::{
    LISTED_SEARCHES_MAX, NewSavedSearch, Principal, SAVED_SEARCH_NAME_MAX, SavedSearch, SavedSearchChange,
    SavedSearchError, SavedSearchId,
};
use annals_query::QueryErrors;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::form::SmallForm;
use super::manage::{Done, done, sentence};
use super::page_error::PageError;
use super::shell::{Section, Shell};
use super::{encoded, html, search_href};
use crate::App;
use crate::auth::{PageCaller, blocking};

/// Searches that the menu beside the search bar lists; the page has all.
const MENU_SEARCHES_MAX: usize = 50;

#[derive(Template)]
#[template(path = "searches.html")]
struct SearchesPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    /// What is wrong with the query of the form, one sentence each.
    query_faults: Vec<String>,
    form: SearchForm,
    /// Where the query of the form can be put right.
    form_href: String,
    name_max: usize,
    own: Vec<SearchRow>,
    shared: Vec<SearchRow>,
    /// How many are listed, if there may be more.
    cut_at: Option<usize>,
}

/// The fields of a search to keep.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct SearchForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    shared: String,
}

/// The fields of a change; a form sends those that it changes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ChangeForm {
    name: Option<String>,
    filter: Option<String>,
    shared: Option<String>,
}

/// A saved search as a row.
struct SearchRow {
    id: String,
    name: String,
    query: String,
    href: String,
    owner: String,
    is_shared: bool,
    may_change: bool,
}

/// The saved searches for the menu beside the search bar: name, address, and whether others see it; one's own first.
pub(crate) async fn menu(app: &App, principal: &Principal) -> Result<Vec<(String, String, bool)>, PageError> {
    let caller = principal.clone();
    let searches = blocking(app, move |engine| engine.saved_searches(&caller)).await??;
    let entry = |search: SavedSearch| (search.name, search_href(&search.query, 1), search.is_shared);
    Ok(searches.into_iter().take(MENU_SEARCHES_MAX).map(entry).collect())
}

/// Shows one's own saved searches, and those that others share.
pub(crate) async fn show_searches(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    list(&app, principal, StatusCode::OK, |page| page.done = sentence_of(&done)).await
}

/// What was done; one's own searches are not recorded, so that the words of other pages would not be true.
fn sentence_of(done: &Done) -> &'static str {
    match done.name() {
        "saved" => "Saved. What others see of it is recorded in the log.",
        "deleted" => "Deleted. If others saw it, that is recorded in the log.",
        _ => "",
    }
}

async fn list(
    app: &App,
    principal: Principal,
    status: StatusCode,
    fill: impl FnOnce(&mut SearchesPage),
) -> Result<Response, PageError> {
    principal.may_read()?;
    let shell = Shell::new(app, &principal, Section::Searches).await?;
    let (own, shared) = blocking(app, move |engine| {
        let searches = engine.saved_searches(&principal)?;
        let own_id = principal.oneself().map(|oneself| &oneself.id);
        let (own, shared): (Vec<_>, Vec<_>) =
            searches.into_iter().partition(|search| Some(&search.owner) == own_id);
        let rows = |searches: Vec<SavedSearch>| -> Vec<SearchRow> {
            searches
                .into_iter()
                .map(|search| SearchRow {
                    may_change: engine.may_change_search(&principal, &search),
                    href: search_href(&search.query, 1),
                    id: search.id.0,
                    name: search.name,
                    query: search.query,
                    owner: search.owner_username,
                    is_shared: search.is_shared,
                })
                .collect()
        };
        Ok::<_, SavedSearchError>((rows(own), rows(shared)))
    })
    .await??;
    let is_cut = own.len() + shared.len() >= LISTED_SEARCHES_MAX;
    let mut page = SearchesPage {
        shell,
        done: "",
        fault: String::new(),
        query_faults: Vec::new(),
        form: SearchForm::default(),
        form_href: String::new(),
        name_max: SAVED_SEARCH_NAME_MAX,
        own,
        shared,
        cut_at: is_cut.then_some(LISTED_SEARCHES_MAX),
    };
    fill(&mut page);
    html(status, &page)
}

/// Keeps a search, and goes back to it.
pub(crate) async fn save_search(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<SearchForm>,
) -> Result<Response, PageError> {
    let (caller, sent) = (principal.clone(), form.clone());
    let result = blocking(&app, move |engine| {
        let search =
            NewSavedSearch { name: &sent.name, query: &sent.filter, is_shared: is_shared(&sent.shared) };
        engine.save_search(&caller, &search)
    })
    .await?;
    match result {
        Ok(search) => Ok(back_to_search(&search.query)),
        Err(error) => refused(&app, principal, error, form).await,
    }
}

/// Changes what a form names of a search: its name, its query, who sees it.
pub(crate) async fn change_search(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<ChangeForm>,
) -> Result<Response, PageError> {
    let (caller, sent) = (principal.clone(), form.clone());
    let result = blocking(&app, move |engine| {
        let change = SavedSearchChange {
            name: sent.name.as_deref(),
            query: sent.filter.as_deref(),
            is_shared: sent.shared.as_deref().map(is_shared),
        };
        engine.change_saved_search(&caller, &SavedSearchId(id), &change)
    })
    .await?;
    match result {
        Ok(_) => Ok(done("/searches", "saved")),
        Err(error) => refused(&app, principal, error, SearchForm::default()).await,
    }
}

/// Deletes a search.
pub(crate) async fn delete_search(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let caller = principal.clone();
    let deleted =
        blocking(&app, move |engine| engine.delete_saved_search(&caller, &SavedSearchId(id))).await?;
    match deleted {
        Ok(()) => Ok(done("/searches", "deleted")),
        Err(error) => refused(&app, principal, error, SearchForm::default()).await,
    }
}

fn is_shared(field: &str) -> bool {
    field == "true"
}

/// The log with the search that was kept, which says so.
fn back_to_search(query: &str) -> Response {
    let filter = if query.is_empty() { String::new() } else { format!("filter={}&", encoded(query)) };
    Redirect::to(&format!("/audit?{filter}done=saved")).into_response()
}

/// The page with what the person can put right beside the form.
async fn refused(
    app: &App,
    principal: Principal,
    error: SavedSearchError,
    form: SearchForm,
) -> Result<Response, PageError> {
    let fault = sentence(&error.to_string());
    let query_faults = match error {
        SavedSearchError::Query(errors) => query_faults(&errors),
        SavedSearchError::BadName
        | SavedSearchError::NameTaken { .. }
        | SavedSearchError::NotOneself
        | SavedSearchError::TooMany { .. } => Vec::new(),
        error => return Err(error.into()),
    };
    list(app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| {
        page.form_href = search_href(&form.filter, 1);
        (page.fault, page.query_faults, page.form) = (fault, query_faults, form);
    })
    .await
}

/// What is wrong with a query, one sentence each.
pub(super) fn query_faults(errors: &QueryErrors) -> Vec<String> {
    let line = |error: &annals_query::QueryError| {
        let hint =
            error.hint.as_deref().map(|hint| format!(" {}", sentence(&quoted(hint)).replace("?.", "?")));
        format!("{}{}", sentence(&quoted(&error.detail)), hint.unwrap_or_default())
    };
    errors.errors.iter().map(line).collect()
}

/// A message with marks of quotation in the place of marks of code, so that a key keeps its small letters.
fn quoted(message: &str) -> String {
    let parts = message.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("“{part}”") } else { part.to_owned() }).collect()
}

impl From<SavedSearchError> for PageError {
    fn from(error: SavedSearchError) -> PageError {
        match error {
            SavedSearchError::Forbidden(error) => error.into(),
            SavedSearchError::Engine(error) => error.into(),
            // What a form can get wrong is answered beside the form.
            _ => PageError::UnknownThing,
        }
    }
}
