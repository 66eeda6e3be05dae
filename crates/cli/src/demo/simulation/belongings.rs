//! What single people have besides workspaces: tokens, secrets, dev URLs.

use annals_model::time::Time;
use serde_json::json;

use super::timeline::DAY_US;
use super::{Actor, Simulation, names};

/// A token, secret or dev URL.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: usize,
    pub(super) settled_us: i64,
}

impl Simulation {
    pub(super) fn use_token(&mut self) {
        let owner = self.worker();
        let now_us = self.now_us;
        let old = self
            .tokens
            .iter()
            .position(|token| token.settled_us < now_us && self.users[token.owner].status == "active");
        if let Some(at) = old.filter(|_| self.tokens.len() > 12) {
            let token = self.tokens.remove(at);
            let before =
                json!({"id": token.id, "user_id": self.users[token.owner].id, "token_name": token.name});
            let event = json!({"action": "delete", "resource_type": "api_key", "resource_id": self.users[token.owner].id, "resource_target": token.name, "status_code": 204, "before": before});
            return self.record(&Actor::User(token.owner), None, event);
        }
        let owner = if self.random.chance(20) { 3 } else { owner };
        let name = self.random.pick(&names::TOKENS).to_owned();
        let time = |us: i64| Time::from_micros_saturating(us).to_string();
        let after = json!({"user_id": self.users[owner].id, "created_at": time(now_us), "expires_at": time(now_us + 90 * DAY_US), "hashed_secret": self.random.hex(64)});
        let event = json!({"action": "create", "resource_type": "api_key", "resource_id": self.users[owner].id, "resource_target": name, "status_code": 201, "after": after});
        let id = self.random.uuid();
        self.tokens.push(Owned { id, name, owner, settled_us: now_us + DAY_US });
        self.record(&Actor::User(owner), None, event);
    }

    pub(super) fn use_secret(&mut self) {
        let owner = self.worker();
        let own: Vec<usize> = (0..self.secrets.len()).filter(|at| self.secrets[*at].owner == owner).collect();
        let (action, secret) = match own.as_slice() {
            [] => {
                let (id, name) = (self.random.uuid(), self.random.pick(&names::SECRETS).to_owned());
                self.secrets.push(Owned { id, name, owner, settled_us: 0 });
                ("create", self.secrets[self.secrets.len() - 1].clone())
            }
            own => {
                let at = own[self.random.index(own.len())];
                match self.random.below(10) {
                    0 => ("delete", self.secrets.remove(at)),
                    1 => ("write", self.secrets[at].clone()),
                    _ => ("view", self.secrets[at].clone()),
                }
            }
        };
        let event = json!({"action": action, "resource_type": "secret", "resource_id": secret.id, "resource_target": secret.name,
            "status_code": if action == "create" { 201 } else { 200 }});
        self.record(&Actor::UserWith(owner, names::COMMAND_LINE), None, event);
    }

    pub(super) fn use_dev_url(&mut self) {
        let owner = self.worker();
        let organization = self.users[owner].organization;
        let own: Vec<usize> =
            (0..self.dev_urls.len()).filter(|at| self.dev_urls[*at].owner == owner).collect();
        let (action, url) = match own.as_slice() {
            [] => {
                let (id, name) = (self.random.uuid(), self.random.pick(&names::DEV_URLS).to_owned());
                self.dev_urls.push(Owned { id, name, owner, settled_us: 0 });
                ("create", self.dev_urls[self.dev_urls.len() - 1].clone())
            }
            own => {
                let at = own[self.random.index(own.len())];
                match self.random.below(10) {
                    0 => ("delete", self.dev_urls.remove(at)),
                    1..3 => ("write", self.dev_urls[at].clone()),
                    _ => ("open", self.dev_urls[at].clone()),
                }
            }
        };
        let event = json!({"action": action, "resource_type": "dev_url", "resource_id": url.id, "resource_target": url.name,
            "status_code": if action == "create" { 201 } else { 200 }});
        self.record(&Actor::User(owner), Some(organization), event);
    }
}
