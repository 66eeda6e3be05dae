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
mod error;
mod middleware;
mod pages;
mod router;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use annals_engine::Engine;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{info, warn};

pub use api::openapi::openapi_json;

/// How long requests in flight may take to end after the server was told to stop. An orchestrator usually gives 30 s.
const STOP_SECONDS: u64 = 20;

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Requests come through a proxy that speaks TLS with the browser: cookies are marked secure, and log-in is open from
    /// elsewhere than loopback.
    pub behind_tls_proxy: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { listen: SocketAddr::from(([127, 0, 0, 1], 2662)), behind_tls_proxy: false }
    }
}

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
    /// Accepting connections failed.
    #[error("the server failed")]
    Serve(#[source] std::io::Error),
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    /// Turns for hashing passwords.
    pub(crate) hashing: Semaphore,
    /// Turns for facets and histograms, which look at every segment.
    pub(crate) counting: Arc<Semaphore>,
}

pub(crate) type App = Arc<AppState>;

/// A server that has its address but answers nobody yet.
#[derive(Debug)]
pub struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
}

/// Takes the address of a server.
///
/// # Errors
/// [`ServerError::Listen`] if the address is taken or not ours.
pub async fn bind(engine: Arc<Engine>, config: Config) -> Result<BoundServer, ServerError> {
    let failed = |source| ServerError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(BoundServer {
        listener,
        address,
        app: Arc::new(AppState {
            engine,
            config,
            hashing: Semaphore::new(auth::HASHING_MAX),
            counting: Arc::new(Semaphore::new(auth::COUNTING_MAX)),
        }),
    })
}

impl BoundServer {
    /// The address, with the port that the system chose if none was named.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is ready, then lets those in flight finish, refuses new ones and stops the log: what
    /// was acknowledged is kept.
    ///
    /// # Errors
    /// [`ServerError::Serve`] if connections cannot be accepted.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let engine = Arc::clone(&self.app.engine);
        let service = router::router(self.app).into_make_service_with_connect_info::<SocketAddr>();
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let serve = axum::serve(self.listener, service).with_graceful_shutdown(async move {
            stop.await;
            info!("stopping: finishing requests in flight");
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
        let result = tokio::select! {
            result = async { serve.await } => result.map_err(ServerError::Serve),
            () = too_long => {
                warn!(seconds = STOP_SECONDS, "requests did not end in time and were cut off");
                Ok(())
            }
        };
        if tokio::task::spawn_blocking(move || engine.stop()).await.is_err() {
            warn!("the log did not stop cleanly");
        }
        result
    }
}
