//! Answers that are made while they are read: bounded, and cut off visibly when they are not whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Chunks that wait for the connection. The next one is made while one is written.
const CHUNKS_WAITING: usize = 2;
/// How long a chunk waits for a reader who takes nothing. Whoever reads slowly but reads is waited for.
const STALLED: Duration = Duration::from_secs(60);

/// Sends the chunks of an answer.
pub(crate) struct Chunks {
    sender: mpsc::Sender<Message>,
}

enum Message {
    Chunk(Bytes),
    /// The answer is whole. Without it the connection is cut off, so that a part is never taken for the whole.
    End,
}

/// The reader has gone, or takes nothing.
#[derive(Debug)]
pub(crate) struct Gone;

impl Chunks {
    /// Waits until there is room for a chunk, so that a slow reader holds up the work and not the memory. Without bytes it says whether the
    /// reader is still there.
    pub(crate) async fn send(&self, chunk: Vec<u8>) -> Result<(), Gone> {
        if chunk.is_empty() {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.send_message(Message::Chunk(chunk.into())).await
    }

    /// Says that the answer is whole.
    pub(crate) async fn end(self) -> Result<(), Gone> {
        self.send_message(Message::End).await
    }

    /// Waits until the reader has gone.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }

    async fn send_message(&self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(STALLED, self.sender.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// The body of an answer that is made meanwhile. `turn` is given back when the answer has ended or its reader has gone.
pub(crate) fn streamed(turn: OwnedSemaphorePermit) -> (Chunks, Body) {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    (Chunks { sender }, Body::new(Streamed { receiver, is_whole: false, _turn: turn }))
}

struct Streamed {
    receiver: mpsc::Receiver<Message>,
    is_whole: bool,
    _turn: OwnedSemaphorePermit,
}

/// The answer ends before it is whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
struct CutOff;

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.receiver.poll_recv(context)) {
            Some(Message::Chunk(chunk)) => Some(Ok(Frame::data(chunk))),
            Some(Message::End) => {
                self.is_whole = true;
                None
            }
            None => Some(Err(CutOff)),
        })
    }
}
