//! `annals backup` and `annals restore`.

use std::path::PathBuf;

use annals_engine::BackupReport;
use serde_json::json;

use crate::output;
use crate::target::TargetArgs;

/// Copy a log into a directory while it runs. Again into the same directory, only what is new is copied.
#[derive(Debug, clap::Args)]
#[command(after_help = "A log in PostgreSQL is backed up with PostgreSQL's own means: docs/OPERATIONS.md.

Examples:
  annals backup --data ./annals-data /backup/annals
  annals verify --data /backup/annals")]
pub(crate) struct BackupArgs {
    /// Directory of the backup
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Put a backup into an empty data directory, and check it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 good, 1 failed or damaged.

Examples:
  annals restore /backup/annals --data ./annals-data")]
pub(crate) struct RestoreArgs {
    /// Directory that `annals backup` wrote
    #[arg(value_name = "DIR")]
    from: PathBuf,
}

const BAR: &str = "{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";

pub(crate) fn back_up(args: &BackupArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "a log is copied where it is: --data DIR");
    let bar = output::progress_bar(BAR, json);
    let report = annals_engine::backup(&target.location()?, &args.to, &mut |done, all| {
        output::show_progress(&bar, done, all);
    })?;
    bar.finish_and_clear();
    print(&report, json)
}

pub(crate) fn restore(args: &RestoreArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    anyhow::ensure!(
        target.server.is_none() && target.database_url.is_none() && target.objects.is_none(),
        "a backup is restored into a data directory: --data DIR"
    );
    let bar = output::progress_bar(BAR, json);
    let dir = target.data_dir();
    let report = annals_engine::restore(&args.from, &dir, &mut |done, all| {
        output::show_progress(&bar, done, all);
    })?;
    bar.finish_and_clear();
    print(&report, json)?;
    let verified = annals_engine::verify(&target.location()?, annals_engine::Depth::Events, &mut |_, _| {})?;
    for finding in &verified.findings {
        output::note(format_args!("damaged: {}: {}", finding.part, finding.what));
    }
    Ok(if verified.findings.is_empty() { output::GOOD } else { output::FAILED })
}

fn print(report: &BackupReport, json: bool) -> anyhow::Result<()> {
    let BackupReport { events, segments, unchanged, bytes } = report;
    if json {
        return output::line(
            json!({"events": events, "segments": segments, "unchanged_segments": unchanged, "bytes": bytes}),
        );
    }
    output::line(format_args!("{events} events; {segments} segments, {unchanged} of them there already"))
}
