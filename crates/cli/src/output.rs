//! Writing to standard output and standard error, and the exit codes.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

/// Success.
pub(crate) const GOOD: u8 = 0;
/// The command failed.
pub(crate) const FAILED: u8 = 1;
/// The query or the arguments are wrong.
pub(crate) const USAGE: u8 = 2;

/// Writes one line of data to standard output. A reader that has gone away, such as `head`, ends the program quietly.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(i32::from(GOOD)),
        other => Ok(other?),
    }
}

/// Writes one line for people to standard error; if nobody can read it there, nothing is lost.
pub(crate) fn note(text: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Reports the failure of a command: under `--json` on standard output, for scripts; else on standard error, with its
/// causes.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    if json {
        let body = serde_json::json!({"message": error.to_string(), "causes": causes});
        drop(line(body));
    } else {
        note(format_args!("error: {error}"));
        for cause in causes {
            note(format_args!("  caused by: {cause}"));
        }
    }
    ExitCode::from(FAILED)
}
