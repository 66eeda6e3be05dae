//! `annals export --evidence`.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use annals_engine::{EvidenceError, ExportError, Options, Principal, SearchError, SigningPolicy};
use anyhow::Context as _;
use serde_json::json;

use crate::command::search::report_failure;
use crate::output;
use crate::target::{Target, TargetArgs};

const BAR: &str = "{bar:40} {human_pos} of {human_len} events  {per_sec}  {eta} left";

pub(super) fn run(query: &str, path: &Path, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let opened =
        target.open(Options { signing: Some(SigningPolicy::with_key_at_hand()), ..Options::default() })?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // It holds personal values.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| {
        format!("cannot make `{}`; a file of that name is never written over", path.display())
    })?;
    let engine = match opened {
        Target::Local(engine) => engine,
        Target::Remote(client, runtime) => {
            let fetched = runtime.block_on(client.evidence(query, |piece| file.write_all(piece)));
            let written = fetched.map_err(anyhow::Error::new).and_then(|written| Ok(written?));
            if let Err(error) = written {
                let _ = std::fs::remove_file(path);
                return report_failure(error, query, json);
            }
            file.sync_all().context("the file could not be brought to the disk")?;
            if json {
                output::line(json!({"written": path.display().to_string()}))?;
            } else {
                output::note(format_args!(
                    "written to `{}`; `annals verify {0} --trust KEY` checks it",
                    path.display()
                ));
            }
            return Ok(output::GOOD);
        }
    };
    let bar = output::progress_bar(BAR, json);
    let written =
        engine.write_evidence(&Principal::operator(), query, BufWriter::new(&file), &mut |done, all| {
            output::show_progress(&bar, done, all);
        });
    bar.finish_and_clear();
    let report = match written {
        Ok(report) => report,
        Err(error) => {
            let _ = std::fs::remove_file(path);
            return match error {
                EvidenceError::Export(ExportError::Search(error @ SearchError::Query(_))) => {
                    report_failure(error.into(), query, json)
                }
                error => Err(error.into()),
            };
        }
    };
    file.sync_all().context("the file could not be brought to the disk")?;
    if json {
        output::line(json!(report))?;
    } else {
        let whole = if report.complete { "; it shows that none is missing" } else { "" };
        output::note(format_args!(
            "{} events with their proofs against checkpoint #{} written to `{}`{whole}",
            report.events,
            report.checkpoint,
            path.display()
        ));
        output::note(format_args!("annals verify {} --trust '{}'", path.display(), report.verifier));
    }
    Ok(output::GOOD)
}
