//! TLS of receivers by HTTP: whom a sink trusts, and the certificate that it shows.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::fixture::{deliver, events, later, open};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key, in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn server_config(authority: &Authority, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let (certificate, key) = authority.issue("localhost");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// Answers one request with 200; says whether it came.
fn serve(authority: &Authority, clients: Option<&Authority>) -> (String, JoinHandle<bool>) {
    let config = server_config(authority, clients);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let mut request = Vec::new();
        let mut part = [0; 4096];
        loop {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => return false,
                Ok(count) => request.extend_from_slice(&part[..count]),
            }
            if request.ends_with(b"}") {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.flush().unwrap();
        true
    });
    (format!("https://localhost:{port}/"), served)
}

const SECRET: (&str, &str) = ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");

#[test]
fn a_certificate_of_a_given_authority_is_accepted_and_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (url, served) = serve(&authority, None);
    open("webhook", &[("url", &url), SECRET, ("ca", &authority.pem())]).send(&events(1..2)).unwrap();
    assert!(served.join().unwrap());
    for values in [vec![], vec![("ca", other.pem())]] {
        let (url, served) = serve(&authority, None);
        let mut all = vec![("url", url.as_str()), SECRET];
        all.extend(values.iter().map(|(name, value)| (*name, value.as_str())));
        let (reason, _) = later(open("webhook", &all).send(&events(1..2)));
        assert!(reason.contains("certificate"), "{reason}");
        assert!(!served.join().unwrap(), "nothing was sent");
    }
}

#[test]
fn a_client_certificate_is_shown() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = clients.issue("annals");
    let ca = authority.pem();
    let (url, served) = serve(&authority, Some(&clients));
    let values =
        [("url", url.as_str()), SECRET, ("ca", &ca), ("client_cert", &certificate), ("client_key", &key)];
    open("webhook", &values).send(&events(1..2)).unwrap();
    assert!(served.join().unwrap());
    let (url, served) = serve(&authority, Some(&clients));
    later(open("webhook", &[("url", url.as_str()), SECRET, ("ca", &ca)]).send(&events(1..2)));
    assert!(!served.join().unwrap());
}

/// Without it a receiver could not tell the end from a connection that somebody cut.
#[test]
fn syslog_says_farewell() {
    let authority = Authority::new();
    let config = server_config(&authority, None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let served = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let mut text = Vec::new();
        stream.read_to_end(&mut text).map(|_| text)
    });
    let mut sink = open("syslog", &[("address", &address), ("ca", &authority.pem()), ("hold", "50")]);
    deliver(&mut sink, &events(1..3), 2).unwrap();
    drop(sink);
    let text = served.join().unwrap().unwrap();
    assert!(String::from_utf8(text).unwrap().contains("seq=\"2\""));
}
