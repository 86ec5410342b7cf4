//! Certificates in PEM, with the fields that decisions need.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::PublicKeyData as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, Pem, X509Certificate};

/// Time that `notBefore` lies before the creation of a certificate, as tolerance for clock skew.
pub const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Not PEM, or not an X.509 certificate inside.
    #[error("not a certificate in PEM: {0}")]
    Unreadable(String),
    #[error("holds no certificate")]
    Empty,
    #[error("the private key cannot be read: {0}")]
    Key(String),
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate as one PEM block.
    pub pem: String,
    /// Creation time: `notBefore` without [`BACKDATE`].
    pub issued: Timestamp,
    /// The first second at which the certificate is no longer valid.
    pub expires: Timestamp,
    /// DNS names and IP addresses of the certificate.
    pub names: BTreeSet<String>,
}

impl Certificate {
    /// Parses all certificates of a PEM text, in order.
    pub fn parse_all(pem: &str) -> Result<Vec<Self>, CertificateError> {
        let blocks = Pem::iter_from_buffer(pem.as_bytes());
        blocks
            .map(|block| {
                let block = block.map_err(|error| CertificateError::Unreadable(error.to_string()))?;
                Self::from_der(&block.contents)
            })
            .collect()
    }

    /// Parses the first certificate of a PEM text.
    pub fn parse(pem: &str) -> Result<Self, CertificateError> {
        Self::parse_all(pem)?.into_iter().next().ok_or(CertificateError::Empty)
    }

    fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let unreadable = |error: &dyn fmt::Display| CertificateError::Unreadable(error.to_string());
        let (_, x509) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
        let seconds = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| unreadable(&error))
        };
        let names = x509.subject_alternative_name().map_err(|error| unreadable(&error))?;
        let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
        Ok(Self {
            pem: encode(der),
            issued: seconds(x509.validity().not_before)?
                .checked_add(BACKDATE)
                .map_err(|error| unreadable(&error))?,
            // `notAfter` itself is still valid (RFC 5280, 4.1.2.5).
            expires: seconds(x509.validity().not_after)?
                .checked_add(SignedDuration::from_secs(1))
                .map_err(|error| unreadable(&error))?,
            names: names.filter_map(name).collect(),
        })
    }

    /// Whether `authority` signed this certificate.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let (Ok(own), Ok(other)) = (self.block(), authority.block()) else {
            return false;
        };
        let (Ok(own), Ok(other)) = (own.parse_x509(), other.parse_x509()) else {
            return false;
        };
        own.verify_signature(Some(other.public_key())).is_ok()
    }

    /// Whether the certificate has not expired at `now`.
    pub fn is_good_at(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// Whether the certificate is not yet valid at `now`, because the clock that issued it was more than [`BACKDATE`]
    /// ahead.
    pub fn is_early_at(&self, now: Timestamp) -> bool {
        self.issued.duration_since(now) > BACKDATE
    }

    /// Whether two thirds of its lifetime have passed at `now`.
    pub fn is_old_at(&self, now: Timestamp) -> bool {
        let life = self.expires.duration_since(self.issued);
        now.duration_since(self.issued) >= life / 3 * 2
    }

    fn block(&self) -> Result<Pem, CertificateError> {
        let mut blocks = Pem::iter_from_buffer(self.pem.as_bytes());
        let block = blocks.next().ok_or(CertificateError::Empty)?;
        block.map_err(|error| CertificateError::Unreadable(error.to_string()))
    }
}

/// A certificate and its private key. `Debug` omits the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: Certificate,
    /// Private key, PKCS#8 in PEM.
    pub key: String,
}

impl Pair {
    /// Parses a certificate and its key, and checks that they match.
    pub fn parse(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let certificate = Certificate::parse(certificate)?;
        let pair = rcgen::KeyPair::from_pem(key).map_err(|error| CertificateError::Key(error.to_string()))?;
        let block = certificate.block()?;
        let x509 = block
            .parse_x509()
            .map_err(|error| CertificateError::Unreadable(error.to_string()))?;
        if x509.public_key().raw != pair.subject_public_key_info() {
            return Err(CertificateError::Mismatch);
        }
        Ok(Self {
            certificate,
            key: key.to_owned(),
        })
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            Some(address.ok()?.to_string())
        }
        _ => None,
    }
}

fn encode(der: &[u8]) -> String {
    let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), unix)
}
