//! The thread that signs: while events come, and at once when somebody waits for a receipt.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::warn;

use super::Signer;
use crate::error::EngineError;

/// Between two signatures, however many wait: those who come meanwhile share the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// The signer at work.
#[derive(Debug)]
pub(crate) struct SigningThread {
    signed: watch::Receiver<u64>,
    wish: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SigningThread {
    pub(crate) fn start(signer: Signer, interval: Duration) -> Result<SigningThread, EngineError> {
        let (wish, wishes) = sync_channel(1);
        let signed = signer.signed();
        let thread = std::thread::Builder::new()
            .name("sign".to_owned())
            .spawn(move || {
                loop {
                    let begun = Instant::now();
                    if let Err(error) = signer.sign() {
                        warn!(%error, "no checkpoint was signed");
                    }
                    match wishes.recv_timeout(interval) {
                        Ok(()) => std::thread::sleep(PAUSE.saturating_sub(begun.elapsed())),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                // What was acknowledged before the stop is covered.
                if let Err(error) = signer.sign() {
                    warn!(%error, "no last checkpoint was signed");
                }
            })
            .map_err(EngineError::Thread)?;
        Ok(SigningThread { signed, wish: Mutex::new(Some(wish)), thread: Mutex::new(Some(thread)) })
    }

    /// Asks for a checkpoint soon, and returns what tells its size.
    pub(crate) fn ask(&self) -> watch::Receiver<u64> {
        if let Some(wish) = &*self.wish.lock().unwrap_or_else(PoisonError::into_inner) {
            match wish.try_send(()) {
                // One wish is waiting already.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
        self.signed.clone()
    }

    pub(crate) fn stop(&self) {
        drop(self.wish.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            warn!("the signing thread ended by a panic");
        }
    }
}

impl Drop for SigningThread {
    fn drop(&mut self) {
        self.stop();
    }
}
