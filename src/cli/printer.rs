//! The only writer to stdout (data) and stderr (everything said about it).

use std::io::{self, IsTerminal, Write};

use super::CliError;
use super::args::ColorChoice;
use super::color::{Colour, Tone};
use super::progress::Progress;
use super::table::harmless;

/// One line of talk from where no printer is: before the live part of the terminal
/// has begun.
pub(super) fn mention(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(text));
}

/// Where a command writes to.
pub struct Printer<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    look: Look,
}

/// How a terminal is written to. The default is that of a pipe.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Whether a line of stdout is seen when it is written, and not later.
    at_once: bool,
    out: Colour,
    err: Colour,
    progress: Progress,
}

impl Look {
    /// What stdout and stderr of the process are good for.
    pub fn of_process(color: ColorChoice) -> Self {
        Self {
            at_once: io::stdout().is_terminal(),
            out: Colour::of(color, &io::stdout()),
            err: Colour::of(color, &io::stderr()),
            progress: Progress::new(Progress::is_watched()),
        }
    }
}

impl<'a> Printer<'a> {
    /// A printer over two streams that are no terminals.
    pub fn new(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send)) -> Self {
        Self::with(out, err, Look::default())
    }

    /// A printer over two streams.
    pub fn with(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send), look: Look) -> Self {
        Self { out, err, look }
    }

    /// How stdout is coloured.
    pub fn colour(&self) -> Colour {
        self.look.out
    }

    /// How stderr is coloured.
    pub fn talk_colour(&self) -> Colour {
        self.look.err
    }

    /// The live part of the terminal, for whatever takes time.
    pub fn progress(&self) -> Progress {
        self.look.progress.clone()
    }

    /// One line of data.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        match self.look.at_once {
            true => self.data(format!("{text}\n").as_bytes()),
            false => writeln!(self.out, "{text}").map_err(CliError::Output),
        }
    }

    /// Bytes of data, as they are.
    ///
    /// # Errors
    /// When stdout does not take them.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.look.progress.aside(|| self.out.write_all(bytes).and_then(|()| self.out.flush()));
        written.map_err(CliError::Output)
    }

    /// One line about what is going on, without what would steer the terminal.
    /// That nobody listens is no failure.
    pub fn say(&mut self, text: &str) {
        self.tell(&harmless(text));
    }

    fn tell(&mut self, text: &str) {
        let _ = self.look.progress.aside(|| writeln!(self.err, "{text}"));
    }

    /// Why the command has ended without doing what was asked.
    pub(super) fn fail(&mut self, error: &CliError) {
        let (mark, text) = match error {
            CliError::Interrupted(_) => (String::new(), error.chain()),
            _ => (format!("{} ", self.look.err.paint(Tone::Bad, "error:")), error.chain()),
        };
        self.tell(&format!("{mark}{}", harmless(&text)));
    }

    /// Hands buffered data on.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn finish(&mut self) -> Result<(), CliError> {
        let flushed: io::Result<()> = self.look.progress.aside(|| self.out.flush());
        flushed.map_err(CliError::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_steers_the_terminal() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        Printer::new(&mut out, &mut err).say("Widget/a\u{1b}]0;b\u{7} created");
        assert_eq!(String::from_utf8(err).unwrap(), "Widget/a?]0;b? created\n");
    }
}
