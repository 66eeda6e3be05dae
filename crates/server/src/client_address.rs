//! Where a request comes from: the other end of the connection, or what trusted proxies say.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header in which proxies hand on addresses, the client's first.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Headers that only a proxy adds.
const FORWARDING: [HeaderName; 3] =
    [X_FORWARDED_FOR, HeaderName::from_static("forwarded"), HeaderName::from_static("x-forwarded-proto")];

/// Address of the client. If the peer is a trusted proxy, it is the rightmost address of `X-Forwarded-For` that is no trusted
/// proxy: all before it could be the client's own invention.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let values = headers.get_all(X_FORWARDED_FOR);
    let lines: Vec<&str> = values.iter().map(|value| value.to_str().unwrap_or_default()).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while is_trusted(nearest, trusted) {
        // What is no address ends the chain at the last proxy that is known.
        let Some(before) = hops.next().and_then(read_address) else { break };
        nearest = before;
    }
    nearest
}

/// Says whether an address is a proxy that the operator trusts.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// Says whether a proxy handed the request on.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDING.iter().any(|name| headers.contains_key(name))
}

/// Reads an address with or without a port, IPv6 with or without brackets.
fn read_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expect: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let found = client_address(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found.to_string(), expect, "{peer} {forwarded:?} {trusted:?}");
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        check("203.0.113.9", &["192.0.2.1"], &[], "203.0.113.9");
        check("203.0.113.9", &["192.0.2.1"], &["10.0.0.0/8"], "203.0.113.9");
        check("10.1.2.3", &["192.0.2.1"], &["10.0.0.0/8"], "192.0.2.1");
        check("10.1.2.3", &[], &["10.0.0.0/8"], "10.1.2.3");
    }

    #[test]
    fn what_the_client_invents_is_not_believed() {
        // The proxy appends whom it saw; whatever the client sent stands before it.
        check("10.0.0.1", &["127.0.0.1, 192.0.2.1"], &["10.0.0.0/8"], "192.0.2.1");
        check("10.0.0.1", &["10.9.9.9, 192.0.2.1"], &["10.0.0.0/8"], "192.0.2.1");
        check("10.0.0.1", &["127.0.0.1", "192.0.2.1"], &["10.0.0.0/8"], "192.0.2.1");
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed() {
        let trusted = &["10.0.0.0/8", "2001:db8::/32"];
        check("10.0.0.1", &["198.51.100.7, 192.0.2.1, 2001:db8::5", "10.0.0.2"], trusted, "192.0.2.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], trusted, "10.0.0.3");
        check("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], trusted, "192.0.2.1");
    }

    #[test]
    fn ports_and_brackets_are_read_and_nonsense_ends_the_chain() {
        let trusted = &["10.0.0.0/8"];
        check("10.0.0.1", &["192.0.2.1:4711"], trusted, "192.0.2.1");
        check("10.0.0.1", &["[2001:db8::1]:4711"], trusted, "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]"], trusted, "2001:db8::1");
        check("10.0.0.1", &["192.0.2.1, unknown"], trusted, "10.0.0.1");
        check("10.0.0.1", &["unknown, 10.0.0.2"], trusted, "10.0.0.2");
        check("10.0.0.1", &[""], trusted, "10.0.0.1");
        check("10.0.0.1", &["192.0.2.1, <script>, 10.0.0.2"], trusted, "10.0.0.2");
    }
}
