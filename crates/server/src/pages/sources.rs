//! `GET /sources`: what each source of events has sent, and what of it is missing.

use annals_engine::Source;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::detail::found_by;
use super::page_error::PageError;
use super::shell::{Section, Shell};
use super::zone::Zone;
use super::{format, html};
use crate::App;
use crate::auth::{PageCaller, blocking};

/// Sources that are shown; the command line and the API list all.
const SHOWN_MAX: usize = 1_000;

/// Gaps of a source that are listed.
const GAPS_SHOWN_MAX: usize = 20;
/// Seconds after which a source counts as silent.
const SILENT_SECONDS: u64 = 24 * 60 * 60;

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    shell: Shell,
    zone: String,
    sources: Vec<SourceRow>,
    /// There may be more than are listed.
    is_cut: bool,
}

#[derive(Debug)]
struct SourceRow {
    name: String,
    /// The search for its events, or empty if no query can name it.
    href: String,
    events: String,
    last: String,
    datetime: String,
    silent_for: String,
    is_silent: bool,
    /// Empty if it does not number its events.
    last_seq: String,
    repeats: u64,
    missing: u64,
    /// `4–9`, the lowest first.
    gaps: Vec<String>,
    gaps_more: u64,
    /// Numbers in gaps that the log does not list any more.
    unlisted: u64,
}

impl SourceRow {
    fn new(source: &Source, zone: &Zone) -> SourceRow {
        let state = &source.state;
        let silent_seconds = source.silent_us.unsigned_abs() / 1_000_000;
        let gap = |(first, last): &(u64, u64)| {
            let (from, to) = (format::grouped(*first), format::grouped(*last));
            if first == last { from } else { format!("{from}–{to}") }
        };
        let listed = state.gaps.iter().fold(0_u64, |sum, (first, last)| sum.wrapping_add(last - first + 1));
        SourceRow {
            href: found_by("source", &state.name),
            name: state.name.clone(),
            events: format::grouped(state.events),
            last: zone.at(state.last).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            datetime: state.last.to_string(),
            silent_for: format::span(silent_seconds),
            is_silent: silent_seconds > SILENT_SECONDS,
            last_seq: state.last_seq.map(format::grouped).unwrap_or_default(),
            repeats: state.repeats,
            missing: state.missing,
            gaps: state.gaps.iter().take(GAPS_SHOWN_MAX).map(gap).collect(),
            gaps_more: state.gaps.iter().skip(GAPS_SHOWN_MAX).map(|_| 1).sum(),
            unlisted: state.missing.saturating_sub(listed),
        }
    }
}

/// Shows the sources.
pub(crate) async fn show_sources(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    zone: Zone,
) -> Result<Response, PageError> {
    let shell = Shell::new(&app, &principal, Section::Sources).await?;
    let mut sources = blocking(&app, move |engine| engine.sources(&principal)).await??;
    // Those with something to look at first, so that no flood of names hides them.
    sources.sort_by_key(|source| (source.state.missing == 0, source.state.name.clone()));
    let is_cut = sources.len() > SHOWN_MAX;
    sources.truncate(SHOWN_MAX);
    let page = SourcesPage {
        shell,
        is_cut,
        sources: sources.iter().map(|source| SourceRow::new(source, &zone)).collect(),
        zone: zone.name,
    };
    html(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use annals_engine::SourceState;
    use annals_model::time::Time;

    use super::*;

    fn row(gaps: Vec<(u64, u64)>, missing: u64, silent_us: i64) -> SourceRow {
        let state = SourceState {
            name: "coderd 1".to_owned(),
            first: Time::EPOCH,
            last: Time::EPOCH,
            events: 4_812,
            last_seq: Some(u64::MAX),
            repeats: 0,
            missing,
            gaps,
        };
        SourceRow::new(&Source { state, silent_us }, &Zone::utc())
    }

    #[test]
    fn the_first_gaps_are_listed_and_the_rest_is_counted() {
        let gaps: Vec<_> = (0..23).map(|n| (10 * n + 1_000, 10 * n + 1_000 + n % 2)).collect();
        let row = row(gaps, 40, 0);
        assert_eq!((row.gaps.len(), row.gaps_more, row.unlisted), (20, 3, 6));
        assert_eq!(row.gaps[..2], ["1,000", "1,010–1,011"]);
        assert_eq!(row.href, "/audit?filter=source:%22coderd%201%22");
        let all = self::row(vec![(0, u64::MAX - 1)], u64::MAX, 0);
        assert_eq!((all.gaps_more, all.unlisted), (0, 0));
    }

    #[test]
    fn a_day_without_an_event_is_silence() {
        let day = 86_400_000_000;
        let (short, long) = (row(Vec::new(), 0, day), row(Vec::new(), 0, day + 1_000_000));
        assert_eq!((short.is_silent, short.silent_for.as_str()), (false, "1 d"));
        assert_eq!((long.is_silent, long.silent_for.as_str()), (true, "1 d"));
    }
}
