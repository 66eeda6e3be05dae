//! People: who there is, who is at work, how they come and go, their memberships and keys.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::Account;
use super::timeline::work_in;
use super::{Simulation, names};

/// Who owns the deployment, the first in the list.
pub(super) const ADMIN: usize = 0;
/// What works by itself.
pub(super) const PIPELINE: usize = 3;
/// People in the deployment at most.
const PEOPLE_MAX: usize = 34;

impl Simulation {
    /// The people who can act now, of those who are wanted.
    pub(super) fn indexes(&self, wanted: impl Fn(&Account) -> bool) -> Vec<usize> {
        let usable = |account: &Account| !account.is_suspended && !account.id.is_empty() && wanted(account);
        (0..self.accounts.len()).filter(|index| usable(&self.accounts[*index])).collect()
    }

    /// Someone at work at this hour; rarely someone else.
    pub(super) fn worker(&mut self) -> usize {
        let people = self.indexes(|account| !account.is_service && account.username != "demo-admin");
        let now_us = self.now.as_microsecond();
        let weight =
            |index: &usize| 2 * work_in(&self.organizations[self.accounts[*index].organization], now_us) + 1;
        let weights: Vec<u64> = people.iter().map(weight).collect();
        let mut left = self.random.below(weights.iter().sum());
        for (index, weight) in people.iter().zip(weights) {
            if left < weight {
                return *index;
            }
            left -= weight;
        }
        ADMIN
    }

    /// Whether an organization can spare someone.
    fn has_people_to_spare(&self, organization: usize) -> bool {
        self.indexes(|account| account.organization == organization && !account.is_manager).len() > 2
    }

    /// Someone who manages an organization.
    pub(super) fn manager(&mut self, organization: usize) -> usize {
        if self.random.chance(30) { ADMIN } else { usize::from(organization == 1) + 1 }
    }

    /// Somebody who is not in the deployment yet.
    pub(super) fn new_account(&mut self, username: &str, organization: usize) -> Account {
        let index = self.accounts.len();
        // Two networks and an office each; a home address in the documentation range of IPv6 for some.
        let ip = match self.random.below(4) {
            0 => format!("192.0.2.{}", 10 + index % 200),
            1 => format!("198.51.100.{}", 10 + index % 200),
            2 => format!("2001:db8:{organization}::{:x}", 0x100 + index),
            _ => format!("10.20.{}.{}", organization + 1, 20 + index % 200),
        };
        Account {
            id: String::new(),
            username: username.to_owned(),
            password: format!("{username}-2662"),
            organization,
            is_manager: false,
            is_service: false,
            is_suspended: false,
            ip,
            user_agent: names::USER_AGENTS[self.random.index(names::USER_AGENTS.len())],
            token: String::new(),
        }
    }

    pub(super) fn new_developer(&mut self, organization: usize) -> Account {
        self.developer_count += 1;
        self.new_account(&format!("demo-dev-{}", self.developer_count), organization)
    }

    /// Has `by` take somebody in; they join their organization.
    pub(super) async fn take_in(&mut self, by: usize, account: Account, roles: &[&str]) {
        let name: Vec<String> = account.username.split('-').map(capitalised).collect();
        let body = json!({"username": account.username, "email": format!("{}@example.test", account.username), "name": name.join(" "),
            "password": account.password, "roles": roles, "is_service_account": account.is_service});
        let answer = self.ask(by, Method::POST, "/users", body).await;
        if !answer.is_good() {
            return;
        }
        let account = Account { id: answer.text("id").to_owned(), ..account };
        let organization = &self.organizations[account.organization].id;
        let path = format!("/organizations/{organization}/members/{}", account.username);
        self.accounts.push(account);
        self.wait(2, 20);
        self.ask(by, Method::POST, &path, Value::Null).await;
    }

    pub(super) async fn create_user(&mut self) {
        if self.indexes(|account| !account.is_service).len() > PEOPLE_MAX {
            return;
        }
        let worker = self.worker();
        let organization = self.accounts[worker].organization;
        let account = self.new_developer(organization);
        let manager = self.manager(organization);
        self.take_in(manager, account, &[]).await;
    }

    pub(super) async fn suspend_or_activate_user(&mut self) {
        let suspended = self.accounts.iter().position(|account| account.is_suspended);
        let index = match suspended {
            Some(index) => index,
            None => self.worker(),
        };
        let account = self.accounts[index].clone();
        if account.is_manager || suspended.is_none() && !self.has_people_to_spare(account.organization) {
            return;
        }
        let manager = self.manager(account.organization);
        let status = if suspended.is_some() { "active" } else { "suspended" };
        let path = format!("/users/{}", account.username);
        if self.ask(manager, Method::PATCH, &path, json!({"status": status})).await.is_good() {
            self.accounts[index].is_suspended = suspended.is_none();
        }
    }

    pub(super) async fn delete_user(&mut self) {
        let index = self.worker();
        let account = self.accounts[index].clone();
        if account.is_manager || !self.has_people_to_spare(account.organization) || self.is_live {
            return;
        }
        for workspace in self.workspaces_of(index).await {
            if workspace["is_running"] == true {
                let path = format!("/workspaces/{}/builds", workspace["id"].as_str().unwrap_or_default());
                self.ask(ADMIN, Method::POST, &path, json!({"transition": "stop"})).await;
                self.wait(5, 30);
            }
        }
        let manager = self.manager(account.organization);
        let path = format!("/users/{}", account.username);
        if self.ask(manager, Method::DELETE, &path, Value::Null).await.is_good() {
            // The name is not used again.
            self.accounts[index].id.clear();
            self.accounts[index].token.clear();
            self.wait(5, 30);
        }
    }

    pub(super) async fn change_member(&mut self) {
        let index = self.worker();
        let account = self.accounts[index].clone();
        let organization = self.organizations[account.organization].id.clone();
        let path = format!("/organizations/{organization}/members");
        let manager = self.manager(account.organization);
        let members = self.ask(manager, Method::GET, &path, Value::Null).await.rows();
        let Some(member) = members.into_iter().find(|member| member["user_id"] == account.id.as_str()) else {
            return;
        };
        let mut roles: Vec<Value> = member["roles"].as_array().cloned().unwrap_or_default();
        let role = self.random.pick(&[
            "organization-auditor",
            "organization-template-admin",
            "organization-workspace-creation-ban",
        ]);
        match roles.iter().position(|present| present == role) {
            Some(at) => drop(roles.remove(at)),
            None => roles.push(role.into()),
        }
        self.ask(manager, Method::PUT, &format!("{path}/{}", account.id), json!({"roles": roles})).await;
    }

    pub(super) async fn change_key(&mut self) {
        let index = self.worker();
        self.ask(index, Method::PUT, "/users/me/gitsshkey", Value::Null).await;
    }
}

pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
