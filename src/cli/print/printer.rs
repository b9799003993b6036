//! The only writer to stdout (data) and stderr (messages).

use std::io::{self, IsTerminal, Write};

use super::color::{Colour, Tone};
use super::progress::ProgressBars;
use super::text::{Line, Lines, sanitize_for_terminal, sanitize_lines};
use crate::cli::CliError;
use crate::cli::args::ColorChoice;

/// One message from code without a printer: before the live part of the terminal
/// has begun.
pub(in crate::cli) fn eprint_early(text: &str) {
    let _ = writeln!(io::stderr(), "{}", sanitize_for_terminal(text));
}

/// Where a command writes to.
///
/// When the reader of stdout has ended (`… | head`), nothing more is written
/// there, and the command continues: its exit code is about its work, and not
/// about the reader.
pub struct Printer<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    look: Look,
    unread: bool,
}

/// How a terminal is written to. The default is that of a pipe.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Whether stdout is a terminal: a line is shown when it is written, and not
    /// later, and data is read by a person.
    terminal: bool,
    out: Colour,
    err: Colour,
    progress: ProgressBars,
}

impl Look {
    /// The abilities of stdout and stderr of the process.
    pub fn of_process(color: ColorChoice) -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            out: Colour::of(color, &io::stdout()),
            err: Colour::of(color, &io::stderr()),
            progress: ProgressBars::new(ProgressBars::is_watched()),
        }
    }
}

impl<'a> Printer<'a> {
    /// A printer over two streams that are not terminals.
    pub fn new(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send)) -> Self {
        Self::with(out, err, Look::default())
    }

    /// A printer over two streams.
    pub fn with(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send), look: Look) -> Self {
        Self { out, err, look, unread: false }
    }

    /// The live part of the terminal, for whatever takes time.
    pub fn progress(&self) -> ProgressBars {
        self.look.progress.clone()
    }

    /// Whether stdout has no reader any more: a verb that only prints, and would run
    /// for ever, then ends.
    pub fn is_unread(&self) -> bool {
        self.unread
    }

    /// One line of data.
    ///
    /// # Errors
    /// When stdout cannot be written although it has a reader.
    pub fn line(&mut self, line: impl Into<Line>) -> Result<(), CliError> {
        let text = line.into().painted(self.look.out);
        let at_once = self.look.terminal;
        self.write(|out| {
            writeln!(out, "{text}")?;
            if at_once { out.flush() } else { Ok(()) }
        })
    }

    /// Bytes of data for programs, unchanged; on a terminal, sanitized.
    ///
    /// # Errors
    /// When stdout cannot be written although it has a reader.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if self.look.terminal {
            let text = String::from_utf8_lossy(bytes);
            return self
                .write(|out| out.write_all(sanitize_lines(&text).as_bytes()).and_then(|()| out.flush()));
        }
        self.write(|out| out.write_all(bytes).and_then(|()| out.flush()))
    }

    fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CliError> {
        if self.unread {
            return Ok(());
        }
        match self.look.progress.aside(|| write(&mut *self.out)) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.unread = true;
                Ok(())
            }
            written => written.map_err(CliError::Output),
        }
    }

    /// Messages. A stderr without a reader is not a failure.
    pub fn say(&mut self, lines: impl Into<Lines>) {
        for line in lines.into().iter() {
            self.message(&line.painted(self.look.err));
        }
    }

    fn message(&mut self, text: &str) {
        let _ = self.look.progress.aside(|| writeln!(self.err, "{text}"));
    }

    /// Why the command failed.
    pub(in crate::cli) fn fail(&mut self, error: &CliError) {
        let mark = match error {
            CliError::Interrupted(_) => Line::from("interrupted: "),
            _ => Line::toned("error:", Tone::Bad).and(" ", None),
        };
        let mut mark = mark.painted(self.look.err);
        for line in error.lines().iter() {
            self.message(&format!("{mark}{}", line.painted(self.look.err)));
            mark.clear();
        }
    }

    /// Writes buffered data.
    ///
    /// # Errors
    /// When stdout cannot be written although it has a reader.
    pub fn finish(&mut self) -> Result<(), CliError> {
        self.write(|out| out.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_steers_the_terminal() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        Printer::new(&mut out, &mut err).say("Widget/a\u{1b}]0;b\u{7} created");
        assert_eq!(String::from_utf8(err).unwrap(), "Widget/a?]0;b? created\n");
    }

    #[test]
    fn data_is_unchanged_but_on_a_terminal() {
        let printed = |terminal: bool| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let look = Look { terminal, ..Look::default() };
            Printer::with(&mut out, &mut err, look)
                .data("a: \"\u{9b}2J\"\n# \u{1b}[2J\n\tä".as_bytes())
                .unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(printed(false), "a: \"\u{9b}2J\"\n# \u{1b}[2J\n\tä");
        assert_eq!(printed(true), "a: \"?2J\"\n# ?[2J\n\tä");
    }

    /// Takes so many bytes, and then fails so.
    struct Takes(usize, io::ErrorKind);

    impl Write for Takes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(self.1.into()),
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_stops_the_output_and_nothing_else() {
        let (mut out, mut err) = (Takes(4, io::ErrorKind::BrokenPipe), Vec::new());
        let mut printer = Printer::new(&mut out, &mut err);
        printer.line("one").unwrap();
        assert!(!printer.is_unread());
        printer.line("two").unwrap();
        assert!(printer.is_unread());
        printer.data(b"x").unwrap();
        printer.finish().unwrap();
        assert_eq!(out.0, 0, "nothing is written after that");
        let mut full = Takes(0, io::ErrorKind::StorageFull);
        let failed = Printer::new(&mut full, &mut err).line("one").unwrap_err();
        assert!(matches!(failed, CliError::Output(_)));
    }
}
