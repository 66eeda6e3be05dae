//! What single people have besides workspaces: tokens, secrets, dev URLs.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::As;
use super::people::PIPELINE;
use super::{Simulation, names};

/// Tokens that somebody has at most, and takes back then.
const TOKENS_MAX: usize = 2;

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap_or_default()
}

impl Simulation {
    pub(super) async fn use_token(&mut self) {
        let account = if self.random.chance(20) { PIPELINE } else { self.worker() };
        let tokens = self.ask(account, Method::GET, "/users/me/keys/tokens", Value::Null).await.rows();
        if let Some(token) = tokens.first().filter(|_| tokens.len() >= TOKENS_MAX) {
            let path = format!("/users/me/keys/{}", id(token));
            self.ask(account, Method::DELETE, &path, Value::Null).await;
            return;
        }
        let body = json!({"token_name": self.random.pick(&names::TOKENS), "lifetime_days": 90});
        self.ask(account, Method::POST, "/users/me/keys/tokens", body).await;
    }

    pub(super) async fn use_secret(&mut self) {
        let account = self.worker();
        let who = As { account: Some(account), user_agent: Some(names::COMMAND_LINE), ..As::default() };
        let secrets = self.ask_as(who, Method::GET, "/secrets", Value::Null).await.rows();
        let value = self.random.hex(24);
        if secrets.is_empty() {
            let name = self.random.pick(&names::SECRETS);
            self.ask_as(who, Method::POST, "/secrets", json!({"name": name, "value": value})).await;
            return;
        }
        let path = format!("/secrets/{}", id(&secrets[self.random.index(secrets.len())]));
        match self.random.below(10) {
            0 => self.ask_as(who, Method::DELETE, &path, Value::Null).await,
            1 => self.ask_as(who, Method::PATCH, &path, json!({"value": value})).await,
            _ => self.ask_as(who, Method::GET, &format!("{path}/value"), Value::Null).await,
        };
    }

    pub(super) async fn use_dev_url(&mut self) {
        let Some((account, workspace)) = self.workspace_of_worker(true).await else { return };
        let path = format!("/workspaces/{}/dev-urls", id(&workspace));
        let urls = self.ask(account, Method::GET, &path, Value::Null).await.rows();
        let access = self.random.pick(&["private", "org", "authed", "public"]);
        if urls.is_empty() {
            let name = self.random.pick(&names::DEV_URLS);
            let body = json!({"name": name, "port": self.random.between(3_000, 9_000), "access": access});
            self.ask(account, Method::POST, &path, body).await;
            return;
        }
        let path = format!("/dev-urls/{}", id(&urls[self.random.index(urls.len())]));
        match self.random.below(10) {
            0 => self.ask(account, Method::DELETE, &path, Value::Null).await,
            1..3 => self.ask(account, Method::PATCH, &path, json!({"access": access})).await,
            _ => self.ask(account, Method::POST, &format!("{path}/open"), Value::Null).await,
        };
    }
}
