//! Reading a request body: limits first, then gzip or zstd.

use std::io::Read;

use annals_model::limits::BODY_BYTES_MAX;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use crate::error::ApiError;

/// Largest window of zstd that is taken: 8 MiB, as the format asks every decoder to support. A larger one could claim memory
/// that no body of ours needs.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A body as it came, still compressed.
pub(crate) struct RawBody {
    bytes: Vec<u8>,
    encoding: String,
}

/// Bytes that are read and thrown away after the limit, so that a client that sends before it listens gets its answer
/// rather than a broken connection.
const DRAIN_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// Reads a body of at most [`BODY_BYTES_MAX`] bytes.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body) -> Result<RawBody, ApiError> {
    let mut bytes = Vec::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let broken = |_| ApiError::BodyUnreadable { detail: "the connection broke off".to_owned() };
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        total += data.len();
        if total <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&data);
        } else if total > DRAIN_BYTES_MAX {
            break;
        }
    }
    if total > BODY_BYTES_MAX {
        return Err(too_large());
    }
    let encoding =
        headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")).unwrap_or_default();
    Ok(RawBody { bytes, encoding: encoding.to_ascii_lowercase() })
}

impl RawBody {
    /// Decompresses the body, to at most [`BODY_BYTES_MAX`] bytes. This is work: not for the threads that serve
    /// connections.
    pub(crate) fn decode(self) -> Result<Vec<u8>, ApiError> {
        match self.encoding.as_str() {
            "" | "identity" => Ok(self.bytes),
            "gzip" | "x-gzip" => decompress("gzip", flate2::read::MultiGzDecoder::new(&self.bytes[..])),
            "zstd" => {
                let unreadable =
                    |error: std::io::Error| ApiError::BodyUnreadable { detail: format!("zstd: {error}") };
                let mut decoder = zstd::Decoder::with_buffer(&self.bytes[..]).map_err(unreadable)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(unreadable)?;
                decompress("zstd", decoder)
            }
            _ => Err(ApiError::UnknownEncoding { encoding: self.encoding }),
        }
    }
}

fn too_large() -> ApiError {
    ApiError::BodyTooLarge { bytes_max: BODY_BYTES_MAX }
}

fn decompress(name: &str, decoder: impl Read) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    decoder
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| ApiError::BodyUnreadable { detail: format!("{name}: {error}") })?;
    if bytes.len() > BODY_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}
