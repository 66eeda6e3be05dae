//! `annals diff`.

use std::io::Read as _;
use std::path::PathBuf;

use annals_model::diff::{self, Diff};
use annals_model::limits::BODY_BYTES_MAX;
use anyhow::Context as _;
use serde_json::value::RawValue;

use crate::command::registry_with;
use crate::output;

/// Print what changed between two states of a resource, under the policy of its type.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A side is absent if its file is empty, holds `null`, or is not given: a creation has no BEFORE, a deletion
no AFTER. `-` is standard input.

Examples:
  annals diff --resource template before.json after.json
  echo null | annals diff --resource template - after.json"
)]
pub(crate) struct DiffArgs {
    /// Type of the resource, such as template
    #[arg(long, value_name = "TYPE")]
    resource: String,
    /// Registry document (TOML) with the policy of the type
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// JSON object before the action
    before: PathBuf,
    /// JSON object after the action
    after: Option<PathBuf>,
}

pub(crate) fn run(args: &DiffArgs, json: bool) -> anyhow::Result<()> {
    let registry = registry_with(&args.policy)?;
    let resource = registry.resource(&args.resource).with_context(|| {
        let nearest =
            registry.nearest_resource(&args.resource).map(|near| format!("; did you mean `{near}`?"));
        format!("unknown resource type `{}`{}", args.resource, nearest.unwrap_or_default())
    })?;
    let both_stdin =
        args.before.as_os_str() == "-" && args.after.as_ref().is_some_and(|after| after.as_os_str() == "-");
    anyhow::ensure!(!both_stdin, "only one side can be standard input");
    let before = read_side(Some(&args.before))?;
    let after = read_side(args.after.as_ref())?;
    let diff = diff::between(Some(resource), before.as_deref(), after.as_deref())?;
    if json {
        let mut body = b"{\"diff\":".to_vec();
        diff::push_json(&mut body, diff.changes.iter());
        body.push(b'}');
        output::line(String::from_utf8(body)?)?;
    } else {
        print(&diff)?;
    }
    for field in &diff.unclassified {
        output::note(format_args!(
            "warning: field `{field}` of `{}` has no policy; its value is withheld",
            args.resource
        ));
    }
    Ok(())
}

fn read_side(file: Option<&PathBuf>) -> anyhow::Result<Option<Box<RawValue>>> {
    let Some(file) = file else { return Ok(None) };
    let mut text = String::new();
    let limit = BODY_BYTES_MAX as u64;
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(limit).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read `{}`", file.display()))?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", file.display()))?;
    Ok(Some(value))
}

fn print(diff: &Diff<'_>) -> anyhow::Result<()> {
    if diff.changes.is_empty() {
        return output::line("no change");
    }
    for change in &diff.changes {
        if change.secret {
            output::line(format_args!("{}: changed, value withheld", change.field))?;
        } else {
            let side =
                |value: &Option<std::borrow::Cow<'_, str>>| value.as_deref().unwrap_or("null").to_owned();
            output::line(format_args!("{}: {} -> {}", change.field, side(&change.old), side(&change.new)))?;
        }
    }
    Ok(())
}
