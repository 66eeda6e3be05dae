//! HTTPS, and clients that are slow to say what they want.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_engine::{Engine, NewPerson, Options, Principal, Role};
use annals_server::{Config, ServerError, TlsError, TlsFiles};
use reqwest::header::{COOKIE, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::TestServer;

/// A certificate and its key in files of their own.
pub(crate) struct Pair {
    dir: TempDir,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        let pair = Pair { dir: tempfile::tempdir().unwrap() };
        pair.renew();
        pair
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Writes a new pair and returns the certificate in DER.
    fn renew(&self) -> Vec<u8> {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(self.certificate(), made.cert.pem()).unwrap();
        std::fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    pub(crate) fn config(&self) -> Config {
        let mut files = TlsFiles::new(self.certificate(), self.key());
        files.look_every = Duration::from_millis(20);
        Config { tls: Some(files), ..Config::default() }
    }
}

fn address(server: &TestServer) -> SocketAddr {
    server.url.split("://").nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_has_host_cookies_and_is_remembered_by_browsers() {
    let server = TestServer::start_with(Pair::new().config()).await;
    assert!(server.url.starts_with("https://"));
    tokio::task::block_in_place(|| {
        let person = NewPerson {
            username: "ada",
            email: "",
            name: "",
            password: "correct horse",
            role: Role::Auditor,
        };
        server.engine.add_person(&Principal::operator(), &person).unwrap();
    });
    let form = [("username", "ada"), ("password", "correct horse")];
    let form = form_fields(&form);
    let request = server.http.post(format!("{}/login", server.url)).body(form);
    let response = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-annals_session="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/;"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");

    let cookie = cookie.split(';').next().unwrap();
    let audit =
        |cookie: String| server.http.get(format!("{}/audit", server.url)).header(COOKIE, cookie).send();
    assert_eq!(audit(cookie.to_owned()).await.unwrap().status(), 200);
    // A cookie that any host of the domain, or plain HTTP, could have planted is not looked at.
    let planted = cookie.replace("__Host-", "");
    assert_eq!(audit(planted).await.unwrap().status(), 303);
    // The address is that of the connection, through TLS as without it.
    assert_eq!(server.count("action:login ip:127.0.0.1").await, 1);
}

/// The fields of a form, percent-encoded.
fn form_fields(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// The certificate that a new connection is shown, if it is one of those given.
async fn shown(server: &TestServer, trusted: &[u8]) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(address(server)).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.is_ok()
}

async fn wait_until_shown(server: &TestServer, certificate: &[u8]) {
    let begun = Instant::now();
    while !shown(server, certificate).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let pair = Pair::new();
    let server = TestServer::start_with(pair.config()).await;
    let second = pair.renew();
    wait_until_shown(&server, &second).await;

    std::fs::write(pair.certificate(), "half a certificate").unwrap();
    // The server looks fifty times a second: many looks later it still shows what it can.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(shown(&server, &second).await);

    let third = pair.renew();
    wait_until_shown(&server, &third).await;
    assert!(!shown(&server, &second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::create_or_open(dir.path(), Options::default()).unwrap());
    let (pair, other) = (Pair::new(), Pair::new());
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let key = std::fs::read_to_string(pair.key()).unwrap();
    let locked = file("locked.pem", &key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    let cases: [(&Path, &Path, &str); 6] = [
        (&dir.path().join("none.pem"), &pair.key(), "cannot read `"),
        (&pair.key(), &pair.key(), "holds no certificate: expected `-----BEGIN CERTIFICATE-----`"),
        (&pair.certificate(), &pair.certificate(), "holds no private key: expected"),
        (&pair.certificate(), &locked, "is encrypted; write one without a password with `openssl pkey"),
        (&pair.certificate(), &other.key(), "does not belong to the first certificate"),
        (&file("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA"), &pair.key(), "is no valid PEM file"),
    ];
    for (certificate, key, expect) in cases {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(TlsFiles::new(certificate, key)),
            ..Config::default()
        };
        let error = annals_server::bind(Arc::clone(&engine), config).await.unwrap_err();
        assert!(matches!(error, ServerError::Tls(_)), "{error:?}");
        assert!(error.to_string().contains(expect), "{error} <> {expect}");
    }
    let error: ServerError = TlsError::NoKey { file: "key.pem".into() }.into();
    assert!(error.to_string().starts_with("`key.pem` holds no private key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_slow_clients_block_nobody_and_are_sent_away() {
    let pair = Pair::new();
    let (plain, tls) = (TestServer::start().await, TestServer::start_with(pair.config()).await);
    let mut silent = Vec::new();
    for server in [&plain, &tls] {
        for _ in 0..40 {
            silent.push(TcpStream::connect(address(server)).await.unwrap());
        }
        // A head that never ends.
        let mut slow = TcpStream::connect(address(server)).await.unwrap();
        slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
        silent.push(slow);
    }
    // A connection that has asked something may be quiet for longer.
    let mut quiet = TcpStream::connect(address(&plain)).await.unwrap();
    ask(&mut quiet).await;
    let begun = Instant::now();
    for server in [&plain, &tls] {
        let health = server.http.get(format!("{}/healthz", server.url)).send().await.unwrap();
        assert_eq!(health.status(), 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "others wait: {:?}", begun.elapsed());

    let all_gone = async {
        for stream in &mut silent {
            let mut rest = Vec::new();
            // Closed or reset: either way the connection is over.
            drop(stream.read_to_end(&mut rest).await);
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_gone).await.expect("newcomers leave after ten seconds");
    assert!(begun.elapsed() > Duration::from_secs(5), "newcomers get some seconds: {:?}", begun.elapsed());
    ask(&mut quiet).await;
}

/// Asks for the health of the server on an open connection.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") && !answer.ends_with(b"ok") && !answer.ends_with(b"}") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "the connection was closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}
