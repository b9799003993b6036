//! An untrusted stream of bytes: its limit, and the error when it breaks.

use std::io::{self, Read};

use crate::oci::error::OciError;

pub(super) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

pub(super) fn broken(error: io::Error) -> OciError {
    let why: String = error.to_string().chars().take(120).collect();
    OciError::invalid(format!("its layer cannot be unpacked: {why}"))
}

/// Ends a stream with an error once more than the limit was read.
pub(super) struct Limited<R> {
    pub inner: R,
    pub left: u64,
    pub hit: bool,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => {
                self.left = left;
                Ok(n)
            }
            None => {
                self.hit = true;
                Err(io::Error::other("limit reached"))
            }
        }
    }
}
