//! Checking a log where it is kept.

use annals_engine::{Depth, Finding};
use serde_json::json;

use crate::output;
use crate::target::TargetArgs;

pub(super) fn run(is_full: bool, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let bar = output::progress_bar("{bar:40} {pos}/{len} events  {per_sec}  {eta} left", json);
    let location = target.location()?;
    let depth = if is_full { Depth::Indexes } else { Depth::Events };
    let report =
        annals_engine::verify(&location, depth, &mut |done, all| output::show_progress(&bar, done, all))?;
    bar.finish_and_clear();
    let is_good = report.findings.is_empty();
    if json {
        output::line(json!({
            "good": is_good,
            "result": if is_good { "good" } else { "tampered" },
            "events": report.events,
            "sealed": report.sealed,
            "segments": report.segments,
            "checkpoints": report.checkpoints,
            "root": report.root.map(|root| root.to_string()),
            "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
        }))?;
    } else {
        for finding in &report.findings {
            output::line(format_args!("damaged: {}: {}", finding.part, finding.what))?;
            output::line(format_args!("  {}", finding.remedy))?;
        }
        if let Some(root) = report.root.filter(|_| is_good) {
            output::line(format_args!(
                "good: {} events, {} of them in {} segments, {} checkpoints; root {root}",
                report.events, report.sealed, report.segments, report.checkpoints
            ))?;
        }
    }
    Ok(if is_good { output::GOOD } else { output::FAILED })
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({"part": finding.part, "what": finding.what, "remedy": finding.remedy})
}
