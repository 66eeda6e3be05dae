//! Requests of made-up people, straight into the deployment's router.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, header};
use serde_json::Value;
use tower::ServiceExt as _;

use super::Simulation;

/// Something that somebody does.
pub(super) type Doing<'s> = Pin<Box<dyn Future<Output = ()> + Send + 's>>;

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Somebody who works with the deployment.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) password: String,
    /// Of the organization, in the list of the simulation.
    pub(super) organization: usize,
    pub(super) is_manager: bool,
    pub(super) is_service: bool,
    pub(super) is_suspended: bool,
    pub(super) ip: String,
    pub(super) user_agent: &'static str,
    /// Of the session; empty for who is not logged in.
    pub(super) token: String,
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct As<'a> {
    pub(super) account: Option<usize>,
    /// A program other than the account's browser.
    pub(super) user_agent: Option<&'a str>,
    /// In whose place.
    pub(super) impersonated: Option<&'a str>,
    /// Where nobody is logged in.
    pub(super) ip: Option<&'a str>,
}

/// The status and the body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// The rows of a list.
    pub(super) fn rows(self) -> Vec<Value> {
        match self.body {
            Value::Array(rows) => rows,
            _ => Vec::new(),
        }
    }
}

impl Simulation {
    /// Asks as an account, which logs in first if it must.
    pub(super) async fn ask(&mut self, account: usize, method: Method, path: &str, body: Value) -> Answer {
        self.ask_as(As { account: Some(account), ..As::default() }, method, path, body).await
    }

    pub(super) async fn ask_as(&mut self, who: As<'_>, method: Method, path: &str, body: Value) -> Answer {
        if let Some(account) = who.account
            && self.accounts[account].token.is_empty()
        {
            self.log_in(account).await;
        }
        let answer = self.send(who, &method, path, &body).await;
        match (answer.status, who.account) {
            // The session is over.
            (401, Some(account)) => {
                self.log_in(account).await;
                self.send(who, &method, path, &body).await
            }
            _ => answer,
        }
    }

    pub(super) async fn send(&self, who: As<'_>, method: &Method, path: &str, body: &Value) -> Answer {
        let account = who.account.map(|account| &self.accounts[account]);
        let mut request = Request::builder().method(method).uri(format!("/api/v2{path}"));
        let headers = [
            ("x-forwarded-for", who.ip.or(account.map(|account| account.ip.as_str()))),
            (header::USER_AGENT.as_str(), who.user_agent.or(account.map(|account| account.user_agent))),
            ("x-impersonate", who.impersonated),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if let Some(account) = account.filter(|account| !account.token.is_empty()) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", account.token));
        }
        // As if the deployment's proxy on this machine had taken the connection.
        request = request.extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        request = request.header(header::CONTENT_TYPE, "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let Ok(request) = request.body(body) else { return Answer { status: 400, body: Value::Null } };
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }
}
