//! `GET /audit/history`: one resource over time, and what it looked like after any of its events.

use annals_engine::{
    Engine, FoundEvent, HISTORY_ROWS, History, HistoryRequest, Principal, REPLAYED_EVENTS_MAX, ResourceState,
    SearchError, StateField, StateValue,
};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::civil::Date;

use super::diff_tree::Part;
use super::diff_view::{self, DiffRow, Side};
use super::page_error::PageError;
use super::query_text::term;
use super::row::{Piece, Row};
use super::shell::{Section, Shell};
use super::zone::Zone;
use super::{encoded, format, html, search_href};
use crate::App;
use crate::auth::{PageCaller, counting};

/// Changed fields that an event of the list shows; its own page has all.
const FIELDS_SHOWN_MAX: usize = 20;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    shell: Shell,
    resource_type: String,
    resource_id: String,
    /// What it was called last on this page, or its id.
    target: String,
    count_text: String,
    events_href: String,
    /// Seq of the event after which the state is shown.
    at: Option<String>,
    newest_href: String,
    state: Option<StateView>,
    days: Vec<Day>,
    /// The time zone of the clocks.
    zone: String,
    first_text: String,
    last_text: String,
    first_href: Option<String>,
    previous_href: Option<String>,
    next_href: Option<String>,
    last_href: Option<String>,
}

/// What a resource looked like.
struct StateView {
    fields: Vec<FieldView>,
    is_deleted: bool,
    /// What the state was not made of.
    notes: Vec<String>,
}

struct FieldView {
    name: String,
    /// The value, where it can be shown.
    side: Option<Side>,
    /// What is said instead of it.
    words: &'static str,
    is_withheld: bool,
    /// The event that changed it last, and the state after that.
    seq: String,
    href: String,
}

/// The events of one day in the reader's time zone.
struct Day {
    name: String,
    date: String,
    events: Vec<EventView>,
}

struct EventView {
    row: Row,
    seq: String,
    rows: Vec<DiffRow>,
    more: usize,
    state_href: String,
    /// The state is the one after this event.
    is_here: bool,
}

/// What the address asks for.
#[derive(Clone)]
struct Asked {
    resource_type: String,
    resource_id: String,
    at: Option<u64>,
    page: Option<u64>,
}

/// The address of a history; with a seq it shows the state after that event.
pub(super) fn href(resource_type: &str, resource_id: &str, at: Option<u64>) -> String {
    let at = at.map(|seq| format!("&at={seq}")).unwrap_or_default();
    format!("/audit/history?type={}&id={}{at}", encoded(resource_type), encoded(resource_id))
}

/// Shows a resource over time.
pub(crate) async fn show_history(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    zone: Zone,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    principal.may_read()?;
    let asked = Asked::read(&pairs)?;
    let shell = Shell::new(&app, &principal, Section::Audit).await?;
    let (wanted, zone_name) = (asked.clone(), zone.name.clone());
    let found = counting(&app, move |engine| look(engine, &principal, &wanted, &zone)).await??;
    let history = found.ok_or(PageError::UnknownEvent)?;
    html(StatusCode::OK, &HistoryPage::new(shell, &asked, history, zone_name))
}

fn look(
    engine: &Engine,
    principal: &Principal,
    asked: &Asked,
    zone: &Zone,
) -> Result<Option<History<EventView>>, SearchError> {
    let Asked { resource_type, resource_id, at, page } = asked;
    let request = HistoryRequest { resource_type, resource_id, at: *at, page: *page };
    engine.history(principal, &request, |found| Ok(EventView::new(&found, asked, zone)))
}

impl Asked {
    fn read(pairs: &[(String, String)]) -> Result<Asked, PageError> {
        let value = |name: &str| {
            let value = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        let (Some(resource_type), Some(resource_id)) = (value("type"), value("id")) else {
            return Err(PageError::UnknownThing);
        };
        let at = value("at").map(str::parse).transpose().map_err(|_| PageError::UnknownEvent)?;
        let page = value("page").map(|page| page.parse().unwrap_or(1));
        Ok(Asked { resource_type: resource_type.to_owned(), resource_id: resource_id.to_owned(), at, page })
    }

    fn href(&self, at: Option<u64>) -> String {
        href(&self.resource_type, &self.resource_id, at)
    }

    fn page_href(&self, page: u64) -> String {
        format!("{}&page={page}", self.href(self.at))
    }
}

impl EventView {
    fn new(found: &FoundEvent<'_>, asked: &Asked, zone: &Zone) -> EventView {
        let seq = found.added.seq;
        let more = found.event.changes.len().saturating_sub(FIELDS_SHOWN_MAX);
        // Its changes stand below already; all else of it has a page.
        let row = Row { is_open: true, ..Row::new(found, zone) };
        EventView {
            row,
            seq: format::grouped(seq),
            rows: diff_view::first_rows(found.event, FIELDS_SHOWN_MAX),
            more,
            state_href: asked.href(Some(seq)),
            is_here: asked.at == Some(seq),
        }
    }
}

impl HistoryPage {
    fn new(shell: Shell, asked: &Asked, history: History<EventView>, zone: String) -> HistoryPage {
        let History { count, page, events, state, is_state_cut } = history;
        let first = (page - 1) * HISTORY_ROWS as u64 + 1;
        let page_count = count.div_ceil(HISTORY_ROWS as u64).max(1);
        let last = first + events.len() as u64 - 1;
        let named = events.last().map(|event| event.row.sentence.target.clone());
        let to = |is_there: bool, page: u64| is_there.then(|| asked.page_href(page));
        HistoryPage {
            shell,
            target: named.filter(|name| !name.is_empty()).unwrap_or_else(|| asked.resource_id.clone()),
            count_text: format::grouped(count),
            events_href: search_href(
                &format!(
                    "{} {}",
                    term("resource_type", &asked.resource_type),
                    term("resource_id", &asked.resource_id)
                ),
                1,
            ),
            resource_type: asked.resource_type.clone(),
            resource_id: asked.resource_id.clone(),
            at: asked.at.map(format::grouped),
            newest_href: asked.href(None),
            state: state.map(|state| StateView::new(state, is_state_cut, asked)),
            days: days(events),
            zone,
            first_text: format::grouped(first),
            last_text: format::grouped(last),
            first_href: to(page > 1, 1),
            previous_href: to(page > 1, page - 1),
            next_href: to(page < page_count, page + 1),
            last_href: to(page < page_count, page_count),
        }
    }
}

fn days(events: Vec<EventView>) -> Vec<Day> {
    let mut days: Vec<(Date, Day)> = Vec::new();
    for event in events {
        let date = event.row.day;
        match days.last_mut() {
            Some((last, day)) if *last == date => day.events.push(event),
            _ => days.push((
                date,
                Day { name: format::day_name(date), date: date.to_string(), events: vec![event] },
            )),
        }
    }
    days.into_iter().map(|(_, day)| day).collect()
}

impl StateView {
    fn new(state: ResourceState, is_rebuilt_in_part: bool, asked: &Asked) -> StateView {
        let mut notes = vec![
            "Holds only fields that are tracked and that changed since recording began, from the events in your sight."
                .to_owned(),
        ];
        if is_rebuilt_in_part {
            let max = format::grouped(REPLAYED_EVENTS_MAX as u64);
            notes.push(format!(
                "Rebuilt from the last {max} changes only; fields that changed before are left out."
            ));
        }
        if state.is_cut {
            notes.push("There were more fields than are shown.".to_owned());
        }
        let fields = state.fields.into_iter();
        StateView {
            fields: fields.map(|(name, field)| FieldView::new(name, &field, asked)).collect(),
            is_deleted: state.is_deleted,
            notes,
        }
    }
}

impl FieldView {
    fn new(name: String, field: &StateField, asked: &Asked) -> FieldView {
        let (side, words) = match &field.value {
            StateValue::Set(text) => (Some(diff_view::unchanged(&name, text)), ""),
            StateValue::Unset => (None, "not set"),
            StateValue::Withheld => (None, "set, value withheld"),
            StateValue::Erased => (None, "erased"),
            StateValue::TooLong => (None, "too long to be shown here"),
        };
        FieldView {
            side,
            words,
            is_withheld: field.value == StateValue::Withheld,
            seq: format::grouped(field.seq),
            href: asked.href(Some(field.seq)),
            name,
        }
    }
}
