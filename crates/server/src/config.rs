//! How the server is reached.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::oidc::{AccessUrl, OidcOptions};
use crate::tls::TlsFiles;

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Certificate and key; with them the server speaks HTTPS only.
    pub tls: Option<TlsFiles>,
    /// Requests come through a proxy that speaks TLS with the browser: cookies are marked secure, and log-in is open from
    /// elsewhere than loopback.
    pub behind_tls_proxy: bool,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Address under which people reach the server, such as `https://annals.example`.
    pub access_url: Option<AccessUrl>,
    /// Log-in by another site, which knows the people.
    pub oidc: OidcOptions,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 2662)),
            tls: None,
            behind_tls_proxy: false,
            trusted_proxies: Vec::new(),
            access_url: None,
            oidc: OidcOptions::default(),
        }
    }
}

impl Config {
    /// Whether browsers reach the server by HTTPS.
    pub fn is_https(&self) -> bool {
        self.tls.is_some() || self.behind_tls_proxy
    }
}
