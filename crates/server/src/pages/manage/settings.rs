//! `/settings`: what a site manager sets for everyone.

use std::collections::BTreeMap;

use annals_engine::{Principal, SETTINGS, Setting, SettingError, SettingKind};
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Done, ask, done, sentence};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::SmallForm;
use crate::pages::html;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};

/// The forms of the page: heading, what it is about, and the settings by the beginning of their names.
const CHAPTERS: [(&str, &str, &[&str]); 6] = [
    (
        "Infrastructure",
        "The address under which people reach Annals; the log-in with OIDC comes back to it.",
        &["access_url"],
    ),
    (
        "Sign-in with OIDC",
        "An OpenID Connect provider that people may sign in with. Its callback is the access URL with /login/oidc/callback.",
        &["oidc_"],
    ),
    (
        "System banner",
        "A line at the top and the bottom of every page, the sign-in page included.",
        &["system_banner_"],
    ),
    ("Service banner", "A line below the top bar, for those who are signed in.", &["service_banner_"]),
    ("Terms of service", "Shown on the sign-in page; signing in accepts them.", &["terms_"]),
    (
        "Telemetry",
        "Annals sends nothing to anybody, whatever these switches say. They are here so that a change of them is on record.",
        &["crash_reports", "usage_telemetry", "enhanced_telemetry"],
    ),
];

/// The color of a banner without a color of its own, as in `annals.css`.
const ACCENT: &str = "#1c54c4";

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    chapters: Vec<Chapter>,
}

struct Chapter {
    name: &'static str,
    about: &'static str,
    fields: Vec<Field>,
}

struct Field {
    name: &'static str,
    label: &'static str,
    kind: SettingKind,
    value: String,
    /// A secret is there; its value is never shown.
    is_set: bool,
}

impl Field {
    fn is(&self, name: &str) -> bool {
        match self.kind {
            SettingKind::Switch => name == "switch",
            SettingKind::Color => name == "color",
            SettingKind::Text => name == "text",
            SettingKind::Secret => name == "secret",
            SettingKind::Line | SettingKind::Site | SettingKind::Url => name == "line",
        }
    }
}

/// Shows the settings.
pub(crate) async fn show_settings(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    page(&app, principal, StatusCode::OK, BTreeMap::new(), String::new(), done.sentence()).await
}

async fn page(
    app: &App,
    principal: Principal,
    status: StatusCode,
    sent: BTreeMap<String, String>,
    fault: String,
    done: &'static str,
) -> Result<Response, PageError> {
    principal.may_manage()?;
    let shell = Shell::new(app, &principal, Section::Settings).await?;
    let settings = ask(app, |engine| engine.settings()).await?;
    let field = |setting: &Setting| {
        let stored = settings.get(setting.name);
        let value = sent.get(setting.name).map_or(stored, String::as_str);
        Field {
            name: setting.name,
            label: setting.label,
            kind: setting.kind,
            value: match (setting.kind, value) {
                (SettingKind::Secret, _) => String::new(),
                (SettingKind::Color, "") => ACCENT.to_owned(),
                (_, value) => value.to_owned(),
            },
            is_set: !stored.is_empty(),
        }
    };
    let chapter = |(name, about, beginnings): &(&'static str, &'static str, &[&str])| Chapter {
        name,
        about,
        fields: SETTINGS.iter().filter(|setting| belongs(setting.name, beginnings)).map(field).collect(),
    };
    let chapters = CHAPTERS.iter().map(chapter).collect();
    html(status, &SettingsPage { shell, done, fault, chapters })
}

fn belongs(name: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

/// Saves one form of the page. A switch that is off is not sent by browsers, so the form names what it is about.
pub(crate) async fn change_settings(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(mut sent): SmallForm<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    let chapter = sent.remove("chapter").unwrap_or_default();
    let beginnings =
        CHAPTERS.iter().find(|(name, ..)| *name == chapter).map_or(&[] as &[&str], |(.., names)| names);
    let removes_secret = sent.remove("remove_secret").is_some();
    let mut values: Vec<(String, String)> = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| belongs(setting.name, beginnings)) {
        let value = sent.get(setting.name).cloned().unwrap_or_default();
        // An empty field of a secret leaves it as it is.
        if setting.kind == SettingKind::Secret && value.is_empty() && !removes_secret {
            continue;
        }
        // A browser always sends a color. One that nobody chose is the one that the page shows then.
        let is_unchosen = setting.kind == SettingKind::Color && value.eq_ignore_ascii_case(ACCENT);
        values.push((setting.name.to_owned(), if is_unchosen { String::new() } else { value }));
    }
    let caller = principal.clone();
    let result = blocking(&app, move |engine| {
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        engine.change_settings(&caller, &values)
    })
    .await?;
    match result {
        Ok(changed) if changed.is_empty() => Ok(done("/settings", "nothing")),
        Ok(_) => Ok(done("/settings", "saved")),
        Err(SettingError::Forbidden(error)) => Err(error.into()),
        Err(SettingError::Engine(error)) => Err(error.into()),
        Err(error) => {
            let fault = sentence(&error.to_string());
            page(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, sent, fault, "").await
        }
    }
}
