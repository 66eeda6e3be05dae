//! Checking a log where it is kept.

use annals_engine::{Depth, Finding};
use annals_tlog::VerifierKey;
use serde_json::json;

use crate::output;
use crate::target::TargetArgs;

pub(super) fn run(
    is_full: bool,
    target: &TargetArgs,
    keys: &[VerifierKey],
    json: bool,
) -> anyhow::Result<u8> {
    let bar = output::progress_bar("{bar:40} {pos}/{len} events  {per_sec}  {eta} left", json);
    let location = target.location()?;
    let depth = if is_full { Depth::Indexes } else { Depth::Events };
    let report =
        annals_engine::verify(&location, depth, &mut |done, all| output::show_progress(&bar, done, all))?;
    bar.finish_and_clear();
    // Keys in the database say nothing against whoever wrote the database.
    let foreign: Vec<&String> = report
        .verifiers
        .iter()
        .filter(|verifier| !keys.is_empty() && !keys.iter().any(|key| key.to_string() == **verifier))
        .collect();
    let is_good = report.findings.is_empty();
    let (result, code) = match (is_good, foreign.is_empty(), report.withheld.is_empty()) {
        (false, ..) => ("tampered", output::FAILED),
        (true, false, _) => ("untrusted", 3),
        (true, true, false) => ("incomplete", 2),
        (true, true, true) => ("good", output::GOOD),
    };
    if json {
        output::line(json!({
            "good": is_good,
            "result": result,
            "gone": report.gone,
            "pruned": report.pruned,
            "withheld": report.withheld.iter().map(finding_json).collect::<Vec<_>>(),
            "untrusted_keys": foreign,
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
        for finding in &report.withheld {
            output::line(format_args!("withheld: {}: {}", finding.part, finding.what))?;
        }
        for key in &foreign {
            output::line(format_args!("untrusted: the database names a key that --trust does not: {key}"))?;
        }
        if let Some(root) = report.root.filter(|_| is_good) {
            let gone = match report.gone {
                0 => String::new(),
                gone => format!("; {gone} values or events were erased or dropped"),
            };
            let pruned = match report.pruned {
                0 => String::new(),
                pruned => format!("; nothing is left before seq {pruned}"),
            };
            output::line(format_args!(
                "{result}: {} events, {} of them in {} segments, {} checkpoints{gone}{pruned}; root {root}",
                report.events, report.sealed, report.segments, report.checkpoints
            ))?;
        }
    }
    Ok(code)
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({"part": finding.part, "what": finding.what, "remedy": finding.remedy})
}
