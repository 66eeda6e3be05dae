//! Integration tests of the server.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod api;
mod audit_page;
mod browser;
mod export;
mod history;
mod hostile;
mod hostile_pages;
mod lines;
mod manage;
mod matrix;
mod oidc;
mod pages;
mod proof;
mod searches;
mod signed_in;
mod sources;
mod stream;
mod streams_page;
mod support;
mod tls;
mod webdriver;

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(main.contains(&format!("\nmod {module};\n")), "`mod {module};` is missing in main.rs");
        }
    }
}
