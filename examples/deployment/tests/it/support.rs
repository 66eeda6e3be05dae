//! A log, a deployment that audits itself with it, and both over HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use annals_client::{Auditor, AuditorOptions, Client};
use annals_deployment::Deployment;
use annals_engine::{Engine, NewPerson, NewToken, Options, Principal, Role, TokenKind};
use reqwest::Method;
use serde_json::{Value, json};

/// How long the test waits for what should take a moment.
const LONG: Duration = Duration::from_secs(60);

/// The first user's name and password.
pub(crate) const OWNER: (&str, &str) = ("demo-admin", "demo-admin-2662");

pub(crate) struct Rig {
    pub(crate) deployment: Deployment,
    pub(crate) auditor: Auditor,
    pub(crate) dir: tempfile::TempDir,
    http: reqwest::Client,
    api: String,
    log: String,
    read_token: String,
    /// Ends the log's server, and says when it has.
    stop: Option<(tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let (engine, ingest_token, read_token) = tokio::task::block_in_place(|| log(dir.path().join("log")));
        let config = annals_server::Config { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
        let server = annals_server::bind(engine, config).await.unwrap();
        let log = format!("http://{}", server.address());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let running = tokio::spawn(async {
            let stopped = async {
                let _ = stopped.await;
            };
            server.run(stopped).await.unwrap();
        });
        let options =
            AuditorOptions { documents: Deployment::documents(), ..AuditorOptions::new("deployment") };
        let client = Client::new(&log, &ingest_token).unwrap();
        let auditor = Auditor::open(client, dir.path().join("spool"), options).unwrap();
        let deployment = Deployment::open(None, auditor.clone(), &["127.0.0.0/8".parse().unwrap()]).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}/api/v2", listener.local_addr().unwrap());
        let served = deployment.clone();
        tokio::spawn(async move { served.serve(listener, std::future::pending()).await });
        Rig {
            deployment,
            auditor,
            dir,
            http: reqwest::Client::new(),
            api,
            log,
            read_token,
            stop: Some((stop, running)),
        }
    }

    pub(crate) async fn stop_log(&mut self) {
        let (stop, running) = self.stop.take().unwrap();
        drop(stop);
        running.await.unwrap();
    }

    /// The first user, and their session.
    pub(crate) async fn first_user(&self) -> Session<'_> {
        let (username, password) = OWNER;
        let body =
            json!({"username": username, "email": format!("{username}@example.test"), "password": password});
        let (status, reply) = self.call("", Method::POST, "/users/first", &body, &[]).await;
        assert_eq!(status, 201, "{reply}");
        Session { rig: self, token: reply["session_token"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn log_in(&self, username: &str, password: &str) -> Session<'_> {
        let body = json!({"username": username, "password": password});
        let (status, reply) = self.call("", Method::POST, "/users/login", &body, &[]).await;
        assert_eq!(status, 201, "{reply}");
        Session { rig: self, token: reply["session_token"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.api));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    /// All events of the deployment, the oldest first, once the log has them.
    pub(crate) async fn events(&self) -> Vec<Value> {
        assert!(self.auditor.flush(LONG).await, "{:?}", self.auditor.stats());
        let stats = self.auditor.stats();
        let refused = std::fs::read_to_string(self.auditor.rejected_file()).unwrap_or_default();
        assert_eq!((stats.rejected, stats.refused), (0, 0), "{refused}");
        let mut events: Vec<Value> = Vec::new();
        loop {
            let offset = events.len();
            let url = format!("{}/api/v2/audit?q=source:deployment&limit=1000&offset={offset}", self.log);
            let reply = self.http.get(url).bearer_auth(&self.read_token).send().await.unwrap();
            let page: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
            let rows = page["audit_logs"].as_array().unwrap_or_else(|| panic!("{page}"));
            if rows.is_empty() {
                break;
            }
            events.extend(rows.iter().cloned());
        }
        events.sort_by_key(|event| event["seq"].as_u64());
        events
    }
}

/// A new log, a token that writes and one that reads.
fn log(dir: PathBuf) -> (Arc<Engine>, String, String) {
    let engine = Arc::new(Engine::create_or_open(&dir, Options::default()).unwrap());
    let operator = Principal::operator();
    let person = NewPerson {
        username: "demo-auditor",
        email: "demo-auditor@example.test",
        name: "",
        password: "demo-auditor-2662",
        role: Role::Auditor,
    };
    engine.add_person(&operator, &person).unwrap();
    let token = |kind, owner| {
        let token = NewToken { kind, name: "test", owner, expires: None };
        engine.create_token(&operator, &token).unwrap().reveal().to_owned()
    };
    let tokens = (token(TokenKind::Ingest, None), token(TokenKind::Read, Some("demo-auditor")));
    (engine, tokens.0, tokens.1)
}

/// Somebody who has logged in.
pub(crate) struct Session<'r> {
    rig: &'r Rig,
    pub(crate) token: String,
}

impl Session<'_> {
    /// Makes a request that must be granted, and returns what it is answered with.
    pub(crate) async fn good(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, reply) = self.rig.call(&self.token, method.clone(), path, &body, &[]).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {reply}");
        reply
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.good(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        self.good(Method::PATCH, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.good(Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        self.good(Method::DELETE, path, Value::Null).await
    }

    /// The status and answer of any request.
    pub(crate) async fn any(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        self.rig.call(&self.token, method, path, &body, headers).await
    }
}

/// A member of an answer as text.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}")).to_owned()
}
