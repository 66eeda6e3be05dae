//! `GET /audit`: search and list.

use std::time::Instant;

use annals_engine::{Key, SearchError, SearchRequest};
use annals_model::registry::Registry;
use annals_query::QUERY_BYTES_MAX;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::civil::Date;

use super::overview::{self, FACET_KEYS, FACET_VALUES, Facet, Histogram};
use super::page_error::PageError;
use super::query_text::{self, Token};
use super::row::{Piece, Row};
use super::shell::{Section, Shell};
use super::zone::Zone;
use super::{encoded, format, html, search_href};
use crate::App;
use crate::auth::{PageCaller, blocking, counting};

/// Rows of a page, as Coder's own page has them.
const PAGE_ROWS: usize = 25;

/// Ready-made searches. The first five are Coder's.
const PRESETS: [(&str, &str); 11] = [
    ("Created workspaces", "resource_type:workspace action:create"),
    ("Added templates", "resource_type:template action:create"),
    ("Deleted users", "resource_type:user action:delete"),
    ("Builds started by a user", "resource_type:workspace_build action:start build_reason:initiator"),
    ("User logins", "resource_type:api_key action:login"),
    ("Failed and denied", "outcome:denied,failure"),
    ("Failed logins", "action:login outcome:denied,failure"),
    ("Permission changes", "changed:rbac_roles,roles,user_acl,group_acl,members"),
    ("Deletions", "action:delete"),
    ("Admin changes", "resource_type:admin_setting,setting"),
    ("My activity", "username:me"),
];
/// Spans of time that end now: the words of the menu, and the value of `since`.
const SPANS: [(&str, &str); 6] = [
    ("Last hour", "1h"),
    ("Last 24 hours", "24h"),
    ("Last 7 days", "7d"),
    ("Last 30 days", "30d"),
    ("Last 90 days", "90d"),
    ("Last year", "365d"),
];

/// Headings of the menu of resource types.
const CHAPTERS: [(&str, &str); 4] = [
    ("coder", "Coder"),
    ("coder-classic", "Coder before version 2"),
    ("coder-admin", "Coder’s admin panels"),
    ("annals", "Annals itself"),
];

/// The page of a search.
#[derive(Template)]
#[template(path = "audit.html")]
struct SearchPage {
    shell: Shell,
    query: String,
    painted: Vec<Token>,
    errors: Vec<Fault>,
    /// Address of the query with every fault put right, if that is known for all of several.
    fix_all: Option<String>,
    presets: Vec<Choice>,
    menus: Vec<Menu>,
    dates: Dates,
    export_href: String,
    /// Evidence is for those who see the whole site.
    evidence_href: Option<String>,
    /// What was done before this page was shown, or empty.
    done: &'static str,
    /// Saved searches: name, address, whether it is shared.
    saved: Vec<(String, String, bool)>,
    result: Option<Found>,
}

/// The menu of dates.
struct Dates {
    /// What the query says of time, or nothing.
    chosen: String,
    spans: Vec<Choice>,
    clear: Option<String>,
    from: String,
    to: String,
}

/// What a search found.
struct Found {
    count: u64,
    count_text: String,
    /// The last seq that was looked at, or nothing.
    last_seq: String,
    duration_text: String,
    notes: Vec<String>,
    days: Vec<Day>,
    first_text: String,
    last_text: String,
    first_href: Option<String>,
    previous_href: Option<String>,
    next_href: Option<String>,
    is_beyond_end: bool,
    zone: String,
    histogram: Option<Histogram>,
    facets: Vec<Facet>,
    /// Nobody has sent an event yet: where to send the first one to.
    first_run: Option<String>,
    leaves_out_reads: bool,
}

/// The rows of one day in UTC.
struct Day {
    name: String,
    near: &'static str,
    date: String,
    rows: Vec<Row>,
}

/// Something that is wrong with the query.
struct Fault {
    detail: Vec<Fragment>,
    hint: Vec<Fragment>,
    /// Text that puts it right, and the address of the query with it.
    fix: Option<(String, String)>,
}

/// A stretch of a message; code stands in backticks there.
#[derive(Debug, PartialEq, Eq)]
struct Fragment {
    text: String,
    is_code: bool,
}

/// A link that changes the query.
struct Choice {
    name: String,
    href: String,
    is_chosen: bool,
}

/// A menu of values of one key.
struct Menu {
    name: &'static str,
    /// The value that the query asks for, or empty.
    chosen: String,
    clear: Option<String>,
    groups: Vec<(String, Vec<Choice>)>,
}

/// Shows a page of events.
pub(crate) async fn show_audit(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    zone: Zone,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    principal.may_read()?;
    let shell = Shell::new(&app, &principal, Section::Audit).await?;
    let query = query_of(&pairs);
    if let Some(address) = with_dates(&pairs, &query) {
        return Ok(Redirect::to(&address).into_response());
    }
    let page = page_of(&pairs);
    let registry = blocking(&app, |engine| engine.registry()).await??;
    let saved = super::searches::menu(&app, &principal).await?;
    let server = server_address(&app, &headers);

    let sees_all = principal.may_see_all("").is_ok();
    let searched = query.clone();
    let result = counting(&app, move |engine| -> Result<Found, SearchError> {
        let started = Instant::now();
        let offset = (page - 1).saturating_mul(PAGE_ROWS as u64);
        let request = SearchRequest { query: &searched, limit: PAGE_ROWS, offset, after: None };
        let results = engine.search(&principal, &request, |found| Ok(Row::new(&found, &zone)))?;
        let duration_ms = started.elapsed().as_secs_f64() * 1_000.0;
        // What Annals records of itself is there from the first sign-in on.
        let may_be_first_run = searched.is_empty() && results.count <= PAGE_ROWS as u64;
        let is_first_run = may_be_first_run && !engine.has_events_of_producers(&principal)?;
        let today = zone.at(engine.now()).date();
        let mut found = Found::new(&searched, page, results.count, results.events, today);
        found.last_seq = results.last_seq.map(|seq| seq.to_string()).unwrap_or_default();
        found.notes = results.notes;
        found.zone.clone_from(&zone.name);
        found.leaves_out_reads = !results.shows_reads;
        found.duration_text =
            if duration_ms < 1.0 { "under 1 ms".to_owned() } else { format!("{duration_ms:.0} ms") };
        found.first_run = is_first_run.then_some(server);
        let overview = engine.overview(&principal, &searched, &FACET_KEYS, FACET_VALUES)?;
        found.histogram = overview::histogram(&overview, &searched);
        found.facets = overview::facets(&overview, &searched);
        Ok(found)
    })
    .await?;

    let (status, errors, result) = match result {
        Ok(found) => (StatusCode::OK, Vec::new(), Some(found)),
        Err(SearchError::Query(errors)) => (StatusCode::BAD_REQUEST, errors.errors, None),
        Err(error) => return Err(error.into()),
    };
    let spans: Vec<_> = errors.iter().map(|error| error.span.clone()).collect();
    let page = SearchPage {
        shell,
        painted: query_text::paint(&query, &spans),
        fix_all: fix_all(&query, &errors),
        errors: errors.iter().map(|error| Fault::new(&query, error)).collect(),
        presets: PRESETS
            .iter()
            .map(|(name, preset)| Choice {
                name: (*name).to_owned(),
                href: search_href(preset, 1),
                is_chosen: *preset == query,
            })
            .collect(),
        menus: if query.len() > QUERY_BYTES_MAX {
            // Each link of a menu repeats the query, and nothing can be added to one that is too long already.
            Vec::new()
        } else {
            let values = |key: Key| facet_menu(key, &query, result.as_ref());
            vec![
                resource_menu(&registry, &query),
                action_menu(&registry, &query),
                values(Key::Username),
                values(Key::Organization),
                menu(
                    "Outcome",
                    "outcome",
                    &query,
                    vec![(String::new(), vec!["success", "denied", "failure"])],
                ),
            ]
        },
        dates: dates(&query),
        saved,
        done: if pairs.iter().any(|(key, value)| key == "done" && value == "saved") {
            "The search is saved."
        } else {
            ""
        },
        export_href: format!("/api/v2/audit/export?q={}", encoded(&query)),
        evidence_href: sees_all.then(|| format!("/api/v2/audit/evidence?q={}", encoded(&query))),
        query,
        result,
    };
    html(status, &page)
}

/// The address of the query with the days of the form in it; the form works without a script.
fn with_dates(pairs: &[(String, String)], query: &str) -> Option<String> {
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let (from, to) = (value("from"), value("to"));
    if from.is_none() && to.is_none() {
        return None;
    }
    let mut query = ["since", "until", "date_from", "date_to"]
        .iter()
        .fold(query.to_owned(), |query, key| query_text::with(&query, key, None));
    for (value, day, moment) in [(from, "date_from", "since"), (to, "date_to", "until")] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            // A day of the form, or a moment of the chart.
            let key = if value.len() == 10 { day } else { moment };
            query = query_text::with(&query, key, Some(value));
        }
    }
    Some(search_href(&query, 1))
}

fn dates(query: &str) -> Dates {
    let chosen = |key: &str| query_text::chosen(query, key).unwrap_or_default().to_owned();
    let (from, to, since, until) = (chosen("date_from"), chosen("date_to"), chosen("since"), chosen("until"));
    let day = |text: &str| if text.len() >= 10 { text[..10].to_owned() } else { String::new() };
    let without = |query: &str| {
        ["until", "date_from", "date_to"]
            .iter()
            .fold(query.to_owned(), |query, key| query_text::with(&query, key, None))
    };
    let has_any = [&from, &to, &since, &until].iter().any(|text| !text.is_empty());
    let words = SPANS.iter().find(|(_, value)| *value == since).map(|(words, _)| (*words).to_owned());
    let days = || {
        [&from, &since, &to, &until]
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| text.as_str())
            .collect::<Vec<_>>()
            .join(" – ")
    };
    Dates {
        chosen: if has_any { words.unwrap_or_else(days) } else { String::new() },
        spans: SPANS
            .iter()
            .map(|(words, value)| Choice {
                name: (*words).to_owned(),
                href: search_href(&query_text::with(&without(query), "since", Some(value)), 1),
                is_chosen: since == *value,
            })
            .collect(),
        clear: has_any.then(|| search_href(&query_text::with(&without(query), "since", None), 1)),
        from: if from.is_empty() { day(&since) } else { from },
        to: if to.is_empty() { day(&until) } else { to },
    }
}

/// A menu of the values that occur most.
fn facet_menu(key: Key, query: &str, found: Option<&Found>) -> Menu {
    let facet = found.and_then(|found| found.facets.iter().find(|facet| facet.key == key.name()));
    let mut values: Vec<&str> =
        facet.into_iter().flat_map(|facet| &facet.values).map(|value| value.value.as_str()).collect();
    // What is chosen stays in its menu, also where nothing is found.
    let chosen = query_text::chosen(query, key.name()).unwrap_or_default();
    if !chosen.is_empty() && !values.iter().any(|value| value.eq_ignore_ascii_case(chosen)) {
        values.push(chosen);
    }
    menu(overview::title(key), key.name(), query, vec![(String::new(), values)])
}

/// The text of the query: `filter`, as Coder's page has it, or `q`, as the API has it. A pasted text becomes one line.
fn query_of(pairs: &[(String, String)]) -> String {
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let text = value("filter").or_else(|| value("q")).unwrap_or_default();
    text.replace(|character: char| character.is_control(), " ").trim().to_owned()
}

fn page_of(pairs: &[(String, String)]) -> u64 {
    let page = pairs.iter().find(|(key, _)| key == "page").and_then(|(_, value)| value.parse().ok());
    // No log is as long as that; the product with the rows of a page stays a number.
    page.unwrap_or(1).clamp(1, u64::from(u32::MAX))
}

/// Where this server is, as far as it can be told to a shell.
fn server_address(app: &App, headers: &HeaderMap) -> String {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_plain = |host: &&str| {
        (1..=255).contains(&host.len())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    let scheme = if app.config.is_https() { "https" } else { "http" };
    match named.filter(is_plain) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", app.config.listen),
    }
}

impl Found {
    fn new(query: &str, page: u64, count: u64, rows: Vec<Row>, today: Date) -> Found {
        let first = (page - 1).saturating_mul(PAGE_ROWS as u64) + 1;
        let last = first - 1 + rows.len() as u64;
        let is_beyond_end = rows.is_empty() && count > 0;
        let page_count = count.div_ceil(PAGE_ROWS as u64).max(1);
        let mut days: Vec<Day> = Vec::new();
        for row in rows {
            let date = row.day.to_string();
            match days.last_mut() {
                Some(day) if day.date == date => day.rows.push(row),
                _ => days.push(Day {
                    name: format::day_name(row.day),
                    near: format::near_day(row.day, today),
                    date,
                    rows: vec![row],
                }),
            }
        }
        Found {
            last_seq: String::new(),
            count,
            count_text: format::grouped(count),
            duration_text: String::new(),
            notes: Vec::new(),
            days,
            first_text: format::grouped(first),
            last_text: format::grouped(last),
            first_href: (page > 1).then(|| search_href(query, 1)),
            previous_href: (page > 1).then(|| search_href(query, (page - 1).min(page_count))),
            next_href: (page < page_count).then(|| search_href(query, page + 1)),
            is_beyond_end,
            zone: "UTC".to_owned(),
            histogram: None,
            facets: Vec::new(),
            first_run: None,
            leaves_out_reads: false,
        }
    }
}

impl Fault {
    fn new(query: &str, error: &annals_query::QueryError) -> Fault {
        let fix = error.replacement.as_ref().map(|replacement| {
            let mut fixed = query.to_owned();
            replace(&mut fixed, &error.span, replacement);
            (replacement.clone(), search_href(&fixed, 1))
        });
        let hint = error.hint.as_deref().unwrap_or_default();
        Fault { detail: fragments(&error.detail, true), hint: fragments(hint, true), fix }
    }
}

fn replace(query: &mut String, span: &std::ops::Range<usize>, replacement: &str) {
    if query.get(span.clone()).is_some() {
        query.replace_range(span.clone(), replacement);
    }
}

/// The address of the query with all of several faults put right.
fn fix_all(query: &str, errors: &[annals_query::QueryError]) -> Option<String> {
    if errors.len() < 2 {
        return None;
    }
    let mut fixes: Vec<_> = errors
        .iter()
        .map(|error| Some((error.span.clone(), error.replacement.as_ref()?)))
        .collect::<Option<_>>()?;
    fixes.sort_by_key(|(span, _)| span.start);
    if fixes.windows(2).any(|pair| pair[1].0.start < pair[0].0.end) {
        return None;
    }
    let mut fixed = query.to_owned();
    for (span, replacement) in fixes.into_iter().rev() {
        replace(&mut fixed, &span, replacement);
    }
    Some(search_href(&fixed, 1))
}

/// Splits a message at its backticks and makes a sentence of it: a capital where it begins with a word.
fn fragments(message: &str, is_sentence: bool) -> Vec<Fragment> {
    let mut fragments: Vec<Fragment> = message
        .split('`')
        .enumerate()
        .map(|(at, text)| Fragment { text: text.to_owned(), is_code: at % 2 == 1 })
        .filter(|fragment| !fragment.text.is_empty())
        .collect();
    if is_sentence {
        if let Some(first) = fragments.first_mut().filter(|first| !first.is_code) {
            let mut letters = first.text.chars();
            let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            first.text = format!("{capital}{}", letters.as_str());
        }
        match fragments.last_mut() {
            Some(last) if !last.is_code && !last.text.ends_with(['.', '?', '!']) => last.text.push('.'),
            Some(last) if last.is_code => fragments.push(Fragment { text: ".".to_owned(), is_code: false }),
            _ => {}
        }
    }
    fragments
}

fn resource_menu(registry: &Registry, query: &str) -> Menu {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for resource in registry.resources() {
        let own = resource.registry.as_str();
        let heading =
            CHAPTERS.iter().find(|(name, _)| *name == own).map_or("Registered here", |(_, heading)| heading);
        match groups.iter_mut().find(|(name, _)| name == heading) {
            Some((_, values)) => values.push(&resource.kind),
            None => groups.push((heading.to_owned(), vec![&resource.kind])),
        }
    }
    menu("Resource type", "resource_type", query, groups)
}

fn action_menu(registry: &Registry, query: &str) -> Menu {
    let actions = registry.actions().map(|action| action.name.as_str()).collect();
    menu("Action", "action", query, vec![(String::new(), actions)])
}

fn menu(name: &'static str, key: &str, query: &str, groups: Vec<(String, Vec<&str>)>) -> Menu {
    let chosen = query_text::chosen(query, key).unwrap_or_default().to_owned();
    let choice = |value: &str| Choice {
        name: value.to_owned(),
        href: search_href(&query_text::with(query, key, Some(value)), 1),
        is_chosen: value.eq_ignore_ascii_case(&chosen),
    };
    Menu {
        name,
        clear: (!chosen.is_empty()).then(|| search_href(&query_text::with(query, key, None), 1)),
        groups: groups
            .into_iter()
            .map(|(heading, values)| (heading, values.into_iter().map(choice).collect()))
            .collect(),
        chosen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn both_names_of_the_query_are_read() {
        assert_eq!(query_of(&pairs(&[("q", "a"), ("filter", "b")])), "b");
        assert_eq!(query_of(&pairs(&[("q", " a\nb\t")])), "a b");
        assert_eq!(query_of(&[]), "");
    }

    #[test]
    fn odd_page_numbers_are_page_one_or_far_away() {
        for (page, expect) in
            [("", 1), ("0", 1), ("-1", 1), ("x", 1), ("7", 7), ("18446744073709551615", 4_294_967_295)]
        {
            assert_eq!(page_of(&pairs(&[("page", page)])), expect, "{page}");
        }
    }

    #[test]
    fn the_pager_knows_its_ends() {
        let today = jiff::civil::date(2026, 11, 22);
        let found = Found::new("x y", 1, 0, Vec::new(), today);
        assert!(found.first_href.is_none() && found.next_href.is_none() && !found.is_beyond_end);
        let found = Found::new("x y", 4, 60, Vec::new(), today);
        assert!(found.is_beyond_end && found.next_href.is_none());
        assert_eq!(found.previous_href.as_deref(), Some("/audit?filter=x%20y&page=3"));
        let found = Found::new("", 1, 26, Vec::new(), today);
        assert_eq!(found.next_href.as_deref(), Some("/audit?page=2"));
    }

    #[test]
    fn messages_become_sentences_with_code() {
        let text = |fragments: Vec<Fragment>| {
            fragments
                .into_iter()
                .map(|f| if f.is_code { format!("<{}>", f.text) } else { f.text })
                .collect::<String>()
        };
        assert_eq!(text(fragments("`acton` is not a key", true)), "<acton> is not a key.");
        assert_eq!(text(fragments("did you mean `action`?", true)), "Did you mean <action>?");
        assert_eq!(text(fragments("known values are `a`", true)), "Known values are <a>.");
        assert_eq!(text(fragments("", true)), "");
    }

    #[test]
    fn all_faults_are_fixed_at_once_or_not_at_all() {
        let vocabulary = annals_query::Vocabulary {
            actions: vec!["create".to_owned()],
            resource_types: vec!["workspace".to_owned()],
            ..Default::default()
        };
        let context =
            annals_query::Context { now: jiff::Timestamp::UNIX_EPOCH, me: None, vocabulary: &vocabulary };
        let fixed = |query: &str| fix_all(query, &annals_query::parse(query, &context).unwrap_err().errors);
        assert_eq!(
            fixed("action:craete resource_typ:workspace").as_deref(),
            Some("/audit?filter=action:create%20resource_type:workspace"),
        );
        assert_eq!(fixed("action:craete"), None);
        assert_eq!(fixed("action:craete ip:nonsense"), None);
    }
}
