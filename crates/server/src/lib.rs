//! The HTTP server: a JSON API and server-rendered pages over [`annals_engine::Engine`].
//!
//! `server` alone names axum. Handlers translate: a request into a call of the engine, its answer into a reply. Which
//! status an error gets is decided in one place, `error.rs`. Every route but health, log-in, set-up and assets needs a
//! credential: the handlers take a [`annals_engine::Principal`] from an extractor.
//!
//! Read `router.rs` first: it lists every route.

mod api;
mod assets;
mod auth;
mod body;
mod client_address;
mod config;
mod connections;
mod error;
mod middleware;
mod oidc;
mod pages;
mod router;
mod streamed;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use annals_engine::{Engine, Settings};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

pub use api::openapi::openapi_json;
pub use config::Config;
pub use oidc::{AccessUrl, AddressError, Issuer, OidcOptions};
pub use router::ROUTES;
pub use tls::{TlsError, TlsFiles};

use crate::error::ApiError;
use crate::oidc::OidcConfig;
use crate::tls::Certificate;

/// How long requests in flight may take to end after the server was told to stop. An orchestrator usually gives 30 s.
const STOP_SECONDS: u64 = 20;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log did not stop as it should.
    #[error("the log did not stop cleanly; what was acknowledged is kept")]
    Stop,
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    /// The address in use, with the port that the system chose if none was named.
    pub(crate) address: SocketAddr,
    /// Asks the OIDC provider.
    pub(crate) oidc: oidc::Provider,
    /// Turns for hashing passwords.
    pub(crate) hashing: Arc<Semaphore>,
    /// Turns for facets and histograms, which look at every segment.
    pub(crate) counting: Arc<Semaphore>,
    /// Turns for exports.
    pub(crate) exporting: Arc<Semaphore>,
    /// Places for streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Becomes true when the server stops: streams end by themselves then.
    pub(crate) stopping: watch::Sender<bool>,
}

pub(crate) type App = Arc<AppState>;

impl AppState {
    /// The provider by which people may log in, if there is one. Where the page Settings names a provider,
    /// its address, client and secret come from there together: the operator's secret goes to the operator's provider only.
    pub(crate) fn oidc_config(&self, settings: &Settings) -> Option<OidcConfig> {
        let mut options = self.config.oidc.clone();
        let text = |name: &str| Some(settings.get(name).to_owned()).filter(|value| !value.is_empty());
        if let (Some(url), Some(client_id)) = (text("oidc_url"), text("oidc_client_id")) {
            options.issuer = url
                .parse()
                .inspect_err(|error| warn!(%error, "the provider of the page Settings cannot be used"))
                .ok();
            options.client_id = client_id;
            options.client_secret = text("oidc_client_secret");
        }
        if let Some(name) = text("oidc_name") {
            options.name = name;
        }
        options.policy.allow_register |= settings.is_on("oidc_allow_register");
        options.complete()
    }

    /// The address under which people reach the server, if it is known: from the page Settings, or as the operator said.
    pub(crate) fn access_url(&self, settings: &Settings) -> Option<AccessUrl> {
        settings.get("access_url").parse().ok().or_else(|| self.config.access_url.clone())
    }

    /// The settings that were made on the page.
    pub(crate) async fn settings(&self) -> Result<Settings, ApiError> {
        let engine = Arc::clone(&self.engine);
        let settings = tokio::task::spawn_blocking(move || engine.settings()).await;
        Ok(settings.map_err(|_| ApiError::Panicked)??)
    }
}

/// A server that has its address but answers nobody yet.
pub struct BoundServer {
    listener: TcpListener,
    tls: Option<(Arc<Certificate>, TlsAcceptor)>,
    app: App,
}

impl std::fmt::Debug for BoundServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundServer").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Takes the address of a server, and reads its certificate.
///
/// # Errors
/// [`ServerError`] if the address is taken or not ours, or the certificate cannot be used.
pub async fn bind(engine: Arc<Engine>, config: Config) -> Result<BoundServer, ServerError> {
    if config.behind_tls_proxy && config.trusted_proxies.is_empty() {
        warn!(
            "no proxy is trusted: all clients have the proxy's address, in events and in the limits of log-ins; name it with --trusted-proxy"
        );
    }
    let tls = config.tls.clone().map(|files| {
        let certificate = Arc::new(Certificate::read(files)?);
        let acceptor = certificate.acceptor()?;
        Ok::<_, TlsError>((certificate, acceptor))
    });
    let tls = tls.transpose()?;
    let failed = |source| ServerError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let app = Arc::new(AppState {
        engine,
        config,
        address,
        oidc: oidc::Provider::default(),
        hashing: Arc::new(Semaphore::new(auth::HASHING_MAX)),
        counting: Arc::new(Semaphore::new(auth::COUNTING_MAX)),
        exporting: Arc::new(Semaphore::new(auth::EXPORTING_MAX)),
        streams: Arc::new(Semaphore::new(auth::STREAMS_MAX)),
        stopping: watch::Sender::new(false),
    });
    Ok(BoundServer { listener, tls, app })
}

impl BoundServer {
    /// The address, with the port that the system chose if none was named.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Where a browser on this machine finds the server.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.app.address)
    }

    /// Answers requests until `stop` is ready, then lets those in flight finish, refuses new ones and stops the log: what
    /// was acknowledged is kept.
    ///
    /// # Errors
    /// [`ServerError::Stop`] if the log did not stop as it should.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let engine = Arc::clone(&self.app.engine);
        let (acceptor, _following) = match self.tls {
            Some((certificate, acceptor)) => {
                let following = tokio::spawn(certificate.follow()).abort_handle();
                (Some(acceptor), Some(AbortOnDrop(following)))
            }
            None => (None, None),
        };
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let app = Arc::clone(&self.app);
        let serve = connections::serve(self.listener, router::router(self.app), acceptor, async move {
            stop.await;
            info!("stopping: finishing requests in flight");
            app.stopping.send_replace(true);
            // Nobody waits for it when the server has ended already.
            let _ = stopping.send(());
        });
        let too_long = async {
            if stopped.await.is_ok() {
                tokio::time::sleep(Duration::from_secs(STOP_SECONDS)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = serve => {}
            () = too_long => warn!(seconds = STOP_SECONDS, "requests did not end in time and were cut off"),
        }
        match tokio::task::spawn_blocking(move || engine.stop()).await {
            Err(error) if error.is_panic() => Err(ServerError::Stop),
            // Or the runtime ends first; the engine stops when it is dropped.
            _ => Ok(()),
        }
    }
}

/// Ends a task with the server that started it.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
