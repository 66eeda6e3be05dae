//! A syslog server.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::watcher::Watcher;
use crate::{START_MAX, free_port, new_dir, run, start_server};

/// A private rsyslog that listens on UDP, TCP and TLS and writes down what it gets.
#[derive(Debug)]
pub struct Rsyslog {
    dir: PathBuf,
    tcp_port: u16,
    tls_port: u16,
    server: Option<(Child, Watcher)>,
    /// Removes the directory; dropped last.
    _watcher: Watcher,
}

impl Rsyslog {
    /// Starts a server.
    ///
    /// # Panics
    /// If rsyslog or openssl is not installed, or it does not start.
    pub fn start() -> Rsyslog {
        let dir = new_dir("rsyslog");
        let place = dir.to_str().expect("temporary directories have plain names").to_owned();
        let watcher = Watcher::new(Command::new("sh"), "rm -rf \"$1\"", &[&place]);
        let mut rsyslog =
            Rsyslog { dir, tcp_port: free_port(), tls_port: free_port(), server: None, _watcher: watcher };
        rsyslog.make_certificates();
        std::fs::write(rsyslog.dir.join("rsyslog.conf"), rsyslog.config())
            .expect("the directory was just made");
        rsyslog.start_again();
        rsyslog
    }

    /// Host and port for TCP; UDP has the same port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.tcp_port)
    }

    /// Host and port for TLS; the certificate is that of `localhost`.
    pub fn tls_address(&self) -> String {
        format!("localhost:{}", self.tls_port)
    }

    /// The certificate authority of its certificate, in PEM.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.dir.join("ca.crt")).expect("it was made at the start")
    }

    /// Kills it; what it got stays written down.
    pub fn stop(&mut self) {
        if let Some((mut server, watcher)) = self.server.take() {
            drop(watcher);
            drop(server.wait());
        }
    }

    /// Starts it on the same ports.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        // What a killed server leaves keeps the next one from starting.
        drop(std::fs::remove_file(self.dir.join("pid")));
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(self.dir.join("rsyslog.conf")).arg("-i").arg(self.dir.join("pid"));
        self.server = Some(start_server(command.stdin(Stdio::null()), self.tls_port));
        // It opens its ports one after the other, in no certain order.
        let begun = Instant::now();
        while !self.has_every_port() {
            assert!(begun.elapsed() < START_MAX, "rsyslog does not open its ports");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Id and seq of the events that it got, in the order of their arrival, repetitions included. It writes them down a moment after it got them.
    ///
    /// # Panics
    /// If what is written down cannot be read.
    pub fn received(&self) -> Vec<(String, u64)> {
        self.messages()
            .iter()
            .map(|message| {
                let part = |name: &str| {
                    let (_, rest) = message.split_once(&format!("{name}=\"")).expect("a message has both");
                    rest.split('"').next().unwrap_or_default().to_owned()
                };
                (part("id"), part("seq").parse().expect("a seq is a number"))
            })
            .collect()
    }

    /// What it got: priority, host name, application, id of the message, its data and its text, with tabulators between.
    pub fn messages(&self) -> Vec<String> {
        let written = std::fs::read_to_string(self.dir.join("received")).unwrap_or_default();
        // The last line may not be whole yet.
        let whole = written.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }

    fn has_every_port(&self) -> bool {
        let datagrams = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
        datagrams.contains(&format!("0100007F:{:04X} ", self.tcp_port))
            && TcpStream::connect((Ipv4Addr::LOCALHOST, self.tcp_port)).is_ok()
    }

    fn make_certificates(&self) {
        let openssl = |arguments: &str| {
            run(Command::new("openssl").args(arguments.split(' ')).current_dir(&self.dir));
        };
        openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout ca.key -out ca.crt -subj /CN=test-authority",
        );
        openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        );
        std::fs::write(self.dir.join("names"), "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
            .expect("the directory was just made");
        openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
        );
    }

    fn config(&self) -> String {
        let (dir, tcp, tls) = (self.dir.display(), self.tcp_port, self.tls_port);
        format!(
            r#"global(workDirectory="{dir}" maxMessageSize="1m" parser.escapeControlCharactersOnReceive="off"
    defaultNetstreamDriverCAFile="{dir}/ca.crt" defaultNetstreamDriverCertFile="{dir}/server.crt"
    defaultNetstreamDriverKeyFile="{dir}/server.key")
module(load="imudp")
module(load="imtcp")
template(name="all" type="string"
    string="%pri%\t%timereported:::date-rfc3339%\t%hostname%\t%app-name%\t%msgid%\t%structured-data%\t%msg%\n")
ruleset(name="keep") {{ action(type="omfile" file="{dir}/received" template="all" flushOnTXEnd="on") }}
input(type="imudp" address="127.0.0.1" port="{tcp}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="keep"
    streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
"#
        )
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.stop();
    }
}
