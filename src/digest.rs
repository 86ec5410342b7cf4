//! SHA-256 in the one spelling that views, networks and specs are compared by.

use std::fmt::Write as _;

/// Lower-case hexadecimal SHA-256 of `bytes`: 64 characters.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The first `length` characters of [`sha256_hex`], for names and labels.
pub fn short_hex(bytes: &[u8], length: usize) -> String {
    let mut text = sha256_hex(bytes);
    text.truncate(length);
    text
}
