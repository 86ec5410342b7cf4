//! Issues CAs and leaf certificates. The time is a parameter; randomness is the only hidden input.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};

use super::certificate::{BACKDATE, CertificateError, Pair};
use crate::util::digest;

#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The library refused: a name that no certificate can hold, or no randomness.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("made a certificate that cannot be read")]
    Read(#[from] CertificateError),
    /// The validity is outside of the range of X.509 times.
    #[error("the lifetime is out of range; give less than a hundred years")]
    Range,
}

/// Issues a CA that is valid from `now` for `lifetime`.
pub fn authority(now: Timestamp, lifetime: SignedDuration) -> Result<Pair, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    // A unique name for each CA: clients select the CA by name before they try its key.
    let id = digest::short_hex(&key.subject_public_key_info(), 12);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("stellar-operator webhook CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, end(now, lifetime)?)?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair::parse(&certificate.pem(), &key.serialize_pem())?)
}

/// Issues the webhook's certificate for `names`, valid from `now` for `lifetime`, but never longer than its CA.
pub fn leaf(
    authority: &Pair,
    names: &BTreeSet<String>,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<Pair, IssueError> {
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate.pem, KeyPair::from_pem(&authority.key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "stellar-operator webhook");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, now, end(now, lifetime)?.min(authority.certificate.expires))?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair::parse(&certificate.pem(), &key.serialize_pem())?)
}

fn end(now: Timestamp, lifetime: SignedDuration) -> Result<Timestamp, IssueError> {
    now.checked_add(lifetime).map_err(|_| IssueError::Range)
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, expires: Timestamp) -> Result<(), IssueError> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).map_err(|_| IssueError::Range)?;
        epoch
            .checked_add(Duration::from_secs(seconds).try_into().map_err(|_| IssueError::Range)?)
            .ok_or(IssueError::Range)
    };
    params.not_before = at(now.checked_sub(BACKDATE).map_err(|_| IssueError::Range)?)?;
    // `notAfter` itself is still valid (RFC 5280, 4.1.2.5); `expires` is the second after it.
    params.not_after = at(expires
        .checked_sub(SignedDuration::from_secs(1))
        .map_err(|_| IssueError::Range)?)?;
    Ok(())
}
