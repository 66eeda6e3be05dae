//! What the deployment keeps and audits: one struct each, which says of every field what the log may hold of it.
//!
//! The fields of the first nine are those of the published table of tracked resources.

use std::collections::BTreeMap;
use std::fmt;

use annals_client::Auditable;
use annals_client::model::registry::Policy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who uses the deployment.
#[derive(Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "user", crate = "annals_client::model")]
pub(crate) struct User {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, personal, target)]
    pub(crate) username: String,
    #[audit(track, personal)]
    pub(crate) email: String,
    #[audit(track, personal)]
    pub(crate) name: String,
    #[audit(ignore)]
    pub(crate) avatar_url: String,
    /// `active` or `suspended`.
    #[audit(track)]
    pub(crate) status: String,
    #[audit(track)]
    pub(crate) rbac_roles: Vec<String>,
    #[audit(secret)]
    pub(crate) hashed_password: String,
    /// Of a code by which a new password can be set.
    #[audit(ignore)]
    pub(crate) hashed_one_time_passcode: String,
    #[audit(track)]
    pub(crate) one_time_passcode_expires_at: Option<Timestamp>,
    #[audit(ignore)]
    pub(crate) login_type: String,
    #[audit(track)]
    pub(crate) is_service_account: bool,
    #[audit(track)]
    pub(crate) deleted: bool,
    #[audit(ignore)]
    pub(crate) last_seen_at: Timestamp,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// The key with which workspaces of a user reach Git. Its id is that of the user.
#[derive(Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "git_ssh_key", crate = "annals_client::model")]
pub(crate) struct GitSshKey {
    #[audit(track, id)]
    pub(crate) user_id: String,
    #[audit(track, target)]
    pub(crate) public_key: String,
    #[audit(secret)]
    pub(crate) private_key: String,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// People and what they share.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "organization", crate = "annals_client::model")]
pub(crate) struct Organization {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) display_name: String,
    #[audit(track)]
    pub(crate) description: String,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// A user in an organization.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "organization_member", crate = "annals_client::model")]
pub(crate) struct OrganizationMember {
    #[audit(track, id)]
    pub(crate) user_id: String,
    #[audit(track)]
    pub(crate) organization_id: String,
    #[audit(track, personal, target)]
    pub(crate) username: String,
    #[audit(track)]
    pub(crate) roles: Vec<String>,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// Members of an organization with a quota.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "group", crate = "annals_client::model")]
pub(crate) struct Group {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) display_name: String,
    #[audit(track)]
    pub(crate) avatar_url: String,
    #[audit(track)]
    pub(crate) members: Vec<GroupMember>,
    #[audit(track)]
    pub(crate) quota_allowance: u32,
    #[audit(ignore)]
    pub(crate) organization_id: String,
}

/// A user in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupMember {
    pub(crate) user_id: String,
    pub(crate) group_id: String,
}

/// What workspaces are made from.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "template", crate = "annals_client::model")]
pub(crate) struct Template {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) display_name: String,
    #[audit(track)]
    pub(crate) description: String,
    #[audit(track)]
    pub(crate) icon: String,
    #[audit(track)]
    pub(crate) active_version_id: String,
    #[audit(track)]
    pub(crate) provisioner: String,
    /// How long a workspace runs, in nanoseconds, unless it says otherwise.
    #[audit(track)]
    pub(crate) default_ttl: u64,
    #[audit(track)]
    pub(crate) min_autostart_interval: u64,
    #[audit(track)]
    pub(crate) allow_user_cancel_workspace_jobs: bool,
    #[audit(track)]
    pub(crate) is_private: bool,
    #[audit(track)]
    pub(crate) user_acl: BTreeMap<String, Vec<String>>,
    #[audit(track)]
    pub(crate) group_acl: BTreeMap<String, Vec<String>>,
    #[audit(track)]
    pub(crate) created_by: String,
    #[audit(ignore)]
    pub(crate) deleted: bool,
    #[audit(ignore)]
    pub(crate) organization_id: String,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// A state of a template. Workspaces are built from the active one.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "template_version", crate = "annals_client::model")]
pub(crate) struct TemplateVersion {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track)]
    pub(crate) template_id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) readme: String,
    #[audit(track)]
    pub(crate) created_by: String,
    #[audit(ignore)]
    pub(crate) job_id: String,
    /// Starting a workspace from it fails, as its author will find out.
    #[audit(ignore)]
    pub(crate) is_broken: bool,
    #[audit(ignore)]
    pub(crate) organization_id: String,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// A machine of a user.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "workspace", crate = "annals_client::model")]
pub(crate) struct Workspace {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) owner_id: String,
    #[audit(track)]
    pub(crate) template_id: String,
    /// `MINUTE HOUR * * WEEKDAYS` in UTC.
    #[audit(track)]
    pub(crate) autostart_schedule: Option<String>,
    /// Nanoseconds after the last use until it is stopped.
    #[audit(track)]
    pub(crate) ttl: Option<u64>,
    #[audit(track)]
    pub(crate) dormant_at: Option<Timestamp>,
    #[audit(ignore)]
    pub(crate) organization_id: String,
    #[audit(ignore)]
    pub(crate) is_running: bool,
    #[audit(ignore)]
    pub(crate) build_number: u64,
    #[audit(ignore)]
    pub(crate) deleted: bool,
    #[audit(ignore)]
    pub(crate) last_used_at: Timestamp,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
    #[audit(ignore)]
    pub(crate) updated_at: Timestamp,
}

/// A start, stop or removal of a workspace's machine.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "workspace_build", crate = "annals_client::model")]
pub(crate) struct WorkspaceBuild {
    #[audit(ignore, id)]
    pub(crate) id: String,
    #[audit(ignore)]
    pub(crate) workspace_id: String,
    #[audit(track)]
    pub(crate) template_version_id: String,
    #[audit(ignore)]
    pub(crate) build_number: u64,
    /// `start`, `stop` or `delete`.
    #[audit(ignore)]
    pub(crate) transition: String,
    #[audit(ignore)]
    pub(crate) reason: String,
    #[audit(ignore)]
    pub(crate) job_id: String,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
}

/// A token of a user, of a session or for programs. Its id is that of the user.
#[derive(Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "api_key", crate = "annals_client::model")]
pub(crate) struct ApiKey {
    #[audit(ignore)]
    pub(crate) id: String,
    #[audit(track, id)]
    pub(crate) user_id: String,
    #[audit(ignore, target)]
    pub(crate) token_name: String,
    #[audit(ignore)]
    pub(crate) hashed_secret: String,
    #[audit(track)]
    pub(crate) created_at: Timestamp,
    #[audit(track)]
    pub(crate) expires_at: Timestamp,
}

/// A port of a workspace under an address of its own.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "dev_url", crate = "annals_client::model")]
pub(crate) struct DevUrl {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) workspace_id: String,
    #[audit(track)]
    pub(crate) port: u16,
    /// `private`, `org`, `authed` or `public`.
    #[audit(track)]
    pub(crate) access: String,
}

/// A value that a user's workspaces may read.
#[derive(Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "secret", crate = "annals_client::model")]
pub(crate) struct Secret {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    #[audit(track)]
    pub(crate) user_id: String,
    #[audit(track)]
    pub(crate) description: String,
    #[audit(secret)]
    pub(crate) value: String,
}

/// A cluster that runs workspaces.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "workspace_provider", crate = "annals_client::model")]
pub(crate) struct WorkspaceProvider {
    #[audit(track, id)]
    pub(crate) id: String,
    #[audit(track, target)]
    pub(crate) name: String,
    /// Takes no new workspaces.
    #[audit(track)]
    pub(crate) is_cordoned: bool,
}

/// Work that waits or was done.
#[derive(Debug, Clone, Serialize, Deserialize, Auditable)]
#[audit(type = "job", crate = "annals_client::model")]
pub(crate) struct Job {
    #[audit(track, id)]
    pub(crate) id: String,
    /// In words: `start workspace dev-2`, `delete user demo-dev-2`.
    #[audit(ignore, target, personal)]
    pub(crate) title: String,
    #[audit(track)]
    pub(crate) kind: String,
    #[audit(ignore)]
    pub(crate) task: Task,
    /// In the queue: the smallest is next.
    #[audit(ignore)]
    pub(crate) position: u64,
    #[audit(ignore)]
    pub(crate) asked: Asked,
    #[audit(ignore)]
    pub(crate) created_at: Timestamp,
}

/// What a job does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Builds a workspace.
    Build { workspace_id: String, transition: String, reason: String },
    /// Removes a user, and first what they have.
    DeleteUser { user_id: String },
}

/// What the events of a job say of the request that asked for it, by the names of the wire form: `user`, `ip` and so on. Empty where the job was due by
/// itself. Kept as it was then, since whoever asked may be gone when the job is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Asked(pub(crate) BTreeMap<String, Value>);

impl Asked {
    pub(crate) fn is_by_somebody(&self) -> bool {
        self.0.contains_key("user")
    }
}

/// What neither log nor API show: the log ignores it as it says nothing.
const UNSHOWN: [&str; 4] = ["hashed_secret", "hashed_one_time_passcode", "asked", "task"];

/// The value as the API shows it: all but the secrets, by the same words that keep them out of the log.
pub(crate) fn view<T: Auditable + Serialize>(value: &T) -> Value {
    let mut members = match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    for field in T::definition().fields {
        if field.policy == Policy::Secret {
            // Settings have spaces in the log and underscores here.
            members.remove(&field.name.replace(' ', "_"));
        }
    }
    for name in UNSHOWN {
        members.remove(name);
    }
    Value::Object(members)
}

/// Without the values, some of which are secret.
macro_rules! debug_by_name {
    ($($kind:ident $name:ident),*) => {$(
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($kind)).field(&self.$name).finish()
            }
        }
    )*};
}

debug_by_name!(User id, GitSshKey user_id, Secret id, ApiKey id);
