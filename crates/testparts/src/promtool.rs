//! promtool, which says whether metrics follow the conventions of Prometheus.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Checks metrics in the text format of Prometheus.
///
/// # Panics
/// If promtool is missing or complains.
pub fn check_metrics(text: &str) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: tools/need-test-parts installs it");
    let mut input = child.stdin.take().expect("standard input is a pipe");
    input.write_all(text.as_bytes()).expect("promtool reads its input");
    drop(input);
    let output = child.wait_with_output().expect("promtool ends");
    let complaints =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.trim().is_empty(), "promtool: {complaints}\n{text}");
}
