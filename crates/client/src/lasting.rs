//! Answers that last: following the log, and exports.

use reqwest::{Response, header};

use crate::client::{Client, ClientError};

/// Bytes of one event on the line at most; the log takes events of 256 KiB.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An event that came over a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedEvent {
    /// Its position in the log.
    pub seq: u64,
    /// The event as the API shows it, JSON on one line.
    pub json: String,
}

/// The log as it grows; made by [`Client::follow`].
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    response: Response,
    /// What came and holds no whole block yet.
    buffer: Vec<u8>,
    after_seq: Option<u64>,
}

/// The events of an export, as they come; made by [`Client::export`].
#[derive(Debug)]
pub struct ExportStream {
    client: Client,
    response: Response,
    count: u64,
    last_seq: Option<u64>,
}

impl Client {
    /// Follows the log: every matching event behind `after_seq`, or behind the newest one, as it comes.
    ///
    /// # Errors
    /// [`ClientError`] if the query is wrong or the server refused.
    pub async fn follow(&self, query: &str, after_seq: Option<u64>) -> Result<EventStream, ClientError> {
        let mut request = self.get_lasting("/api/v2/audit/stream").query(&[("q", query)]);
        if let Some(after_seq) = after_seq {
            request = request.query(&[("after_seq", after_seq)]);
        }
        let response = self.send(request).await?;
        Ok(EventStream { client: self.clone(), response, buffer: Vec::new(), after_seq })
    }

    /// Exports every matching event behind `after_seq`, or from the first one on, by rising seq; `format` is one that the
    /// server knows, such as `ndjson`, `csv` or `parquet`. The server records it in the log before the first byte.
    ///
    /// # Errors
    /// [`ClientError`] if the query is wrong or the server refused.
    pub async fn export(
        &self,
        query: &str,
        format: &str,
        after_seq: Option<u64>,
    ) -> Result<ExportStream, ClientError> {
        let mut request = self.get_lasting("/api/v2/audit/export").query(&[("q", query), ("format", format)]);
        if let Some(after_seq) = after_seq {
            request = request.query(&[("after_seq", after_seq)]);
        }
        let response = self.send(request).await?;
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
        let count = number("annals-count").ok_or_else(|| self.not_annals())?;
        let last_seq = number("annals-last-seq");
        Ok(ExportStream { client: self.clone(), response, count, last_seq })
    }
}

impl EventStream {
    /// The seq behind which to follow again, if the connection is lost: no event is missed then, and none comes twice.
    pub fn after_seq(&self) -> Option<u64> {
        self.after_seq
    }

    /// Waits for the next event; none if the server ended the stream: it stops, or the credential holds no longer.
    ///
    /// # Errors
    /// [`ClientError`] if the connection is lost.
    pub async fn next(&mut self) -> Result<Option<FollowedEvent>, ClientError> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let (seq, json) = read_block(&block).ok_or_else(|| self.client.not_annals())?;
                self.after_seq = seq.or(self.after_seq);
                if let (Some(seq), Some(json)) = (seq, json) {
                    return Ok(Some(FollowedEvent { seq, json }));
                }
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return Err(self.client.not_annals());
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|source| self.client.unreachable(source))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Reads one block of server-sent events: its `id` and its `data`. Both may be missing.
fn read_block(block: &[u8]) -> Option<(Option<u64>, Option<String>)> {
    let (mut seq, mut json) = (None, None);
    for line in std::str::from_utf8(block).ok()?.lines() {
        match line.split_once(':') {
            Some(("id", id)) => seq = Some(id.trim().parse().ok()?),
            Some(("data", data)) => json = Some(data.strip_prefix(' ').unwrap_or(data).to_owned()),
            _ => {}
        }
    }
    Some((seq, json))
}

impl ExportStream {
    /// How many events come, exactly.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last seq of the log when the export began, where it ends; none if the log was empty.
    pub fn last_seq(&self) -> Option<u64> {
        self.last_seq
    }

    /// CSV whose first line is the names of the columns: one from the first event on.
    pub fn has_head(&self) -> bool {
        let content_type = self.response.headers().get(header::CONTENT_TYPE);
        content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("header=present"))
    }

    /// The next bytes; none when all came.
    ///
    /// # Errors
    /// [`ClientError`] if the connection is lost before all came: go on with a new export behind the seq of the last whole line.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let chunk = self.response.chunk().await.map_err(|source| self.client.unreachable(source))?;
        Ok(chunk.map(|chunk| chunk.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_with_and_without_an_event() {
        for (block, expect) in [
            ("id: 7\ndata: {\"a\":1}\n\n", Some((Some(7), Some("{\"a\":1}".to_owned())))),
            (": nothing new\nid: 9\n\n", Some((Some(9), None))),
            ("retry: 2000\n\n", Some((None, None))),
            ("id: x\n\n", None),
        ] {
            assert_eq!(read_block(block.as_bytes()), expect, "{block:?}");
        }
    }
}
