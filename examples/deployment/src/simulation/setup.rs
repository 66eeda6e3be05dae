//! The first hours of a deployment: the first admin, then everybody and everything in turn.

use axum::http::Method;
use serde_json::json;

use super::caller::{Account, As};
use super::people::{ADMIN, capitalised};
use super::{Organization, Simulation, names};

impl Simulation {
    pub(super) async fn set_up(&mut self) {
        let admin = self.new_account("demo-admin", 0);
        let body = json!({"username": admin.username, "email": "demo-admin@example.test", "name": "Demo Admin", "password": admin.password});
        let who = As { ip: Some(&admin.ip), user_agent: Some(admin.user_agent), ..As::default() };
        let answer = self.send(who, &Method::POST, "/users/first", &body).await;
        let (id, token) =
            (answer.body["user"]["id"].as_str().unwrap_or_default(), answer.text("session_token"));
        let admin = Account { id: id.to_owned(), token: token.to_owned(), is_manager: true, ..admin };
        self.accounts.push(admin);
        for (name, display_name, utc_offset_hours) in names::ORGANIZATIONS {
            self.wait(20, 200);
            let body = json!({"name": name, "display_name": display_name});
            let answer = self.ask(ADMIN, Method::POST, "/organizations", body).await;
            let id = answer.text("id").to_owned();
            self.organizations.push(Organization { id, name, display_name, utc_offset_hours });
        }
        self.set_up_people().await;
        for (organization, name) in names::GROUPS {
            self.set_up_group(organization, name).await;
        }
        for name in names::PROVIDERS {
            self.wait(60, 300);
            self.ask(ADMIN, Method::POST, "/workspace-providers", json!({"name": name})).await;
        }
        for (organization, name, display_name, icon) in names::TEMPLATES {
            self.wait(60, 300);
            self.add_template(organization, name, display_name, icon).await;
        }
    }

    async fn set_up_people(&mut self) {
        let managers: [(&str, usize); 2] = [("demo-lead", 0), ("demo-lead-fabrikam", 1)];
        for (username, organization) in managers {
            self.wait(10, 120);
            let account = Account { is_manager: true, ..self.new_account(username, organization) };
            self.take_in(ADMIN, account, &["template-admin", "user-admin"]).await;
        }
        self.wait(10, 120);
        let pipeline = Account {
            is_manager: true,
            is_service: true,
            ip: "10.20.0.12".to_owned(),
            user_agent: names::PIPELINE,
            ..self.new_account("demo-ci", 0)
        };
        self.take_in(ADMIN, pipeline, &["template-admin"]).await;
        // The leads see the organizations that they manage.
        let research = format!("/organizations/{}/members/demo-lead", self.organizations[2].id);
        self.ask(ADMIN, Method::POST, &research, serde_json::Value::Null).await;
        for organization in [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2] {
            self.wait(10, 120);
            let account = self.new_developer(organization);
            self.take_in(ADMIN, account, &[]).await;
        }
    }

    async fn set_up_group(&mut self, organization: usize, name: &str) {
        self.wait(10, 120);
        let manager = self.manager(organization);
        let body = json!({"name": name, "display_name": capitalised(name), "quota_allowance": 20});
        let path = format!("/organizations/{}/groups", self.organizations[organization].id);
        let answer = self.ask(manager, Method::POST, &path, body).await;
        let people = self.indexes(|account| account.organization == organization && !account.is_service);
        let members: Vec<&str> = people
            .iter()
            .filter(|index| *index % 2 == 0)
            .map(|index| self.accounts[*index].id.as_str())
            .collect();
        let (path, body) = (format!("/groups/{}", answer.text("id")), json!({"add_users": members}));
        self.wait(5, 40);
        self.ask(manager, Method::PATCH, &path, body).await;
    }
}
