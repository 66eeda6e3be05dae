//! Integration tests of the use cases, over a real database in a temporary directory.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod access;
mod erasure;
mod export;
mod follow;
mod history;
mod ingest;
mod license;
mod oidc;
mod organizations;
mod people;
mod prune;
mod registration;
mod retention;
mod saved_searches;
mod seal;
mod search;
mod settings;
mod signing;
mod streams;
mod support;
mod tamper;

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
