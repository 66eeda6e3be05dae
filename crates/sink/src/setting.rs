//! Settings of receivers: texts by name, with a table that says what each holds.

use std::collections::BTreeMap;

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A line of text.
    Line,
    /// Several lines of text, such as certificates in PEM.
    Text,
    /// A line that is kept encrypted and never shown again.
    Secret,
    /// Several lines that are kept encrypted and never shown again.
    SecretText,
    /// A whole number.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
}

impl SettingKind {
    /// Whether its value is kept encrypted and never shown again.
    pub fn is_secret(self) -> bool {
        matches!(self, SettingKind::Secret | SettingKind::SecretText)
    }
}

/// One setting of a kind of receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Name in files, on the command line and in forms.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What it is for, with an example: a sentence.
    pub about: &'static str,
    /// What it holds.
    pub kind: SettingKind,
    /// The value where none is given; empty for none.
    pub default: &'static str,
    /// It must be given.
    pub is_required: bool,
}

impl Setting {
    /// A setting that may be left out.
    pub(crate) const fn new(
        name: &'static str,
        label: &'static str,
        about: &'static str,
        kind: SettingKind,
    ) -> Setting {
        Setting { name, label, about, kind, default: "", is_required: false }
    }

    /// As it is, with the value where none is given.
    pub(crate) const fn or(self, default: &'static str) -> Setting {
        Setting { default, ..self }
    }

    /// As it is, but it must be given.
    pub(crate) const fn required(self) -> Setting {
        Setting { is_required: true, ..self }
    }
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct SettingFault {
    /// Name of the setting.
    pub name: String,
    /// What is wrong, and what is expected; never the value of a secret.
    pub what: String,
}

impl SettingFault {
    pub(crate) fn new(name: &str, what: impl Into<String>) -> SettingFault {
        SettingFault { name: name.to_owned(), what: what.into() }
    }
}

/// Values by name. Its `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Bytes of a line.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a text: some twenty certificates.
const TEXT_BYTES_MAX: usize = 64 * 1024;

impl Settings {
    /// The value, empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The number of a checked setting.
    pub fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or_default()
    }

    /// Whether a checked switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == "true"
    }

    /// Sets a value; an empty one takes it back.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Every value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn checked(&self, known: &[Setting]) -> Result<Settings, Vec<SettingFault>> {
        let mut checked = self.clone();
        let mut faults = Vec::new();
        for name in self.0.keys().filter(|name| !known.iter().any(|setting| setting.name == **name)) {
            let names: Vec<&str> = known.iter().map(|setting| setting.name).collect();
            let what = format!("not a setting here; there are {}", names.join(", "));
            faults.push(SettingFault { name: name.clone(), what });
        }
        for setting in known {
            let value = self.get(setting.name);
            let what = match value {
                "" if setting.is_required => Some("must be given".to_owned()),
                "" => None,
                value => setting.kind.fault(value),
            };
            if let Some(what) = what {
                faults.push(SettingFault { name: setting.name.to_owned(), what });
            } else if value.is_empty() {
                checked.set(setting.name, setting.default);
            }
        }
        if faults.is_empty() { Ok(checked) } else { Err(faults) }
    }
}

impl SettingKind {
    fn fault(self, value: &str) -> Option<String> {
        let is_line = value.len() <= LINE_BYTES_MAX && !value.chars().any(char::is_control);
        match self {
            SettingKind::Line | SettingKind::Secret => {
                (!is_line).then(|| format!("one line of at most {LINE_BYTES_MAX} bytes is expected"))
            }
            SettingKind::Text | SettingKind::SecretText => {
                (value.len() > TEXT_BYTES_MAX).then(|| format!("at most {TEXT_BYTES_MAX} bytes are expected"))
            }
            SettingKind::Number { min, max } => {
                let fits = value.parse().is_ok_and(|number: u64| (min..=max).contains(&number));
                (!fits).then(|| {
                    format!("a whole number from {min} to {max} is expected, not `{}`", shown(value))
                })
            }
            SettingKind::Choice(words) => (!words.contains(&value))
                .then(|| format!("one of {} is expected, not `{}`", words.join(", "), shown(value))),
            SettingKind::Switch => (!matches!(value, "true" | "false"))
                .then(|| format!("`true` or `false` is expected, not `{}`", shown(value))),
        }
    }
}

/// The beginning of a value, for a message.
fn shown(value: &str) -> String {
    value.chars().filter(|character| !character.is_control()).take(40).collect()
}
