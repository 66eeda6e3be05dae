//! `annals query`.

use annals_query::{Context, QueryErrors, Vocabulary, explain_json};
use clap::Subcommand;
use serde_json::json;

use crate::command::registry_with;
use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Read query texts.
#[derive(Debug, clap::Args)]
#[command(after_long_help = annals_query::REFERENCE)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    command: QueryCommand,
}

#[derive(Debug, Subcommand)]
enum QueryCommand {
    /// Print how a query text is read
    Explain(ExplainArgs),
}

/// A query on the command line. It may begin with `-`, and further words need no quotes, but flags stay flags.
#[derive(Debug, clap::Args)]
pub(crate) struct QueryText {
    /// The query; none: every event
    #[arg(allow_hyphen_values = true, value_name = "QUERY")]
    first: Option<String>,
    /// Further words of it
    #[arg(value_name = "WORD")]
    rest: Vec<String>,
}

impl QueryText {
    /// The whole text.
    pub(crate) fn join(&self) -> String {
        let words: Vec<&str> = self.first.iter().chain(&self.rest).map(String::as_str).collect();
        words.join(" ")
    }
}

/// Print how a query text is read: the tree of its terms, with times in UTC.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: annals query explain 'resource_type:workspace -action:start date_from:2026-11-01'"
)]
struct ExplainArgs {
    #[command(flatten)]
    query: QueryText,
    /// Registry document (TOML) whose types and actions are known too
    #[arg(long, value_name = "FILE")]
    policy: Vec<std::path::PathBuf>,
    /// Take unknown resource types and actions
    #[arg(long)]
    allow_unknown: bool,
}

pub(crate) fn run(args: &QueryArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let QueryCommand::Explain(args) = &args.command;
    let text = args.query.join();
    let registry = if target.is_local() {
        (*open_engine(&target.location()?, annals_engine::Options::default())?.registry()?).clone()
    } else {
        registry_with(&args.policy)?
    };
    let vocabulary = Vocabulary {
        resource_types: registry.resources().map(|resource| resource.kind.clone()).collect(),
        actions: registry.actions().map(|action| action.name.clone()).collect(),
        build_reasons: registry.build_reasons().to_vec(),
        open: args.allow_unknown,
    };
    let now = annals_engine::Clock::System.now();
    let now = jiff::Timestamp::from_microsecond(now.as_micros())?;
    match annals_query::parse(&text, &Context { now, me: None, vocabulary: &vocabulary }) {
        Ok(query) if json => {
            output::line(json!({"filter": explain_json(query.filter())}))?;
            Ok(output::GOOD)
        }
        Ok(query) => {
            output::line(serde_json::to_string_pretty(&explain_json(query.filter()))?)?;
            for note in query.notes() {
                output::note(format_args!("note: {note}"));
            }
            Ok(output::GOOD)
        }
        Err(errors) => report(&errors, &text, json),
    }
}

/// Reports the errors of a query, all at once.
pub(crate) fn report(errors: &QueryErrors, text: &str, json: bool) -> anyhow::Result<u8> {
    if json {
        let errors: Vec<_> = errors
            .errors
            .iter()
            .map(|error| {
                json!({"field": error.field, "detail": error.detail, "span": [error.span.start, error.span.end],
                       "hint": error.hint})
            })
            .collect();
        output::line(json!({"errors": errors}))?;
    } else {
        output::note(errors.render(text).trim_end());
    }
    Ok(output::USAGE)
}
