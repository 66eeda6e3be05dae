//! The admin settings, and the value that each takes next.

use axum::http::Method;
use serde_json::{Value, json};

use super::Simulation;
use super::people::ADMIN;

/// Panel, member, and the texts that it takes in turn; none for what is on or off, or drawn by chance.
pub(super) const SETTINGS: [(&str, &str, [&str; 2]); 37] = [
    ("infrastructure", "access_url", ["https://dev.example.test", "https://workspaces.example.test"]),
    ("infrastructure", "gpu_vendor", ["nvidia", "amd"]),
    ("infrastructure", "enable_container_vms", ["", ""]),
    ("infrastructure", "enable_caching", ["", ""]),
    ("infrastructure", "enable_load_shiftfs", ["", ""]),
    ("infrastructure", "default_container_vms", ["", ""]),
    ("features", "self_contained_builds", ["enabled", "disabled"]),
    ("features", "process_logging", ["enabled", "disabled"]),
    ("features", "tun_device", ["enabled", "disabled"]),
    ("features", "fuse_device", ["enabled", "disabled"]),
    ("infrastructure", "default_registry_enabled", ["", ""]),
    ("features", "ecr_auth", ["enabled", "disabled"]),
    ("features", "azure_auth", ["enabled", "disabled"]),
    ("features", "fallback_shell", ["enabled", "disabled"]),
    ("extensions", "marketplace_type", ["custom", "public"]),
    ("dev-url-access", "", ["", ""]),
    ("infrastructure", "memory_overprovisioning_enabled", ["", ""]),
    ("oauth-configs", "client_id", ["", ""]),
    ("oauth-configs", "client_secret", ["", ""]),
    ("oauth-configs", "description", ["Git hosting of the demo", "Repositories of both organizations"]),
    ("oauth-configs", "name", ["Git demo", "Source hosting"]),
    ("oauth-configs", "service_type", ["gitlab", "github"]),
    ("oauth-configs", "url_host", ["git.example.test", "source.example.test"]),
    ("system-banner", "enabled", ["", ""]),
    ("system-banner", "color", ["#9A4967", "#18382D"]),
    ("system-banner", "footer", ["INTERNAL", "UNCLASSIFIED"]),
    ("system-banner", "header", ["INTERNAL", "UNCLASSIFIED"]),
    ("appearance", "service_banner_enabled", ["", ""]),
    ("appearance", "service_banner_color", ["#18382D", "#9A4967"]),
    (
        "appearance",
        "service_banner_message",
        ["Maintenance tonight, 21:00 to 21:30 UTC", "All systems work again"],
    ),
    (
        "appearance",
        "terms_of_service",
        ["Use it for work. Sessions are recorded.", "Accept Terms & Conditions"],
    ),
    ("appearance", "terms_enabled", ["", ""]),
    ("telemetry", "crash_reports", ["", ""]),
    ("telemetry", "usage", ["", ""]),
    ("telemetry", "enhanced_usage", ["", ""]),
    ("infrastructure", "enable_workspaces_as_code", ["", ""]),
    ("template-policy", "policy", ["", ""]),
];

impl Simulation {
    pub(super) async fn change_some_setting(&mut self) {
        let index = self.random.index(SETTINGS.len());
        self.change_setting(index).await;
    }

    pub(super) async fn change_setting(&mut self, index: usize) {
        let (panel, member, values) = SETTINGS[index];
        let path = format!("/settings/{panel}");
        let hex = self.random.hex(20);
        if panel == "template-policy" {
            let body = json!({"policy": format!("# {hex}\nallow = [\"docker\", \"kubernetes\"]")});
            self.ask(ADMIN, Method::PUT, &path, body).await;
            return;
        }
        let present = self.ask(ADMIN, Method::GET, &path, Value::Null).await.body;
        let flip = |name: &str| Value::from(present[name] != true);
        let body = match member {
            // One row of the panel for three switches.
            "" => json!({"public": flip("public"), "org": flip("org"), "authed": flip("authed")}),
            "client_id" | "client_secret" => json!({member: hex}),
            _ if values[0].is_empty() => json!({member: flip(member)}),
            _ => json!({member: values[usize::from(present[member] == values[0])]}),
        };
        self.ask(ADMIN, Method::PATCH, &path, body).await;
    }
}
