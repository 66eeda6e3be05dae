//! `GET /audit/tracked`: what is recorded, table by table.

use annals_model::registry::{CUSTOM, Field, Policy, Registry, ResourceType};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::html;
use super::page_error::PageError;
use super::shell::{Section, Shell};
use crate::App;
use crate::auth::{PageCaller, blocking};

/// Chapters of resource types: the registry they belong to, the heading and the anchor.
const CHAPTERS: [(&str, &str); 5] = [
    ("coder", "Coder"),
    ("coder-classic", "Coder before version 2"),
    ("coder-admin", "Coder’s admin panels"),
    ("annals", "Annals itself"),
    (CUSTOM, "Registered here"),
];

#[derive(Template)]
#[template(path = "tracked.html")]
struct TrackedPage {
    shell: Shell,
    type_count: usize,
    field_count: usize,
    chapters: Vec<Chapter>,
    actions: Vec<(String, String)>,
    setting_sections: Vec<SettingSection>,
    build_reasons: Vec<String>,
}

struct Chapter {
    name: String,
    anchor: String,
    types: Vec<Type>,
}

struct Type {
    name: String,
    kind: String,
    actions: Vec<String>,
    fields: Vec<FieldRow>,
    later_fields: Vec<FieldRow>,
}

struct FieldRow {
    name: String,
    is_tracked: bool,
    /// What becomes of the value, where it is not simply recorded.
    mark: &'static str,
    is_secret: bool,
    is_personal: bool,
}

struct SettingSection {
    name: String,
    anchor: String,
    rows: Vec<SettingRow>,
}

struct SettingRow {
    setting: String,
    action: String,
    target: String,
    field: String,
    diff: String,
    note: String,
}

/// Shows the registry. It holds no event, so everyone who is signed in may see it.
pub(crate) async fn show_tracked(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
) -> Result<Response, PageError> {
    let shell = Shell::new(&app, &principal, Section::Tracked).await?;
    let registry = blocking(&app, |engine| engine.registry()).await??;
    let page = TrackedPage {
        shell,
        type_count: registry.resources().count(),
        field_count: registry
            .resources()
            .flat_map(ResourceType::all_fields)
            .filter(|field| field.policy.is_tracked())
            .count(),
        chapters: chapters(&registry),
        actions: registry.actions().map(|action| (action.name.clone(), action.description.clone())).collect(),
        setting_sections: setting_sections(&registry),
        build_reasons: registry.build_reasons().to_vec(),
    };
    html(StatusCode::OK, &page)
}

fn chapters(registry: &Registry) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for resource in registry.resources() {
        let own = resource.registry.as_str();
        let name = CHAPTERS.iter().find(|(registry, _)| *registry == own).map_or(own, |(_, heading)| heading);
        if chapters.iter().all(|chapter| chapter.name != name) {
            chapters.push(Chapter { name: name.to_owned(), anchor: anchor("of", own), types: Vec::new() });
        }
        if let Some(chapter) = chapters.iter_mut().find(|chapter| chapter.name == name) {
            chapter.types.push(Type {
                name: resource.name.clone(),
                kind: resource.kind.clone(),
                actions: resource.actions.clone(),
                fields: resource.fields.iter().map(field_row).collect(),
                later_fields: resource.later_fields.iter().map(field_row).collect(),
            });
        }
    }
    chapters
}

fn field_row(field: &Field) -> FieldRow {
    FieldRow {
        name: field.name.clone(),
        is_tracked: field.policy.is_tracked(),
        mark: match field.policy {
            Policy::Secret => "secret: value withheld",
            Policy::Abbreviate => "value shortened",
            Policy::Track | Policy::Ignore => "",
        },
        is_secret: field.policy == Policy::Secret,
        is_personal: field.personal && field.policy.is_tracked(),
    }
}

fn setting_sections(registry: &Registry) -> Vec<SettingSection> {
    let mut sections: Vec<SettingSection> = Vec::new();
    for setting in registry.settings() {
        let row = SettingRow {
            setting: setting.setting.clone(),
            action: setting.action.clone(),
            target: setting.target.clone(),
            field: setting.field.clone(),
            diff: setting.diff.clone(),
            note: setting.note.clone().unwrap_or_default(),
        };
        match sections.iter_mut().find(|section| section.name == setting.section) {
            Some(section) => section.rows.push(row),
            None => sections.push(SettingSection {
                name: setting.section.clone(),
                anchor: anchor("setting", &setting.section),
                rows: vec![row],
            }),
        }
    }
    sections
}

/// A name that an address can point to.
fn anchor(prefix: &str, name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    format!("{prefix}-{}", letters.collect::<String>())
}
