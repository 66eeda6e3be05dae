//! Workspaces: made, built, connected to, changed and deleted by their owners.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::As;
use super::people::ADMIN;
use super::timeline::HOUR_NS;
use super::{Simulation, names};

/// Workspaces of one person; who has as many makes no more.
const OWNED_MAX: usize = 4;
/// The newest workspaces of a person are used; older ones lie about until they go by themselves.
const USED_MAX: usize = 2;

fn path_of(workspace: &Value) -> String {
    format!("/workspaces/{}", workspace["id"].as_str().unwrap_or_default())
}

impl Simulation {
    /// What somebody has, the newest first.
    pub(super) async fn workspaces_of(&mut self, account: usize) -> Vec<Value> {
        let all = self.ask(account, Method::GET, "/workspaces", Value::Null).await.rows();
        let owner = self.accounts[account].id.as_str();
        let mut own: Vec<Value> =
            all.into_iter().filter(|workspace| workspace["owner_id"] == owner).collect();
        own.sort_by_key(|workspace| workspace["created_at"].as_str().map(str::to_owned));
        own.reverse();
        own
    }

    /// A workspace of someone at work.
    pub(super) async fn workspace_of_worker(&mut self, is_running: bool) -> Option<(usize, Value)> {
        for _ in 0..4 {
            let worker = self.worker();
            let own = self.workspaces_of(worker).await;
            let used = own.into_iter().take(USED_MAX);
            let mut fitting: Vec<Value> =
                used.filter(|workspace| workspace["is_running"] == is_running).collect();
            if !fitting.is_empty() {
                let index = self.random.index(fitting.len());
                return Some((worker, fitting.swap_remove(index)));
            }
        }
        None
    }

    pub(super) async fn create_workspace(&mut self) {
        let owner = self.worker();
        if self.workspaces_of(owner).await.len() >= OWNED_MAX {
            return;
        }
        let Some(template) = self.template_of(self.accounts[owner].organization).await else { return };
        let stem = self.random.pick(&names::WORKSPACES);
        let mut body =
            json!({"name": format!("{stem}-{}", self.random.between(2, 99)), "template_id": template["id"]});
        if self.random.chance(12) {
            body["autostart_schedule"] = names::SCHEDULES[self.random.index(names::SCHEDULES.len())].into();
        }
        let tool = self.random.chance(35).then_some(names::COMMAND_LINE);
        let who = As { account: Some(owner), user_agent: tool, ..As::default() };
        self.ask_as(who, Method::POST, "/users/me/workspaces", body).await;
        self.wait(20, 70);
    }

    pub(super) async fn start_or_stop(&mut self) {
        let is_stop = self.random.chance(45);
        let Some((owner, workspace)) = self.workspace_of_worker(is_stop).await else {
            return self.create_workspace().await;
        };
        let is_task = workspace["name"].as_str().is_some_and(|name| name.starts_with("task-"));
        let reason = match (is_stop, self.random.below(10)) {
            (true, _) if is_task => "task_manual_pause",
            (false, _) if is_task => "task_resume",
            (false, 0..3) => "dashboard",
            (false, 3) => "ssh_connection",
            (false, 4) => "vscode_connection",
            (false, 5) => "jetbrains_connection",
            (_, 6 | 7) => "cli",
            _ => "initiator",
        };
        let tool = matches!(reason, "cli" | "ssh_connection").then_some(names::COMMAND_LINE);
        let who = As { account: Some(owner), user_agent: tool, ..As::default() };
        let body = json!({"transition": if is_stop { "stop" } else { "start" }, "reason": reason});
        self.ask_as(who, Method::POST, &format!("{}/builds", path_of(&workspace)), body).await;
        self.wait(20, 70);
    }

    pub(super) async fn change_workspace(&mut self) {
        let Some((owner, workspace)) = self.workspace_of_worker(true).await else { return };
        let body = match self.random.below(3) {
            0 if workspace["autostart_schedule"].is_null() => {
                json!({"autostart_schedule": names::SCHEDULES[self.random.index(names::SCHEDULES.len())]})
            }
            0 => json!({"autostart_schedule": null}),
            _ => json!({"ttl": self.random.between(1, 14) * HOUR_NS}),
        };
        self.ask(owner, Method::PATCH, &path_of(&workspace), body).await;
    }

    pub(super) async fn delete_workspace(&mut self) {
        let Some((owner, workspace)) = self.workspace_of_worker(false).await else { return };
        let path = format!("{}/builds", path_of(&workspace));
        self.ask(owner, Method::POST, &path, json!({"transition": "delete"})).await;
        self.wait(10, 60);
    }

    pub(super) async fn connect(&mut self) {
        let Some((owner, workspace)) = self.workspace_of_worker(true).await else {
            return self.start_or_stop().await;
        };
        let path = format!("{}/connections", path_of(&workspace));
        let kind = self.random.pick(&[
            "ssh",
            "ssh",
            "ssh",
            "ssh",
            "vscode",
            "vscode",
            "web_app",
            "web_app",
            "web_terminal",
            "jetbrains",
        ]);
        let tool = (!kind.starts_with("web")).then_some(names::COMMAND_LINE);
        let who = As { account: Some(owner), user_agent: tool, ..As::default() };
        let begun = self.ask_as(who, Method::POST, &path, json!({"type": kind})).await;
        if begun.is_good() && kind == "ssh" {
            self.wait(600, 5_400);
            self.ask_as(who, Method::DELETE, &path, json!({"type": kind})).await;
        }
    }

    /// Asks for what cannot be: the workspace runs already, or the value is none.
    pub(super) async fn fail(&mut self) {
        let Some((owner, workspace)) = self.workspace_of_worker(true).await else { return };
        let path = path_of(&workspace);
        let (method, path, body) = match self.random.below(3) {
            0 => (Method::POST, format!("{path}/builds"), json!({"transition": "start"})),
            1 => (Method::PATCH, path, json!({"autostart_schedule": "every morning"})),
            _ => (Method::PATCH, path, json!({"name": "my workspace"})),
        };
        self.ask(owner, method, &path, body).await;
        if self.random.chance(20) {
            let docker = json!({"name": "docker", "default_ttl": 0, "readme": ""});
            let path = format!("/organizations/{}/templates", self.organizations[0].id);
            self.ask(ADMIN, Method::POST, &path, docker).await;
        }
    }
}
