//! TLS towards PostgreSQL: rustls with ring, and whom it trusts.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::StoreError;
use crate::postgres::url::Trust;

/// Makes what wraps connections in TLS where the mode asks for it.
pub(super) fn connector(trust: &Trust) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = match trust {
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer { provider }))
            .with_no_client_auth(),
        Trust::File(file) => {
            let mut roots = RootCertStore::empty();
            let in_file = |what: String| StoreError::Tls { what: format!("`{}`: {what}", file.display()) };
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(|error| in_file(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| in_file(error.to_string()))?;
                roots.add(certificate).map_err(|error| in_file(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(in_file("there is no certificate in it".to_owned()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::System => builder.with_platform_verifier().map_err(unusable)?.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn unusable(error: rustls::Error) -> StoreError {
    StoreError::Tls { what: error.to_string() }
}

/// Accepts any certificate, as `sslmode=require` means in libpq: it keeps eavesdroppers out, not impostors. That the
/// server holds the certificate's key is checked all the same, which channel binding builds on.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
