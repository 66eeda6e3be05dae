//! Syslog by RFC 5424, over UDP, TCP or TLS.
//!
//! Syslog has no acknowledgement. Over TCP and TLS a batch counts as received when the receiver's machine has acknowledged its bytes, where the system
//! says so, and the connection is still open some time later: a receiver that ended, or that does not want us, closes it. What a receiver had in memory
//! when it died, and what UDP loses, is lost.

mod connection;
mod format;
mod queue;

use std::net::UdpSocket;
use std::time::Duration;

use crate::address::Reach;
use crate::kind::{Kind, Surroundings};
use crate::reason::{later, refused};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{BatchLimits, Outgoing, SendError, Sink, Which, tls};

use connection::{Connection, Target};
use format::Header;

const ADDRESS: &str = "address";
const TRANSPORT: &str = "transport";
const FACILITY: &str = "facility";
const HOSTNAME: &str = "hostname";
const APP_NAME: &str = "app_name";
const HOLD: &str = "hold";
const TIMEOUT: &str = "timeout";
const SERVER_NAME: &str = "server_name";

const LIMITS: BatchLimits = BatchLimits { events: 1_000, bytes: 4 * 1024 * 1024 };
/// Bytes of a datagram: 65,507 is what IPv4 carries.
const DATAGRAM_BYTES_MAX: usize = 65_000;
/// How long to wait for the network's word that nobody listens to datagrams.
const DATAGRAM_HOLD_MAX: Duration = Duration::from_millis(200);

pub(crate) const KIND: Kind = Kind {
    name: "syslog",
    label: "Syslog",
    about: "Sends events as syslog messages (RFC 5424); TCP and TLS notice a receiver that is away, UDP may lose events.",
    settings: &[
        Setting::new(
            ADDRESS,
            "Address",
            "Host and port of the receiver, such as `syslog.example.com:6514`.",
            SettingKind::Line,
        )
        .required(),
        Setting::new(
            TRANSPORT,
            "Transport",
            "How messages travel, such as `tls`; `udp` may lose events without a word.",
            SettingKind::Choice(&["tls", "tcp", "udp"]),
        )
        .or("tls"),
        Setting::new(
            FACILITY,
            "Facility",
            "Number of the facility, such as `13` for audits.",
            SettingKind::Number { min: 0, max: 23 },
        )
        .or("13"),
        Setting::new(
            HOSTNAME,
            "Host name",
            "Name of the sender in messages, such as `audit.example.com`; the log's name where none is given.",
            SettingKind::Line,
        ),
        Setting::new(APP_NAME, "Application", "Name of the application in messages, such as `annals`.", SettingKind::Line)
            .or("annals"),
        Setting::new(
            HOLD,
            "Hold time",
            "How many milliseconds a connection must stay open after a batch arrived, for the batch to count as received.",
            SettingKind::Number { min: 0, max: 60_000 },
        )
        .or("2000"),
        Setting::new(
            TIMEOUT,
            "Time limit",
            "How many seconds connecting, writing each mebibyte, and its way to the receiver may take.",
            SettingKind::Number { min: 1, max: 600 },
        )
        .or("10"),
        Setting::new(
            SERVER_NAME,
            "Server name",
            "Name in the receiver's certificate where it is not that of the address, such as `syslog.example.com`.",
            SettingKind::Line,
        ),
        tls::CA,
        tls::CLIENT_CERT,
        tls::CLIENT_KEY,
    ],
    is_local: false,
    is_single: false,
    open,
};

fn open(settings: &Settings, surroundings: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let (host, port) = read_address(settings.get(ADDRESS))?;
    let reach = Reach::of(surroundings);
    let is_plain = settings.get(TRANSPORT) != "tls";
    if is_plain && !reach.allows_plain() {
        let what = "`tls` is expected; `tcp` and `udp` are for private networks that the operator allowed";
        return Err(SettingFault::new(TRANSPORT, what));
    }
    if let Ok(address) = host.parse() {
        let checked = if is_plain { reach.check_plain(address) } else { reach.check(address) };
        checked.map_err(|what| SettingFault::new(ADDRESS, what))?;
    }
    let hostname = match settings.get(HOSTNAME) {
        "" => surroundings.origin.as_str(),
        given => given,
    };
    let facility = u8::try_from(settings.number(FACILITY)).unwrap_or(13);
    let header = Header::new(facility, hostname, settings.get(APP_NAME));
    let timeout = Duration::from_secs(settings.number(TIMEOUT).max(1));
    let hold = Duration::from_millis(settings.number(HOLD));
    let target = Target { host, port, reach, is_plain, timeout };
    if settings.get(TRANSPORT) == "udp" {
        return Ok(Box::new(Datagrams { target, header, hold: hold.min(DATAGRAM_HOLD_MAX), socket: None }));
    }
    let tls = match is_plain {
        true => None,
        false => {
            let name = match settings.get(SERVER_NAME) {
                "" => target.host.as_str(),
                given => given,
            };
            let name = name.to_owned().try_into();
            let name = name.map_err(|_| SettingFault::new(SERVER_NAME, "the name of a host is expected"))?;
            Some((tls::client_config(settings)?.into(), name))
        }
    };
    Ok(Box::new(Stream { target, header, tls, hold, connection: None }))
}

/// Reads `HOST:PORT`, with brackets around an IPv6 address.
fn read_address(text: &str) -> Result<(String, u16), SettingFault> {
    let split = || {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let is_plain = |character: char| character.is_ascii_alphanumeric() || ".-_:".contains(character);
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty() && host.chars().all(is_plain)).then(|| (host.to_owned(), port))
    };
    split().ok_or_else(|| {
        SettingFault::new(ADDRESS, "host and port such as `syslog.example.com:6514` are expected")
    })
}

/// Over TCP or TLS: messages by the count of their bytes (RFC 6587, RFC 5425), on one connection.
#[derive(Debug)]
struct Stream {
    target: Target,
    header: Header,
    tls: Option<connection::Tls>,
    hold: Duration,
    connection: Option<Connection>,
}

impl Sink for Stream {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        for event in batch {
            let message = self.header.message(event);
            bytes.extend_from_slice(format!("{} ", message.len()).as_bytes());
            bytes.extend_from_slice(&message);
        }
        let sent = self.connected().and_then(|connection| connection.write(&bytes));
        self.or_closed(sent)
    }

    fn settle(&mut self) -> Result<(), SendError> {
        // Nothing was written on a connection that is not there: an error closed it and was reported then.
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let held = connection.hold(self.hold);
        self.or_closed(held)
    }
}

impl Stream {
    /// The connection, after a look at whether the receiver closed it; a new one if there is none.
    fn connected(&mut self) -> Result<&mut Connection, String> {
        match self.connection.take() {
            // What was written before may not have been read.
            Some(mut connection) => {
                connection.check()?;
                Ok(self.connection.insert(connection))
            }
            None => {
                let connection = Connection::open(&self.target, self.tls.as_ref())?;
                Ok(self.connection.insert(connection))
            }
        }
    }

    fn or_closed(&mut self, result: Result<(), String>) -> Result<(), SendError> {
        result.map_err(|what| {
            self.connection = None;
            later(format!("{}: {what}", self.target))
        })
    }
}

/// Over UDP: one datagram an event (RFC 5426).
#[derive(Debug)]
struct Datagrams {
    target: Target,
    header: Header,
    hold: Duration,
    socket: Option<UdpSocket>,
}

impl Sink for Datagrams {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let messages: Vec<Vec<u8>> = batch.iter().map(|event| self.header.message(event)).collect();
        if let Some(index) = messages.iter().position(|message| message.len() > DATAGRAM_BYTES_MAX) {
            let bytes = messages[index].len();
            let reason = format!(
                "{bytes} bytes are more than the {DATAGRAM_BYTES_MAX} that a datagram takes; use tcp or tls"
            );
            return Err(refused(reason, Which::One(index)));
        }
        let sent = self.send_messages(&messages);
        self.or_closed(sent)
    }

    /// If nobody listens, the network says so a moment later, where no firewall keeps it from doing so.
    fn settle(&mut self) -> Result<(), SendError> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let hold = self.hold.max(Duration::from_millis(1));
        let received = socket.set_read_timeout(Some(hold)).and_then(|()| socket.recv(&mut [0]));
        let settled = match received {
            Ok(_) => Ok(()),
            Err(error) if connection::is_wait(&error) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        self.or_closed(settled)
    }
}

impl Datagrams {
    fn send_messages(&mut self, messages: &[Vec<u8>]) -> Result<(), String> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.target.datagram_socket()?,
        };
        // A connected socket reports what the network says of earlier datagrams.
        let sent = messages.iter().try_for_each(|message| socket.send(message).map(drop));
        self.socket = Some(socket);
        sent.map_err(|error| error.to_string())
    }

    fn or_closed(&mut self, result: Result<(), String>) -> Result<(), SendError> {
        result.map_err(|what| {
            // The name may lead elsewhere next time.
            self.socket = None;
            later(format!("{}: {what}", self.target))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("a.example:514", "a.example", 514),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[fd00::1]:6514", "fd00::1", 6514),
        ] {
            assert_eq!(read_address(text).unwrap(), (host.to_owned(), port));
        }
        for text in ["a.example", "a:0", ":514", "fd00::1:514", "a b:514", "tcp://a:514", "a:99999"] {
            assert!(read_address(text).is_err(), "{text}");
        }
    }
}
