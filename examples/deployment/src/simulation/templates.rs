//! Templates: their versions, descriptions and times to live.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::As;
use super::people::{PIPELINE, capitalised};
use super::timeline::HOUR_NS;
use super::{Simulation, names};

impl Simulation {
    /// One of an organization, as a manager sees them.
    pub(super) async fn template_of(&mut self, organization: usize) -> Option<Value> {
        let path = format!("/organizations/{}/templates", self.organizations[organization].id);
        let manager = usize::from(organization == 1) + 1;
        let mut templates = self.ask(manager, Method::GET, &path, Value::Null).await.rows();
        let index = self.random.index(templates.len());
        (!templates.is_empty()).then(|| templates.swap_remove(index))
    }

    pub(super) async fn add_template(
        &mut self,
        organization: usize,
        name: &str,
        display_name: &str,
        icon: &str,
    ) {
        let description = names::DESCRIPTIONS[self.random.index(names::DESCRIPTIONS.len())];
        let body = json!({"name": name, "display_name": display_name, "icon": icon, "description": description,
            "default_ttl": self.random.between(4, 12) * HOUR_NS, "readme": format!("# {display_name}\n\n{description}")});
        let path = format!("/organizations/{}/templates", self.organizations[organization].id);
        self.ask(usize::from(organization == 1) + 1, Method::POST, &path, body).await;
    }

    pub(super) async fn create_template(&mut self) {
        let Some(name) = names::TEMPLATES_TO_COME.get(self.template_count).copied() else { return };
        self.template_count += 1;
        let organization = self.random.index(self.organizations.len());
        let display_name = capitalised(&name.replace('-', " "));
        self.add_template(organization, name, &display_name, "/icon/code.svg").await;
    }

    pub(super) async fn push_template_version(&mut self) {
        let worker = self.worker();
        let organization = self.accounts[worker].organization;
        let who = if organization == 0 && self.random.chance(60) {
            As { account: Some(PIPELINE), ..As::default() }
        } else {
            let manager = self.manager(organization);
            As { account: Some(manager), user_agent: Some(names::COMMAND_LINE), ..As::default() }
        };
        self.push_version(who, organization).await;
    }

    /// Brings a version, mostly takes it into use, and mends it soon if it turns out to be broken.
    pub(super) async fn push_version(&mut self, who: As<'_>, organization: usize) {
        let Some(template) = self.template_of(organization).await else { return };
        let path = format!("/templates/{}", template["id"].as_str().unwrap_or_default());
        let is_broken = self.random.chance(8);
        self.version_count += 1;
        let readme = format!(
            "# {}\n\n{}",
            template["display_name"].as_str().unwrap_or_default(),
            template["description"].as_str().unwrap_or_default()
        );
        let body =
            json!({"name": format!("v{}", self.version_count), "readme": readme, "is_broken": is_broken});
        let answer = self.ask_as(who, Method::POST, &format!("{path}/versions"), body).await;
        if !answer.is_good() || self.random.chance(20) {
            return;
        }
        self.wait(30, 90);
        let body = json!({"active_version_id": answer.text("id")});
        self.ask_as(who, Method::PATCH, &path, body).await;
    }

    pub(super) async fn change_template(&mut self) {
        let worker = self.worker();
        let organization = self.accounts[worker].organization;
        let Some(template) = self.template_of(organization).await else { return };
        let manager = self.manager(organization);
        let path = format!("/templates/{}", template["id"].as_str().unwrap_or_default());
        let person = self.accounts[worker].id.clone();
        let body = match self.random.below(4) {
            0 | 1 => json!({"default_ttl": self.random.between(2, 16) * HOUR_NS}),
            2 => json!({"description": names::DESCRIPTIONS[self.random.index(names::DESCRIPTIONS.len())]}),
            _ if template["user_acl"].get(&person).is_some() => json!({"user_acl": {person: []}}),
            _ => json!({"user_acl": {person: ["use"]}}),
        };
        self.ask(manager, Method::PATCH, &path, body).await;
    }
}
