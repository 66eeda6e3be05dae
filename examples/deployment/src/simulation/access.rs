//! Who gets in and who does not: log-ins, wrong passwords, work in the place of others, denials.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::{Answer, As};
use super::people::ADMIN;
use super::{Simulation, names};

impl Simulation {
    pub(super) async fn log_in(&mut self, account: usize) {
        self.accounts[account].token.clear();
        let password = self.accounts[account].password.clone();
        let answer = self.try_password(account, &password).await;
        answer.text("session_token").clone_into(&mut self.accounts[account].token);
    }

    async fn try_password(&mut self, account: usize, password: &str) -> Answer {
        let body = json!({"username": self.accounts[account].username, "password": password});
        let who = As { account: Some(account), ..As::default() };
        self.send(who, &Method::POST, "/users/login", &body).await
    }

    pub(super) async fn log_in_or_out(&mut self) {
        let account = self.worker();
        if self.random.chance(75) || self.accounts[account].token.is_empty() {
            return self.log_in(account).await;
        }
        self.ask(account, Method::POST, "/users/logout", Value::Null).await;
        self.accounts[account].token.clear();
    }

    pub(super) async fn mistype_password(&mut self) {
        let account = self.worker();
        self.accounts[account].token.clear();
        for _ in 0..self.random.between(1, 3) {
            self.try_password(account, "a-wrong-password").await;
            self.wait(4, 25);
        }
        if self.random.chance(15) {
            let email = format!("{}@example.test", self.accounts[account].username);
            let who = As { account: Some(account), ..As::default() };
            self.send(who, &Method::POST, "/users/otp/request", &json!({"email": email})).await;
            self.wait(30, 200);
            let mail = self.deployment.take_mail();
            let Some(letter) = mail.into_iter().find(|letter| letter.to == email) else { return };
            let body = json!({"email": email, "one_time_passcode": letter.text, "password": self.accounts[account].password});
            self.send(who, &Method::POST, "/users/otp/change-password", &body).await;
            self.wait(2, 10);
        }
        self.log_in(account).await;
    }

    /// One address tries names that nobody here has.
    pub(super) async fn guess_passwords(&mut self) {
        let ip = format!("203.0.113.{}", self.random.between(2, 250));
        for _ in 0..self.random.between(18, 40) {
            let name = self.random.pick(&names::GUESSED_NAMES);
            let who = As { ip: Some(&ip), user_agent: Some(names::GUESSER), ..As::default() };
            let body = json!({"username": name, "password": "password"});
            self.send(who, &Method::POST, "/users/login", &body).await;
            self.wait(1, 6);
        }
    }

    /// The owner acts in somebody's place, or on what is somebody's.
    pub(super) async fn impersonate(&mut self) {
        let Some((account, workspace)) = self.workspace_of_worker(true).await else { return };
        let username = self.accounts[account].username.clone();
        let path = format!("/workspaces/{}", workspace["id"].as_str().unwrap_or_default());
        if self.random.chance(50) {
            let who = As { account: Some(ADMIN), impersonated: Some(&username), ..As::default() };
            self.ask_as(who, Method::POST, &format!("{path}/connections"), json!({"type": "web_app"})).await;
        } else {
            let ttl = workspace["ttl"].as_u64().unwrap_or_default() + 3_600_000_000_000;
            self.ask(ADMIN, Method::PATCH, &path, json!({"ttl": ttl})).await;
        }
    }

    /// Somebody tries what they may not.
    pub(super) async fn be_denied(&mut self) {
        let account = self.worker();
        if self.accounts[account].is_manager {
            return;
        }
        let organization = self.organizations[self.accounts[account].organization].id.clone();
        let template = self.template_of(self.accounts[account].organization).await;
        let template =
            template.map(|template| format!("/templates/{}", template["id"].as_str().unwrap_or_default()));
        let (method, path, body) = match (self.random.below(4), template) {
            (0, Some(path)) => (Method::DELETE, path, Value::Null),
            (1, Some(path)) => (Method::PATCH, path, json!({"description": "Mine."})),
            (2, _) => {
                (Method::PATCH, format!("/organizations/{organization}"), json!({"description": "Ours."}))
            }
            _ => (Method::PATCH, "/settings/infrastructure".to_owned(), json!({"gpu_vendor": "nvidia"})),
        };
        self.ask(account, method, &path, body).await;
    }
}
