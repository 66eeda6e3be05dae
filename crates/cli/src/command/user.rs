//! `annals user`.

use std::io::Read as _;

use annals_engine::{NewPerson, Options, Principal, Role};
use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::output;
use crate::target::{TargetArgs, open_engine, open_or_create_engine};

/// Manage people who may log in. Works on the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annals user create demo-auditor --role auditor
  pass show annals | annals user create demo-admin --role site-manager --password-stdin")]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a person; without --password-stdin a password is made and printed, this once
    Create {
        /// Log-in name
        username: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = RoleName::Member)]
        role: RoleName,
        /// E-mail address; may be used to log in too
        #[arg(long, default_value = "")]
        email: String,
        /// Name for people
        #[arg(long, default_value = "")]
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List everyone
    List,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Sees the log and manages people, tokens and settings
    #[value(alias = "owner")]
    SiteManager,
    /// Sees the log
    Auditor,
    /// Sees no log
    Member,
}

pub(crate) fn run(args: &UserArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "people are managed on the data directory: --data DIR");
    let operator = Principal::operator();
    let location = target.location()?;
    match &args.command {
        UserCommand::Create { username, role, email, name, password_stdin } => {
            let engine = open_or_create_engine(&location, Options::default())?;
            let role = match role {
                RoleName::SiteManager => Role::SiteManager,
                RoleName::Auditor => Role::Auditor,
                RoleName::Member => Role::Member,
            };
            let given = if *password_stdin { Some(read_password()?) } else { None };
            let made = annals_engine::SecretText::password();
            let password = given.as_deref().unwrap_or(made.reveal());
            let id = engine.add_person(&operator, &NewPerson { username, email, name, password, role })?;
            if json {
                let shown = given.is_none().then(|| made.reveal());
                return output::line(json!({"id": id.0, "username": username, "password": shown}));
            }
            output::line(format_args!("added {username} ({})", role.name()))?;
            if given.is_none() {
                output::line(format_args!("password: {}", made.reveal()))?;
            }
            Ok(())
        }
        UserCommand::List => {
            let people = open_engine(&location, Options::default())?.people(&operator)?;
            if json {
                let people: Vec<_> = people
                    .iter()
                    .map(|person| {
                        json!({"id": person.id.0, "username": person.username, "email": person.email,
                               "name": person.name, "role": person.role.name(), "created": person.created})
                    })
                    .collect();
                return output::line(json!({"people": people}));
            }
            for person in people {
                output::line(format_args!(
                    "{:20}  {:12}  {:28}  {}",
                    person.username,
                    person.role.name(),
                    person.email,
                    person.created
                ))?;
            }
            Ok(())
        }
    }
}

/// One line, without its end.
fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(4_096).read_to_string(&mut text).context("cannot read the password")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
