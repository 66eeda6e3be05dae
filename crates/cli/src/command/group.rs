//! `annals group`.

use annals_engine::{Engine, Group, GroupChange, NewGroup, Options, Principal};
use clap::Subcommand;
use serde_json::{Value, json};

use super::organization::MemberRole;
use super::user::say;
use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Manage groups of people inside an organization. Works on the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "ORGANIZATION and GROUP are names or ids. Only members of the organization can be in its groups.

Examples:
  annals group create red readers --role organization-auditor
  annals group member add red readers alice
  annals group list red"
)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Make a group
    Create {
        /// Organization
        organization: String,
        /// Short name
        name: String,
        /// Name for people
        #[arg(long, default_value = "")]
        display_name: String,
        /// Address of a picture
        #[arg(long, value_name = "URL", default_value = "")]
        avatar_url: String,
        /// What its members may do in the organization
        #[arg(long, value_enum, default_value_t = MemberRole::Member)]
        role: MemberRole,
        /// What its members may use; kept for producers, without meaning here
        #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
        quota_allowance: i64,
    },
    /// List the groups of an organization
    List {
        /// Organization
        organization: String,
    },
    /// Change a group
    Change {
        /// Organization
        organization: String,
        /// Group
        group: String,
        /// New short name
        #[arg(long)]
        name: Option<String>,
        /// New name for people; '' for none
        #[arg(long)]
        display_name: Option<String>,
        /// New picture; '' for none
        #[arg(long, value_name = "URL")]
        avatar_url: Option<String>,
        /// What its members may do in the organization
        #[arg(long, value_enum)]
        role: Option<MemberRole>,
        /// What its members may use
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        quota_allowance: Option<i64>,
    },
    /// Delete a group; its members stay in the organization
    Delete {
        /// Organization
        organization: String,
        /// Group
        group: String,
    },
    /// Manage who is in a group
    #[command(subcommand)]
    Member(MemberCommand),
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// Put a member of the organization into a group
    Add {
        /// Organization
        organization: String,
        /// Group
        group: String,
        /// Log-in name or id of the person
        person: String,
    },
    /// Take a person out of a group
    Remove {
        /// Organization
        organization: String,
        /// Group
        group: String,
        /// Log-in name or id of the person
        person: String,
    },
}

pub(crate) fn run(args: &GroupArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "groups are managed on the data directory: --data DIR");
    let engine = open_engine(&target.location()?, Options::default())?;
    let operator = Principal::operator();
    let find = |organization: &str, group: &str| {
        let organization = engine.organization_named(&operator, organization)?;
        engine.group_named(&operator, &organization.id, group)
    };
    match &args.command {
        GroupCommand::Create { organization, name, display_name, avatar_url, role, quota_allowance } => {
            let organization = engine.organization_named(&operator, organization)?;
            let (role, quota_allowance) = (role.role(), *quota_allowance);
            let new = NewGroup { name, display_name, avatar_url, role, quota_allowance };
            let made = engine.create_group(&operator, &organization.id, &new)?;
            say(json, group_json(&made), format_args!("made {} in {}", made.name, organization.name))
        }
        GroupCommand::List { organization } => list(&engine, organization, json),
        GroupCommand::Change {
            organization,
            group,
            name,
            display_name,
            avatar_url,
            role,
            quota_allowance,
        } => {
            let change = GroupChange {
                name: name.as_deref(),
                display_name: display_name.as_deref(),
                avatar_url: avatar_url.as_deref(),
                role: role.map(MemberRole::role),
                quota_allowance: *quota_allowance,
            };
            let says_something = [name, display_name, avatar_url].iter().any(|text| text.is_some())
                || role.is_some()
                || quota_allowance.is_some();
            anyhow::ensure!(
                says_something,
                "say what to change: --name, --display-name, --avatar-url, --role or --quota-allowance"
            );
            let changed = engine.change_group(&operator, &find(organization, group)?.id, &change)?;
            say(json, group_json(&changed), format_args!("changed {}", changed.name))
        }
        GroupCommand::Delete { organization, group } => {
            let found = find(organization, group)?;
            engine.delete_group(&operator, &found.id)?;
            say(json, json!({"deleted": found.name}), format_args!("deleted {}", found.name))
        }
        GroupCommand::Member(MemberCommand::Add { organization, group, person }) => {
            let (group, person) = (find(organization, group)?, engine.person_named(&operator, person)?);
            let changed = engine.add_group_member(&operator, &group.id, &person.id)?;
            let text = format_args!("{} is in {}", person.username, changed.name);
            say(json, group_json(&changed), text)
        }
        GroupCommand::Member(MemberCommand::Remove { organization, group, person }) => {
            let (group, person) = (find(organization, group)?, engine.person_named(&operator, person)?);
            let changed = engine.remove_group_member(&operator, &group.id, &person.id)?;
            let text = format_args!("{} is not in {} any more", person.username, changed.name);
            say(json, group_json(&changed), text)
        }
    }
}

fn group_json(group: &Group) -> Value {
    let members: Vec<&str> = group.members.iter().map(|(_, username)| username.as_str()).collect();
    json!({
        "id": group.id.0, "organization_id": group.organization_id.0, "name": group.name,
        "display_name": group.display_name, "avatar_url": group.avatar_url, "role": group.role.name(),
        "quota_allowance": group.quota_allowance, "members": members, "created": group.created,
    })
}

fn list(engine: &Engine, organization: &str, json: bool) -> anyhow::Result<()> {
    let operator = Principal::operator();
    let organization = engine.organization_named(&operator, organization)?;
    let groups = engine.groups(&operator, &organization.id)?;
    if json {
        let groups: Vec<_> = groups.iter().map(group_json).collect();
        return output::line(json!({"groups": groups}));
    }
    for group in &groups {
        let members: Vec<&str> = group.members.iter().map(|(_, username)| username.as_str()).collect();
        output::line(format_args!("{:20}  {:20}  {}", group.name, group.role.name(), members.join(", ")))?;
    }
    Ok(())
}
