//! Workspaces: made, built, connected to, changed and deleted by their owners.

use serde_json::{Value, json};

use super::people::actor_json;
use super::timeline::{HOUR_NS, MINUTE_US};
use super::{Actor, Simulation, names};

#[derive(Debug, Clone)]
pub(super) struct Workspace {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: usize,
    pub(super) template: usize,
    pub(super) build_count: u64,
    pub(super) ttl: i64,
    pub(super) autostart: Option<&'static str>,
    pub(super) is_running: bool,
    pub(super) is_dormant: bool,
    pub(super) is_deleted: bool,
    pub(super) settled_us: i64,
}

impl Simulation {
    fn workspace(&mut self, wanted: impl Fn(&Workspace) -> bool) -> Option<usize> {
        let now_us = self.now_us;
        let usable = |workspace: &Workspace| {
            !workspace.is_deleted && workspace.settled_us <= now_us && wanted(workspace)
        };
        let found: Vec<usize> =
            (0..self.workspaces.len()).filter(|index| usable(&self.workspaces[*index])).collect();
        (!found.is_empty()).then(|| found[self.random.index(found.len())])
    }

    /// A workspace of someone at work.
    pub(super) fn workspace_of_worker(&mut self, is_running: bool) -> Option<usize> {
        let worker = self.worker();
        let users = &self.users;
        let organization = users[worker].organization;
        let near: Vec<bool> =
            users.iter().map(|user| user.organization == organization && user.status == "active").collect();
        self.workspace(|workspace| workspace.owner == worker && workspace.is_running == is_running).or_else(
            || self.workspace(|workspace| near[workspace.owner] && workspace.is_running == is_running),
        )
    }

    pub(super) fn create_workspace(&mut self) {
        let owner = self.worker();
        let organization = self.users[owner].organization;
        let owned = self
            .workspaces
            .iter()
            .filter(|workspace| workspace.owner == owner && !workspace.is_deleted)
            .count();
        let Some(template) = self.template_of(organization).filter(|_| owned < 4) else { return };
        let stem = self.random.pick(&names::WORKSPACES);
        let name = format!("{stem}-{}", self.random.between(2, 99));
        let autostart = self
            .random
            .chance(40)
            .then(|| self.random.pick(&[&names::SCHEDULES[0], &names::SCHEDULES[1], &names::SCHEDULES[2]]));
        let workspace = Workspace {
            id: self.random.uuid(),
            name,
            owner,
            template,
            build_count: 0,
            ttl: self.templates[template].default_ttl,
            autostart: autostart.copied(),
            is_running: false,
            is_dormant: false,
            is_deleted: false,
            settled_us: 0,
        };
        let event = json!({"action": "create", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 201,
            "after": self.workspace_json(&workspace), "additional_fields": self.workspace_fields(&workspace, "")});
        let actor = if self.random.chance(35) {
            Actor::UserWith(owner, names::COMMAND_LINE)
        } else {
            Actor::User(owner)
        };
        self.record(&actor, Some(organization), event);
        self.workspaces.push(workspace);
        self.wait(20, 70);
        self.build(self.workspaces.len() - 1, "start", &actor, "initiator");
    }

    pub(super) fn start_or_stop(&mut self) {
        let is_stop = self.random.chance(45);
        let Some(at) = self.workspace_of_worker(is_stop) else { return self.create_workspace() };
        let owner = self.workspaces[at].owner;
        let reason = match (is_stop, self.random.below(10)) {
            (true, 0..5) => "initiator",
            (true, 5) => "task_manual_pause",
            (false, 9) => "task_resume",
            (false, 0..3) => "dashboard",
            (false, 3) => "ssh_connection",
            (false, 4) => "vscode_connection",
            (false, 5) => "jetbrains_connection",
            (_, 6 | 7) => "cli",
            _ => "initiator",
        };
        let actor = match reason {
            "cli" | "ssh_connection" => Actor::UserWith(owner, names::COMMAND_LINE),
            _ => Actor::User(owner),
        };
        self.build(at, if is_stop { "stop" } else { "start" }, &actor, reason);
    }

    pub(super) fn build(&mut self, at: usize, action: &str, actor: &Actor, reason: &str) {
        let has_failed = self.random.chance(4);
        let workspace = &mut self.workspaces[at];
        workspace.build_count += 1;
        if !has_failed {
            workspace.is_running = action == "start";
            workspace.is_dormant &= action != "start";
        }
        // A dormant workspace stays as old as it is.
        if reason != "dormancy" {
            workspace.settled_us = self.now_us + 2 * MINUTE_US;
        }
        let workspace = self.workspaces[at].clone();
        let template = &self.templates[workspace.template];
        let organization = template.organization;
        let mut fields = self.workspace_fields(&workspace, reason);
        if matches!(actor, Actor::System) {
            fields["automatic_actor"] = "coder".into();
            fields["automatic_subsystem"] = "autobuild".into();
        }
        let mut event = json!({"action": action, "resource_type": "workspace_build", "resource_target": workspace.name,
            "status_code": if has_failed { 500 } else { 200 }, "build_reason": reason,
            "after": {"template_version_id": template.version_id, "workspace_id": workspace.id, "transition": action, "reason": reason, "build_number": workspace.build_count}});
        if workspace.build_count > 1 {
            event["before"] = json!({"template_version_id": template.version_id});
        }
        event["additional_fields"] = fields;
        event["resource_id"] = self.random.uuid().into();
        self.record(actor, Some(organization), event);
        if let Actor::System = actor
            && let Some((_, event)) = self.events.last_mut()
        {
            // Automation works for the owner; that is how Coder records it.
            event["user"] = actor_json(&self.users[workspace.owner]);
        }
        if has_failed && action == "start" && self.random.chance(50) {
            self.wait(40, 100);
            self.build(at, "stop", &Actor::System, "failedstop");
        }
    }

    pub(super) fn change_workspace(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let before = self.workspace_json(&self.workspaces[at]);
        let ttl = self.random.between(1, 14) * HOUR_NS;
        let schedule = names::SCHEDULES[self.random.index(names::SCHEDULES.len())];
        let workspace = &mut self.workspaces[at];
        match self.random.below(3) {
            0 => workspace.autostart = if workspace.autostart.is_some() { None } else { Some(schedule) },
            _ => workspace.ttl = ttl,
        }
        let workspace = self.workspaces[at].clone();
        let event = json!({"action": "write", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
            "before": before, "after": self.workspace_json(&workspace), "additional_fields": self.workspace_fields(&workspace, "")});
        let organization = self.users[workspace.owner].organization;
        self.record(&Actor::User(workspace.owner), Some(organization), event);
    }

    pub(super) fn delete_workspace(&mut self) {
        let Some(at) = self.workspace_of_worker(false) else { return };
        let owner = self.workspaces[at].owner;
        self.remove_workspace(at, owner);
    }

    pub(super) fn remove_workspace(&mut self, at: usize, by: usize) {
        self.build(at, "delete", &Actor::User(by), "initiator");
        self.wait(10, 60);
        let workspace = self.workspaces[at].clone();
        let organization = self.templates[workspace.template].organization;
        let event = json!({"action": "delete", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
            "before": self.workspace_json(&workspace), "additional_fields": self.workspace_fields(&workspace, "")});
        self.record(&Actor::User(by), Some(organization), event);
        self.workspaces[at].is_deleted = true;
        self.workspaces[at].is_running = false;
    }

    pub(super) fn workspace_json(&self, workspace: &Workspace) -> Value {
        let template = &self.templates[workspace.template];
        json!({"id": workspace.id, "name": workspace.name, "owner_id": self.users[workspace.owner].id, "template_id": template.id,
            "organization_id": self.organizations[template.organization].id, "ttl": workspace.ttl, "autostart_schedule": workspace.autostart,
            "deleted": workspace.is_deleted, "automatic_updates": "never"})
    }

    pub(super) fn workspace_fields(&self, workspace: &Workspace, reason: &str) -> Value {
        let number = if reason.is_empty() { String::new() } else { workspace.build_count.to_string() };
        json!({"workspace_name": workspace.name, "workspace_owner": self.users[workspace.owner].username, "workspace_id": workspace.id,
            "build_number": number, "build_reason": reason})
    }

    pub(super) fn connect(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return self.start_or_stop() };
        let workspace = self.workspaces[at].clone();
        let organization = self.users[workspace.owner].organization;
        let fields = self.workspace_fields(&workspace, "");
        let connection = |simulation: &mut Simulation,
                          action: &str,
                          kind: &str,
                          target: &str,
                          connection: &str| {
            let mut fields = fields.clone();
            fields["connection_type"] = connection.into();
            let event = json!({"action": action, "resource_type": kind, "resource_id": workspace.id, "resource_target": target, "status_code": 200, "additional_fields": fields});
            let actor = match connection {
                "Web" => Actor::User(workspace.owner),
                _ => Actor::UserWith(workspace.owner, names::COMMAND_LINE),
            };
            simulation.record(&actor, Some(organization), event);
        };
        match self.random.below(10) {
            0..4 => {
                connection(self, "connect", "workspace_agent", "main", "SSH");
                self.wait(600, 5_400);
                connection(self, "disconnect", "workspace_agent", "main", "SSH");
                // It is not deleted while someone is in it.
                self.workspaces[at].settled_us = self.workspaces[at].settled_us.max(self.now_us);
            }
            4..6 => connection(self, "connect", "workspace_agent", "main", "VS Code"),
            6..8 => connection(self, "open", "workspace_app", "code-server", "Web"),
            8 => connection(self, "ssh", "workspace", &workspace.name, "Web"),
            _ => connection(self, "connect", "workspace_agent", "main", "JetBrains"),
        }
    }

    pub(super) fn queue_job(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let workspace = self.workspaces[at].clone();
        let organization = self.users[workspace.owner].organization;
        let event = json!({"action": "enqueue", "resource_type": "job", "resource_id": self.random.uuid(), "resource_target": format!("rebuild workspace {}", workspace.name), "status_code": 202,
            "additional_fields": self.workspace_fields(&workspace, "")});
        self.record(&Actor::User(workspace.owner), Some(organization), event);
    }

    pub(super) fn fail(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let workspace = self.workspaces[at].clone();
        let organization = self.users[workspace.owner].organization;
        let status_code = self.random.pick(&[&409, &409, &400, &500, &502]);
        let event = json!({"action": self.random.pick(&["create", "write"]), "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name,
            "status_code": status_code, "additional_fields": self.workspace_fields(&workspace, "")});
        self.record(&Actor::User(workspace.owner), Some(organization), event);
    }
}
