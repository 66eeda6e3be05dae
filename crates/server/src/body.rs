//! Reading a request body: limits first, then gzip or zstd.

use std::io::Read;

use annals_model::limits::BODY_BYTES_MAX;
use axum::body::Body;
use axum::http::{HeaderMap, header};

use crate::error::ApiError;

/// Largest window of zstd that is taken: 8 MiB, as the format asks every decoder to support. A larger one could claim memory
/// that no body of ours needs.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A body as it came, still compressed.
pub(crate) struct RawBody {
    bytes: axum::body::Bytes,
    encoding: String,
}

/// Reads a body of at most [`BODY_BYTES_MAX`] bytes.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<RawBody, ApiError> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        // axum gives one type for both: too long, and broken off.
        let is_limit = std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("length limit"));
        if is_limit {
            too_large()
        } else {
            ApiError::BodyUnreadable { detail: "the connection broke off".to_owned() }
        }
    })?;
    let encoding =
        headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")).unwrap_or_default();
    Ok(RawBody { bytes, encoding: encoding.to_ascii_lowercase() })
}

impl RawBody {
    /// Decompresses the body, to at most [`BODY_BYTES_MAX`] bytes. This is work: not for the threads that serve
    /// connections.
    pub(crate) fn decode(self) -> Result<Vec<u8>, ApiError> {
        match self.encoding.as_str() {
            "" | "identity" => Ok(self.bytes.into()),
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
