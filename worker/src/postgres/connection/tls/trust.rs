//! Verification of the server's certificate: the three modes of TLS as one verifier.
//!
//! The handshake's signature is verified in every mode; without that, channel binding would prove nothing.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use crate::{
    config::{TlsConfig, TlsMode},
    postgres::error::SourceError,
};

#[derive(Debug)]
struct Verifier {
    mode: TlsMode,
    roots: RootCertStore,
    /// Certificates that are trusted directly: the bundle is often the server's own certificate.
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

pub(super) fn verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, SourceError> {
    let pinned = match (config.mode, &config.ca_file) {
        (TlsMode::Disable | TlsMode::Require, _) => Vec::new(),
        (TlsMode::VerifyCA | TlsMode::VerifyFull, Some(file)) => read_bundle(file)?,
        (TlsMode::VerifyCA | TlsMode::VerifyFull, None) => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pinned.iter().cloned());
    // The system's certificates are authorities; only a configured bundle can contain a server's own certificate.
    let pinned = if config.ca_file.is_some() { pinned } else { Vec::new() };
    Ok(Arc::new(Verifier { mode: config.mode, roots, pinned, provider: Arc::clone(provider) }))
}

fn read_bundle(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let unreadable = |error| SourceError::Tls(format!("{} cannot be read as PEM: {error}", file.display()));
    let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(SourceError::Tls(format!("{} holds no certificate", file.display())));
    }
    Ok(certificates)
}

impl Verifier {
    fn check_authority(
        &self,
        end_entity: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.pinned.iter().any(|pinned| pinned == end_entity) {
            return Ok(());
        }
        if self.roots.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(parsed, &self.roots, intermediates, now, algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Require demands encryption only: every certificate is accepted.
        if self.mode == TlsMode::Require {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        self.check_authority(end_entity, &parsed, intermediates, now)?;
        if self.mode == TlsMode::VerifyFull {
            verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
