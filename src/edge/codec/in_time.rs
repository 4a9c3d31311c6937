//! Bytes that can be read until a moment: decoders ask for them as they go, so one that was led astray ends
//! there. Wall-clock time, since that is what others wait for.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};
use std::time::Instant;

/// A reader that ends in time.
#[derive(Debug)]
pub struct InTime<R> {
    inner: R,
    until: Option<Instant>,
}

impl<R> InTime<R> {
    /// Reads until then; `None`: to the end of days.
    pub fn new(inner: R, until: Option<Instant>) -> InTime<R> {
        InTime { inner, until }
    }

    fn check(&self) -> io::Result<()> {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        if is_late { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl<R: Read> Read for InTime<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for InTime<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

impl<R: Seek> Seek for InTime<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.check()?;
        self.inner.seek(position)
    }
}
