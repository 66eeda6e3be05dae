//! The form of a stream: made from the table of its kind's settings, and read back.

mod draft;
mod field;

use annals_engine::{PARALLEL_MAX, SinkKind, SinkSetting, SinkSettingKind};
use annals_model::formats::EventFormat;
use askama::Template;

use super::fault::Faults;
use crate::pages::shell::Shell;

pub(super) use draft::{Draft, Values, draft, normal, start};
pub(super) use field::{Control, Entry, Field, parts};

/// Settings that most streams leave as they are; what must be given is never among them.
const LESS_USED: [&str; 17] = [
    "acknowledge_seconds",
    "allow_http",
    "app_name",
    "ca",
    "channel",
    "client_cert",
    "client_key",
    "facility",
    "gzip",
    "hold",
    "host",
    "hostname",
    "server_name",
    "service_name",
    "source",
    "sourcetype",
    "timeout",
];

/// Fields together under a heading.
pub(super) struct Chapter {
    pub(super) name: &'static str,
    pub(super) about: Vec<String>,
    pub(super) fields: Vec<Field>,
    /// Behind a heading to open.
    pub(super) is_folded: bool,
    /// Folded, but something in it is to be seen.
    pub(super) is_open: bool,
}

#[derive(Template)]
#[template(path = "stream_form.html")]
pub(super) struct FormPage {
    pub(super) shell: Shell,
    pub(super) done: &'static str,
    pub(super) fault: String,
    pub(super) title: String,
    pub(super) action: String,
    pub(super) back: String,
    pub(super) button: &'static str,
    pub(super) kind: &'static SinkKind,
    pub(super) chapters: Vec<Chapter>,
}

impl FormPage {
    /// Something is wrong with a field.
    fn has_faults(&self) -> bool {
        let mut fields = self.chapters.iter().flat_map(|chapter| &chapter.fields);
        fields.any(|field| !field.faults.is_empty())
    }
}

/// Name of the field of a setting, so that no setting takes the place of a field of ours.
pub(super) fn setting_field(setting: &str) -> String {
    format!("set.{setting}")
}

/// What the form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose<'k> {
    /// To set a stream up.
    New,
    /// To change one that keeps some secrets already.
    Edit {
        /// Their names.
        kept: &'k [&'static str],
    },
}

/// Makes the fields; what is wrong with none of them stays in `faults`.
pub(super) fn chapters(
    kind: &'static SinkKind,
    purpose: Purpose<'_>,
    values: &Values,
    faults: &mut Faults,
) -> Vec<Chapter> {
    let (more, settings): (Vec<&SinkSetting>, Vec<&SinkSetting>) =
        kind.settings.iter().partition(|setting| LESS_USED.contains(&setting.name) && !setting.is_required);
    let fields = |settings: Vec<&SinkSetting>, faults: &mut Faults| -> Vec<Field> {
        settings.into_iter().map(|setting| of_setting(kind, setting, purpose, values, faults)).collect()
    };
    let receiver = fields(settings, faults);
    let shows_more = more.iter().any(|setting| is_other(setting, purpose, values));
    let more = fields(more, faults);
    let is_open = shows_more || more.iter().any(|field| !field.faults.is_empty());
    let plain = |name, about: &str, fields| Chapter {
        name,
        about: parts(about),
        fields,
        is_folded: false,
        is_open: false,
    };
    let mut chapters =
        vec![plain("Stream", "", what_it_is(values, faults)), plain("Receiver", kind.about, receiver)];
    if !more.is_empty() {
        let name = "More settings of the receiver";
        chapters.push(Chapter { name, about: Vec::new(), fields: more, is_folded: true, is_open });
    }
    chapters.push(plain("Sending", "", how_it_sends(purpose, values, faults)));
    chapters
}

fn what_it_is(values: &Values, faults: &mut Faults) -> Vec<Field> {
    let fields = [
        Field::line("name", "Name", "What to call it, such as `siem`.").required(),
        Field::line("query", "Which events", "A query such as `action:delete`; empty for all events.")
            .placeholder("all events"),
        Field::choice("format", "Form of an event", "", formats()),
    ];
    fields.map(|field| field.with(values, faults)).into()
}

/// Where it begins, and how it goes on; where it began is not changed.
fn how_it_sends(purpose: Purpose<'_>, values: &Values, faults: &mut Faults) -> Vec<Field> {
    let about_from = "A replay can send what lies before later on.";
    let about_date = "For a begin from a date: its first event in UTC.";
    let about_silence = "When nothing got through for so long although events wait, that is an event in the log; `0` for never.";
    let begin = [
        Field::choice("from", "Where to begin", about_from, starts()),
        Field::of(Control::Date, "from_date", "Date", about_date),
    ];
    let going = [
        Field::number(
            "parallel",
            "Batches at the same time",
            "1 keeps the order of events; more is faster.",
            1,
            PARALLEL_MAX,
        ),
        Field::number(
            "silence",
            "Minutes until it counts as stalled",
            about_silence,
            0,
            draft::SILENCE_MINUTES_MAX,
        ),
    ];
    let paused = Field::of(Control::Switch, "paused", "Set up, but send nothing until it is resumed", "");
    let is_new = purpose == Purpose::New;
    let (begin, paused) = (begin.into_iter().filter(|_| is_new), Some(paused).filter(|_| is_new));
    begin.chain(going).chain(paused).map(|field| field.with(values, faults)).collect()
}

/// Whether a setting is not what it is without being given.
fn is_other(setting: &SinkSetting, purpose: Purpose<'_>, values: &Values) -> bool {
    let value = values.get(&setting_field(setting.name)).map_or("", String::as_str);
    let is_switch = setting.kind == SinkSettingKind::Switch;
    purpose != Purpose::New
        && !setting.kind.is_secret()
        && value != setting.default
        && !(is_switch && value == "false" && setting.default.is_empty())
        && !value.is_empty()
}

fn of_setting(
    kind: &SinkKind,
    setting: &SinkSetting,
    purpose: Purpose<'_>,
    values: &Values,
    faults: &mut Faults,
) -> Field {
    let name = setting_field(setting.name);
    let is_made = purpose == Purpose::New && is_made_if_empty(kind, setting);
    let keeps = matches!(purpose, Purpose::Edit { kept } if kept.contains(&setting.name));
    let about = match setting.kind {
        _ if is_made => format!("{} Leave it empty, and one is made and shown once.", setting.about),
        // The words of the table are for whoever writes the value out.
        SinkSettingKind::Switch => {
            setting.about.replace(", such as `true`", "").replace(", such as `false`", "")
        }
        _ => setting.about.to_owned(),
    };
    let control = match setting.kind {
        SinkSettingKind::Line => Control::Line,
        SinkSettingKind::Text => Control::Text,
        SinkSettingKind::Secret => Control::Secret,
        SinkSettingKind::SecretText => Control::SecretText,
        SinkSettingKind::Number { min, max } => Control::Number { min, max },
        SinkSettingKind::Choice(_) => Control::Choice,
        SinkSettingKind::Switch => Control::Switch,
    };
    let mut field = Field::of(control, &name, setting.label, &about);
    if let SinkSettingKind::Choice(words) = setting.kind {
        field.options = words.iter().map(|word| Entry::new(word, word)).collect();
    }
    field.is_required = setting.is_required && !is_made && !keeps;
    field.may_remove = keeps && !setting.is_required;
    field.placeholder = match keeps {
        true => "kept; leave empty to keep it".to_owned(),
        false => setting.default.to_owned(),
    };
    field.with(values, faults)
}

/// A webhook signs; without a secret the engine makes one.
pub(super) fn is_made_if_empty(kind: &SinkKind, setting: &SinkSetting) -> bool {
    kind.name == "webhook" && setting.name == "secret"
}

fn formats() -> Vec<Entry> {
    EventFormat::ALL.map(|format| Entry::new(format.name(), format_words(format))).to_vec()
}

/// What a form of events is.
pub(super) fn format_words(format: EventFormat) -> &'static str {
    match format {
        EventFormat::Native => "native: JSON of Annals’ own API, in full",
        EventFormat::Coder => "coder: the line of Coder’s own audit logger",
        EventFormat::Classic => "classic: the line of Coder before version 2",
        EventFormat::Stackdriver => "stackdriver: JSON for Google Cloud Logging",
        EventFormat::Human => "human: a line of text for people",
        EventFormat::Ocsf => "ocsf: Open Cybersecurity Schema Framework 1.4",
        EventFormat::Ecs => "ecs: Elastic Common Schema 8.17",
    }
}

fn starts() -> Vec<Entry> {
    vec![
        Entry::new("now", "now: behind the newest event"),
        Entry::new("beginning", "at the beginning of the log"),
        Entry::new("date", "from a date"),
    ]
}
