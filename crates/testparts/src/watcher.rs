//! A shell that waits for our end and then cleans up.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Runs a clean-up when it is dropped, or when our process ends in any way: the shell reads a pipe that only we hold.
#[derive(Debug)]
pub(crate) struct Watcher {
    shell: Child,
}

impl Watcher {
    /// `command` is what runs `sh`, such as a change of the user; the script finds `arguments` in `$1`, `$2`, ...
    pub(crate) fn new(mut command: Command, script: &str, arguments: &[&str]) -> Watcher {
        let shell = command
            .args(["-c", &format!("read _; {script}"), "sh"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A process group of its own, so that an interrupt at the terminal does not end it before its work.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Watcher { shell }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}
