//! Connections: accepted, greeted with TLS if it is spoken, and served until they or the server end.
//!
//! A client that is slow to say what it wants takes nobody's place. Each connection has its own task; until its first
//! request it is a newcomer with a deadline, and when too many wait, the one that has waited longest leaves.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

/// How long a TLS handshake may take, and then again the first request's head. Both are a few packets.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// How long a later request's head may take, the quiet time before it included. Proxies keep idle connections for 60 s and
/// must be the ones that close them.
const NEXT_HEAD_MAX: Duration = Duration::from_secs(90);
/// Connections that have asked nothing yet. An honest one is a newcomer for some round trips.
const NEWCOMERS_MAX: usize = 1024;
/// Connections at the same time, if the system allows so many open files.
const CONNECTIONS_MAX: usize = 16 * 1024;
/// Open files that a process may have where the system does not say.
const FILES_USUAL: usize = 1024;
/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves connections until `stop` is ready, then lets those in flight finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    // Nothing is ever sent: it closes when the last connection has dropped its end.
    let (alive, mut all_ended) = mpsc::channel::<Infallible>(1);
    let connections_max = connections_max();
    let slots = Arc::new(Semaphore::new(connections_max));
    let mut newcomers = Newcomers { waiting: VecDeque::new(), max: NEWCOMERS_MAX.min(connections_max / 2) };
    tokio::pin!(stop);
    loop {
        // Beyond the limit new clients wait in the queue of the system until somebody has gone.
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        // The slots are never closed.
        let Ok(slot) = slot else { break };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        // Small answers must not wait for the acknowledgement of earlier ones; without it they are only slower.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            peer,
            router: router.clone(),
            place: newcomers.add(),
            stopped: stopped.clone(),
            _alive: alive.clone(),
            _slot: slot,
        };
        tokio::spawn(connection.run(stream, tls.clone()));
    }
    drop(listener);
    // Nobody listens if there is no connection.
    let _ = stopping.send(true);
    drop(alive);
    let _ = all_ended.recv().await;
}

/// Three of four files that this process may open: the log needs the others.
fn connections_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    let files = match soft {
        Some("unlimited") => usize::MAX,
        soft => soft.and_then(|soft| soft.parse().ok()).unwrap_or(FILES_USUAL),
    };
    (files / 4 * 3).clamp(64, CONNECTIONS_MAX)
}

async fn pause_after(cause: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // The client has gone again: nothing of ours.
    if !matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        error!(%cause, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Connections that have asked nothing yet, oldest first. Dropping an entry sends its connection away.
struct Newcomers {
    waiting: VecDeque<oneshot::Sender<Infallible>>,
    max: usize,
}

impl Newcomers {
    /// Adds one. If too many wait, the one that waits longest leaves.
    fn add(&mut self) -> oneshot::Receiver<Infallible> {
        if self.waiting.len() >= self.max {
            self.waiting.retain(|sender| !sender.is_closed());
        }
        if self.waiting.len() >= self.max {
            self.waiting.pop_front();
        }
        let (sender, place) = oneshot::channel();
        self.waiting.push_back(sender);
        place
    }
}

struct Connection {
    peer: SocketAddr,
    router: Router,
    /// Ready when a newcomer has to leave; closed by its first request.
    place: oneshot::Receiver<Infallible>,
    stopped: watch::Receiver<bool>,
    _alive: mpsc::Sender<Infallible>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else { return self.serve(stream).await };
        let greeted = tokio::select! {
            greeted = tokio::time::timeout(GREETING_MAX, tls.accept(stream)) => greeted,
            _ = &mut self.place => return,
            _ = self.stopped.changed() => return,
        };
        match greeted {
            Ok(Ok(stream)) => self.serve(stream).await,
            // Whoever it was stays out of the log.
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let has_asked = Arc::new(Notify::new());
        let asking = Arc::clone(&has_asked);
        let peer = self.peer;
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            asking.notify_one();
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(NEXT_HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let first_head = tokio::time::sleep(GREETING_MAX);
        tokio::pin!(connection, first_head);
        let (mut is_new, mut is_stopping) = (true, false);
        loop {
            tokio::select! {
                // In this order: what is served counts before what is late.
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = has_asked.notified(), if is_new => {
                    is_new = false;
                    self.place.close();
                }
                _ = self.stopped.changed(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = &mut self.place, if is_new => return,
                () = &mut first_head, if is_new => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_too_many_wait_the_oldest_leaves() {
        let mut newcomers = Newcomers { waiting: VecDeque::new(), max: NEWCOMERS_MAX };
        let mut places: Vec<_> = (0..NEWCOMERS_MAX).map(|_| newcomers.add()).collect();
        let left = |place: &mut oneshot::Receiver<Infallible>| {
            matches!(place.try_recv(), Err(oneshot::error::TryRecvError::Closed))
        };
        assert!(!places.iter_mut().any(left));
        let mut last = newcomers.add();
        assert!(left(&mut places[0]) && !places[1..].iter_mut().any(left) && !left(&mut last));
    }

    #[test]
    fn whoever_has_asked_takes_no_place() {
        let mut newcomers = Newcomers { waiting: VecDeque::new(), max: NEWCOMERS_MAX };
        let mut slow = newcomers.add();
        for _ in 0..3 * NEWCOMERS_MAX {
            newcomers.add().close();
        }
        assert!(matches!(slow.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        assert!(newcomers.waiting.len() <= NEWCOMERS_MAX);
    }
}
