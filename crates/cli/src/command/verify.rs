//! `annals verify`.

mod data;
mod file;
mod manifest;
mod server;

use std::path::{Path, PathBuf};

use annals_client::evidence::{Outcome, Verdict};
use annals_tlog::VerifierKey;
use anyhow::Context as _;
use serde_json::json;

use crate::output;
use crate::target::TargetArgs;

/// The arguments or the input cannot be used.
pub(crate) const UNUSABLE: u8 = 64;

/// Check a log, or what was taken out of one: every stored byte of a data directory, a server against what it showed before, a
/// receipt, evidence, or the manifest of a stream. Writes nothing but the last checkpoint of a server.
///
/// A data directory is checked whole: checksums, structure, the tree recomputed from every event, each checkpoint. A server may run
/// meanwhile. Receipts and evidence need no network and no log.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 good, 1 tampered or damaged, 2 incomplete or withheld, 3 not signed by a trusted key, 64 the arguments or the
input cannot be used.

The key for --trust is printed by `annals epoch list`. Take it from the operator, not from the file that is checked.

Examples:
  annals verify --data ./annals-data
  annals verify --database-url postgres://annals@db.example/annals --objects s3://audit/annals --json
  annals verify 0198….tlog-proof --trust 'audit.example.com/log+1a2b3c4d+AQID…'
  annals verify evidence.tar.gz --trust keys.txt
  annals verify manifest-7.txt --received /var/audit --trust keys.txt
  annals verify --server https://audit.example.com --token annals_read_… --trust keys.txt"
)]
pub(crate) struct VerifyArgs {
    /// Receipt (.tlog-proof), evidence (.tar.gz), or manifest of a stream
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Of a manifest: what the receiver has, a file or directory of events or ids
    #[arg(long, value_name = "FILE", requires = "file")]
    received: Option<PathBuf>,
    /// Key of the log, as a text or a file of such texts; may be given several times
    #[arg(long, value_name = "KEY", env = "ANNALS_TRUST", value_delimiter = ',')]
    trust: Vec<String>,
    /// Count missing values as incomplete: those that were erased, or left out of a receipt
    #[arg(long)]
    require_openings: bool,
    /// Print the events that are checked, one JSON object a line
    #[arg(long, requires = "file")]
    show: bool,
    /// Of a data directory: also make every index anew from the events and compare it, so that one that lies is found
    #[arg(long)]
    full: bool,
    /// Where the last checkpoint of a server is kept [default: in the user's state directory, by the name of the log]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Newest events of a server whose receipts are checked
    #[arg(long, value_name = "N", default_value_t = 20)]
    sample: usize,
}

pub(crate) fn run(args: &VerifyArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let result = match (&args.file, &target.server) {
        (Some(file), _) => trusted(&args.trust).and_then(|keys| file::run(file, args, &keys, json)),
        (None, Some(_)) if target.is_local() => Err(anyhow::anyhow!(
            "--server (or ANNALS_SERVER) names another log than --data or --database-url; give one of them"
        )),
        (None, Some(url)) => {
            trusted(&args.trust).and_then(|keys| server::run(url, args, target, &keys, json))
        }
        (None, None) => trusted(&args.trust).and_then(|keys| data::run(args.full, target, &keys, json)),
    };
    // Whatever cannot be checked must never look like something that was checked and found bad.
    result.or_else(|error| {
        let _ = output::report(&error, json);
        Ok(UNUSABLE)
    })
}

/// Reads keys: a text, or a file of such texts, one a line.
fn trusted(texts: &[String]) -> anyhow::Result<Vec<VerifierKey>> {
    let mut keys = Vec::new();
    for text in texts {
        let content = if Path::new(text).is_file() {
            std::fs::read_to_string(text).with_context(|| format!("cannot read `{text}`"))?
        } else {
            text.clone()
        };
        let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let what = || {
                format!(
                    "`{line}` is no key, such as audit.example.com/log+1a2b3c4d+AQID…, nor a file of them"
                )
            };
            keys.push(line.parse().with_context(what)?);
        }
    }
    Ok(keys)
}

fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Good => output::GOOD,
        Outcome::Tampered => 1,
        Outcome::Incomplete => 2,
        Outcome::Untrusted => 3,
    }
}

/// Says what came out of a receipt or evidence.
fn print(verdict: &Verdict, json: bool) -> anyhow::Result<u8> {
    if json {
        output::line(json!(verdict))?;
        return Ok(code(verdict.result));
    }
    for finding in &verdict.findings {
        output::line(format_args!("{}: {finding}", word(verdict.result)))?;
    }
    let events = match verdict.events {
        1 => format!("event {}", verdict.seqs.0),
        count => format!("{count} events"),
    };
    let whole = match verdict.complete {
        Some(true) => format!(", all from seq {} to {}", verdict.seqs.0, verdict.seqs.1.saturating_sub(1)),
        Some(false) => ", chosen by a query: others may be missing".to_owned(),
        None => String::new(),
    };
    let fits = if verdict.result == Outcome::Tampered { "not all in" } else { "in" };
    output::line(format_args!(
        "{}: {events} of {}{whole}; {fits} its checkpoint of {} events, signed by {}",
        word(verdict.result),
        verdict.origin,
        verdict.size,
        verdict.signed_by.join(", "),
    ))?;
    if verdict.withheld_openings > 0 {
        output::line(format_args!(
            "{} personal values are erased or left out; only their commitments were checked",
            verdict.withheld_openings
        ))?;
    }
    for cosigned in &verdict.cosigned {
        output::line(format_args!("cosigned by {} at {} seconds since 1970", cosigned.name, cosigned.time))?;
    }
    if verdict.result == Outcome::Untrusted {
        output::line(
            "  give the key of the log with --trust; the operator prints it with `annals epoch list`",
        )?;
    }
    Ok(code(verdict.result))
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Good => "good",
        Outcome::Incomplete => "incomplete",
        Outcome::Untrusted => "untrusted",
        Outcome::Tampered => "tampered",
    }
}
