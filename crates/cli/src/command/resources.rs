//! `annals resources`.

use std::path::PathBuf;

use annals_engine::Options;
use clap::ValueEnum;

use crate::command::registry_with;
use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Print resource types with their fields, actions and admin settings.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without --data or --server: what is built in, and --policy on top.

Examples:
  annals resources
  annals resources --format toml > policy.toml
  annals resources --format json --server http://127.0.0.1:2662 --token annals_read_...")]
pub(crate) struct ResourcesArgs {
    /// Form of the output
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Registry document (TOML) on top of what is built in
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people
    Markdown,
    /// For scripts
    Json,
    /// A registry document that can be read again
    Toml,
}

pub(crate) fn run(args: &ResourcesArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    let format = args.format.unwrap_or(if json { Format::Json } else { Format::Markdown });
    if target.server.is_some() {
        anyhow::ensure!(format == Format::Json, "a server gives the registry as JSON only: --format json");
        return output::line(target.open(Options::default())?.resources()?);
    }
    let registry = if target.is_local() {
        (*open_engine(&target.location()?, Options::default())?.registry()?).clone()
    } else {
        registry_with(&args.policy)?
    };
    match format {
        Format::Markdown => output::line(registry.to_markdown().trim_end()),
        Format::Json => output::line(registry.to_json()),
        Format::Toml => output::line(registry.to_toml().trim_end()),
    }
}
