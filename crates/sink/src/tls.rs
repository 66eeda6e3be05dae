//! TLS towards receivers: rustls with ring, whom it trusts, and the certificate that it shows.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::setting::{Setting, SettingFault, SettingKind, Settings};

/// Whom to trust.
pub(crate) const CA: Setting = Setting::new(
    "ca",
    "Certificate authority",
    "Certificates in PEM that the receiver's must be signed by, in place of those that the system trusts, such as `-----BEGIN CERTIFICATE-----...`.",
    SettingKind::Text,
);
/// What to show.
pub(crate) const CLIENT_CERT: Setting = Setting::new(
    "client_cert",
    "Client certificate",
    "Certificate in PEM to show to a receiver that asks for one, and those above it, such as `-----BEGIN CERTIFICATE-----...`.",
    SettingKind::Text,
);
/// Its key.
pub(crate) const CLIENT_KEY: Setting = Setting::new(
    "client_key",
    "Key of the client certificate",
    "Private key in PEM of the client certificate, such as `-----BEGIN PRIVATE KEY-----...`.",
    SettingKind::SecretText,
);

/// Makes what connections are set up with.
pub(crate) fn client_config(settings: &Settings) -> Result<ClientConfig, SettingFault> {
    let unusable = |error: rustls::Error| SettingFault::new(CA.name, error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match settings.get(CA.name) {
        "" => builder.with_platform_verifier().map_err(unusable)?,
        pem => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(CA.name, pem)? {
                roots.add(certificate).map_err(unusable)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    match (settings.get(CLIENT_CERT.name), settings.get(CLIENT_KEY.name)) {
        ("", "") => Ok(builder.with_no_client_auth()),
        (_, "") => Err(SettingFault::new(CLIENT_KEY.name, "must be given with `client_cert`")),
        ("", _) => Err(SettingFault::new(CLIENT_CERT.name, "must be given with `client_key`")),
        (chain, key) => {
            let chain = certificates(CLIENT_CERT.name, chain)?;
            // What the library says of a text that is no key might repeat it.
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|_| SettingFault::new(CLIENT_KEY.name, "a private key in PEM is expected"))?;
            builder.with_client_auth_cert(chain, key).map_err(|_| {
                SettingFault::new(CLIENT_KEY.name, "is no key that can be used, or another certificate's")
            })
        }
    }
}

fn certificates(name: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, SettingFault> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(SettingFault::new(name, "a certificate in PEM is expected")),
        Err(error) => Err(SettingFault::new(name, format!("a certificate in PEM is expected: {error}"))),
    }
}
