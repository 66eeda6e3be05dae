//! Groups: their members and quotas.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::As;
use super::{Simulation, names};

impl Simulation {
    pub(super) async fn change_group(&mut self) {
        let organization = self.random.index(self.organizations.len());
        let manager = self.manager(organization);
        let path = format!("/organizations/{}/groups", self.organizations[organization].id);
        let groups = self.ask(manager, Method::GET, &path, Value::Null).await.rows();
        if groups.is_empty() {
            return;
        }
        let group = &groups[self.random.index(groups.len())];
        let people = self.indexes(|account| account.organization == organization && !account.is_service);
        let body = if people.is_empty() || self.random.chance(20) {
            json!({"quota_allowance": self.random.between(1, 8) * 10})
        } else {
            let person = &self.accounts[people[self.random.index(people.len())]].id;
            let members = group["members"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            let is_member = members.iter().any(|member| member["user_id"] == person.as_str());
            if is_member { json!({"remove_users": [person]}) } else { json!({"add_users": [person]}) }
        };
        let tool = self.random.chance(20).then_some(names::TERRAFORM);
        let who = As { account: Some(manager), user_agent: tool, ..As::default() };
        let path = format!("/groups/{}", group["id"].as_str().unwrap_or_default());
        self.ask_as(who, Method::PATCH, &path, body).await;
    }
}
