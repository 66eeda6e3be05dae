//! People: who there is, who is at work, how they come and go, their memberships and keys.

use serde_json::{Value, json};

use super::timeline::work_in;
use super::{Actor, Simulation, names};

#[derive(Debug)]
pub(super) struct Organization {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) display_name: &'static str,
    pub(super) utc_offset_hours: i64,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) name: String,
    pub(super) organization: usize,
    pub(super) roles: Vec<&'static str>,
    pub(super) member_roles: Vec<&'static str>,
    pub(super) status: &'static str,
    pub(super) is_deleted: bool,
    pub(super) is_service: bool,
    pub(super) ip: String,
    pub(super) user_agent: &'static str,
    pub(super) key: String,
    pub(super) password: String,
}

impl Simulation {
    /// The people who can act now, of those who are wanted.
    pub(super) fn indexes(&self, wanted: impl Fn(&User) -> bool) -> Vec<usize> {
        let usable = |user: &User| !user.is_deleted && user.status == "active" && wanted(user);
        (0..self.users.len()).filter(|index| usable(&self.users[*index])).collect()
    }

    /// Someone at work at this hour; rarely someone else.
    pub(super) fn worker(&mut self) -> usize {
        let people = self.indexes(|user| !user.is_service && user.username != "demo-admin");
        let weight = |index: &usize| {
            2 * work_in(&self.organizations[self.users[*index].organization], self.now_us) + 1
        };
        let weights: Vec<u64> = people.iter().map(weight).collect();
        let mut at = self.random.below(weights.iter().sum());
        for (index, weight) in people.iter().zip(weights) {
            if at < weight {
                return *index;
            }
            at -= weight;
        }
        0
    }

    /// Whether an organization can spare someone.
    fn has_people_to_spare(&self, organization: usize) -> bool {
        self.indexes(|user| user.organization == organization && user.roles.is_empty()).len() > 2
    }

    /// Someone who manages an organization.
    pub(super) fn manager(&mut self, organization: usize) -> usize {
        if self.random.chance(30) { 0 } else { usize::from(organization == 1) + 1 }
    }

    pub(super) fn add_user(
        &mut self,
        username: &str,
        organization: usize,
        roles: Vec<&'static str>,
    ) -> usize {
        let index = self.users.len();
        // Two networks and an office each; a home address in the documentation range of IPv6 for some.
        let ip = match self.random.below(4) {
            0 => format!("192.0.2.{}", 10 + index % 200),
            1 => format!("198.51.100.{}", 10 + index % 200),
            2 => format!("2001:db8:{organization}::{:x}", 0x100 + index),
            _ => format!("10.20.{}.{}", organization + 1, 20 + index % 200),
        };
        let user = User {
            id: self.random.uuid(),
            username: username.to_owned(),
            name: username.split('-').map(capitalised).collect::<Vec<_>>().join(" "),
            organization,
            roles,
            member_roles: Vec::new(),
            status: "active",
            is_deleted: false,
            is_service: false,
            ip,
            user_agent: names::USER_AGENTS[self.random.index(names::USER_AGENTS.len())],
            key: self.new_key(),
            password: self.random.hex(40),
        };
        self.users.push(user);
        index
    }

    pub(super) fn add_developer(&mut self, organization: usize) -> usize {
        self.user_count += 1;
        self.add_user(&format!("demo-dev-{}", self.user_count), organization, Vec::new())
    }

    fn new_key(&mut self) -> String {
        format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} demo", self.random.hex(43))
    }

    pub(super) fn record_user(&mut self, action: &str, by: usize, index: usize, before: &Value) {
        let user = &self.users[index];
        let after = if action == "delete" { Value::Null } else { user_json(user) };
        let status_code = if action == "create" { 201 } else { 200 };
        let event = json!({"action": action, "resource_type": "user", "resource_id": user.id, "resource_target": user.username,
            "status_code": status_code, "before": before, "after": after});
        self.record(&Actor::User(by), None, event);
    }

    pub(super) fn create_user(&mut self) {
        if self.indexes(|user| !user.is_service).len() > 34 {
            return;
        }
        let worker = self.worker();
        let organization = self.users[worker].organization;
        let index = self.add_developer(organization);
        let manager = self.manager(organization);
        self.record_user("create", manager, index, &Value::Null);
        self.wait(2, 20);
        self.record_member("create", manager, index, &Value::Null);
        self.wait(30, 90);
        let user = &self.users[index];
        let after = json!({"user_id": user.id, "public_key": user.key, "private_key": user.password});
        let event = json!({"action": "create", "resource_type": "git_ssh_key", "resource_id": user.id, "resource_target": user.key, "status_code": 201, "after": after});
        self.record(&Actor::User(index), None, event);
    }

    pub(super) fn suspend_or_activate_user(&mut self) {
        let suspended = (0..self.users.len()).find(|index| {
            let user = &self.users[*index];
            user.status == "suspended" && !user.is_deleted
        });
        let index = match suspended {
            Some(index) => index,
            None => self.worker(),
        };
        let user = &self.users[index];
        if !user.roles.is_empty() || suspended.is_none() && !self.has_people_to_spare(user.organization) {
            return;
        }
        let before = user_json(&self.users[index]);
        self.users[index].status = if suspended.is_some() { "active" } else { "suspended" };
        let manager = self.manager(self.users[index].organization);
        self.record_user("write", manager, index, &before);
    }

    pub(super) fn delete_user(&mut self) {
        let index = self.worker();
        if !self.users[index].roles.is_empty()
            || !self.has_people_to_spare(self.users[index].organization)
            || self.is_live
        {
            return;
        }
        let manager = self.manager(self.users[index].organization);
        let workspaces: Vec<usize> = (0..self.workspaces.len())
            .filter(|at| self.workspaces[*at].owner == index && !self.workspaces[*at].is_deleted)
            .collect();
        if workspaces.iter().any(|at| self.workspaces[*at].settled_us > self.now_us) {
            return;
        }
        for at in workspaces {
            self.remove_workspace(at, manager);
        }
        let user = &self.users[index];
        let event = json!({"action": "enqueue", "resource_type": "job", "resource_id": self.random.uuid(), "resource_target": format!("delete user {}", user.username), "status_code": 202});
        self.record(&Actor::User(manager), None, event);
        self.wait(5, 30);
        let before = user_json(&self.users[index]);
        self.record_user("delete", manager, index, &before);
        self.users[index].is_deleted = true;
        for group in &mut self.groups {
            group.members.retain(|member| *member != index);
        }
        self.tokens.retain(|token| token.owner != index);
        self.secrets.retain(|secret| secret.owner != index);
        self.dev_urls.retain(|url| url.owner != index);
    }

    fn record_member(&mut self, action: &str, by: usize, index: usize, before: &Value) {
        let after = self.member_json(index);
        let user = &self.users[index];
        let event = json!({"action": action, "resource_type": "organization_member", "resource_id": user.id, "resource_target": user.username, "status_code": 200, "before": before, "after": after});
        let organization = user.organization;
        self.record(&Actor::User(by), Some(organization), event);
    }

    pub(super) fn change_member(&mut self) {
        let index = self.worker();
        let before = self.member_json(index);
        let role = self.random.pick(&[
            "organization-auditor",
            "organization-template-admin",
            "organization-workspace-creation-ban",
        ]);
        let roles = &mut self.users[index].member_roles;
        match roles.iter().position(|present| *present == role) {
            Some(at) => drop(roles.remove(at)),
            None => roles.push(role),
        }
        let manager = self.manager(self.users[index].organization);
        self.record_member("write", manager, index, &before);
    }

    fn member_json(&self, index: usize) -> Value {
        let user = &self.users[index];
        json!({"user_id": user.id, "organization_id": self.organizations[user.organization].id, "username": user.username, "roles": user.member_roles})
    }

    pub(super) fn change_key(&mut self) {
        let index = self.worker();
        let before = json!({"user_id": self.users[index].id, "public_key": self.users[index].key, "private_key": self.random.hex(64)});
        self.users[index].key = self.new_key();
        let user = &self.users[index];
        let after = json!({"user_id": user.id, "public_key": user.key, "private_key": self.random.hex(64)});
        let event = json!({"action": "write", "resource_type": "git_ssh_key", "resource_id": user.id, "resource_target": user.key, "status_code": 200, "before": before, "after": after});
        self.record(&Actor::User(index), None, event);
    }
}

pub(super) fn actor_json(user: &User) -> Value {
    json!({"id": user.id, "username": user.username, "email": format!("{}@example.test", user.username), "name": user.name, "roles": user.roles})
}

fn user_json(user: &User) -> Value {
    json!({"id": user.id, "username": user.username, "name": user.name, "email": format!("{}@example.test", user.username), "status": user.status,
        "rbac_roles": user.roles, "login_type": "password", "hashed_password": user.password, "deleted": user.is_deleted, "is_service_account": user.is_service})
}

pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
