//! `annals search`.

use annals_client::ClientError;
use annals_engine::SearchError;
use annals_model::limits::PAGE_ROWS_MAX;
use serde_json::Value;

use crate::command::query::{self, QueryText};
use crate::output;
use crate::target::TargetArgs;

/// Find events, newest first, and count them exactly.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annals search resource_type:workspace action:delete
  annals search '-action:start outcome:denied since:7d' --limit 5
  annals search --server http://127.0.0.1:2662 --token annals_read_... username:demo-dev-1 --json

`annals query --help` is the reference of the query language.")]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    query: QueryText,
    /// Events to print, up to 1000
    #[arg(long, default_value_t = 25)]
    limit: usize,
    /// Events to skip
    #[arg(long, default_value_t = 0)]
    offset: u64,
    /// Print the count only
    #[arg(long)]
    count: bool,
}

pub(crate) fn run(args: &SearchArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    anyhow::ensure!(
        args.limit <= PAGE_ROWS_MAX,
        "--limit {} exceeds the limit of {PAGE_ROWS_MAX} rows",
        args.limit
    );
    let text = args.query.join();
    let target = target.open(annals_engine::Options::default())?;
    let limit = if args.count { 1 } else { args.limit };
    let results = match target.search(&text, limit, args.offset) {
        Ok(results) => results,
        Err(error) => return report_failure(error, &text, json),
    };
    let count = results["count"].as_u64().unwrap_or(0);
    if args.count {
        output::line(if json { serde_json::json!({"count": count}).to_string() } else { count.to_string() })?;
    } else if json {
        output::line(&results)?;
    } else {
        print_events(&results, count, args.offset)?;
    }
    Ok(output::GOOD)
}

/// Reports a bad query as such, whoever found it; other failures go on.
pub(crate) fn report_failure(error: anyhow::Error, text: &str, json: bool) -> anyhow::Result<u8> {
    if let Some(SearchError::Query(errors)) = error.downcast_ref::<SearchError>() {
        return query::report(errors, text, json);
    }
    if let Some(ClientError::Refused { status: 400, problem }) = error.downcast_ref::<ClientError>() {
        return refused_query(problem, &error, json);
    }
    Err(error)
}

/// A server's answer to a bad query, in the shape that `--json` has for a local one.
fn refused_query(problem: &Value, error: &anyhow::Error, json: bool) -> anyhow::Result<u8> {
    if json {
        output::line(serde_json::json!({"errors": problem["validations"]}))?;
    } else {
        output::note(format_args!("error: {error}"));
    }
    Ok(output::USAGE)
}

fn print_events(results: &Value, count: u64, offset: u64) -> anyhow::Result<()> {
    let empty = Vec::new();
    let events = results["audit_logs"].as_array().unwrap_or(&empty);
    for event in events {
        output::line(event_line(event))?;
    }
    let shown = events.len() as u64;
    if shown > 0 {
        output::line(format_args!("{}-{} of {count} events", offset + 1, offset + shown))?;
    } else {
        output::line(format_args!("{count} events"))?;
    }
    Ok(())
}

/// One event, as people read it.
pub(crate) fn event_line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let user = match event["user"]["username"].as_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ if event["actor_type"] == "system" => "the system".to_owned(),
        _ if event["user"].is_object() => text(&event["user"]["id"]),
        _ => "someone unauthenticated".to_owned(),
    };
    let target = match text(&event["resource_target"]) {
        target if target.is_empty() => text(&event["resource_id"]),
        target => target,
    };
    let sentence = text(&event["description"]).replace("{user}", &user).replace("{target}", &target);
    let mut row =
        format!("{:27} {:>3}  {}", text(&event["time"]), event["status_code"], printable(sentence.trim()));
    let changed: Vec<String> =
        event["diff"].as_object().into_iter().flatten().map(|(field, _)| printable(field)).collect();
    if !changed.is_empty() {
        row.push_str(&format!("  [{}]", changed.join(", ")));
    }
    row
}

/// Control characters in a name must not move the terminal's cursor or change its title.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
