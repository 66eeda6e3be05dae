//! Settings of the site that a site manager makes on the page: each change is an event, worded as the published table of
//! admin settings has it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// `true`, or nothing.
    Switch,
    /// `#` and six hexadecimal digits.
    Color,
    /// A line of text.
    Line,
    /// Text of several lines.
    Text,
    /// An address that begins with `https://`, or with `http://` on this machine.
    Url,
    /// The same with nothing behind the host and port.
    Site,
    /// A line that is never shown again.
    Secret,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Name in forms, the command line and the database.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What it holds.
    pub kind: SettingKind,
    /// How a change is recorded.
    recorded: Recorded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// As a row of the table of admin settings: its target and field.
    Row(&'static str, &'static str),
    /// Not in the table: as a setting of Annals' own.
    Own,
}

const fn row(
    name: &'static str,
    label: &'static str,
    kind: SettingKind,
    target: &'static str,
    field: &'static str,
) -> Setting {
    Setting { name, label, kind, recorded: Recorded::Row(target, field) }
}

use SettingKind::{Color, Line, Secret, Site, Switch, Text, Url};

/// Every setting, in the order of the page. Targets and fields are the table's, string for string, also where two rows look
/// crossed there; the registry notes it beside them.
pub const SETTINGS: [Setting; 20] = [
    row("access_url", "Access URL", Site, "infrastructure", "access URL"),
    row("oidc_name", "Name", Line, "oauth configs", "name"),
    row("oidc_provider", "Provider", Line, "oauth configs", "service type"),
    row("oidc_url", "URL", Url, "oauth configs", "URL host"),
    row("oidc_client_id", "Client ID", Line, "oauth configs", "client id"),
    row("oidc_client_secret", "Client secret", Secret, "oauth configs", "client secret"),
    row("oidc_description", "Description", Line, "oauth configs", "description"),
    Setting {
        name: "oidc_allow_register",
        label: "Register people at their first sign-in",
        kind: Switch,
        recorded: Recorded::Own,
    },
    row("system_banner_enabled", "System banner", Switch, "system banner", "enabled"),
    row("system_banner_color", "Background color", Color, "system banner", "color bg"),
    row("system_banner_header", "Header", Line, "system banner", "text header"),
    row("system_banner_footer", "Footer", Line, "system banner", "text footer"),
    row("service_banner_enabled", "Service banner", Switch, "appearance", "svc banner enabled"),
    row("service_banner_color", "Background color", Color, "appearance", "svc banner color bg"),
    row("service_banner_message", "Message", Line, "appearance", "svc banner body"),
    row("terms_enabled", "Terms of service", Switch, "appearance", "tos enabled"),
    row("terms_text", "Text", Text, "appearance", "tos body"),
    row("crash_reports", "Send crash reports", Switch, "telemetry", "crash reports enabled"),
    row("usage_telemetry", "Send usage telemetry", Switch, "telemetry", "enhanced telemetry enabled"),
    row("enhanced_telemetry", "Send enhanced usage telemetry", Switch, "telemetry", "telemetry enabled"),
];

/// Bytes of a line.
const LINE_BYTES_MAX: usize = 256;
/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 8 * 1024;

impl Setting {
    /// Finds a setting by its name.
    pub fn from_name(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Says what is wrong with a value; nothing if it can be taken. An empty value takes the setting back.
    fn fault(&self, value: &str) -> Option<&'static str> {
        let is_line = value.len() <= LINE_BYTES_MAX && !value.chars().any(char::is_control);
        if value.is_empty() {
            return None;
        }
        match self.kind {
            Switch => (value != "true").then_some("`true`, or empty"),
            Color => {
                let digits = value.strip_prefix('#').unwrap_or_default();
                let is_color = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                (!is_color).then_some("a color such as #9A4967")
            }
            Line | Secret => (!is_line).then_some("one line of at most 256 bytes"),
            Text => {
                let is_text = value.len() <= TEXT_BYTES_MAX
                    && !value.chars().any(|letter| letter.is_control() && !"\r\n\t".contains(letter));
                (!is_text).then_some("a text of at most 8 KiB")
            }
            Site if !matches!(path(value), "" | "/") => {
                Some("scheme, host and port only, such as https://annals.example")
            }
            Url | Site => {
                let is_safe = is_line && value.is_ascii() && !value.contains([' ', '"', '<', '>', '\\', '@']);
                let is_url = is_safe
                    && host(value).is_some_and(|(scheme, host)| {
                        !host.is_empty() && (scheme == "https" || (scheme == "http" && is_this_machine(host)))
                    });
                (!is_url)
                    .then_some("an address such as https://host.example; http:// is for this machine only")
            }
        }
    }

    /// What an event shows of a value.
    fn shown(&self, value: &str) -> Value {
        match (self.kind, self.recorded) {
            (Switch, _) => json!(value == "true"),
            (Url, Recorded::Row(_, "URL host")) => json!(host(value).map_or("", |(_, host)| host)),
            _ => json!(value),
        }
    }

    fn event(&self, old: &str, new: &str) -> OwnEvent {
        let (kind, target, field) = match self.recorded {
            Recorded::Row(target, field) => ("admin_setting", target, field),
            Recorded::Own => ("setting", self.name, "value"),
        };
        OwnEvent::new("write", kind, target)
            .before(json!({ field: self.shown(old) }))
            .after(json!({ field: self.shown(new) }))
    }
}

/// Scheme and host with port of an address.
fn host(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    Some((scheme, rest.split(['/', '?', '#']).next().unwrap_or_default()))
}

/// What stands behind the host.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}

fn is_this_machine(host: &str) -> bool {
    let name =
        host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The settings that were made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The value of a setting; empty if it was not made.
    pub fn get(&self, name: &str) -> &str {
        debug_assert!(Setting::from_name(name).is_some(), "there is no setting `{name}`");
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == "true"
    }
}

/// Names only: one of the values is a secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a setting was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// There is none of that name.
    #[error("there is no setting `{name}`; `annals settings list` shows them all")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The value cannot be taken.
    #[error("`{}` ({}) must be {expected}", .setting.label, .setting.name)]
    BadValue {
        /// The setting.
        setting: &'static Setting,
        /// What it takes.
        expected: &'static str,
    },
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine {
    /// The settings, for the pages that everyone sees and for Annals itself: no event depends on the asker here, and the secret
    /// among them has no other reader than the log-in with OIDC.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn settings(&self) -> Result<Settings, EngineError> {
        Ok(Settings(self.store.settings()?))
    }

    /// Makes settings, all or none, and records each that changed. Returns the names of those.
    ///
    /// # Errors
    /// [`SettingError`] if the caller may not, or a name or value cannot be taken.
    pub fn change_settings(
        &self,
        principal: &Principal,
        values: &[(&str, &str)],
    ) -> Result<Vec<&'static str>, SettingError> {
        // A refusal is recorded as the change would have been, without the values.
        let named = values.iter().find_map(|(name, _)| Setting::from_name(name)).unwrap_or(&SETTINGS[0]);
        self.manage(principal, || named.event("", ""))?;
        let mut checked = Vec::with_capacity(values.len());
        for (name, value) in values {
            let setting = Setting::from_name(name)
                .ok_or_else(|| SettingError::Unknown { name: name.chars().take(64).collect() })?;
            let value = value.trim();
            if let Some(expected) = setting.fault(value) {
                return Err(SettingError::BadValue { setting, expected });
            }
            checked.push((setting, value));
        }
        let before = self.store.settings().map_err(EngineError::from)?;
        // The secret belongs to the provider that gave it: another address must not be sent it.
        let changes = |name: &str| {
            checked.iter().any(|(setting, value)| {
                setting.name == name && before.get(name).map_or("", String::as_str) != *value
            })
        };
        if changes("oidc_url")
            && !checked.iter().any(|(setting, _)| setting.name == "oidc_client_secret")
            && let Some(secret) = Setting::from_name("oidc_client_secret")
        {
            checked.push((secret, ""));
        }
        // A page sends all its fields: what stays as it is, is not written.
        checked.retain(|(setting, value)| before.get(setting.name).map_or("", String::as_str) != *value);
        if checked.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<(&str, &str)> = checked.iter().map(|(setting, value)| (setting.name, *value)).collect();
        let before = self.store.put_settings(&rows, self.now()).map_err(EngineError::from)?;
        for (setting, new) in &checked {
            let old = before.get(setting.name).map_or("", String::as_str);
            self.record_own(principal, setting.event(old, new));
        }
        Ok(checked.iter().map(|(setting, _)| setting.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let fault = |name: &str, value: &str| Setting::from_name(name).unwrap().fault(value).is_some();
        for (name, good) in [
            ("access_url", "https://annals.example"),
            ("access_url", "http://localhost:2662"),
            ("access_url", "http://[::1]:2662/"),
            ("access_url", "http://127.0.0.1"),
            ("service_banner_color", "#18382D"),
            ("service_banner_enabled", "true"),
            ("service_banner_message", "Maintenance 9:01PM"),
            ("terms_text", "Accept\r\nTerms & Conditions"),
            ("terms_text", ""),
        ] {
            assert!(!fault(name, good), "{name} {good}");
        }
        for (name, bad) in [
            ("access_url", "http://annals.example"),
            ("access_url", "http://127.0.0.1.evil.example"),
            ("access_url", "https://user@annals.example"),
            ("access_url", "https://"),
            ("access_url", "https://annals.example/audit"),
            ("access_url", "javascript:alert(1)"),
            ("service_banner_color", "red"),
            ("service_banner_color", "#18382"),
            ("service_banner_color", "#18382D;"),
            ("service_banner_enabled", "yes"),
            ("service_banner_message", "two\nlines"),
            ("oidc_client_secret", "a\0b"),
        ] {
            assert!(fault(name, bad), "{name} {bad}");
        }
        assert!(fault("terms_text", &"x".repeat(TEXT_BYTES_MAX + 1)));
    }
}
