//! HTTP to a server of Annals.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;

use crate::event::Event;

/// How long one call may take. The server answers an ingest within a second or refuses it.
const CALL_SECONDS: u64 = 60;
/// How long an answer that lasts may be silent. A stream says something every 15 seconds.
const SILENCE_SECONDS: u64 = 60;
/// How long connecting may take.
const CONNECT_SECONDS: u64 = 5;

/// A server of Annals and a token for it. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// For answers that last: without an end to the whole call.
    lasting: reqwest::Client,
    base: Url,
    token: header::HeaderValue,
}

/// Leaves the token out.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is not `http://HOST` or `https://HOST`.
    #[error("`{url}` is not the address of a server, such as http://127.0.0.1:2662")]
    BadAddress {
        /// The address.
        url: String,
    },
    /// The token holds characters that no header can carry.
    #[error("the token holds characters that no token has")]
    BadToken,
    /// The server was not reached, or the connection broke.
    #[error("cannot reach {url}")]
    Unreachable {
        /// The address.
        url: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused; `problem` is its answer.
    #[error("the server refused ({status}): {}", summary(.problem))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The body: `message`, `detail`, `validations`.
        problem: Value,
    },
    /// The answer is not what a server of Annals sends.
    #[error("{url} does not answer as a server of Annals")]
    NotAnnals {
        /// The address.
        url: String,
    },
}

pub(crate) fn summary(problem: &Value) -> String {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut parts = vec![text(problem, "message"), text(problem, "detail")];
    for validation in problem.get("validations").and_then(Value::as_array).into_iter().flatten().take(5) {
        parts.push(format!("{}: {}", text(validation, "field"), text(validation, "detail")));
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { "without saying why".to_owned() } else { parts.join("; ") }
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError`] if address or token cannot be right.
    pub fn new(url: &str, token: &str) -> Result<Client, ClientError> {
        let bad = || ClientError::BadAddress { url: url.to_owned() };
        let base = Url::parse(url).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(bad());
        }
        let mut header =
            header::HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::BadToken)?;
        header.set_sensitive(true);
        // Another part of the program may have chosen a provider already; then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
                .user_agent(concat!("annals-client/", env!("CARGO_PKG_VERSION")))
        };
        let failed = |source| ClientError::Unreachable { url: url.to_owned(), source };
        let http = builder().timeout(Duration::from_secs(CALL_SECONDS)).build().map_err(failed)?;
        let lasting = builder().read_timeout(Duration::from_secs(SILENCE_SECONDS)).build().map_err(failed)?;
        Ok(Client { http, lasting, base, token: header })
    }

    /// Sends events and waits until they are durable. Returns the server's reply: `accepted`, `duplicates`, `events`
    /// with `id` and `seq`, `warnings`.
    ///
    /// # Errors
    /// [`ClientError`]; if the server refused, it recorded none of them.
    pub async fn append(&self, events: &[Event]) -> Result<Value, ClientError> {
        let lines: String = events.iter().map(|event| event.to_json() + "\n").collect();
        self.append_ndjson(lines, false).await
    }

    /// Sends events that are JSON texts already, one a line. With `partial` the server takes the good ones and lists
    /// the rest under `faults`.
    ///
    /// # Errors
    /// [`ClientError`]; if the server refused, it recorded none of them.
    pub async fn append_ndjson(&self, lines: String, partial: bool) -> Result<Value, ClientError> {
        let url = self.url("/api/v2/audit/events");
        let request = self.http.post(url).header(header::CONTENT_TYPE, "application/x-ndjson").body(lines);
        self.call(if partial { request.query(&[("partial", "true")]) } else { request }).await
    }

    /// Registers resource types and actions; see [`crate::Auditable::document`].
    ///
    /// # Errors
    /// [`ClientError`] if the server refused, such as a document that loosens a policy.
    pub async fn register(&self, document: &str) -> Result<Value, ClientError> {
        let url = self.url("/api/v2/audit/resources");
        let request =
            self.http.put(url).header(header::CONTENT_TYPE, "application/toml").body(document.to_owned());
        self.call(request).await
    }

    /// Returns the last signed checkpoint of the log.
    ///
    /// # Errors
    /// [`ClientError`] if nothing was signed yet, or the server refused.
    pub async fn checkpoint(&self) -> Result<String, ClientError> {
        self.text(self.http.get(self.url("/tlog/checkpoint"))).await
    }

    /// Returns the hashes that show that the log of `new` events continues that of `old` events, base64, one a line.
    ///
    /// # Errors
    /// [`ClientError`] if there is no such proof, or the server refused.
    pub async fn consistency(&self, old: u64, new: u64) -> Result<String, ClientError> {
        let request = self.http.get(self.url("/tlog/consistency"));
        self.text(request.query(&[("old", old), ("new", new)])).await
    }

    /// Returns the receipt of an event, which [`crate::evidence::verify_receipt`] checks offline. Waits for the next checkpoint.
    ///
    /// # Errors
    /// [`ClientError`] if there is no such event, or the server refused.
    pub async fn receipt(&self, id: &str) -> Result<String, ClientError> {
        self.receipt_with(id, true).await
    }

    /// The same with or without its personal values.
    ///
    /// # Errors
    /// [`ClientError`] if there is no such event, or the server refused.
    pub async fn receipt_with(&self, id: &str, values: bool) -> Result<String, ClientError> {
        let id: String =
            id.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '-').collect();
        let request = self.http.get(self.url(&format!("/api/v2/audit/{id}/receipt")));
        self.text(request.query(&[("values", values)])).await
    }

    /// Hands on the evidence of a query piece by piece: a file for [`crate::evidence::verify_evidence`].
    ///
    /// # Errors
    /// [`ClientError`] if the server refused, or the connection broke.
    pub async fn evidence(
        &self,
        query: &str,
        mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<std::io::Result<()>, ClientError> {
        let request = self.lasting.get(self.url("/api/v2/audit/evidence")).query(&[("q", query)]);
        let mut response = self.send(request).await?;
        while let Some(piece) = response.chunk().await.map_err(|source| self.unreachable(source))? {
            if let Err(error) = each(&piece) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Lists the sources of events: gaps, repeats and silence.
    ///
    /// # Errors
    /// [`ClientError`] if the server refused.
    pub async fn sources(&self) -> Result<Value, ClientError> {
        self.call(self.http.get(self.url("/api/v2/audit/sources"))).await
    }

    /// Returns the registry in force.
    ///
    /// # Errors
    /// [`ClientError`] if the server refused.
    pub async fn resources(&self) -> Result<Value, ClientError> {
        self.call(self.http.get(self.url("/api/v2/audit/resources"))).await
    }

    /// Searches; returns the reply of `GET /api/v2/audit`: `audit_logs`, `count`, `next`.
    ///
    /// # Errors
    /// [`ClientError`] if the query is wrong or the server refused.
    pub async fn search(&self, query: &str, limit: usize, offset: u64) -> Result<Value, ClientError> {
        let request = self.http.get(self.url("/api/v2/audit"));
        self.call(request.query(&[
            ("q", query),
            ("limit", &limit.to_string()),
            ("offset", &offset.to_string()),
        ]))
        .await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        url
    }

    pub(crate) fn get_lasting(&self, path: &str) -> RequestBuilder {
        self.lasting.get(self.url(path))
    }

    pub(crate) fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.base.to_string(), source }
    }

    pub(crate) fn not_annals(&self) -> ClientError {
        ClientError::NotAnnals { url: self.base.to_string() }
    }

    /// Sends a request and returns its answer if it is a good one; the body is still to come.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let request = request.header(header::AUTHORIZATION, self.token.clone());
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        let status: StatusCode = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|source| self.unreachable(source))?;
        let problem = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        Err(ClientError::Refused { status: status.as_u16(), problem })
    }

    async fn text(&self, request: RequestBuilder) -> Result<String, ClientError> {
        self.send(request).await?.text().await.map_err(|source| self.unreachable(source))
    }

    async fn call(&self, request: RequestBuilder) -> Result<Value, ClientError> {
        let body = self.send(request).await?.bytes().await.map_err(|source| self.unreachable(source))?;
        serde_json::from_slice::<Value>(&body).map_err(|_| self.not_annals())
    }
}
