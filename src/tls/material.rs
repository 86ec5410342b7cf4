//! The content of the certificate Secret, and its conversion from and to entries.

use std::collections::BTreeMap;

use super::certificate::{Certificate, CertificateError, Pair};
use crate::labels;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MaterialError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0}: {1}")]
    Bad(&'static str, #[source] CertificateError),
    #[error("tls.crt is not signed by ca.crt")]
    NotSigned,
}

/// CAs and the leaf. Always consistent: each key matches its certificate, and `ca` signed the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    pub ca: Pair,
    pub leaf: Pair,
    /// The next CA, already trusted or about to be.
    pub next: Option<Pair>,
    /// Former CAs, still trusted.
    pub previous: Vec<Certificate>,
}

impl Material {
    /// Parses the entries of the Secret. `None` if it has none of them, as in a Secret that was created empty. Fails if
    /// an entry is missing or invalid; the message names it.
    pub fn from_entries(entries: &BTreeMap<String, String>) -> Result<Option<Self>, MaterialError> {
        let required = [labels::CA_CERT, labels::CA_KEY, labels::TLS_CERT, labels::TLS_KEY];
        if required.iter().all(|key| !entries.contains_key(*key)) {
            return Ok(None);
        }
        let pair = |cert: &'static str, key: &'static str| {
            let text = |name| entries.get(name).ok_or(MaterialError::Missing(name));
            Pair::parse(text(cert)?, text(key)?).map_err(|error| MaterialError::Bad(cert, error))
        };
        let ca = pair(labels::CA_CERT, labels::CA_KEY)?;
        let leaf = pair(labels::TLS_CERT, labels::TLS_KEY)?;
        if !leaf.certificate.is_signed_by(&ca.certificate) {
            return Err(MaterialError::NotSigned);
        }
        let next = match entries.get(labels::NEXT_CA_CERT) {
            Some(_) => Some(pair(labels::NEXT_CA_CERT, labels::NEXT_CA_KEY)?),
            None => None,
        };
        let previous = entries.get(labels::PREVIOUS_CA_CERTS).map_or("", String::as_str);
        let previous =
            Certificate::parse_all(previous).map_err(|error| MaterialError::Bad(labels::PREVIOUS_CA_CERTS, error))?;
        Ok(Some(Self {
            ca,
            leaf,
            next,
            previous,
        }))
    }

    /// The entries of the Secret; `None` removes an entry.
    pub fn to_entries(&self) -> BTreeMap<&'static str, Option<String>> {
        let Self {
            ca,
            leaf,
            next,
            previous,
        } = self;
        let previous: String = previous.iter().map(|certificate| certificate.pem.as_str()).collect();
        BTreeMap::from([
            (labels::CA_CERT, Some(ca.certificate.pem.clone())),
            (labels::CA_KEY, Some(ca.key.clone())),
            (labels::TLS_CERT, Some(leaf.certificate.pem.clone())),
            (labels::TLS_KEY, Some(leaf.key.clone())),
            (
                labels::NEXT_CA_CERT,
                next.as_ref().map(|pair| pair.certificate.pem.clone()),
            ),
            (labels::NEXT_CA_KEY, next.as_ref().map(|pair| pair.key.clone())),
            (
                labels::PREVIOUS_CA_CERTS,
                Some(previous).filter(|text| !text.is_empty()),
            ),
        ])
    }

    /// All trusted CAs as one PEM text: the content of `caBundle`.
    ///
    /// Oldest first, so a CA keeps its position when its role changes.
    pub fn bundle(&self) -> String {
        let mut authorities: Vec<&Certificate> = self.authorities().collect();
        authorities.sort_by(|one, other| (one.issued, &one.pem).cmp(&(other.issued, &other.pem)));
        authorities.iter().map(|certificate| certificate.pem.as_str()).collect()
    }

    pub fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        let signing = std::iter::once(&self.ca)
            .chain(&self.next)
            .map(|pair| &pair.certificate);
        signing.chain(&self.previous)
    }
}
