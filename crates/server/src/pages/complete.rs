//! `GET /audit/complete`: what the word at the caret of the query may go on with, with exact counts.

use annals_engine::{Key, SearchError};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page_error::PageError;
use super::query_text::{self, Unfinished};
use super::{format, html};
use crate::App;
use crate::auth::{PageCaller, counting};

/// Suggestions at once.
const SUGGESTIONS_MAX: usize = 10;
/// Values looked through for those that go on with what was typed.
const VALUES_MAX: usize = 1_000;

/// The query and the place of the caret, counted in UTF-16 units as a browser does.
#[derive(Deserialize)]
pub(crate) struct Caret {
    #[serde(default)]
    q: String,
    #[serde(default)]
    at: usize,
}

#[derive(Template)]
#[template(path = "complete.html")]
struct Suggestions {
    /// What is suggested: keys, or values of a key.
    heading: &'static str,
    suggestions: Vec<Suggestion>,
    from: usize,
    to: usize,
}

struct Suggestion {
    text: String,
    help: String,
    insert: String,
    count: String,
}

/// Suggests keys, or values of the key that stands there.
pub(crate) async fn show_suggestions(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(caret): Query<Caret>,
) -> Result<Response, PageError> {
    principal.may_read()?;
    let at = byte_of(&caret.q, caret.at);
    let Some(unfinished) = query_text::unfinished(&caret.q, at) else {
        return html(StatusCode::OK, &none());
    };
    let (from, to) = (units(&caret.q[..unfinished.span.start]), units(&caret.q[..unfinished.span.end]));
    let (heading, suggestions) = match unfinished.key.clone() {
        None => ("Keys", keys(&unfinished)),
        Some(key) => ("Values", values(&app, principal, &caret.q, &unfinished, key).await?),
    };
    html(StatusCode::OK, &Suggestions { heading, suggestions, from, to })
}

fn none() -> Suggestions {
    Suggestions { heading: "", suggestions: Vec::new(), from: 0, to: 0 }
}

fn keys(unfinished: &Unfinished) -> Vec<Suggestion> {
    let typed = unfinished.typed.to_lowercase();
    Key::ALL
        .into_iter()
        .filter(|key| *key != Key::Text && *key != Key::Time)
        .map(|key| (key.name(), key.help()))
        .chain([
            ("since", "from this time on, such as 7d"),
            ("until", "before this time"),
            ("date_from", "from this day on"),
            ("date_to", "up to this day"),
        ])
        .filter(|(name, _)| name.starts_with(&typed))
        .take(SUGGESTIONS_MAX)
        .map(|(name, help)| Suggestion {
            text: name.to_owned(),
            help: help.to_owned(),
            insert: format!("{}{name}:", unfinished.sign),
            count: String::new(),
        })
        .collect()
}

/// The values that occur under the rest of the query, the most frequent first.
async fn values(
    app: &App,
    principal: annals_engine::Principal,
    query: &str,
    unfinished: &Unfinished,
    key: String,
) -> Result<Vec<Suggestion>, PageError> {
    let Some(known) = Key::from_name(&key.to_ascii_lowercase()) else { return Ok(Vec::new()) };
    let rest = format!("{} {}", &query[..unfinished.span.start], &query[unfinished.span.end..]);
    let found = counting(app, move |engine| {
        let counted = |query: &str| engine.overview(&principal, query, &[known], VALUES_MAX);
        match counted(rest.trim()) {
            // The rest is not finished either: count in everything.
            Err(SearchError::Query(_)) => counted(""),
            // A key whose values are not counted has no suggestions.
            Err(SearchError::NotCounted(_)) => Ok(annals_engine::Overview::default()),
            found => found,
        }
    })
    .await??;
    let typed = unfinished.typed.trim_matches('"').to_lowercase();
    let all = found.facets.into_iter().flat_map(|(_, facets)| facets.top);
    let mut matching: Vec<(String, u64)> =
        all.filter(|(value, _)| value.to_lowercase().contains(&typed)).collect();
    // Those that begin so come first; the order by count stays within each.
    matching.sort_by_key(|(value, _)| !value.to_lowercase().starts_with(&typed));
    Ok(matching
        .into_iter()
        .take(SUGGESTIONS_MAX)
        .map(|(value, count)| Suggestion {
            insert: format!("{}{} ", unfinished.sign, query_text::term(&key, &value)),
            text: value,
            help: String::new(),
            count: format::grouped(count),
        })
        .collect())
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The byte at which so many UTF-16 units end.
fn byte_of(text: &str, at: usize) -> usize {
    let mut seen = 0;
    for (byte, letter) in text.char_indices() {
        if seen >= at {
            return byte;
        }
        seen += letter.len_utf16();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_browser_are_found() {
        let text = "a😀b";
        assert_eq!([0, 1, 3, 4, 9].map(|at| byte_of(text, at)), [0, 1, 5, 6, 6]);
        assert_eq!(units(&text[..5]), 3);
    }
}
