//! Writing to standard output and standard error, and the exit codes.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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

/// Asks a person at a terminal before something goes for ever; whoever is not there has not agreed.
pub(crate) fn confirmed(question: &str) -> std::io::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    note(format_args!("{question} Type yes:"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
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

/// A bar for long work in front of a person, else one that shows nothing. Bars are drawn on standard error.
pub(crate) fn progress_bar(template: &str, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).expect("the template is sound");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Moves a bar; what is to do may still grow.
pub(crate) fn show_progress(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}
