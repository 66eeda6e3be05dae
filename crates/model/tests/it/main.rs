//! The integration tests of the model, one binary with a module per subject.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod derive;
mod diff;
mod formats;
mod registry_data;
mod registry_describe;
mod registry_extend;
mod registry_link;
mod registry_print;
mod stored;

#[test]
fn no_test_file_is_forgotten() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(main.contains(&format!("\nmod {module};\n")), "`mod {module};` is missing in main.rs");
        }
    }
}
