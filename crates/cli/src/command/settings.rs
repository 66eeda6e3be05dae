//! `annals settings`.

use annals_engine::{Options, Principal, SETTINGS, Setting, SettingKind};
use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use crate::output;
use crate::target::{TargetArgs, open_engine, open_or_create_engine};

/// Show and make the settings of Manage > Settings. Works on the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annals settings list --data ./annals-data
  annals settings set service_banner_message='Maintenance 9:01PM' service_banner_enabled=true
  annals settings set service_banner_enabled=       # takes it back")]
pub(crate) struct SettingsArgs {
    #[command(subcommand)]
    command: SettingsCommand,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// List every setting; a secret shows only that it is set
    List,
    /// Make settings, all or none; each that changes is recorded
    Set {
        /// NAME=VALUE, or NAME=@FILE to read the value from a file; an empty value takes the setting back
        #[arg(required = true, value_name = "NAME=VALUE")]
        values: Vec<String>,
    },
}

pub(crate) fn run(args: &SettingsArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "settings are made on the data directory: --data DIR");
    let location = target.location()?;
    match &args.command {
        SettingsCommand::List => {
            let settings = open_engine(&location, Options::default())?.settings()?;
            let shown = |setting: &Setting| match (setting.kind, settings.get(setting.name)) {
                (SettingKind::Secret, value) if !value.is_empty() => "******",
                (_, value) => value,
            };
            if json {
                let settings: serde_json::Map<_, _> =
                    SETTINGS.iter().map(|setting| (setting.name.to_owned(), json!(shown(setting)))).collect();
                return output::line(json!({"settings": settings}));
            }
            for setting in &SETTINGS {
                output::line(format_args!("{:24}  {}", setting.name, shown(setting)))?;
            }
            Ok(())
        }
        SettingsCommand::Set { values } => {
            let pairs = values.iter().map(|pair| read_pair(pair)).collect::<anyhow::Result<Vec<_>>>()?;
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let engine = open_or_create_engine(&location, Options::default())?;
            let changed = engine.change_settings(&Principal::operator(), &pairs)?;
            if json {
                return output::line(json!({"changed": changed}));
            }
            match changed.as_slice() {
                [] => output::line("nothing was different"),
                changed => output::line(format_args!("changed {}", changed.join(", "))),
            }
        }
    }
}

/// Splits NAME=VALUE. A secret comes from a file: arguments are seen by everyone on the machine.
fn read_pair(pair: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = pair.split_once('=').with_context(|| format!("`{pair}` is not NAME=VALUE"))?;
    let is_secret = Setting::from_name(name).is_some_and(|setting| setting.kind == SettingKind::Secret);
    let value = match value.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None if is_secret && !value.is_empty() => {
            anyhow::bail!(
                "`{name}` is a secret, and arguments are seen by everyone on this machine: use {name}=@FILE"
            )
        }
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}
