//! `annals user`.

use std::fmt::Display;
use std::io::Read as _;

use annals_engine::{
    Engine, LoginType, NewOidcPerson, NewPerson, Options, Person, PersonChange, Principal, Role, SecretText,
    Session, SessionId,
};
use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::output;
use crate::target::{TargetArgs, open_engine, open_or_create_engine};

/// Manage people who may log in. Works on the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
#[command(after_help = "NAME is a log-in name, or the id of a person from `annals user list --json`.

Examples:
  annals user create demo-auditor --role auditor
  pass show annals | annals user create demo-admin --role site-manager --password-stdin
  annals user create olga --oidc --email olga@example.com
  annals user role demo-auditor site-manager
  annals user suspend demo-auditor
  annals user sign-out demo-admin")]
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
        #[arg(long, conflicts_with = "oidc")]
        password_stdin: bool,
        /// They log in through the OIDC provider: who first comes from there with this name or e-mail address is them
        #[arg(long)]
        oidc: bool,
    },
    /// List everyone
    List,
    /// Show a person, their organizations and sessions
    Show {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
    },
    /// Change log-in name, e-mail address or name; events keep the old ones
    Change {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
        /// New log-in name
        #[arg(long)]
        username: Option<String>,
        /// New e-mail address; '' for none
        #[arg(long)]
        email: Option<String>,
        /// New name for people; '' for none
        #[arg(long)]
        name: Option<String>,
    },
    /// Change what a person may do on the site
    Role {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
        /// What they may do
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Shut a person out: sessions end, tokens are refused, nothing is lost
    Suspend {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
    },
    /// Let a suspended person in again
    Activate {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
    },
    /// Give a person a new password and end their sessions; without --password-stdin it is made and printed, this once
    Password {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Delete a person with their sessions, memberships and tokens; their events stay
    Delete {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
    },
    /// List the sessions of a person
    Sessions {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
    },
    /// End the sessions of a person
    SignOut {
        /// Log-in name or id
        #[arg(value_name = "NAME")]
        person: String,
        /// Only this one, from `annals user sessions`
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Sees the log and manages people, tokens and settings
    #[value(alias = "owner")]
    SiteManager,
    /// Sees the log
    Auditor,
    /// Sees what a role in an organization gives
    Member,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            RoleName::SiteManager => Role::SiteManager,
            RoleName::Auditor => Role::Auditor,
            RoleName::Member => Role::Member,
        }
    }
}

pub(crate) fn run(args: &UserArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "people are managed on the data directory: --data DIR");
    let location = target.location()?;
    if let UserCommand::Create { .. } = &args.command {
        return create(&open_or_create_engine(&location, Options::default())?, &args.command, json);
    }
    let engine = open_engine(&location, Options::default())?;
    let operator = Principal::operator();
    let find = |name: &str| engine.person_named(&operator, name);
    match &args.command {
        UserCommand::Create { .. } => unreachable!("done above"),
        UserCommand::List => list(&engine.people(&operator)?, json),
        UserCommand::Show { person } => show(&engine, &find(person)?, json),
        UserCommand::Change { person, username, email, name } => {
            let change = PersonChange {
                username: username.as_deref(),
                email: email.as_deref(),
                name: name.as_deref(),
                role: None,
            };
            anyhow::ensure!(
                username.is_some() || email.is_some() || name.is_some(),
                "say what to change: --username, --email or --name"
            );
            let changed = engine.change_person(&operator, &find(person)?.id, &change)?;
            say(json, person_json(&changed), format_args!("changed {}", changed.username))
        }
        UserCommand::Role { person, role } => {
            let change = PersonChange { role: Some(role.role()), ..PersonChange::default() };
            let changed = engine.change_person(&operator, &find(person)?.id, &change)?;
            let text = format_args!("{} is {} now", changed.username, changed.role.name());
            say(json, person_json(&changed), text)
        }
        UserCommand::Suspend { person } => {
            let found = find(person)?;
            engine.suspend_person(&operator, &found.id)?;
            say(json, json!({"suspended": found.username}), format_args!("suspended {}", found.username))
        }
        UserCommand::Activate { person } => {
            let found = find(person)?;
            engine.activate_person(&operator, &found.id)?;
            say(json, json!({"activated": found.username}), format_args!("activated {}", found.username))
        }
        UserCommand::Password { person, password_stdin } => {
            let found = find(person)?;
            let given = if *password_stdin { Some(read_password()?) } else { None };
            let made = SecretText::password();
            engine.reset_password(&operator, &found.id, given.as_deref().unwrap_or(made.reveal()))?;
            let shown = given.is_none().then(|| made.reveal());
            if json {
                return output::line(json!({"username": found.username, "password": shown}));
            }
            output::line(format_args!("{} has a new password; their sessions have ended", found.username))?;
            shown.map_or(Ok(()), |password| output::line(format_args!("password: {password}")))
        }
        UserCommand::Delete { person } => {
            let found = find(person)?;
            engine.delete_person(&operator, &found.id)?;
            say(json, json!({"deleted": found.username}), format_args!("deleted {}", found.username))
        }
        UserCommand::Sessions { person } => {
            list_sessions(&engine.sessions(&operator, &find(person)?.id)?, json)
        }
        UserCommand::SignOut { person, session } => {
            let found = find(person)?;
            let ended = match session {
                None => engine.end_sessions(&operator, &found.id, false)?,
                Some(id) => {
                    let id = SessionId(id.clone());
                    let is_theirs =
                        engine.sessions(&operator, &found.id)?.iter().any(|session| session.id == id);
                    anyhow::ensure!(is_theirs, "{} has no session `{}`", found.username, id.0);
                    engine.end_session(&operator, &id)?;
                    1
                }
            };
            let text = format_args!("ended {ended} session(s) of {}", found.username);
            say(json, json!({"username": found.username, "ended": ended}), text)
        }
    }
}

/// One answer, for a script or for people.
pub(super) fn say(json: bool, data: Value, text: impl Display) -> anyhow::Result<()> {
    if json { output::line(data) } else { output::line(text) }
}

fn create(engine: &Engine, command: &UserCommand, json: bool) -> anyhow::Result<()> {
    let UserCommand::Create { username, role, email, name, password_stdin, oidc } = command else {
        unreachable!("called for `create` alone")
    };
    let (operator, role) = (Principal::operator(), role.role());
    if *oidc {
        let id = engine.add_oidc_person(&operator, &NewOidcPerson { username, email, name, role })?;
        let text = format_args!("added {username} ({}), who logs in through the OIDC provider", role.name());
        return say(json, json!({"id": id.0, "username": username, "password": null}), text);
    }
    let given = if *password_stdin { Some(read_password()?) } else { None };
    let made = SecretText::password();
    let password = given.as_deref().unwrap_or(made.reveal());
    let id = engine.add_person(&operator, &NewPerson { username, email, name, password, role })?;
    let shown = given.is_none().then(|| made.reveal());
    if json {
        return output::line(json!({"id": id.0, "username": username, "password": shown}));
    }
    output::line(format_args!("added {username} ({})", role.name()))?;
    shown.map_or(Ok(()), |password| output::line(format_args!("password: {password}")))
}

fn person_json(person: &Person) -> Value {
    json!({
        "id": person.id.0, "username": person.username, "email": person.email, "name": person.name,
        "role": person.role.name(), "status": person.status.name(), "login_type": person.login_type.name(),
        "created": person.created, "last_seen": person.last_seen,
    })
}

/// A time that may be missing, for people.
pub(super) fn time_or(time: Option<annals_model::time::Time>, otherwise: &str) -> String {
    time.map_or_else(|| otherwise.to_owned(), |time| time.to_string())
}

fn list(people: &[Person], json: bool) -> anyhow::Result<()> {
    if json {
        let people: Vec<_> = people.iter().map(person_json).collect();
        return output::line(json!({"people": people}));
    }
    for person in people {
        output::line(format_args!(
            "{:20}  {:12}  {:9}  {:8}  {:28}  {}",
            person.username,
            person.role.name(),
            person.status.name(),
            person.login_type.name(),
            person.email,
            time_or(person.last_seen, "never seen")
        ))?;
    }
    Ok(())
}

fn show(engine: &Engine, person: &Person, json: bool) -> anyhow::Result<()> {
    let operator = Principal::operator();
    let memberships = engine.memberships(&operator, &person.id)?;
    let sessions = engine.sessions(&operator, &person.id)?;
    if json {
        let mut shown = person_json(person);
        let organizations = memberships.iter().map(|(organization, member)| {
            json!({"id": organization.id.0, "name": organization.name, "role": member.role.name()})
        });
        shown["organizations"] = organizations.collect();
        shown["sessions"] = sessions.iter().map(session_json).collect();
        return output::line(shown);
    }
    let how = match person.login_type {
        LoginType::Password => "with a password",
        LoginType::Oidc if person.subject.is_none() => "through the OIDC provider; has not come yet",
        LoginType::Oidc => "through the OIDC provider",
    };
    for (what, value) in [
        ("username", person.username.clone()),
        ("id", person.id.0.clone()),
        ("name", person.name.clone()),
        ("e-mail", person.email.clone()),
        ("role", person.role.name().to_owned()),
        ("status", person.status.name().to_owned()),
        ("logs in", how.to_owned()),
        ("added", person.created.to_string()),
        ("last seen", time_or(person.last_seen, "never")),
        ("sessions", sessions.len().to_string()),
    ] {
        output::line(format_args!("{what:10} {value}"))?;
    }
    for (organization, member) in memberships {
        output::line(format_args!("{:10} {} ({})", "in", organization.name, member.role.name()))?;
    }
    Ok(())
}

fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id.0, "method": session.method.name(), "ip": session.ip, "user_agent": session.user_agent,
        "created": session.created, "last_seen": session.last_seen, "expires": session.expires,
    })
}

fn list_sessions(sessions: &[Session], json: bool) -> anyhow::Result<()> {
    if json {
        let sessions: Vec<_> = sessions.iter().map(session_json).collect();
        return output::line(json!({"sessions": sessions}));
    }
    for session in sessions {
        output::line(format_args!(
            "{}  {:8}  {:15}  {}  {}",
            session.id.0,
            session.method.name(),
            session.ip,
            session.last_seen,
            session.user_agent
        ))?;
    }
    Ok(())
}

/// One line, without its end.
fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(4_096).read_to_string(&mut text).context("cannot read the password")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
