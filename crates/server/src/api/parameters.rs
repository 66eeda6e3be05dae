//! URL parameters, read as Coder reads them: unknown ones are ignored, empty ones are absent, repeated ones are refused.

use std::str::FromStr;

use annals_model::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};

use crate::error::{ApiError, Validation};

/// The parameters of one request, with everything that is wrong with them.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    faults: Vec<Validation>,
}

impl Parameters {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Parameters {
        Parameters { pairs, faults: Vec::new() }
    }

    /// Returns a text; absent and empty are the same.
    pub(crate) fn text(&mut self, name: &str) -> String {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let first = values.next().cloned().unwrap_or_default();
        let more = values.count();
        if more > 0 {
            let count = more + 1;
            let detail = format!("`{name}` is given {count} times; give it once");
            self.faults.push(Validation::new(name, detail));
        }
        first
    }

    /// Returns a value of any form, or nothing if absent.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let shown: String = text.chars().take(64).collect();
            self.faults.push(Validation::new(name, format!("`{shown}` is not {expected}")));
        }
        parsed
    }

    /// Returns a value that must be given.
    pub(crate) fn required<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        if self.pairs.iter().any(|(key, value)| key == name && !value.is_empty()) {
            return self.parsed(name, expected);
        }
        self.faults.push(Validation::new(name, format!("missing; expected {expected}")));
        None
    }

    /// Returns the rows of a page: 100 if absent or 0, 1,000 at most.
    pub(crate) fn limit(&mut self) -> usize {
        self.limit_of(PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX)
    }

    /// Returns a number of rows, with another default and another maximum.
    pub(crate) fn limit_of(&mut self, default: usize, max: usize) -> usize {
        let limit = self.parsed::<u32>("limit", &format!("a number from 0 to {max}")).unwrap_or(0) as usize;
        if limit > max {
            let detail = format!("`{limit}` exceeds the limit of {max} rows");
            self.faults.push(Validation::new("limit", detail));
        }
        if limit == 0 { default } else { limit }
    }

    /// Returns a required value if everything was right.
    pub(crate) fn finish_with<T>(self, required: Option<T>) -> Result<T, ApiError> {
        match required {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(ApiError::Parameters(self.faults)),
        }
    }

    /// Says whether everything was right.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ApiError::Parameters(self.faults)) }
    }
}
