//! `annals organization`.

use annals_engine::{
    Engine, NewOrganization, Options, Organization, OrganizationChange, OrganizationRole, Principal,
};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::user::say;
use crate::output;
use crate::target::{TargetArgs, open_engine, open_or_create_engine};

/// Manage organizations and who sees their events. Works on the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "ORGANIZATION is a name or an id. Events belong to the organization whose id they name.

Examples:
  annals organization create red --id 6f1c2b6e-8d0e-4a53-9a55-0f6f4f4f7c11
  annals organization member add red alice --role organization-auditor
  annals organization list"
)]
pub(crate) struct OrganizationArgs {
    #[command(subcommand)]
    command: OrganizationCommand,
}

#[derive(Debug, Subcommand)]
enum OrganizationCommand {
    /// Make an organization
    Create {
        /// Short name
        name: String,
        /// The id by which events name it; without one a new id is made
        #[arg(long)]
        id: Option<String>,
        /// Name for people
        #[arg(long, default_value = "")]
        display_name: String,
        /// What it is
        #[arg(long, default_value = "")]
        description: String,
        /// Address of a picture
        #[arg(long, value_name = "URL", default_value = "")]
        icon: String,
    },
    /// List the organizations
    List,
    /// Change name, description or picture; the id stays
    Change {
        /// Name or id
        organization: String,
        /// New short name
        #[arg(long)]
        name: Option<String>,
        /// New name for people; '' for none
        #[arg(long)]
        display_name: Option<String>,
        /// New description; '' for none
        #[arg(long)]
        description: Option<String>,
        /// New picture; '' for none
        #[arg(long, value_name = "URL")]
        icon: Option<String>,
    },
    /// Delete an organization with its memberships and groups; its events stay
    Delete {
        /// Name or id
        organization: String,
    },
    /// Manage who is in an organization
    #[command(subcommand)]
    Member(MemberCommand),
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// Put a person into an organization
    Add {
        /// Name or id
        organization: String,
        /// Log-in name or id of the person
        person: String,
        /// What they may do in it
        #[arg(long, value_enum, default_value_t = MemberRole::Member)]
        role: MemberRole,
    },
    /// List who is in an organization
    List {
        /// Name or id
        organization: String,
    },
    /// Take a person out of an organization and its groups
    Remove {
        /// Name or id
        organization: String,
        /// Log-in name or id of the person
        person: String,
    },
    /// Change what a member may do in an organization
    Role {
        /// Name or id
        organization: String,
        /// Log-in name or id of the person
        person: String,
        /// What they may do in it
        #[arg(value_enum)]
        role: MemberRole,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum MemberRole {
    /// Nothing of itself
    Member,
    /// Sees the events of the organization
    OrganizationAuditor,
}

impl MemberRole {
    pub(super) fn role(self) -> OrganizationRole {
        match self {
            MemberRole::Member => OrganizationRole::Member,
            MemberRole::OrganizationAuditor => OrganizationRole::Auditor,
        }
    }
}

pub(crate) fn run(args: &OrganizationArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "organizations are managed on the data directory: --data DIR");
    let location = target.location()?;
    let operator = Principal::operator();
    if let OrganizationCommand::Create { name, id, display_name, description, icon } = &args.command {
        let engine = open_or_create_engine(&location, Options::default())?;
        let new = NewOrganization { id: id.as_deref(), name, display_name, description, icon };
        let made = engine.create_organization(&operator, &new)?;
        return say(json, organization_json(&made), format_args!("made {} with id {}", made.name, made.id.0));
    }
    let engine = open_engine(&location, Options::default())?;
    match &args.command {
        OrganizationCommand::Create { .. } => unreachable!("done above"),
        OrganizationCommand::List => list(&engine, json),
        OrganizationCommand::Change { organization, name, display_name, description, icon } => {
            let change = OrganizationChange {
                name: name.as_deref(),
                display_name: display_name.as_deref(),
                description: description.as_deref(),
                icon: icon.as_deref(),
            };
            anyhow::ensure!(
                [name, display_name, description, icon].iter().any(|text| text.is_some()),
                "say what to change: --name, --display-name, --description or --icon"
            );
            let found = engine.organization_named(&operator, organization)?;
            let changed = engine.change_organization(&operator, &found.id, &change)?;
            say(json, organization_json(&changed), format_args!("changed {}", changed.name))
        }
        OrganizationCommand::Delete { organization } => {
            let found = engine.organization_named(&operator, organization)?;
            engine.delete_organization(&operator, &found.id)?;
            say(json, json!({"deleted": found.name}), format_args!("deleted {}", found.name))
        }
        OrganizationCommand::Member(command) => member(&engine, command, json),
    }
}

fn organization_json(organization: &Organization) -> Value {
    json!({
        "id": organization.id.0, "name": organization.name, "display_name": organization.display_name,
        "description": organization.description, "icon": organization.icon, "created": organization.created,
    })
}

fn list(engine: &Engine, json: bool) -> anyhow::Result<()> {
    let organizations = engine.organizations(&Principal::operator())?;
    if json {
        let organizations: Vec<_> = organizations.iter().map(organization_json).collect();
        return output::line(json!({"organizations": organizations}));
    }
    for Organization { id, name, display_name, .. } in &organizations {
        output::line(format_args!("{name:20}  {:36}  {display_name}", id.0))?;
    }
    Ok(())
}

fn member(engine: &Engine, command: &MemberCommand, json: bool) -> anyhow::Result<()> {
    let operator = Principal::operator();
    match command {
        MemberCommand::List { organization } => {
            let organization = engine.organization_named(&operator, organization)?;
            let members = engine.members(&operator, &organization.id)?;
            if json {
                let members: Vec<_> = members
                    .iter()
                    .map(|(person, member)| {
                        json!({"id": person.id.0, "username": person.username, "role": member.role.name(),
                               "since": member.created})
                    })
                    .collect();
                return output::line(json!({"members": members}));
            }
            for (person, member) in &members {
                let role = member.role.name();
                output::line(format_args!("{:20}  {role:20}  {}", person.username, member.created))?;
            }
            Ok(())
        }
        MemberCommand::Add { organization, person, role }
        | MemberCommand::Role { organization, person, role } => {
            let organization = engine.organization_named(&operator, organization)?;
            let person = engine.person_named(&operator, person)?;
            let role = role.role();
            if matches!(command, MemberCommand::Add { .. }) {
                engine.add_member(&operator, &organization.id, &person.id, role)?;
            } else {
                engine.change_member_role(&operator, &organization.id, &person.id, role)?;
            }
            let (organization, person, role) = (&organization.name, &person.username, role.name());
            let data = json!({"organization": organization, "username": person, "role": role});
            say(json, data, format_args!("{person} is in {organization} ({role})"))
        }
        MemberCommand::Remove { organization, person } => {
            let organization = engine.organization_named(&operator, organization)?;
            let person = engine.person_named(&operator, person)?;
            engine.remove_member(&operator, &organization.id, &person.id)?;
            let (organization, person) = (&organization.name, &person.username);
            let data = json!({"organization": organization, "removed": person});
            say(json, data, format_args!("{person} is not in {organization} any more"))
        }
    }
}
