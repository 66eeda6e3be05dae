//! One field of the form of a stream.

use super::super::fault::Faults;
use super::draft::Values;

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Line,
    Text,
    Secret,
    SecretText,
    Number { min: u64, max: u64 },
    Date,
    Choice,
    Switch,
}

/// An entry of a choice.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) value: String,
    pub(crate) label: String,
}

impl Entry {
    pub(crate) fn new(value: &str, label: &str) -> Entry {
        Entry { value: value.to_owned(), label: label.to_owned() }
    }
}

/// A field with its words, its value and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) control: Control,
    pub(crate) name: String,
    /// Identity on the page.
    pub(crate) id: String,
    pub(crate) label: String,
    /// Words, and between them, at odd places, code.
    pub(crate) about: Vec<String>,
    pub(crate) value: String,
    pub(crate) placeholder: String,
    pub(crate) is_required: bool,
    /// A secret that may be taken back.
    pub(crate) may_remove: bool,
    pub(crate) options: Vec<Entry>,
    pub(crate) faults: Vec<String>,
}

impl Field {
    pub(crate) fn of(control: Control, name: &str, label: &str, about: &str) -> Field {
        Field {
            control,
            name: name.to_owned(),
            id: format!("f-{}", name.replace('.', "-")),
            label: label.to_owned(),
            about: parts(about),
            value: String::new(),
            placeholder: String::new(),
            is_required: false,
            may_remove: false,
            options: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(super) fn line(name: &str, label: &str, about: &str) -> Field {
        Field::of(Control::Line, name, label, about)
    }

    pub(super) fn number(name: &str, label: &str, about: &str, min: u64, max: u64) -> Field {
        Field::of(Control::Number { min, max }, name, label, about)
    }

    pub(super) fn choice(name: &str, label: &str, about: &str, options: Vec<Entry>) -> Field {
        Field { options, ..Field::of(Control::Choice, name, label, about) }
    }

    pub(super) fn required(self) -> Field {
        Field { is_required: true, ..self }
    }

    pub(super) fn placeholder(self, placeholder: &str) -> Field {
        Field { placeholder: placeholder.to_owned(), ..self }
    }

    /// With its value and what is wrong with it. The value of a secret never comes back.
    pub(super) fn with(mut self, values: &Values, faults: &mut Faults) -> Field {
        if !self.is_secret() {
            self.value = values.get(&self.name).cloned().unwrap_or_default();
        }
        self.faults = faults.take(&self.name);
        self
    }

    fn is_secret(&self) -> bool {
        matches!(self.control, Control::Secret | Control::SecretText)
    }

    pub(crate) fn is_wide(&self) -> bool {
        matches!(self.control, Control::Text | Control::SecretText)
    }

    /// Identities of what describes the field, for those who do not see it.
    pub(crate) fn described_by(&self) -> String {
        let about = (!self.about.is_empty()).then(|| format!("{}-about", self.id));
        let fault = (!self.faults.is_empty()).then(|| format!("{}-fault", self.id));
        about.into_iter().chain(fault).collect::<Vec<_>>().join(" ")
    }
}

/// A text with marks of code: words, and between them, at odd places, code.
pub(crate) fn parts(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split('`').map(str::to_owned).collect() }
}
