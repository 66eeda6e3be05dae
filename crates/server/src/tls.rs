//! The certificate of the server: read from PEM files, and read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

/// How often the files are looked at: a certificate is renewed days before it ends.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where the certificate and its key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, then those that lead to an authority; PEM.
    pub certificate: PathBuf,
    /// Its private key, without a password; PEM.
    pub key: PathBuf,
    /// How often both are looked at for a change.
    pub look_every: Duration,
}

impl TlsFiles {
    /// Names two files, looked at every minute.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsFiles {
        TlsFiles { certificate: certificate.into(), key: key.into(), look_every: LOOK_EVERY }
    }
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file is no PEM.
    #[error("`{}` is no valid PEM file", .file.display())]
    NotPem {
        /// Which one.
        file: PathBuf,
        /// Where reading ended.
        #[source]
        source: pem::Error,
    },
    /// The file of the certificate holds none.
    #[error("`{}` holds no certificate: expected `-----BEGIN CERTIFICATE-----`", .file.display())]
    NoCertificate {
        /// Which one.
        file: PathBuf,
    },
    /// The first certificate of the file is none that TLS can use.
    #[error("the first certificate in `{}` cannot be used", .file.display())]
    BadCertificate {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The file of the key holds none.
    #[error("`{}` holds no private key: expected `-----BEGIN PRIVATE KEY-----`", .file.display())]
    NoKey {
        /// Which one.
        file: PathBuf,
    },
    /// The key is locked with a password.
    #[error(
        "the private key in `{}` is encrypted; write one without a password with `openssl pkey -in FILE -out NEW`",
        .file.display()
    )]
    EncryptedKey {
        /// Which file.
        file: PathBuf,
    },
    /// The key is of a kind that TLS cannot use.
    #[error("the private key in `{}` cannot be used; RSA, ECDSA (P-256, P-384) and Ed25519 can", .file.display())]
    BadKey {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The key is another certificate's.
    #[error(
        "the private key in `{}` does not belong to the first certificate in `{}`; the server's own certificate must \
         stand before those of authorities",
        .key.display(),
        .certificate.display()
    )]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// TLS itself cannot be set up.
    #[error("cannot set up TLS")]
    SetUp(#[source] rustls::Error),
}

/// The certificate in use; handshakes take it from here, so that a new one holds from the next connection on.
pub(crate) struct Certificate {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<[Stamp; 2]>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What tells that a file was changed: time and length, or nothing while it is away.
type Stamp = Option<(SystemTime, u64)>;

fn stamps(files: &TlsFiles) -> [Stamp; 2] {
    [&files.certificate, &files.key].map(|file| {
        // Followed through links: those who renew certificates move a link.
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

impl Certificate {
    /// Reads the files.
    pub(crate) fn read(files: TlsFiles) -> Result<Certificate, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Taken before the files are read: a change meanwhile shows at the next look.
        let seen = Mutex::new(stamps(&files));
        let current = RwLock::new(Arc::new(read_pair(&files, &provider)?));
        Ok(Certificate { files, provider, current, seen })
    }

    /// Makes what speaks TLS 1.2 and 1.3 with this certificate.
    pub(crate) fn acceptor(self: &Arc<Certificate>) -> Result<TlsAcceptor, TlsError> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let config = config.with_safe_default_protocol_versions().map_err(TlsError::SetUp)?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificate>::clone(self);
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files again and again, until it is dropped.
    pub(crate) async fn follow(self: Arc<Certificate>) {
        loop {
            tokio::time::sleep(self.files.look_every).await;
            let certificate = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || certificate.look()).await.is_err() {
                warn!("the look at the files of the certificate failed");
            }
        }
    }

    /// Reads the files if they changed. What cannot be used is left, and said once for each change.
    fn look(&self) {
        let now = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match read_pair(&self.files, &self.provider) {
            Ok(pair) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                info!(file = %self.files.certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                warn!(%error, cause, "the new certificate cannot be used; the old one stays");
            }
        }
    }
}

fn read_pair(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.key)?;
    let file = || files.key.clone();
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|source| TlsError::BadKey { file: file(), source })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        // A key that cannot tell its public half shows itself at the first handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { certificate: files.certificate.clone(), key: file() })
        }
        Err(source) => Err(TlsError::BadCertificate { file: files.certificate.clone(), source }),
    }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|source| TlsError::NotPem { file: file.to_owned(), source })?;
    if chain.is_empty() { Err(TlsError::NoCertificate { file: file.to_owned() }) } else { Ok(chain) }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(file)?;
    let file = || file.to_owned();
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if contains(&bytes, b"BEGIN ENCRYPTED PRIVATE KEY") => {
            Err(TlsError::EncryptedKey { file: file() })
        }
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { file: file() }),
        Err(source) => Err(TlsError::NotPem { file: file(), source }),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
