//! Auditing requests: a tower layer, and the extractor [`Audit`] for axum.
//!
//! A handler that takes `Audit<T>` says what it changed; when the response is known, the layer records it with status, request id, address and browser. Requests
//! under the layer run to their end also where the client hangs up, so that what happened and what is recorded are the same.
//!
//! ```no_run
//! use annals_client::{Audit, AuditLayer, Auditable, Auditor};
//! use axum::Router;
//! use axum::routing::put;
//! use serde::Serialize;
//!
//! #[derive(Serialize, Auditable)]
//! #[audit(type = "greeting", crate = "annals_client::model")]
//! struct Greeting {
//!     #[audit(track, id)]
//!     name: String,
//!     #[audit(track)]
//!     text: String,
//! }
//!
//! async fn change(mut audit: Audit<Greeting>, text: String) {
//!     audit.context().user("u-7", "demo-dev-1");
//!     audit.before(Greeting { name: "first".to_owned(), text: "Hello".to_owned() });
//!     audit.after(Greeting { name: "first".to_owned(), text });
//! }
//!
//! # fn example(auditor: Auditor) -> Router {
//! Router::new().route("/greeting", put(change)).layer(AuditLayer::new(auditor))
//! # }
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use annals_model::auditable::Auditable;
use annals_model::client_address::{client_address, forwarded, forwarded_for};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use ipnet::IpNet;
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

use crate::auditor::Auditor;
use crate::change::Change;
use crate::event::Event;

/// Routes that are listed as not audited: what has no route of its own must not fill the memory.
const UNAUDITED_MAX: usize = 1_000;

/// The header by which proxies hand on the client's address. Only the one that they set is read: the other one is the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Records what handlers say of a request when its response is known.
#[derive(Debug, Clone)]
pub struct AuditLayer {
    auditor: Auditor,
    trusted: Arc<[IpNet]>,
    header: ForwardedHeader,
    unaudited: Arc<Mutex<BTreeSet<String>>>,
}

impl AuditLayer {
    /// Records with an auditor; no proxy is trusted.
    pub fn new(auditor: Auditor) -> AuditLayer {
        AuditLayer {
            auditor,
            trusted: Arc::default(),
            header: ForwardedHeader::default(),
            unaudited: Arc::default(),
        }
    }

    /// Believes these proxies what they say of the client's address, in this header.
    #[must_use]
    pub fn trusted_proxies(
        self,
        networks: impl IntoIterator<Item = IpNet>,
        header: ForwardedHeader,
    ) -> AuditLayer {
        AuditLayer { trusted: networks.into_iter().collect(), header, ..self }
    }

    /// Routes that changed something, by their method, and whose handlers said nothing of it: `POST /templates`. Of all requests so far of this layer and its
    /// clones, such as those of an application's tests, which end with a look at it.
    pub fn unaudited(&self) -> Vec<String> {
        lock(&self.unaudited).iter().cloned().collect()
    }

    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let values = headers.get_all(name).into_iter();
        let lines: Vec<&str> = values.map(|value| value.to_str().unwrap_or_default()).collect();
        match self.header {
            ForwardedHeader::XForwardedFor => client_address(peer, forwarded_for(&lines), &self.trusted),
            ForwardedHeader::Forwarded => client_address(peer, forwarded(&lines), &self.trusted),
        }
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService { inner, layer: self.clone() }
    }
}

/// What [`AuditLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct AuditService<S> {
    inner: S,
    layer: AuditLayer,
}

impl<S, B, R> Service<Request<B>> for AuditService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = AuditContext::of(&request, &self.layer);
        request.extensions_mut().insert(context.clone());
        let route = is_changing(request.method()).then(|| {
            let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            format!("{} {}", request.method(), matched.unwrap_or_else(|| request.uri().path()))
        });
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let recording = Recording { layer: self.layer.clone(), context, status, route };
        let response = self.inner.call(request);
        // A task of its own: a client that hangs up stops the answer, not the work.
        let work = tokio::spawn(async move {
            let mut recording = recording;
            let response = response.await;
            if let Ok(response) = &response {
                recording.status = response.status();
            }
            // Dropping it records, also where the handler panics.
            drop(recording);
            response
        });
        Box::pin(async move {
            match work.await {
                Ok(response) => response,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is stopping, and nobody waits for the answer.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// Records when it is dropped.
struct Recording {
    layer: AuditLayer,
    context: AuditContext,
    status: StatusCode,
    /// Of a request that changes something by its method.
    route: Option<String>,
}

impl Drop for Recording {
    fn drop(&mut self) {
        let status = self.status.as_u16();
        let (events, is_audited) = {
            let mut request = self.context.lock();
            // What comes later than the answer is recorded when it comes.
            request.answered = Some((self.layer.auditor.clone(), status));
            (std::mem::take(&mut request.events), request.is_audited)
        };
        if let Some(route) = self.route.take().filter(|_| self.status.is_success() && !is_audited) {
            let mut unaudited = lock(&self.layer.unaudited);
            if unaudited.len() < UNAUDITED_MAX {
                unaudited.insert(route);
            }
        }
        for event in events {
            emit(&self.layer.auditor, self.context.complete(event), status);
        }
    }
}

fn emit(auditor: &Auditor, mut event: Event, status: u16) {
    event.set_if_absent("status_code", &json!(status));
    if let Err(error) = auditor.emit(&event) {
        tracing::error!(%error, event = event.outline(), "an audit event was not taken");
    }
}

/// What is known of a request; in its extensions, for middleware that knows who acts.
#[derive(Debug, Clone, Default)]
pub struct AuditContext(Arc<Mutex<OfRequest>>);

#[derive(Debug, Default)]
struct OfRequest {
    /// Members that each event of the request gets.
    members: Vec<(String, Value)>,
    events: Vec<Event>,
    /// The handler said what is recorded, or that nothing is.
    is_audited: bool,
    /// The answer is known, and its events are given away: to whom, and its status.
    answered: Option<(Auditor, u16)>,
}

impl AuditContext {
    fn of<B>(request: &Request<B>, layer: &AuditLayer) -> AuditContext {
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let context = AuditContext::default();
        if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            context.with("ip", layer.address(peer.ip(), headers).to_string());
        }
        if let Some(agent) = text(header::USER_AGENT) {
            context.with("user_agent", agent);
        }
        let id = text(header::HeaderName::from_static("x-request-id"))
            .and_then(|id| id.parse::<uuid::Uuid>().ok());
        context.with("request_id", id.unwrap_or_else(uuid::Uuid::new_v4).to_string());
        context
    }

    /// Says who acts.
    pub fn user(&self, id: &str, username: &str) {
        self.with("user", json!({"id": id, "username": username}));
    }

    /// Any member of the wire form for each event of the request, such as `organization`, `impersonator`, or a whole `user`. The last word counts; what an
    /// event says itself wins.
    pub fn with(&self, name: &str, value: impl Into<Value>) {
        let mut request = self.lock();
        request.members.retain(|(member, _)| member != name);
        request.members.push((name.to_owned(), value.into()));
    }

    /// Records another event with the response: of what a request changed besides, such as the groups of a user who leaves.
    pub fn event(&self, event: Event) {
        let answered = {
            let mut request = self.lock();
            request.is_audited = true;
            match request.answered.clone() {
                None => return request.events.push(event),
                Some(answered) => answered,
            }
        };
        emit(&answered.0, self.complete(event), answered.1);
    }

    /// Gives an event what all events of the request say: for one that is given away at once, by [`Auditor::emit_durable`].
    #[must_use]
    pub fn complete(&self, mut event: Event) -> Event {
        let mut request = self.lock();
        request.is_audited = true;
        for (name, value) in &request.members {
            event.set_if_absent(name, value);
        }
        event
    }

    /// What events of the request will say of a member, such as the `request_id` that a job inherits from the request that asked for it.
    pub fn member(&self, name: &str) -> Option<Value> {
        self.lock().members.iter().find(|(member, _)| member == name).map(|(_, value)| value.clone())
    }

    fn lock(&self) -> MutexGuard<'_, OfRequest> {
        lock(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for AuditContext {
    type Rejection = NoAuditLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AuditContext, NoAuditLayer> {
        parts.extensions.get::<AuditContext>().cloned().ok_or(NoAuditLayer)
    }
}

/// What a handler changes: taken as an argument, filled while it works, recorded with the response. Nothing is recorded of a request in which no state
/// of the resource was known.
#[derive(Debug)]
pub struct Audit<T: Auditable> {
    context: AuditContext,
    change: Change<T>,
}

impl<T: Auditable> Audit<T> {
    /// What the handler does, if the method does not say it: POST creates, PUT and PATCH write, DELETE deletes.
    pub fn action(&mut self, action: &str) -> &mut Audit<T> {
        self.change.action(action);
        self
    }

    /// The state before; absent for a creation.
    pub fn before(&mut self, state: T) -> &mut Audit<T> {
        self.change.before(state);
        self
    }

    /// The state after; absent for a deletion.
    pub fn after(&mut self, state: T) -> &mut Audit<T> {
        self.change.after(state);
        self
    }

    /// Any other member of the wire form of this event.
    pub fn with(&mut self, name: &str, value: impl Into<Value>) -> &mut Audit<T> {
        self.change.with(name, value.into());
        self
    }

    /// Records nothing: the request changed nothing.
    pub fn cancel(&mut self) {
        self.change.cancel();
        self.context.lock().is_audited = true;
    }

    /// What every event of this request says.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }
}

impl<T: Auditable> Drop for Audit<T> {
    fn drop(&mut self) {
        match self.change.take() {
            None => {}
            Some(Ok(event)) => self.context.event(event),
            Some(Err(error)) => {
                tracing::error!(%error, resource_type = T::resource_type(), "an audit event cannot be made");
            }
        }
    }
}

impl<S: Sync, T: Auditable> FromRequestParts<S> for Audit<T> {
    type Rejection = NoAuditLayer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Audit<T>, NoAuditLayer> {
        let context = AuditContext::from_request_parts(parts, state).await?;
        let action = match parts.method {
            Method::POST => "create",
            Method::DELETE => "delete",
            _ => "write",
        };
        Ok(Audit { context, change: Change::new(action) })
    }
}

/// A handler takes [`Audit`], but its router has no [`AuditLayer`].
#[derive(Debug, Clone, Copy)]
pub struct NoAuditLayer;

impl fmt::Display for NoAuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the router has no AuditLayer, so that nothing of this handler would be recorded")
    }
}

impl IntoResponse for NoAuditLayer {
    fn into_response(self) -> axum::response::Response {
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

fn is_changing(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
