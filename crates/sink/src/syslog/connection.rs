//! A connection to a syslog receiver, with limits of time on everything that waits.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::address::Reach;
use crate::syslog::queue;

/// How to set TLS up, and the name that the certificate must hold.
pub(super) type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// How long a look at a connection takes: system calls know no shorter wait.
const LOOK: Duration = Duration::from_millis(1);
/// The longest pause between two looks at whether the receiver has taken all bytes.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How long a farewell may take where the receiver reads nothing.
const FAREWELL_MAX: Duration = Duration::from_millis(100);

/// Where a receiver is, and what is allowed on the way to it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) reach: Reach,
    pub(super) is_plain: bool,
    pub(super) timeout: Duration,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Target {
    /// A socket for datagrams to the first address.
    pub(super) fn datagram_socket(&self) -> Result<UdpSocket, String> {
        let addresses = self.reach.resolve(&self.host, self.port, self.is_plain)?;
        let mut failure = String::new();
        for address in addresses {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let connected = UdpSocket::bind(any).and_then(|socket| {
                socket.connect(address)?;
                socket.set_write_timeout(Some(self.timeout))?;
                Ok(socket)
            });
            match connected {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = error.to_string(),
            }
        }
        Err(failure)
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let addresses = self.reach.resolve(&self.host, self.port, self.is_plain)?;
        let mut failure = String::new();
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = format!("cannot connect: {error}"),
            }
        }
        Err(failure)
    }
}

/// A socket on which nothing lasts longer than until a moment, however slowly the other side goes on.
#[derive(Debug)]
struct Limited {
    socket: TcpStream,
    until: Instant,
}

impl Limited {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl io::Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// How long connecting, writing a mebibyte, and its way to the receiver may take.
    timeout: Duration,
    /// When the last bytes that the hold time has not passed for were written, or are known to have arrived.
    written: Option<Instant>,
}

#[derive(Debug)]
enum Stream {
    Plain(Limited),
    Tls(Box<StreamOwned<ClientConnection, Limited>>),
}

impl Connection {
    pub(super) fn open(target: &Target, tls: Option<&Tls>) -> Result<Connection, String> {
        let timeout = target.timeout;
        let socket = target.connect()?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        let socket = Limited { socket, until: Instant::now() + timeout };
        let stream = match tls {
            None => Stream::Plain(socket),
            Some((config, name)) => {
                let client = ClientConnection::new(Arc::clone(config), name.clone());
                let mut stream = StreamOwned::new(client.map_err(|error| error.to_string())?, socket);
                // Done here, and not with the first bytes: a certificate that is refused is then known before any event was sent.
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).map_err(|error| match is_wait(&error) {
                        true => "no TLS: it did not answer in time".to_owned(),
                        false => format!("no TLS: {error}"),
                    })?;
                }
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Connection { stream, timeout, written: None })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.socket().until = Instant::now() + self.time_for(bytes.len() as u64);
        // If this fails half-way, the receiver drops the unfinished message with the connection.
        let written = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        self.written = Some(Instant::now());
        written.map_err(|error| match is_wait(&error) {
            true => "it reads nothing, or too slowly".to_owned(),
            false => error.to_string(),
        })
    }

    /// How long so many bytes may take: the limit for each mebibyte that is begun.
    fn time_for(&self, bytes: u64) -> Duration {
        let mebibytes = u32::try_from(bytes / (1024 * 1024)).unwrap_or(u32::MAX).saturating_add(1);
        self.timeout.saturating_mul(mebibytes)
    }

    /// Looks whether the receiver closed the connection.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.watch(LOOK)
    }

    /// Watches the connection until it was open for this long after the last bytes arrived; where the system does not say when that was, after they
    /// were written.
    pub(super) fn hold(&mut self, time: Duration) -> Result<(), String> {
        let Some(written) = self.written else { return Ok(()) };
        let written = self.arrived()?.unwrap_or(written);
        loop {
            let left = time.saturating_sub(written.elapsed());
            self.watch(left.max(LOOK))?;
            if left.is_zero() {
                self.written = None;
                return Ok(());
            }
        }
    }

    /// Waits until the receiver's machine has acknowledged all bytes: after a network was cut they lie in this one, and nothing else tells. Returns when
    /// it had, or nothing if that cannot be known.
    fn arrived(&mut self) -> Result<Option<Instant>, String> {
        let begun = Instant::now();
        let mut time = None;
        let mut pause = LOOK;
        loop {
            match queue::unacknowledged_bytes(&self.socket().socket) {
                None => return Ok(None),
                Some(0) => return Ok(Some(Instant::now())),
                // As long as writing what there was at first may take: a slow line is slow here, too.
                Some(bytes) if begun.elapsed() >= *time.get_or_insert_with(|| self.time_for(bytes)) => {
                    return Err(format!("the receiver has not taken {bytes} bytes"));
                }
                Some(_) => self.watch(pause)?,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads for at most this long; a receiver has nothing to say, so all that comes is an end.
    fn watch(&mut self, time: Duration) -> Result<(), String> {
        // Read past the limit of the socket, which could be over before the first look on a busy machine.
        let socket = &mut self.socket().socket;
        let read = socket.set_read_timeout(Some(time)).and_then(|()| match &mut self.stream {
            Stream::Plain(stream) => stream.socket.read(&mut [0; 512]),
            Stream::Tls(stream) => read_tls(stream),
        });
        match read {
            Ok(0) => Err("the receiver closed the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) if is_wait(&error) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn socket(&mut self) -> &mut Limited {
        match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }
}

/// Says farewell over TLS, so that the receiver knows that nothing was cut off (RFC 5425, section 4.4). What does not go out at once is left.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.sock.until = Instant::now() + FAREWELL_MAX;
            stream.conn.send_close_notify();
            while stream.conn.wants_write()
                && stream.conn.write_tls(&mut stream.sock).is_ok_and(|count| count > 0)
            {}
        }
    }
}

/// Reads what TLS itself says, such as new tickets and the end; 0 at the end.
fn read_tls(stream: &mut StreamOwned<ClientConnection, Limited>) -> io::Result<usize> {
    let count = stream.conn.read_tls(&mut stream.sock.socket)?;
    let state = stream.conn.process_new_packets().map_err(io::Error::other)?;
    let plain = state.plaintext_bytes_to_read().min(64 * 1024);
    if plain > 0 {
        stream.conn.reader().read_exact(&mut vec![0; plain])?;
    }
    Ok(if state.peer_has_closed() { 0 } else { count })
}

/// Whether an error says only that there was nothing within the time.
pub(super) fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
