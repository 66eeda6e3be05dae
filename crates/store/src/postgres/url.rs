//! The address of a PostgreSQL database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::config::{Config, Host, SslMode};

/// How long a connection may take to come about, unless the address says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// When an idle connection is probed, how often, and how many lost probes end it: a server that vanished is noticed
/// within a minute, and firewalls between see that the connection is in use.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may stay unconfirmed before the connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A checked address, `postgres://USER:PASSWORD@HOST:PORT/DATABASE?option=value`.
///
/// Options are those of libpq that the client library knows (`connect_timeout`, `application_name`, `options`,
/// `target_session_attrs`, `channel_binding` and so on), and of TLS:
///
/// | `sslmode` | meaning |
/// | --- | --- |
/// | `disable` | no TLS |
/// | `prefer` (default) | TLS if the server offers it; who the server is, is not checked |
/// | `require` | TLS; who the server is, is not checked, unless `sslrootcert` is given |
/// | `verify-full` | TLS; certificate and host name are checked |
///
/// `sslrootcert=FILE` names a PEM file of the authorities to trust; without it `verify-full` trusts those of the system.
/// In all modes the handshake's signatures are checked, and SCRAM passwords are bound to the TLS channel if the server
/// can (`channel_binding=require` insists).
#[derive(Clone)]
pub struct PostgresUrl {
    text: String,
    /// Boxed, because it is large and errors carry the address.
    config: Box<Config>,
    trust: Trust,
}

/// Whom a TLS connection may end at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Anyone: against eavesdroppers only.
    Anyone,
    /// Whom the authorities of this PEM file vouch for.
    File(PathBuf),
    /// Whom the authorities that the system trusts vouch for.
    System,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresUrlError {
    /// It is not written as an address should be, or an option is unknown.
    #[error("it is not `postgres://USER:PASSWORD@HOST:PORT/DATABASE?option=value`: {0}")]
    Malformed(String),
    /// No host, and so no server.
    #[error("it names no host")]
    NoHost,
    /// A TLS mode that is not offered.
    #[error("`sslmode={value}` is unknown; use `disable`, `prefer`, `require` or `verify-full`")]
    UnknownSslMode {
        /// What stands there.
        value: String,
    },
}

impl PostgresUrl {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(text: &str) -> Result<PostgresUrl, PostgresUrlError> {
        // The library knows neither `verify-full` nor `sslrootcert`: both are taken out before it reads the rest.
        let (address, options) = text.split_once('?').unwrap_or((text, ""));
        let mut rest = Vec::new();
        let (mut mode, mut root_file) = ("prefer".to_owned(), None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match key {
                "sslmode" => mode = value.into_owned(),
                "sslrootcert" => root_file = Some(PathBuf::from(value.as_ref())),
                _ => rest.push(option),
            }
        }
        let address = format!("{address}?{}", rest.join("&"));
        let mut config: Config = address.parse().map_err(malformed)?;
        let (ssl_mode, trust) = match (mode.as_str(), root_file) {
            ("disable", _) => (SslMode::Disable, Trust::Anyone),
            ("prefer", _) => (SslMode::Prefer, Trust::Anyone),
            ("require", None) => (SslMode::Require, Trust::Anyone),
            ("verify-full", None) => (SslMode::Require, Trust::System),
            ("require" | "verify-full", Some(file)) => (SslMode::Require, Trust::File(file)),
            _ => return Err(PostgresUrlError::UnknownSslMode { value: mode }),
        };
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresUrlError::NoHost);
        }
        config.ssl_mode(ssl_mode);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("annals");
        }
        config.keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES);
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
        Ok(PostgresUrl { text: text.to_owned(), config: Box::new(config), trust })
    }
}

/// The library's words, without its cause: that may repeat what stands in the address.
fn malformed(error: postgres::Error) -> PostgresUrlError {
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let harmless = cause.starts_with("unknown option") || cause.starts_with("invalid value for option");
    PostgresUrlError::Malformed(if harmless { cause } else { error.to_string() })
}

/// User, hosts and database only: no password, whichever way it was given.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            let comma = if at > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(dir) => write!(f, "{comma}{}:{port}", dir.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

/// As [`Display`](fmt::Display): no password.
impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &PostgresUrl) -> bool {
        self.text == other.text
    }
}

impl Eq for PostgresUrl {}
