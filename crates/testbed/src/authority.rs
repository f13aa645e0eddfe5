//! A private certificate authority, as an organisation runs one for its own network, and the certificates that it
//! gives to servers: good ones, and ones that must not be accepted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// An authority with a name and a key of its own.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What is right or wrong about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and `127.0.0.1`, valid for a long time.
    Good,
    /// For names of `corp.example`, and valid as `Good` is; the server calls itself [`NAMED`].
    Named,
    /// For another host.
    OtherHost,
    /// Its time is over.
    Expired,
}

/// What a server shows of itself: a certificate and the key to it.
#[derive(Clone)]
pub struct Identification {
    config: Arc<ServerConfig>,
    host: Option<&'static str>,
}

/// What a server with a [`Certificate::Named`] calls itself: no name system knows it, so only a proxy leads there.
pub const NAMED: &str = "mcp.corp.example";

impl Authority {
    /// Founds one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("randomness for a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are sound");
        Self { issuer }
    }

    /// Its certificate: what people get to trust it by.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its private key, which nobody should ever get.
    pub fn private_key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Gives a server a certificate.
    pub fn identify(&self, certificate: Certificate) -> Identification {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "testbed");
        let name = |text: &str| SanType::DnsName(text.try_into().expect("an ASCII name"));
        params.subject_alt_names = match certificate {
            Certificate::Good | Certificate::Expired => {
                vec![name("localhost"), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))]
            }
            Certificate::Named => vec![name("*.corp.example")],
            Certificate::OtherHost => vec![name("other.example")],
        };
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match certificate {
            Certificate::Good | Certificate::Named | Certificate::OtherHost => date_time_ymd(2099, 1, 1),
            Certificate::Expired => date_time_ymd(2021, 1, 1),
        };
        let key = KeyPair::generate().expect("randomness for a key");
        let signed = params.signed_by(&key, &self.issuer).expect("the parameters are sound");
        let chain = vec![signed.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("our own key");
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key is the certificate's");
        let host = (certificate == Certificate::Named).then_some(NAMED);
        Identification { config: Arc::new(config), host }
    }
}

impl Identification {
    /// The settings of a server that shows it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl std::fmt::Debug for Identification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identification")
    }
}

/// Scheme, host and port of a server at `address`.
pub(crate) fn origin(tls: Option<&Identification>, address: SocketAddr) -> String {
    match tls {
        None => format!("http://{address}"),
        Some(Identification { host: None, .. }) => format!("https://{address}"),
        Some(Identification { host: Some(host), .. }) => format!("https://{host}:{}", address.port()),
    }
}

/// Believes one authority alone.
pub fn client_config(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    roots.add_parsable_certificates(certificates);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
