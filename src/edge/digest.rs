//! Digests of content. The only file that names `sha2` and `md5`.

use md5::Md5;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// MD5, hexadecimal in capitals: a name that a format asks for, no proof of anything.
pub fn md5(bytes: &[u8]) -> String {
    hexadecimal(&Md5::digest(bytes)).to_uppercase()
}

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of all that `reader` has, hexadecimal.
///
/// # Errors
/// What the reader says.
pub fn sha256_of(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Passes bytes on, counts and digests them.
pub struct Digesting<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Digesting<W> {
    /// Around a writer.
    pub fn new(inner: W) -> Digesting<W> {
        Digesting { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// Number and SHA-256 (hexadecimal) of the bytes that went through.
    pub fn finish(self) -> (u64, String) {
        (self.bytes, hexadecimal(&self.hasher.finalize()))
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_give_one_digest() {
        const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), EMPTY);
        let mut through = Digesting::new(Vec::new());
        through.write_all(b"one").and_then(|()| through.write_all(b"step")).expect("memory");
        assert_eq!(through.finish(), (7, sha256(b"onestep")));
        assert_eq!(sha256_of(&b"onestep"[..]).expect("memory"), sha256(b"onestep"));
    }
}
