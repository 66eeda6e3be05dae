//! The registry as a page of the documentation.

use super::{CUSTOM, Field, Policy, Registry, ResourceType};

/// The chapters of resource types: the registry that they belong to and the heading.
const CHAPTERS: [(&str, &str); 5] = [
    ("coder", "Coder"),
    ("coder-classic", "Coder before version 2"),
    ("coder-admin", "Coder's admin panels"),
    ("annals", "Annals itself"),
    (CUSTOM, "Registered here"),
];

const INTRODUCTION: &str = "\
# What is recorded

For each resource type, a table says which of its fields are tracked: a change of a field that is `true` appears in the
diff of an event, a change of one that is `false` does not. Values that nobody must read are marked below their table.
A field that stands in no table is recorded as changed, with its values withheld.
";

impl Registry {
    /// Returns the registry as a page of Markdown: a table of fields for each resource type, then the actions, the
    /// admin settings and the build reasons.
    pub fn to_markdown(&self) -> String {
        let mut page = INTRODUCTION.to_owned();
        let rows = self.resources().map(|resource| {
            [
                link(&resource.name),
                code(&resource.kind),
                resource.actions.iter().map(code).collect::<Vec<_>>().join(", "),
            ]
        });
        page += &table(["Resource", "Type", "Actions"], rows);

        let own_chapters = self
            .resources()
            .map(|resource| resource.registry.as_str())
            .filter(|registry| CHAPTERS.iter().all(|(known, _)| known != registry))
            .map(|registry| (registry, registry));
        let mut chapters: Vec<(&str, &str)> = CHAPTERS.to_vec();
        for chapter in own_chapters {
            if !chapters.contains(&chapter) {
                chapters.push(chapter);
            }
        }
        for (registry, heading) in chapters {
            let mut resources = self.resources().filter(|resource| resource.registry == registry).peekable();
            if resources.peek().is_some() {
                page += &format!("\n## {heading}\n");
                page.extend(resources.map(resource_section));
            }
        }

        page += "\n## Actions\n";
        page += &table(["Action", "Meaning"], self.actions().map(|a| [code(&a.name), cell(&a.description)]));
        page += &self.settings_chapter();
        if !self.build_reasons.is_empty() {
            let reasons: Vec<_> = self.build_reasons.iter().map(code).collect();
            page += &format!("\n## Build reasons\n\n{}\n", reasons.join(", "));
        }
        page
    }

    fn settings_chapter(&self) -> String {
        let mut sections: Vec<&str> = Vec::new();
        for setting in &self.settings {
            if !sections.contains(&setting.section.as_str()) {
                sections.push(&setting.section);
            }
        }
        let mut chapter = String::new();
        if !sections.is_empty() {
            chapter += "\n## Admin settings\n";
        }
        for section in sections {
            let settings = || self.settings.iter().filter(|setting| setting.section == section);
            let rows = settings()
                .map(|s| [&s.setting, &s.action, &s.target, &s.field, &s.diff].map(|text| cell(text)));
            chapter += &format!("\n### {}\n", cell(section));
            chapter += &table(["Admin Setting", "Action", "Target", "Field", "Diff"], rows);
            let notes: String = settings()
                .filter_map(|s| Some(format!("- {}: {}\n", cell(&s.setting), cell(s.note.as_ref()?))))
                .collect();
            if !notes.is_empty() {
                chapter += &format!("\n{notes}");
            }
        }
        chapter
    }
}

fn resource_section(resource: &ResourceType) -> String {
    let mut section = format!("\n### {}\n\nType {}", cell(&resource.name), code(&resource.kind));
    if !resource.actions.is_empty() {
        let actions: Vec<_> = resource.actions.iter().map(code).collect();
        section += &format!("; actions {}", actions.join(", "));
    }
    section += ".\n";
    if resource.all_fields().next().is_none() {
        section += "No field is documented.\n";
    }
    for (heading, fields) in [("Field", &resource.fields), ("Later field", &resource.later_fields)] {
        if !fields.is_empty() {
            let rows = fields.iter().map(|field| [cell(&field.name), field.policy.is_tracked().to_string()]);
            section += &table([heading, "Tracked"], rows);
        }
    }
    let remarks = [
        ("Recorded as changed, never with a value", names(resource, |field| field.policy == Policy::Secret)),
        ("Recorded shortened", names(resource, |field| field.policy == Policy::Abbreviate)),
        ("Personal, and so erasable", names(resource, |field| field.personal && field.policy.is_tracked())),
    ];
    for (remark, names) in remarks {
        if !names.is_empty() {
            section += &format!("\n{remark}: {}.\n", names.join(", "));
        }
    }
    section
}

fn names(resource: &ResourceType, is_meant: impl Fn(&Field) -> bool) -> Vec<String> {
    resource.all_fields().filter(|field| is_meant(field)).map(|field| code(&field.name)).collect()
}

fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = format!("\n| {} |\n| {} |\n", header.join(" | "), ["---"; N].join(" | "));
    for row in rows {
        table += &format!("| {} |\n", row.join(" | "));
    }
    table
}

/// Text that Markdown shows as it is, also between the bars of a table.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '|' | '*' | '<' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A name as code. Names of fields are free text, so one with a backtick is shown as text.
fn code(name: impl AsRef<str>) -> String {
    let name = name.as_ref();
    if name.contains(['`', '|']) { cell(name) } else { format!("`{name}`") }
}

/// A link to the section of a resource type.
fn link(name: &str) -> String {
    let anchor: String = name
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("[{}](#{anchor})", cell(name))
}
