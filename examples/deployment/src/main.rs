//! Serves the deployment, without mail: letters are not sent.
//! `ANNALS_TOKEN=annals_ingest_... annals-deployment [ADDRESS]`.
//!
//! `ANNALS_SERVER` names the log (http://127.0.0.1:2662); the database `deployment.db` and the spool stand in the current directory.

use std::path::Path;
use std::time::Duration;

use annals_client::{Auditor, AuditorOptions, Client};
use annals_deployment::Deployment;

/// How often what is due is looked for.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the end waits for the last events.
const FLUSH_MAX: Duration = Duration::from_secs(10);

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "an example is configured by two variables")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let server = std::env::var("ANNALS_SERVER").unwrap_or_else(|_| "http://127.0.0.1:2662".to_owned());
    let token = std::env::var("ANNALS_TOKEN").ok().filter(|token| !token.is_empty());
    let token = token
        .ok_or("ANNALS_TOKEN is not set; make one: annals token create --kind ingest --name deployment")?;

    let options = AuditorOptions { documents: Deployment::documents(), ..AuditorOptions::new("deployment") };
    let auditor = Auditor::open(Client::new(&server, &token)?, "audit-spool", options)?;
    let deployment = Deployment::open(Some(Path::new("deployment.db")), auditor.clone(), &[])?;

    let worker = deployment.clone();
    let working = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            let worker = worker.clone();
            // It waits for the disk. One that panics is said in the log, and the next begins anew.
            if let Err(error) = tokio::task::spawn_blocking(move || worker.work()).await {
                tracing::error!(%error, "what was due was not done");
            }
        }
    });
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!("the first user: POST http://{listen}/api/v2/users/first");
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
    };
    deployment.serve(listener, stop).await?;
    working.abort();
    if !auditor.flush(FLUSH_MAX).await {
        tracing::warn!("some events are still in the spool; they are sent after the next start");
    }
    Ok(())
}
