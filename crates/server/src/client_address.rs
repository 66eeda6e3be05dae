//! Where a request comes from, by its connection and headers.

use std::net::IpAddr;

use annals_model::client_address::{client_address as behind, forwarded_for};
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub(crate) use annals_model::client_address::is_trusted;

/// The header in which proxies hand on addresses, the client's first.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Headers that only a proxy adds.
const FORWARDING: [HeaderName; 3] =
    [X_FORWARDED_FOR, HeaderName::from_static("forwarded"), HeaderName::from_static("x-forwarded-proto")];

/// Address of the client, as trusted proxies hand it on in `X-Forwarded-For`.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let values = headers.get_all(X_FORWARDED_FOR);
    let lines: Vec<&str> = values.iter().map(|value| value.to_str().unwrap_or_default()).collect();
    behind(peer, forwarded_for(&lines), trusted)
}

/// Says whether a proxy handed the request on.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDING.iter().any(|name| headers.contains_key(name))
}
