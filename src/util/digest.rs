//! SHA-256 in lower-case hexadecimal. Views, networks and specs are compared by it.

use std::fmt::Write as _;

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    // `ring` returns a slice whose type does not state the length, 32 bytes.
    for (to, from) in hash
        .iter_mut()
        .zip(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
    {
        *to = *from;
    }
    hash
}

/// Lower-case hexadecimal SHA-256 of `bytes`: 64 characters.
pub fn sha256_hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
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
