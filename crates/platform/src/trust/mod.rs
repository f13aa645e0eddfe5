//! Whom TLS trusts: the authorities of the operating system, and for one server a private one besides. There
//! is no way to turn the check off.

mod refused;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;

pub use refused::Refused;

/// Variables that would widen the trust of this process: a bridge's come from whatever started it.
const WIDENING: [&str; 3] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"];

/// TLS with the trust of the operating system and, where `private` holds certificates (PEM), theirs besides.
/// A certificate that is not accepted ends the handshake with a [`Refused`] as
/// `CertificateError::Other`.
pub fn client_config(private: Option<&str>) -> Result<ClientConfig, TrustError> {
    build(private, None)
}

/// The same, and who vouched for the other side of the last connection that was made with it.
pub fn watched_config(private: Option<&str>) -> Result<(ClientConfig, Watch), TrustError> {
    let watch = Watch::default();
    Ok((build(private, Some(watch.clone()))?, watch))
}

/// Who vouched for the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// What the authority calls itself.
    pub authority: Option<String>,
    /// The operating system does not trust it: it is a private one that was named for this server.
    pub private: bool,
}

/// Where a [`watched_config`] writes down whom it believed. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Option<Voucher>>>);

impl Watch {
    /// Who vouched for the last connection; nobody if there was none, or none that was believed.
    pub fn voucher(&self) -> Option<Voucher> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn build(private: Option<&str>, watch: Option<Watch>) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |source| TrustError::Unusable { source };
    // What the system says by itself is asked only where it matters.
    let alone = match (private, &watch) {
        (Some(_), Some(_)) => Some(Verifier::new(Arc::clone(&provider)).map_err(unusable)?),
        (Some(_) | None, Some(_) | None) => None,
    };
    let trusted = match private {
        None => Verifier::new(Arc::clone(&provider)).map_err(unusable)?,
        Some(pem) => {
            let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| TrustError::NotCertificates)?;
            // Looked at here, so that what is wrong with them is not mistaken for a fault of the system's.
            let mut store = rustls::RootCertStore::empty();
            for certificate in &certificates {
                store.add(certificate.clone()).map_err(|_| TrustError::NotCertificates)?;
            }
            if store.is_empty() {
                return Err(TrustError::NotCertificates);
            }
            Verifier::new_with_extra_roots(certificates, Arc::clone(&provider)).map_err(unusable)?
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        // The verifier below says no wherever the system's does; it only finds better words.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Explaining { trusted, alone, watch }))
        .with_no_client_auth();
    Ok(config)
}

/// Takes variables that widen the trust out of this process. To be called first thing, before any thread.
pub fn forget_environment() {
    for name in WIDENING {
        // SAFETY: the caller's promise: no other thread runs yet that could read the environment.
        #[expect(unsafe_code, reason = "changing the environment is safe only before the first thread")]
        unsafe {
            std::env::remove_var(name);
        }
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The operating system's authorities cannot be read.
    #[error("the system's trusted certificates cannot be used")]
    Unusable {
        /// Why.
        source: Error,
    },
    /// What should be the certificate of a private authority is none.
    #[error("the private authority's file holds no usable certificate")]
    NotCertificates,
}

/// The system's verifier, in words that people understand.
#[derive(Debug)]
struct Explaining {
    /// The one that decides.
    trusted: Verifier,
    /// The system's authorities alone, where a private one is trusted besides and somebody wants to know.
    alone: Option<Verifier>,
    watch: Option<Watch>,
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The last certificate that the server sent is nearest to the authority.
        let last = intermediates.last().unwrap_or(end_entity);
        let ask = |verifier: &Verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let verdict = ask(&self.trusted);
        if let (Ok(_), Some(watch)) = (&verdict, &self.watch) {
            let private = self.alone.as_ref().is_some_and(|alone| ask(alone).is_err());
            let voucher = Voucher { authority: refused::issuer_name(last), private };
            *watch.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(voucher);
        }
        verdict.map_err(|error| match error {
            Error::InvalidCertificate(why) => {
                let refused = Refused::of(&why, last, &server_name.to_str());
                Error::InvalidCertificate(rustls::CertificateError::Other(OtherError(Arc::new(refused))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.supported_verify_schemes()
    }
}
