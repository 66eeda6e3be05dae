//! `annals verify`.

use annals_engine::Finding;
use serde_json::json;

use crate::output;
use crate::target::TargetArgs;

/// Check every stored byte of a log: checksums, structure, and the tree recomputed from every event. Writes nothing; a server
/// may run meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 good, 1 damaged, 2 bad arguments.

Examples:
  annals verify --data ./annals-data
  annals verify --database-url postgres://annals@db.example/annals --objects s3://audit/annals --json")]
pub(crate) struct VerifyArgs {}

pub(crate) fn run(_: &VerifyArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    anyhow::ensure!(
        target.server.is_none(),
        "the stored bytes are checked where they are: --data DIR, or --database-url and --objects"
    );
    let bar = output::progress_bar("{bar:40} {pos}/{len} events  {per_sec}  {eta} left", json);
    let location = target.location()?;
    let report = annals_engine::verify(&location, &mut |done, all| output::show_progress(&bar, done, all))?;
    bar.finish_and_clear();
    let is_good = report.findings.is_empty();
    if json {
        output::line(json!({
            "good": is_good,
            "events": report.events,
            "sealed": report.sealed,
            "segments": report.segments,
            "root": report.root.map(|root| root.to_string()),
            "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
        }))?;
    } else {
        for finding in &report.findings {
            output::line(format_args!("damaged: {}: {}", finding.part, finding.what))?;
            output::line(format_args!("  {}", finding.remedy))?;
        }
        if let Some(root) = report.root {
            output::line(format_args!(
                "good: {} events, {} of them in {} segments; root {root}",
                report.events, report.sealed, report.segments
            ))?;
        }
    }
    Ok(if is_good { output::GOOD } else { output::FAILED })
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({"part": finding.part, "what": finding.what, "remedy": finding.remedy})
}
