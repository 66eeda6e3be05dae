//! The client in Python against a real server: its own tests, in `clients/python`.

use std::process::Command;

use crate::support::{Server, create_token};

#[test]
fn the_python_client_does_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, read) = (create_token(dir.path(), "ingest"), create_token(dir.path(), "read"));
    let server = Server::start(dir.path());
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python");
    let mut python = Command::new("python3");
    python.args(["-W", "error", "-B", "annals_test.py"]).current_dir(clients);
    python.env("ANNALS_URL", &server.url).env("ANNALS_INGEST", ingest).env("ANNALS_READ", read);
    let output = python.output().expect("tools/need-test-parts installs python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Ran 6 tests") && !said.contains("skipped"), "{said}");
}
