//! Words and lines of TOML.

use super::Policy;

/// A basic string, the one form that is also a key and that holds any text on one line.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\U{:08X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An array of strings.
pub(crate) fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|item| text(item)).collect::<Vec<_>>().join(", "))
}

/// A key, quoted where it must be.
pub(crate) fn key(key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { key.to_owned() } else { text(key) }
}

/// A line of `[resource.fields]`.
pub(crate) fn field(name: &str, policy: Policy, personal: bool, mask: Option<&str>) -> String {
    let (name, policy) = (key(name), text(policy.as_str()));
    if !personal && mask.is_none() {
        return format!("{name} = {policy}\n");
    }
    let personal = if personal { ", personal = true" } else { "" };
    let mask = mask.map(|mask| format!(", mask = {}", text(mask))).unwrap_or_default();
    format!("{name} = {{ policy = {policy}{personal}{mask} }}\n")
}
