//! Digests of content. The only file that names `sha2`.

use sha2::{Digest, Sha256};

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
