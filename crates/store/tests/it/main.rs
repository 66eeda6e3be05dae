//! Integration tests of the database and of segment objects.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

/// Makes each test of the list one test over SQLite and one over PostgreSQL.
macro_rules! on_both {
    ($($test:ident,)*) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test(&crate::fixture::Fixture::sqlite()); })*
        }
        mod postgres {
            $(#[test] fn $test() { super::$test(&crate::fixture::Fixture::postgres(stringify!($test))); })*
        }
    };
}

mod fixture;
mod log;
mod logins;
mod manifest;
mod objects;
mod organizations;
mod people;
mod postgres;
mod saved_searches;
mod seal;
mod sessions;
mod sqlite;
mod streams;
mod writers;

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
