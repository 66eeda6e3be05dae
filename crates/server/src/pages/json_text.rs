//! JSON laid out for reading, without changing a value of it.

/// Deeper levels are printed at the left edge of this one: nothing of a reader's screen is left for more.
const INDENT_LEVELS_MAX: usize = 24;

/// Breaks a JSON text into indented lines. Numbers and strings stay as they are written; `{}` and `[]` stay on a line.
pub(super) fn laid_out(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut characters = json.chars().filter_outside_strings().peekable();
    let mut level = 0_usize;
    while let Some((character, is_inside)) = characters.next() {
        if is_inside {
            out.push(character);
            continue;
        }
        match character {
            '{' | '[' => {
                out.push(character);
                let closing = if character == '{' { '}' } else { ']' };
                match characters.next_if_eq(&(closing, false)) {
                    Some(_) => out.push(closing),
                    None => {
                        level += 1;
                        new_line(&mut out, level);
                    }
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                new_line(&mut out, level);
                out.push(character);
            }
            ',' => {
                out.push(character);
                new_line(&mut out, level);
            }
            ':' => out.push_str(": "),
            _ => out.push(character),
        }
    }
    out
}

fn new_line(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level.min(INDENT_LEVELS_MAX)));
}

/// Characters of a JSON text with whether they belong to a string; white space outside of strings is left out.
struct Outside<C> {
    characters: C,
    is_inside: bool,
    is_escaped: bool,
}

trait FilterOutsideStrings: Iterator<Item = char> + Sized {
    fn filter_outside_strings(self) -> Outside<Self> {
        Outside { characters: self, is_inside: false, is_escaped: false }
    }
}

impl<C: Iterator<Item = char>> FilterOutsideStrings for C {}

impl<C: Iterator<Item = char>> Iterator for Outside<C> {
    type Item = (char, bool);

    fn next(&mut self) -> Option<(char, bool)> {
        loop {
            let character = self.characters.next()?;
            if !self.is_inside {
                if character == '"' {
                    self.is_inside = true;
                    return Some((character, true));
                }
                if !character.is_ascii_whitespace() {
                    return Some((character, false));
                }
                continue;
            }
            if self.is_escaped {
                self.is_escaped = false;
            } else if character == '\\' {
                self.is_escaped = true;
            } else if character == '"' {
                self.is_inside = false;
            }
            return Some((character, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_changed() {
        let json = r#"{"a":1.10,"b":[], "c" : [1,{"d":"x\"{,}\\"}],"e":{},"f":12345678901234567890}"#;
        let expect = "{\n  \"a\": 1.10,\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x\\\"{,}\\\\\"\n    }\n  ],\n  \
                      \"e\": {},\n  \"f\": 12345678901234567890\n}";
        assert_eq!(laid_out(json), expect);
        assert_eq!(laid_out("{}"), "{}");
        assert_eq!(laid_out("\"a b\""), "\"a b\"");
    }

    #[test]
    fn depth_does_not_make_it_long() {
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        assert!(laid_out(&deep).len() < 240 * 60);
    }
}
