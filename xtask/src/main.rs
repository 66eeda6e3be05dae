//! Rules that the compiler cannot check: `cargo run -p xtask -- tidy`.
//!
//! Each rule is a function from a file, or from the tree, to complaints. All complaints are printed at once.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// Lines after which a file should become two.
const FILE_LINES_MAX: usize = 800;

fn main() -> anyhow::Result<ExitCode> {
    let task = std::env::args().nth(1);
    anyhow::ensure!(task.as_deref() == Some("tidy"), "usage: cargo run -p xtask -- tidy");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the project")?;
    let complaints = tidy(root)?;
    for complaint in &complaints {
        complain(complaint);
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stderr, reason = "this is a tool of the command line")]
fn complain(complaint: &str) {
    eprintln!("tidy: {complaint}");
}

struct File {
    path: String,
    text: String,
}

fn tidy(root: &Path) -> anyhow::Result<Vec<String>> {
    let files = tracked_files(root)?;
    let mut complaints = Vec::new();
    for file in &files {
        for rule in [length, names, todo_has_an_issue, boundaries, unsafe_has_one_home, lints_are_shared] {
            complaints.extend(rule(file));
        }
    }
    complaints.extend(dependencies_have_a_line(&files));
    complaints.extend(assets_have_a_licence(&files));
    Ok(complaints)
}

/// Text files that git tracks, or would.
fn tracked_files(root: &Path) -> anyhow::Result<Vec<File>> {
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git lists the files")?;
    let mut files = Vec::new();
    for path in String::from_utf8(list.stdout)?.lines() {
        let full: PathBuf = root.join(path);
        if let Ok(text) = std::fs::read_to_string(&full) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

fn length(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (file.path.ends_with(".rs") && lines > FILE_LINES_MAX)
        .then(|| format!("{}: {lines} lines; split it by what it is about", file.path))
}

fn names(file: &File) -> Option<String> {
    let stem = Path::new(&file.path).file_stem()?.to_str()?;
    ["utils", "util", "helpers", "helper", "common", "misc"]
        .contains(&stem)
        .then(|| format!("{}: a name that says nothing; name what it holds", file.path))
}

fn todo_has_an_issue(file: &File) -> Option<String> {
    let word = concat!("TO", "DO");
    let line =
        file.text.lines().position(|line| line.contains(word) && !line.contains(&format!("{word}(#")))?;
    (file.path.ends_with(".rs") && !file.path.starts_with("xtask"))
        .then(|| format!("{}:{}: write {word}(#issue)", file.path, line + 1))
}

/// Which crate alone may name a library.
const BOUNDARIES: [(&str, &str); 8] = [
    ("rusqlite", "crates/store"),
    ("postgres", "crates/store"),
    ("object_store", "crates/store"),
    ("memmap2", "crates/store"),
    ("parquet", "crates/segment"),
    ("axum", "crates/server"),
    ("roaring", "crates/segment"),
    ("askama", "crates/server"),
];

fn boundaries(file: &File) -> Option<String> {
    let is_manifest = file.path.starts_with("crates/") && file.path.ends_with("Cargo.toml");
    BOUNDARIES
        .iter()
        .filter(|_| is_manifest)
        .find(|(library, home)| {
            // A test may forge what it checks, so what follows is only for tests.
            let mut lines = file.text.lines().take_while(|line| *line != "[dev-dependencies]");
            // What an application switches on is no part of this program.
            let is_switch = |line: &str| line.contains("optional = true") || line.contains("\"dep:");
            let named = lines.any(|line| line.starts_with(&format!("{library} ")) && !is_switch(line));
            named && !file.path.starts_with(home)
        })
        .map(|(library, home)| format!("{}: `{library}` is named by {home} alone", file.path))
}

/// `unsafe` has one home.
fn unsafe_has_one_home(file: &File) -> Option<String> {
    let word = concat!("unsafe", "_code");
    let is_code =
        ["crates/", "examples/"].iter().any(|part| file.path.starts_with(part)) && file.path.ends_with(".rs");
    (is_code && file.path != "crates/store/src/map.rs" && file.text.contains(word))
        .then(|| format!("{}: `{word}` is allowed in crates/store/src/map.rs alone", file.path))
}

fn lints_are_shared(file: &File) -> Option<String> {
    let is_manifest = ["crates/", "examples/", "xtask/"].iter().any(|part| file.path.starts_with(part))
        && file.path.ends_with("Cargo.toml");
    (is_manifest && !file.text.contains("[lints]\nworkspace = true"))
        .then(|| format!("{}: add `[lints] workspace = true`", file.path))
}

/// Every library of a manifest earns a line in docs/DEPENDENCIES.md.
fn dependencies_have_a_line(files: &[File]) -> Vec<String> {
    let known =
        files.iter().find(|file| file.path == "docs/DEPENDENCIES.md").map_or("", |file| file.text.as_str());
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let mut in_dependencies = false;
        for line in file.text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies]");
            } else if in_dependencies
                && let Some((name, _)) = line.split_once('=')
                && !name.trim().starts_with("annals-")
                && !name.starts_with('#')
                && !known.contains(&format!("| {} ", name.trim()))
            {
                complaints.push(format!(
                    "{}: `{}` has no line in docs/DEPENDENCIES.md",
                    file.path,
                    name.trim()
                ));
            }
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

/// What is not ours carries its licence beside it.
fn assets_have_a_licence(files: &[File]) -> Vec<String> {
    let minified = files.iter().filter(|file| file.path.ends_with(".min.js"));
    minified
        .filter(|file| {
            let licence = file.path.replace(".min.js", ".LICENSE");
            !files.iter().any(|other| other.path == licence)
        })
        .map(|file| format!("{}: its licence is missing beside it", file.path))
        .collect()
}
