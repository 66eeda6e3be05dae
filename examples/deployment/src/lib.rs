//! A small control plane for workspaces, in the manner of Coder, that audits itself with the SDK of Annals and nothing else.
//!
//! It keeps users, organizations, templates and workspaces in SQLite and does everything but start real machines. Read `resources.rs` first: what is kept,
//! and what the log may hold of it. Then any handler, such as `templates.rs`: it says what was before and after, and the rest follows.
//! [`simulation`] has made-up people work with it.
//!
//! ```no_run
//! use annals_client::{Auditor, AuditorOptions, Client};
//! use annals_deployment::Deployment;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:2662", "annals_ingest_...")?;
//! let options = AuditorOptions { documents: Deployment::documents(), ..AuditorOptions::new("deployment") };
//! let deployment = Deployment::open(None, Auditor::open(client, "./spool", options)?, &[])?;
//! deployment.serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod app;
mod automation;
mod builds;
mod caller;
mod clock;
mod connections;
mod database;
mod dev_urls;
mod fault;
mod groups;
mod jobs;
mod members;
mod organizations;
mod password;
mod providers;
mod resources;
mod router;
mod secrets;
mod sessions;
mod settings;
pub mod simulation;
mod ssh_keys;
mod templates;
mod tokens;
mod users;
mod workspaces;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use annals_client::{AuditLayer, Auditable, Auditor, ForwardedHeader};
use axum::Router;
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::net::TcpListener;

pub use crate::app::Letter;

use crate::app::App;
use crate::resources::{DevUrl, Job, Secret, WorkspaceProvider};

/// Why a deployment cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the deployment's database cannot be opened")]
pub struct OpenError(#[from] rusqlite::Error);

/// A control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deployment {
    app: Arc<App>,
    layer: AuditLayer,
}

impl Deployment {
    /// Opens the database, a new one if the file is not there; without a path it is kept in memory. `proxies` are believed what they say of a client's
    /// address in `X-Forwarded-For`.
    ///
    /// # Errors
    /// [`OpenError`] if the file is no database of ours, or cannot be used.
    pub fn open(
        database: Option<&Path>,
        auditor: Auditor,
        proxies: &[IpNet],
    ) -> Result<Deployment, OpenError> {
        let proxies = proxies.iter().copied();
        let layer = AuditLayer::new(auditor.clone()).trusted_proxies(proxies, ForwardedHeader::XForwardedFor);
        Ok(Deployment { app: Arc::new(App::open(database, auditor)?), layer })
    }

    /// What Annals does not know yet of the types that are audited here: see [`annals_client::AuditorOptions::documents`].
    pub fn documents() -> Vec<String> {
        let types = [DevUrl::document(), Job::document(), Secret::document(), WorkspaceProvider::document()];
        vec![types.join("\n")]
    }

    /// Serves the API until `stop` ends.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        // With addresses, so that events have them.
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stop).await
    }

    fn router(&self) -> Router {
        router::router(Arc::clone(&self.app)).layer(self.layer.clone())
    }

    /// Does what is due: jobs of the queue, workspaces that start and stop by themselves.
    pub fn work(&self) {
        if let Err(error) = automation::work(&self.app) {
            tracing::error!(error = &error as &dyn std::error::Error, "what was due was not done");
        }
    }

    /// Stops the clock at a time, for playing through a past; lets it go again without one.
    pub fn set_clock(&self, time: Option<Timestamp>) {
        self.app.clock.set_to(time);
    }

    /// Mail that a deployment with a mail server would send: to whom, and what. Takes it away.
    pub fn take_mail(&self) -> Vec<Letter> {
        std::mem::take(&mut *self.app.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Routes that changed something and audited nothing: see [`AuditLayer::unaudited`].
    pub fn unaudited(&self) -> Vec<String> {
        self.layer.unaudited()
    }
}
