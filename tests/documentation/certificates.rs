//! `certs/README.md`: the script makes a certificate that an API server can trust.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::GeneralName;

use crate::ROOT;

const SCRIPT: &str = "certs/make";

#[test]
fn the_script_makes_a_ca_and_a_certificate_signed_by_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let status = Command::new(format!("{ROOT}/{SCRIPT}"))
        .env("CERTS_DIR", directory.path())
        .stdout(std::process::Stdio::null())
        .status()
        .expect("it runs");
    assert!(status.success());
    let pem = |name: &str| {
        let text = std::fs::read(directory.path().join(name)).expect(name);
        parse_x509_pem(&text).expect("PEM").1
    };
    let (authority, leaf) = (pem("ca.crt"), pem("tls.crt"));
    let (authority, leaf) = (authority.parse_x509().unwrap(), leaf.parse_x509().unwrap());
    leaf.verify_signature(Some(authority.public_key()))
        .expect("signed by the CA");
    let names = leaf.subject_alternative_name().unwrap().expect("names");
    for name in ["localhost", "stellar-operator-webhook.stellar.svc"] {
        assert!(
            names.value.general_names.contains(&GeneralName::DNSName(name)),
            "{name}"
        );
    }
    let mode = directory
        .path()
        .join("tls.key")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
