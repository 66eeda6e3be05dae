//! `annals retention` and `annals hold`.

use annals_engine::{
    Engine, LegalHold, Options, Principal, RetentionCount, RetentionError, RetentionReport, RetentionRule,
};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use crate::command::erase::say_what_is_left;
use crate::command::query;
use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Say how long events are kept, and drop those whose time is over
///
/// Of a dropped event only its leaf hash, id and times are left: no search finds it, and every proof of other events stays good. The oldest segments go
/// whole once everything in them is over. Rules are tried in their order, and the first whose query matches decides. Legal holds win (`annals hold`).
#[derive(Debug, clap::Args)]
pub(crate) struct RetentionArgs {
    #[command(subcommand)]
    command: RetentionCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RetentionCommand {
    /// List the rules in their order
    List,
    /// Add a rule: behind the others, and before the one for all events
    #[command(after_help = "Examples:
  annals retention add --keep 365d
  annals retention add --keep 30d resource_type:api_key action:login
  annals retention add --keep 3650d organization:finance")]
    Add {
        /// How long, in days, such as 365d
        #[arg(long, value_name = "DAYS", value_parser = days)]
        keep: u32,
        /// Which events; all if absent
        query: Vec<String>,
    },
    /// Remove a rule
    Remove {
        /// Its id
        id: String,
    },
    /// Drop the events whose time is over; `annals serve --retain` does so every hour
    #[command(after_help = "Examples:
  annals retention run --dry-run
  annals retention run --yes")]
    Run {
        /// Count what would go, rule by rule, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Keep events as they are, whatever retention and erasures say
#[derive(Debug, clap::Args)]
pub(crate) struct HoldArgs {
    #[command(subcommand)]
    command: HoldCommand,
}

#[derive(Debug, clap::Subcommand)]
enum HoldCommand {
    /// List the holds
    List,
    /// Hold what a query finds, now and later
    #[command(after_help = "Examples:
  annals hold add --reason 'case 7' username:demo-person since:2026-01-01")]
    Add {
        /// Why: recorded in the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Which events
        #[arg(required = true)]
        query: Vec<String>,
    },
    /// End a hold; rules and erasures reach its events again
    Release {
        /// Its id
        id: String,
    },
}

/// Reads `365d`, or a plain number of days.
pub(crate) fn days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').unwrap_or(text).parse();
    days.map_err(|_| "a number of days, such as 365d".to_owned())
}

fn open(target: &TargetArgs) -> anyhow::Result<Engine> {
    anyhow::ensure!(
        target.server.is_none(),
        "retention and holds belong to the operator of the log: --data DIR, or --database-url"
    );
    open_engine(&target.location()?, Options::default())
}

pub(crate) fn run(args: &RetentionArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let engine = open(target)?;
    let operator = Principal::operator();
    match &args.command {
        RetentionCommand::List => {
            let (rules, _) = engine.retention(&operator)?;
            list(&rules, rule_line, "no rule: every event is kept for ever", json)?;
        }
        RetentionCommand::Add { keep, query } => {
            let query = query.join(" ");
            match engine.add_retention_rule(&operator, &query, *keep) {
                Err(RetentionError::Query(errors)) => return query::report(&errors, &query, json),
                rule => added(&rule?, rule_line, json)?,
            }
        }
        RetentionCommand::Remove { id } => engine.remove_retention_rule(&operator, id)?,
        RetentionCommand::Run { dry_run, yes } => {
            let plan = engine.plan_retention(&operator)?;
            let events: u64 = plan.iter().map(|count| count.events).sum();
            if *dry_run {
                print_plan(&plan, json)?;
                return Ok(output::GOOD);
            }
            if !json {
                print_plan(&plan, false)?;
            }
            // Without anything new to drop it still clears what was dropped before.
            anyhow::ensure!(
                *yes || events == 0 || output::confirmed("Drop these for ever?")?,
                "nothing was dropped; --yes does it without asking"
            );
            let bar = output::progress_bar("{bar:40} {pos}/{len} events gone through  {eta} left", json);
            let report = engine
                .run_retention(&operator, &mut |done, all| output::show_progress(&bar, done, all))
                .context("the run did not end; the next one goes on")?;
            bar.finish_and_clear();
            print_report(&report, json)?;
            if !json && report.events < events {
                output::note(
                    "the others stay for now: they were received later than they happened, or are the log's own records",
                );
            }
        }
    }
    Ok(output::GOOD)
}

pub(crate) fn hold(args: &HoldArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let engine = open(target)?;
    let operator = Principal::operator();
    match &args.command {
        HoldCommand::List => {
            let (_, holds) = engine.retention(&operator)?;
            list(&holds, hold_line, "no hold", json)?;
        }
        HoldCommand::Add { reason, query } => {
            let query = query.join(" ");
            match engine.add_hold(&operator, &query, reason) {
                Err(RetentionError::Query(errors)) => return query::report(&errors, &query, json),
                hold => added(&hold?, hold_line, json)?,
            }
        }
        HoldCommand::Release { id } => engine.release_hold(&operator, id)?,
    }
    Ok(output::GOOD)
}

/// Prints all of a kind, or that there are none.
fn list<T: Serialize>(all: &[T], text: fn(&T) -> String, none: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return output::line(json!(all));
    }
    if all.is_empty() {
        output::line(none)?;
    }
    all.iter().try_for_each(|one| output::line(text(one)))
}

/// Prints what was made.
fn added<T: Serialize>(one: &T, text: fn(&T) -> String, json: bool) -> anyhow::Result<()> {
    output::line(if json { json!(one).to_string() } else { text(one) })
}

fn print_report(report: &RetentionReport, json: bool) -> anyhow::Result<()> {
    let RetentionReport { events, segments, segments_pruned, pruned, forgotten } = *report;
    if json {
        return output::line(json!({"events": events, "segments": segments,
            "segments_pruned": segments_pruned, "pruned": pruned,
            "old_pages_forgotten": forgotten.pages, "older_versions_forgotten": forgotten.versions}));
    }
    output::line(format_args!("dropped {events} events; {segments} segments were written again"))?;
    if segments_pruned > 0 {
        output::line(format_args!("{segments_pruned} segments went whole; the log begins at seq {pruned}"))?;
    }
    say_what_is_left(forgotten);
    Ok(())
}

fn rule_line(rule: &RetentionRule) -> String {
    let what = if rule.query.is_empty() { "all events" } else { &rule.query };
    format!("{}  {} days  {what}", rule.id, rule.days)
}

fn hold_line(hold: &LegalHold) -> String {
    format!("{}  {}  since {}: {}", hold.id, hold.query, hold.since, hold.reason)
}

fn print_plan(plan: &[RetentionCount], json: bool) -> anyhow::Result<()> {
    if json {
        return output::line(json!(plan));
    }
    if plan.is_empty() {
        output::line("no rule: every event is kept for ever")?;
    }
    for count in plan {
        let held = if count.held > 0 { format!(", {} are held", count.held) } else { String::new() };
        let what = if count.rule.query.is_empty() { "all events" } else { &count.rule.query };
        output::line(format_args!(
            "{what}: {} events are older than {} days{held}",
            count.events, count.rule.days
        ))?;
    }
    Ok(())
}
