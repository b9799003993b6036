//! The only writer to stdout (data) and stderr (everything said about it).

use std::io::{self, Write};

use super::CliError;

/// Where a command writes to.
pub struct Printer<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
}

impl<'a> Printer<'a> {
    /// A printer over two streams.
    pub fn new(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send)) -> Self {
        Self { out, err }
    }

    /// One line of data.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{text}").map_err(CliError::Output)
    }

    /// Bytes of data, as they are.
    ///
    /// # Errors
    /// When stdout does not take them.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).map_err(CliError::Output)
    }

    /// One line about what is going on. That nobody listens is no failure.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Hands buffered data on.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn finish(&mut self) -> Result<(), CliError> {
        let flushed: io::Result<()> = self.out.flush();
        flushed.map_err(CliError::Output)
    }
}
