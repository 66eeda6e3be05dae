//! Clusters, and the pipeline that works after midnight.

use axum::http::Method;
use serde_json::Value;

use super::caller::As;
use super::people::{ADMIN, PIPELINE};
use super::timeline::{hour_of_day, weekday};
use super::{Simulation, at, names};

impl Simulation {
    /// Takes a cluster out of use, or back in: one at a time.
    pub(super) async fn change_provider(&mut self) {
        let providers = self.ask(ADMIN, Method::GET, "/workspace-providers", Value::Null).await.rows();
        let cordoned = providers.iter().find(|provider| provider["is_cordoned"] == true);
        let Some(provider) = cordoned.or_else(|| providers.get(self.random.index(providers.len()))) else {
            return;
        };
        let verb = if cordoned.is_some() { "uncordon" } else { "cordon" };
        let path = format!("/workspace-providers/{}/{verb}", provider["id"].as_str().unwrap_or_default());
        self.ask(ADMIN, Method::PUT, &path, Value::Null).await;
    }

    /// The pipeline logs in at night, and on working days brings a new version of a template.
    pub(super) async fn run_pipeline(&mut self, hour_us: i64) {
        if hour_of_day(hour_us) != 1 {
            return;
        }
        self.go_to(at(hour_us));
        self.log_in(PIPELINE).await;
        self.wait(60, 300);
        if (1..=5).contains(&weekday(hour_us)) {
            let who = As { account: Some(PIPELINE), user_agent: Some(names::PIPELINE), ..As::default() };
            self.push_version(who, 0).await;
        }
    }
}
