//! `annals sources`.

use annals_engine::{Options, Principal};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::output;
use crate::target::{Target, TargetArgs};

/// List the sources of events: what is missing of their numbers, what came twice, and since when they are silent
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An event names its producer in `source` and counts in `source_seq`; a number that is left out is a gap until it comes.

Exit codes: 0 good, 1 with --check where a source has gaps or is silent for too long.

Examples:
  annals sources
  annals sources --check --silent-after 2h"
)]
pub(crate) struct SourcesArgs {
    /// Fail if a source has gaps, or is silent for too long
    #[arg(long)]
    check: bool,
    /// Silence that is too long
    #[arg(long, value_name = "AGE", default_value = "24h")]
    silent_after: SignedDuration,
}

pub(crate) fn run(args: &SourcesArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let sources = match target.open(Options::default())? {
        Target::Remote(client, runtime) => runtime.block_on(client.sources())?,
        Target::Local(engine) => {
            let sources = engine.sources(&Principal::operator())?;
            let source = |source: annals_engine::Source| {
                let state = source.state;
                json!({"source": state.name, "events": state.events, "first": state.first.to_string(), "last": state.last.to_string(),
                    "silent_seconds": source.silent_us / 1_000_000, "last_source_seq": state.last_seq, "repeats": state.repeats,
                    "missing": state.missing, "gaps": state.gaps})
            };
            Value::Array(sources.into_iter().map(source).collect())
        }
    };
    let sources = sources.as_array().cloned().unwrap_or_default();
    let silent =
        |source: &Value| source["silent_seconds"].as_i64().unwrap_or(0) > args.silent_after.as_secs();
    let is_bad = |source: &Value| source["missing"].as_u64().unwrap_or(0) > 0 || silent(source);
    if json {
        output::line(json!(sources))?;
    } else if sources.is_empty() {
        output::line(
            "no event names a source; give events `source` and `source_seq` to see gaps and silence",
        )?;
    } else {
        for source in &sources {
            output::line(sentence(source, silent(source)))?;
        }
    }
    Ok(if args.check && sources.iter().any(is_bad) { output::FAILED } else { output::GOOD })
}

fn sentence(source: &Value, is_silent: bool) -> String {
    let text = |name: &str| source[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| source[name].as_u64().unwrap_or(0);
    let mut parts = vec![format!("{}: {} events, last {}", text("source"), number("events"), text("last"))];
    if is_silent {
        parts.push(format!("silent for {} h", number("silent_seconds") / 3_600));
    }
    match number("missing") {
        0 => {}
        missing => {
            let gaps = source["gaps"].as_array().cloned().unwrap_or_default();
            let shown: Vec<String> =
                gaps.iter().rev().take(5).map(|gap| format!("{}-{}", gap[0], gap[1])).collect();
            let more =
                if gaps.len() > 5 { format!(" and {} more gaps", gaps.len() - 5) } else { String::new() };
            parts.push(format!("{missing} missing: {}{more}", shown.join(", ")));
        }
    }
    if number("repeats") > 0 {
        parts.push(format!("{} repeated", number("repeats")));
    }
    parts.join("; ")
}
