//! Who gets in and who does not: log-ins, wrong passwords, work in the name of others, denials.

use serde_json::json;

use super::people::actor_json;
use super::timeline::HOUR_NS;
use super::{Actor, Simulation, names};

impl Simulation {
    pub(super) fn log_in_or_out(&mut self) {
        let index = self.worker();
        let user = &self.users[index];
        let action = if self.random.chance(75) { "login" } else { "logout" };
        let status_code = if action == "login" { 201 } else { 200 };
        let event = json!({"action": action, "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": status_code});
        self.record(&Actor::User(index), None, event);
    }

    pub(super) fn mistype_password(&mut self) {
        let index = self.worker();
        for _ in 0..self.random.between(1, 3) {
            let user = &self.users[index];
            let event = json!({"action": "login", "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": 401});
            self.record(&Actor::User(index), None, event);
            self.wait(4, 25);
        }
        if self.random.chance(15) {
            let user = &self.users[index];
            let event = json!({"action": "request_password_reset", "resource_type": "user", "resource_id": user.id, "resource_target": user.username, "status_code": 200});
            self.record(&Actor::Nobody { ip: user.ip.clone(), user_agent: user.user_agent }, None, event);
            return;
        }
        let user = &self.users[index];
        let event = json!({"action": "login", "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": 201});
        self.record(&Actor::User(index), None, event);
    }

    /// One address tries names that nobody here has.
    pub(super) fn guess_passwords(&mut self) {
        let ip = format!("203.0.113.{}", self.random.between(2, 250));
        for _ in 0..self.random.between(18, 40) {
            let name = self.random.pick(&names::GUESSED_NAMES);
            let event = json!({"action": "login", "resource_type": "api_key", "resource_target": name, "status_code": 401,
                "additional_fields": {"reason": "unknown user"}});
            self.record(&Actor::Nobody { ip: ip.clone(), user_agent: names::GUESSER }, None, event);
            self.wait(1, 6);
        }
    }

    pub(super) fn impersonate(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let workspace = self.workspaces[at].clone();
        let owner = &self.users[workspace.owner];
        let mut event = json!({"action": "open", "resource_type": "workspace_app", "resource_id": workspace.id, "resource_target": "code-server", "status_code": 200,
            "additional_fields": self.workspace_fields(&workspace, "")});
        let organization = owner.organization;
        if self.random.chance(50) {
            event["impersonator"] = actor_json(&self.users[0]);
            self.record(&Actor::User(workspace.owner), Some(organization), event);
        } else {
            let on_behalf_of = actor_json(owner);
            let after = json!({"id": workspace.id, "name": workspace.name, "ttl": workspace.ttl + HOUR_NS, "owner_id": owner.id});
            let before = json!({"id": workspace.id, "name": workspace.name, "ttl": workspace.ttl, "owner_id": owner.id});
            self.workspaces[at].ttl += HOUR_NS;
            let event = json!({"action": "write", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
                "before": before, "after": after, "on_behalf_of": on_behalf_of, "additional_fields": self.workspace_fields(&workspace, "")});
            self.record(&Actor::User(3), Some(organization), event);
        }
    }

    pub(super) fn be_denied(&mut self) {
        let index = self.worker();
        let organization = self.users[index].organization;
        let template = self.template_of(organization);
        let event = match (self.random.below(4), template) {
            (0, Some(at)) => {
                json!({"action": "delete", "resource_type": "template", "resource_id": self.templates[at].id, "resource_target": self.templates[at].name})
            }
            (1, Some(at)) => {
                json!({"action": "write", "resource_type": "template", "resource_id": self.templates[at].id, "resource_target": self.templates[at].name})
            }
            (2, _) => {
                json!({"action": "write", "resource_type": "organization", "resource_id": self.organizations[organization].id, "resource_target": self.organizations[organization].name})
            }
            _ => {
                json!({"action": "write", "resource_type": "admin_setting", "resource_target": self.settings[0].target})
            }
        };
        let mut event = event;
        event["status_code"] = 403.into();
        // Managers may do all this.
        if self.users[index].roles.is_empty() {
            self.record(&Actor::User(index), Some(organization), event);
        }
    }
}
