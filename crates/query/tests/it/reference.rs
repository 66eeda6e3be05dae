//! The reference says what is so.

use crate::with_context;
use annals_query::{Key, QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_TERMS_MAX, REFERENCE, parse};

/// Returns the lines of all fenced blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}");
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match line {
            "```" => is_inside = false,
            _ if line == fence => is_inside = true,
            _ if is_inside => lines.push(line),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_key_is_described() {
    let names = Key::ALL.map(Key::name).into_iter().chain(["date_from", "date_to", "since", "until"]);
    for name in names {
        assert!(REFERENCE.contains(&format!("| `{name}` |")), "`{name}` has no row in docs/QUERY.md");
    }
}

#[test]
fn every_example_parses() {
    let examples = blocks(REFERENCE, "query");
    assert!(examples.len() > 20);
    for example in examples {
        if let Err(errors) = with_context(|context| parse(example, context)) {
            panic!("{}", errors.render(example));
        }
    }
}

#[test]
fn every_row_of_the_key_table_has_an_example_that_parses() {
    let mut row_count = 0;
    for row in REFERENCE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        // A table of keys has three columns: key, value, example.
        if let ["", _, _, example, ""] = cells.as_slice() {
            row_count += 1;
            let query = example.trim_matches('`');
            if let Err(errors) = with_context(|context| parse(query, context)) {
                panic!("{}", errors.render(query));
            }
        }
    }
    assert_eq!(row_count, Key::ALL.len() + 4);
}

#[test]
fn the_limits_are_those_of_the_code() {
    for limit in [QUERY_BYTES_MAX, QUERY_TERMS_MAX, QUERY_DEPTH_MAX] {
        let digits =
            if limit >= 1000 { format!("{},{:03}", limit / 1000, limit % 1000) } else { limit.to_string() };
        assert!(REFERENCE.contains(&digits), "docs/QUERY.md does not say {digits}");
    }
}

#[test]
fn the_shown_error_is_the_real_one() {
    let shown = blocks(REFERENCE, "text").join("\n");
    let query = "acton:create time:soon";
    let errors = with_context(|context| parse(query, context)).unwrap_err();
    assert_eq!(shown, errors.render(query).trim_end());
}
