//! The served certificate, replaced while connections continue.
//!
//! Each handshake reads the current certificate. An open connection keeps its own, so a replacement drops nothing.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error("the certificate cannot be read")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    #[error("there is no certificate in it")]
    Empty,
    #[error("the private key cannot be read")]
    Key(#[source] rustls::pki_types::pem::Error),
    #[error("certificate and private key cannot be used")]
    Pair(#[source] rustls::Error),
    #[error("TLS cannot be set up")]
    Config(#[source] rustls::Error),
}

/// The served certificate. Clones share it. Handshakes fail while there is none.
#[derive(Clone, Debug)]
pub struct Serving {
    slot: Arc<Slot>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Slot(RwLock<Option<Arc<CertifiedKey>>>);

impl Default for Serving {
    fn default() -> Self {
        Self {
            slot: Arc::new(Slot(RwLock::new(None))),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        }
    }
}

impl Serving {
    /// Serves this certificate chain from now on. Returns whether it is a new one. Fails if the chain or key is
    /// invalid; the previous certificate stays.
    pub fn offer(&self, chain: &str, key: &str) -> Result<bool, ServingError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(ServingError::Certificate)?;
        if chain.is_empty() {
            return Err(ServingError::Empty);
        }
        if self.slot.get().is_some_and(|present| present.cert == chain) {
            return Ok(false);
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(ServingError::Key)?;
        let pair = CertifiedKey::from_der(chain, key, &self.provider).map_err(ServingError::Pair)?;
        *self.slot.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pair));
        Ok(true)
    }

    pub fn is_ready(&self) -> bool {
        self.slot.get().is_some()
    }

    /// TLS 1.2 and 1.3 without client certificates, HTTP/1.1 only: the protocols that API servers use for webhooks.
    pub fn server_config(&self) -> Result<ServerConfig, ServingError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(ServingError::Config)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.slot) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl Slot {
    fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
    }
}
