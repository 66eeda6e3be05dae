//! DuckDB, which reads segments as any analyst's engine does.

use std::path::PathBuf;
use std::process::Command;

/// Directory name of the Python package in the cache of parts; `tools/need-test-parts` fills it.
const PACKAGE: &str = "duckdb-2.0.0";

const PROGRAM: &str = "
import sys, duckdb
for row in duckdb.sql(sys.argv[1]).fetchall():
    print('|'.join(str(value) for value in row))
";

/// Runs a statement and returns its rows, one a line, values divided by `|`.
///
/// # Panics
/// If Python or the package is missing, or the statement fails.
pub fn duckdb(sql: &str) -> String {
    let package = package_dir();
    assert!(
        package.join("duckdb").exists(),
        "DuckDB is not in `{}`: tools/need-test-parts installs it",
        package.display()
    );
    let output = Command::new("python3")
        .env("PYTHONPATH", &package)
        .args(["-c", PROGRAM, sql])
        .output()
        .expect("python3 is there: tools/need-test-parts installs it");
    assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("rows are text").trim_end().to_owned()
}

fn package_dir() -> PathBuf {
    crate::cache_dir().join(PACKAGE)
}
