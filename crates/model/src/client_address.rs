//! Where a request comes from: the other end of the connection, or what trusted proxies say.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Address of the client. If the peer is a trusted proxy, it is the rightmost address that proxies handed on and that is no trusted
/// proxy: all before it could be the client's own invention. `hops` are the addresses as the header has them, the rightmost first: of
/// [`forwarded_for`] or [`forwarded`], never of both, since a proxy that sets one hands on what the client wrote into the other.
pub fn client_address<'h>(
    peer: IpAddr,
    hops: impl IntoIterator<Item = &'h str>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let mut hops = hops.into_iter();
    while is_trusted(nearest, trusted) {
        // What is no address ends the chain at the last proxy that is known.
        let Some(before) = hops.next().and_then(read_address) else { break };
        nearest = before;
    }
    nearest
}

/// Says whether an address is a proxy that the operator trusts.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The addresses in lines of `X-Forwarded-For`, the rightmost first.
pub fn forwarded_for<'h>(lines: &'h [&'h str]) -> impl Iterator<Item = &'h str> {
    lines.iter().rev().flat_map(|line| line.rsplit(','))
}

/// The addresses in lines of `Forwarded`, the rightmost first; empty for an element that names none.
///
/// # Source
/// RFC 7239, section 4: elements by commas, pairs by semicolons, values as tokens or quoted strings.
pub fn forwarded<'h>(lines: &'h [&'h str]) -> impl Iterator<Item = &'h str> {
    lines.iter().rev().flat_map(|line| {
        let mut elements = split_outside_quotes(line, ',');
        elements.reverse();
        elements.into_iter().map(|element| {
            let pairs = split_outside_quotes(element, ';').into_iter();
            let named = pairs.filter_map(|pair| pair.split_once('='));
            let mut own = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
            own.next().map_or("", |(_, value)| value)
        })
    })
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => {
                parts.push(&text[begin..at]);
                begin = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
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

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn check(peer: &str, lines: &[&str], trusted: &[&str], expect: &str) {
        let found = client_address(peer.parse().unwrap(), forwarded_for(lines), &nets(trusted));
        assert_eq!(found.to_string(), expect, "{peer} {lines:?} {trusted:?}");
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

    #[test]
    fn the_standard_header_is_read_as_its_rfc_has_it() {
        let check = |lines: &[&str], expect: &str| {
            let found = client_address("10.0.0.1".parse().unwrap(), forwarded(lines), &nets(&["10.0.0.0/8"]));
            assert_eq!(found.to_string(), expect, "{lines:?}");
        };
        check(&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60");
        check(&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17");
        check(&["for=192.0.2.43, for=10.0.0.2"], "192.0.2.43");
        check(&["by=x;For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17");
        check(&["for=192.0.2.1", "host=\"a,for=127.0.0.1\";for=192.0.2.9"], "192.0.2.9");
        check(&["for=_hidden, for=10.0.0.2"], "10.0.0.2");
        check(&["proto=https"], "10.0.0.1");
        check(&["for=\"\\\"192.0.2.1", "for=192.0.2.2"], "192.0.2.2");
    }
}
