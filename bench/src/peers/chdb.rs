//! ClickHouse inside Python (chdb), asked over a pipe.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::Generator;
use crate::log::{SEED, bench_data};
use crate::measure::cpu_seconds;
use crate::peers::{Answer, Peer};
use crate::results::Results;
use crate::row::Row;
use crate::shapes::{Query, Test, time_text};

/// The version that `peers/chdb.py` was written for.
const VERSION: &str = "4.4.0";

/// ClickHouse.
pub struct Chdb {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Chdb {
    /// Starts the engine; loads the events unless they are there. The library is installed once, in an environment of its own.
    ///
    /// # Errors
    /// If Python or the library is not there, or the engine fails.
    pub fn open(events: u64, results: &mut Results) -> anyhow::Result<Chdb> {
        let mut chdb = Chdb::start(&bench_data()?.join(format!("chdb-{events}")))?;
        let done = bench_data()?.join(format!("chdb-{events}.complete"));
        if !done.exists() {
            chdb.load(events, results)?;
            std::fs::write(done, "")?;
        }
        Ok(chdb)
    }

    /// Starts the engine with its files in a directory.
    ///
    /// # Errors
    /// If Python or the library is not there.
    pub fn start(dir: &Path) -> anyhow::Result<Chdb> {
        let python = environment("chdb", VERSION)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/chdb.py");
        let mut child =
            Command::new(python).arg(script).arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = child.stdin.take().context("a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Chdb { child, requests, answers })
    }

    /// Answers any statement: rows as lines, columns separated by tabs.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.ask(&json!({"rows": sql}))?;
        Ok(answer["rows"]
            .as_array()
            .context("rows")?
            .iter()
            .filter_map(|row| row.as_str().map(str::to_owned))
            .collect())
    }

    fn load(&mut self, events: u64, results: &mut Results) -> anyhow::Result<()> {
        println!("loading {events} events into ClickHouse");
        let file = bench_data()?.join(format!("events-{events}.ndjson"));
        let mut out = BufWriter::new(std::fs::File::create(&file)?);
        let mut generator = Generator::new(SEED);
        let mut line = String::new();
        for _ in 0..events {
            line.clear();
            generator.push_event(&mut line);
            let row = Row::read(&line)?;
            let object = json!({
                "id": row.id, "time": row.time, "user_id": row.user_id, "username": row.username, "email": row.email,
                "organization": row.organization, "ip": row.ip, "user_agent": row.user_agent,
                "resource_type": row.resource_type, "resource_id": row.resource_id, "resource_target": row.resource_target,
                "action": row.action, "diff": row.diff, "status_code": row.status_code,
                "additional_fields": row.additional_fields, "request_id": row.request_id,
            });
            serde_json::to_writer(&mut out, &object)?;
            out.write_all(b"\n")?;
        }
        out.into_inner()?.sync_all()?;
        let (started, cpu) = (Instant::now(), cpu_seconds(self.child.id(), false)?);
        self.ask(&json!({"load": file}))?;
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds(self.child.id(), false)? - cpu);
        let cpu = cpu * 1e6 / events as f64;
        println!("loaded in {seconds:.0} s, {cpu:.1} us of CPU an event");
        results.put("load", &events.to_string(), "chdb", &[("seconds", seconds), ("cpu_us_per_event", cpu)]);
        Ok(std::fs::remove_file(file)?)
    }

    fn ask(&mut self, request: &Value) -> anyhow::Result<Value> {
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("chdb answers `{line}`"))
    }
}

impl Drop for Chdb {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns a Python that has a library, installing it under the target directory the first time.
fn environment(library: &str, version: &str) -> anyhow::Result<std::path::PathBuf> {
    let dir = bench_data()?.join(format!("python-{library}-{version}"));
    let python = dir.join("bin/python");
    let has_it =
        || Command::new(&python).args(["-c", &format!("import {library}")]).stderr(Stdio::null()).status();
    if !has_it().is_ok_and(|status| status.success()) {
        println!("installing {library} {version}");
        let made = Command::new("python3").args(["-m", "venv"]).arg(&dir).status()?;
        anyhow::ensure!(made.success(), "python3 -m venv: {made}");
        let requirement = format!("{library}=={version}");
        let installed =
            Command::new(&python).args(["-m", "pip", "install", "--quiet", &requirement]).status()?;
        anyhow::ensure!(installed.success(), "pip install {requirement}: {installed}");
    }
    Ok(python)
}

impl Peer for Chdb {
    fn name(&self) -> &'static str {
        "chdb"
    }

    fn answer(&mut self, query: &Query) -> anyhow::Result<Answer> {
        let filter = filter(query);
        let count = format!("SELECT count() FROM audit_logs WHERE {filter}");
        let page = format!(
            "SELECT *, toUnixTimestamp64Micro(time) AS time_us FROM audit_logs WHERE {filter} ORDER BY time DESC LIMIT 25 OFFSET {}",
            query.offset
        );
        let answer = self.ask(&json!({"sql": [count, page]}))?;
        let times_us =
            answer["times_us"].as_array().context("times")?.iter().filter_map(Value::as_i64).collect();
        Ok(Answer { count: answer["count"].as_u64().context("a count")?, times_us })
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.child.id(), false)
    }

    fn disk_bytes(&mut self) -> anyhow::Result<u64> {
        self.ask(&json!({"bytes": true}))?["bytes"].as_u64().context("bytes")
    }
}

/// The conditions of a query in SQL.
pub fn filter(query: &Query) -> String {
    let mut parts = vec!["1".to_owned()];
    for test in &query.tests {
        parts.push(match test {
            Test::Is(column, value) => format!("{} = '{value}'", column.key()),
            Test::IsNot(column, value) => format!("{} != '{value}'", column.key()),
            Test::Begins(column, value) => format!("startsWith({}, '{value}')", column.key()),
            Test::Holds(column, value) => format!("{} LIKE '%{value}%'", column.key()),
            Test::Between(from, to) => format!(
                "time >= parseDateTime64BestEffort('{}', 6, 'UTC') AND time < parseDateTime64BestEffort('{}', 6, 'UTC')",
                time_text(*from),
                time_text(*to)
            ),
        });
    }
    parts.join(" AND ")
}
