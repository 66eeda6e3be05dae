//! What was measured, kept as JSON between the programs of one run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::log::bench_data;

/// Numbers by name, by who was measured.
type Cases = BTreeMap<String, BTreeMap<String, f64>>;

/// Every number of a run: by kind of measurement, by case, by who was measured, by name of the number.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Results {
    /// The numbers.
    pub measured: BTreeMap<String, BTreeMap<String, Cases>>,
}

impl Results {
    fn path() -> anyhow::Result<PathBuf> {
        Ok(bench_data()?.join("results.json"))
    }

    /// Reads what earlier programs of the run left; nothing if there is no file.
    ///
    /// # Errors
    /// If the file is not what [`Results::save`] wrote.
    pub fn load() -> anyhow::Result<Results> {
        match std::fs::read(Results::path()?) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(_) => Ok(Results::default()),
        }
    }

    /// Writes all numbers.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(Results::path()?, serde_json::to_vec_pretty(self)?)?)
    }

    /// Puts numbers in place of those of an earlier run.
    pub fn put(&mut self, kind: &str, case: &str, who: &str, numbers: &[(&str, f64)]) {
        let who = self
            .measured
            .entry(kind.to_owned())
            .or_default()
            .entry(case.to_owned())
            .or_default()
            .entry(who.to_owned())
            .or_default();
        who.extend(numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)));
    }

    /// Returns a number, if it was measured.
    pub fn get(&self, kind: &str, case: &str, who: &str, name: &str) -> Option<f64> {
        self.measured.get(kind)?.get(case)?.get(who)?.get(name).copied()
    }

    /// All numbers as Markdown, a table for each kind of measurement.
    pub fn tables(&self) -> String {
        let mut out = String::new();
        for (kind, cases) in &self.measured {
            let names: BTreeSet<&String> =
                cases.values().flat_map(|whos| whos.values().flat_map(BTreeMap::keys)).collect();
            let _ = writeln!(
                out,
                "\n## {kind}\n\n| case | who |{}",
                names.iter().fold(String::new(), |row, name| row + " " + name + " |")
            );
            let _ = writeln!(out, "| --- | --- |{}", " --- |".repeat(names.len()));
            for (case, whos) in cases {
                for (who, numbers) in whos {
                    let _ = write!(out, "| {case} | {who} |");
                    for name in &names {
                        let _ = match numbers.get(*name) {
                            Some(number) if number.abs() < 100.0 => write!(out, " {number:.3} |"),
                            Some(number) => write!(out, " {number:.0} |"),
                            None => write!(out, " |"),
                        };
                    }
                    out.push('\n');
                }
            }
        }
        out
    }
}
