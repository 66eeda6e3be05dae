//! A real server on a free port of loopback, over a log in a temporary directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annals_engine::{Engine, NewToken, Options, Principal, SigningPolicy, TokenKind};
use annals_server::Config;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) engine: Arc<Engine>,
    pub(crate) ingest_token: String,
    pub(crate) read_token: String,
    pub(crate) http: Client,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
    dir: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> TestServer {
        TestServer::start_with(Config::default()).await
    }

    /// Where nothing else is said, a free port of loopback.
    pub(crate) async fn start_with(config: Config) -> TestServer {
        TestServer::start_on(Options::default(), config).await
    }

    pub(crate) async fn start_with_options(options: Options) -> TestServer {
        TestServer::start_on(options, Config::default()).await
    }

    /// A server that signs checkpoints, but only when somebody waits for one.
    pub(crate) async fn start_signing() -> TestServer {
        TestServer::start_with_options(signing()).await
    }

    async fn start_on(options: Options, config: Config) -> TestServer {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(Engine::create_or_open(dir.path(), options).unwrap());
        let token = |kind| {
            let token = NewToken { kind, name: "test", owner: None, expires: None };
            engine.create_token(&Principal::operator(), &token).unwrap().reveal().to_owned()
        };
        // Making a token waits for its record, which an async thread must not.
        let (ingest_token, read_token) =
            tokio::task::block_in_place(|| (token(TokenKind::Ingest), token(TokenKind::Read)));
        TestServer::serve(dir, engine, config, (ingest_token, read_token)).await
    }

    /// Stops the server and starts it again on what `change` made of the data directory; tokens and people stay.
    pub(crate) async fn start_again(mut self, options: Options, change: impl FnOnce(&Path)) -> TestServer {
        self.stop().await;
        let TestServer { engine, ingest_token, read_token, dir, .. } = self;
        tokio::task::block_in_place(|| drop(engine));
        change(dir.path());
        let engine = Arc::new(Engine::create_or_open(dir.path(), options).unwrap());
        TestServer::serve(dir, engine, Config::default(), (ingest_token, read_token)).await
    }

    async fn serve(
        dir: TempDir,
        engine: Arc<Engine>,
        config: Config,
        (ingest_token, read_token): (String, String),
    ) -> TestServer {
        let listen = if config.listen == Config::default().listen {
            "127.0.0.1:0".parse().unwrap()
        } else {
            config.listen
        };
        let server = annals_server::bind(Arc::clone(&engine), Config { listen, ..config }).await.unwrap();
        let url = server.url();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            server.run(async { drop(stopped.await) }).await.unwrap();
        });
        // reqwest asks for a TLS provider even where no TLS is spoken; another test may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().redirect(reqwest::redirect::Policy::none());
        // Which certificate is shown is looked at where it matters, in `tls.rs`.
        let http = http.tls_danger_accept_invalid_certs(true).build().unwrap();
        TestServer {
            url,
            engine,
            ingest_token,
            read_token,
            http,
            stop: Some(stop),
            running: Some(running),
            dir,
        }
    }

    /// The data directory.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Stops the server gracefully and waits until it has ended.
    pub(crate) async fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.running.take().unwrap().await.unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.read_token)
    }

    pub(crate) async fn post_events(&self, body: impl Into<reqwest::Body>) -> Response {
        let url = format!("{}/api/v2/audit/events", self.url);
        self.http.post(url).bearer_auth(&self.ingest_token).body(body).send().await.unwrap()
    }

    pub(crate) async fn post_encoded(&self, encoding: &str, body: Vec<u8>) -> u16 {
        let url = format!("{}/api/v2/audit/events", self.url);
        let request =
            self.http.post(url).bearer_auth(&self.ingest_token).header("content-encoding", encoding);
        request.body(body).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn search(&self, query: &str) -> Value {
        json(self.get("/api/v2/audit").query(&[("q", query), ("limit", "1000")]).send().await.unwrap()).await
    }

    pub(crate) async fn count(&self, query: &str) -> u64 {
        self.search(query).await["count"].as_u64().unwrap()
    }
}

/// Checkpoints are signed, but only when somebody waits for one.
pub(crate) fn signing() -> Options {
    let signing = Some(SigningPolicy { interval: Duration::from_secs(3_600), ..SigningPolicy::default() });
    Options { signing, ..Options::default() }
}

pub(crate) async fn json(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// An event on a template, with further members spliced in.
pub(crate) fn template_event(target: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    let target = serde_json::to_string(target).unwrap();
    format!(r#"{{"action":"write","resource_type":"template","resource_target":{target}{comma}{more}}}"#)
}

/// The body of a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    fields.join("&")
}
