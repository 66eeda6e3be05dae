//! Which addresses a stream may reach.
//!
//! Whoever may set up a stream must not learn, through the server, what answers in its own network. So names are resolved here, every address is
//! checked, and connections go to checked addresses only: a name that changes its address between check and use gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::Surroundings;

/// What a stream may reach.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    private_networks: Arc<[IpNet]>,
    any_network: bool,
}

impl Reach {
    pub(crate) fn of(surroundings: &Surroundings) -> Reach {
        Reach {
            private_networks: surroundings.private_networks.as_slice().into(),
            any_network: surroundings.any_network,
        }
    }

    /// Says why an address may not be reached.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), String> {
        match special(address) {
            Some(what) if !self.is_allowed(address) => Err(format!(
                "{address} is {what}, which streams may not reach; the operator can allow it, as with `annals serve --stream-networks {}`",
                network_of(address)
            )),
            _ => Ok(()),
        }
    }

    /// Says why an address may not be reached without TLS: on the way to a public one anybody could read the events.
    pub(crate) fn check_plain(&self, address: IpAddr) -> Result<(), String> {
        self.check(address)?;
        match self.any_network || special(address).is_some() {
            true => Ok(()),
            false => Err(format!("{address} is a public address, which may be reached by TLS only")),
        }
    }

    /// Whether anything may be reached without TLS.
    pub(crate) fn allows_plain(&self) -> bool {
        self.any_network || !self.private_networks.is_empty()
    }

    /// Finds the addresses of a host that may be reached. Blocks for as long as the system's resolver takes.
    pub(crate) fn resolve(&self, host: &str, port: u16, is_plain: bool) -> Result<Vec<SocketAddr>, String> {
        let found =
            (host, port).to_socket_addrs().map_err(|error| format!("cannot resolve `{host}`: {error}"))?;
        self.among(host, found, is_plain)
    }

    /// Those that may be reached; if there are none, why the first may not.
    fn among(
        &self,
        host: &str,
        found: impl Iterator<Item = SocketAddr>,
        is_plain: bool,
    ) -> Result<Vec<SocketAddr>, String> {
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found {
            let checked = match is_plain {
                true => self.check_plain(address.ip()),
                false => self.check(address.ip()),
            };
            match checked {
                Ok(()) => allowed.push(address),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, Some(why)) => Err(why),
            (true, None) => Err(format!("`{host}` has no address")),
        }
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        let is_within =
            |address: IpAddr| self.private_networks.iter().any(|network| network.contains(&address));
        // An IPv4 address in the clothes of IPv6 is allowed where it is allowed itself.
        self.any_network
            || is_within(address)
            || embedded(address).is_some_and(|inner| is_within(inner.into()))
    }
}

/// Resolves names for the HTTP client, which connects to what this gives and to nothing else.
pub(crate) struct CheckedResolver {
    pub(crate) reach: Reach,
    pub(crate) is_plain: bool,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, is_plain) = (self.reach.clone(), self.is_plain);
        Box::pin(async move {
            // The client puts the port of the address in place of the zero.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|error| format!("cannot resolve `{}`: {error}", name.as_str()))?;
            let allowed = reach.among(name.as_str(), found, is_plain)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The network that an operator would allow for an address, for a message.
fn network_of(address: IpAddr) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{bits}")
}

/// What an address is if it is no public one.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => match embedded(address.into()) {
            Some(inner) => special_v4(inner),
            None => special_v6(address),
        },
    }
}

/// Source: the special-purpose registry of IPv4 addresses (RFC 6890 and its updates).
fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("an unspecified address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (100, 64..=127, _) => Some("a carrier's private address"),
        (127, ..) => Some("this machine"),
        (169, 254, _) => Some("a link-local address"),
        (192, 0, 0) | (192, 88, 99) => Some("a reserved address"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("an address for documentation"),
        (198, 18..=19, _) => Some("an address for benchmarks"),
        (224..=239, ..) => Some("a multicast address"),
        (255, ..) if address == Ipv4Addr::BROADCAST => Some("the broadcast address"),
        (240..=255, ..) => Some("a reserved address"),
        _ => None,
    }
}

/// Source: the special-purpose registry of IPv6 addresses (RFC 6890 and its updates); only 2000::/3 is public.
fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, ..] = address.segments();
    match (a, b) {
        _ if address.is_loopback() => Some("this machine"),
        _ if address.is_unspecified() => Some("an unspecified address"),
        (0xfc00..=0xfdff, _) => Some("a private address"),
        (0xfe80..=0xfebf, _) => Some("a link-local address"),
        (0xfec0..=0xfeff, _) => Some("a private address"),
        (0xff00..=0xffff, _) => Some("a multicast address"),
        (0x0064, 0xff9b) => Some("a private address"),
        (0x2001, 0x0db8) | (0x3fff, 0x0000..=0x0fff) => Some("an address for documentation"),
        (0x2001, 0x0000..=0x01ff) => Some("a reserved address"),
        (0x2000..=0x3fff, _) => None,
        _ => Some("a reserved address"),
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // The deprecated compatible form. `::` and `::1` have names of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(networks: &[&str], any_network: bool) -> Reach {
        let private_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Reach { private_networks, any_network }
    }

    const SPECIAL: [&str; 41] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "ff02::1",
    ];

    #[test]
    fn private_and_reserved_addresses_are_refused() {
        for address in SPECIAL {
            let error = reach(&[], false).check(address.parse().unwrap()).unwrap_err();
            assert!(error.contains(address) || address.contains(':'), "{address}: {error}");
            assert!(error.contains("--stream-networks"), "{error}");
            assert!(reach(&[], true).check(address.parse().unwrap()).is_ok(), "the operator may: {address}");
        }
    }

    #[test]
    fn public_addresses_are_reached_with_tls_only() {
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.3.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2002:101:101::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            let address = address.parse().unwrap();
            assert_eq!(reach(&[], false).check(address), Ok(()), "{address}");
            assert!(reach(&["10.0.0.0/8"], false).check_plain(address).is_err(), "{address}");
            assert_eq!(reach(&[], true).check_plain(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn an_allowed_network_is_reached_and_no_other() {
        let reach = reach(&["10.1.0.0/16", "fd00::/8"], false);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("fd00::5", true),
            ("fc00::5", false),
            ("127.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(reach.check(address).is_ok(), expected, "{address}");
            assert_eq!(reach.check_plain(address).is_ok(), expected, "{address}");
        }
    }

    #[test]
    fn of_several_addresses_the_allowed_ones_are_used() {
        let found: Vec<SocketAddr> = ["127.0.0.1:0", "1.1.1.1:0"].map(|text| text.parse().unwrap()).to_vec();
        let allowed = reach(&[], false).among("host", found.iter().copied(), false).unwrap();
        assert_eq!(allowed, found[1..]);
        assert!(reach(&[], false).resolve("localhost", 80, false).unwrap_err().contains("this machine"));
    }
}
