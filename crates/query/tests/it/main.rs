//! Integration tests of the query language: corpora, laws and limits.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test")]

mod coder;
mod corpora;
mod errors;
mod evaluator;
mod explanation;
mod laws;
mod limits;
mod reference;

use annals_query::{Context, Vocabulary};

/// Runs a test body with a fixed present, caller and vocabulary.
fn with_context<T>(body: impl FnOnce(&Context<'_>) -> T) -> T {
    let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let vocabulary = Vocabulary {
        resource_types: owned(&["workspace", "workspace_build", "template", "user", "audit_log"]),
        actions: owned(&["create", "delete", "write", "start", "stop", "login", "logout"]),
        build_reasons: owned(&["initiator", "autostart", "autostop"]),
        open: false,
    };
    let now = "2026-03-18T15:04:05Z".parse().unwrap();
    body(&Context { now, me: Some("Alice"), vocabulary: &vocabulary })
}

#[test]
fn no_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = include_str!("main.rs");
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source && name != "main" {
            assert!(main.contains(&format!("mod {name};\n")), "tests/it/main.rs lacks `mod {name};`");
        }
    }
}
