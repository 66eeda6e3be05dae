//! The real binary, started and asked.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// Path of the binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_annals")
}

/// Runs a command to its end.
pub(crate) fn annals(args: &[&str]) -> Output {
    Command::new(binary()).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Standard output of a command that must succeed.
pub(crate) fn annals_ok(args: &[&str]) -> String {
    let output = annals(args);
    assert!(output.status.success(), "annals {args:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a token on a data directory.
pub(crate) fn create_token(dir: &Path, kind: &str) -> String {
    let dir = dir.to_str().unwrap();
    let reply = annals_ok(&["token", "create", "--data", dir, "--kind", kind, "--name", "test", "--json"]);
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    reply["token"].as_str().unwrap().to_owned()
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(dir: &Path) -> Server {
        Server::start_with(Command::new(binary()), dir)
    }

    /// Starts the server with a prepared command and waits for its address.
    pub(crate) fn start_with(command: Command, dir: &Path) -> Server {
        Server::try_start_with(command, dir).expect("the server prints its address")
    }

    /// The same for a server that may stop before it has an address.
    pub(crate) fn try_start_with(mut command: Command, dir: &Path) -> Option<Server> {
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data"]).arg(dir);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(first) = lines.next() else {
            child.wait().unwrap();
            return None;
        };
        let first = first.unwrap();
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let url = url.split("/audit").next().unwrap().to_owned();
        Some(Server { child, lines, url })
    }

    /// A server that was started otherwise and has said its address.
    pub(crate) fn of_child(mut child: Child, url: &str) -> Server {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Server { child, lines, url: url.to_owned() }
    }

    /// The set-up link of a new server; waits for ever on one that has people.
    pub(crate) fn setup_link(&mut self) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains("/setup?secret=")).unwrap().trim().to_owned()
    }

    /// Kills it as the power does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end and returns whether it ended well.
    pub(crate) fn ended_well(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Asks it to stop, as an orchestrator does, and returns whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        killed.success() && self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
