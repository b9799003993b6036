//! Tables as kubectl prints them: names in upper case, cells left aligned, three
//! blanks between columns.

use super::color::Tone;
use super::text::{Line, sanitize_for_terminal};
use crate::cli::{CliError, Printer};

/// Blanks between columns.
const GAP: usize = 3;

/// A cell.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A cell with a colour.
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { tone: Some(tone), ..Self::from(text.as_ref()) }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        // A second line would break the table; kubectl cuts there too.
        let text = match text.split_once(['\n', '\r']) {
            Some((first, _)) => format!("{first}..."),
            None => text.to_owned(),
        };
        Self { text: sanitize_for_terminal(&text).into_owned(), tone: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// A table that is being filled.
#[derive(Debug)]
pub(in crate::cli) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(headers: impl IntoIterator<Item = &'static str>) -> Self {
        Self { headers: headers.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print(self, printer: &mut Printer<'_>, with_headers: bool) -> Result<(), CliError> {
        self.print_below(printer, with_headers, &mut Vec::new())
    }

    /// Prints it below an earlier part of the same table, whose columns are at least
    /// `widths` wide; widens them for the next part.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_below(
        self,
        printer: &mut Printer<'_>,
        with_headers: bool,
        widths: &mut Vec<usize>,
    ) -> Result<(), CliError> {
        let Self { headers, rows } = self;
        let headers: Vec<Cell> = headers.into_iter().map(Cell::from).collect();
        let lines: Vec<&Vec<Cell>> = with_headers.then_some(&headers).into_iter().chain(&rows).collect();
        widths.resize(headers.len(), 0);
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line.iter()) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        for line in lines {
            let (mut printed, mut blanks) = (Line::default(), 0);
            for (cell, width) in line.iter().zip(widths.iter()) {
                if !cell.text.is_empty() {
                    printed = printed.and(" ".repeat(blanks), None).and(&cell.text, cell.tone);
                    blanks = 0;
                }
                blanks += width - cell.text.chars().count() + GAP;
            }
            printer.line(printed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(table: Table, with_headers: bool) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut printer = Printer::new(&mut out, &mut err);
        table.print(&mut printer, with_headers).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let table = || {
            let mut table = Table::new(["NAME", "READY", "STATUS"]);
            table.row(["a".into(), "True".into(), "fine".into()]);
            table.row(["longer-ä".into(), "".into(), "two\nlines".into()]);
            table.row(["b".into(), "False".into(), "".into()]);
            table
        };
        let head = "NAME       READY   STATUS\n";
        let body = "a          True    fine\nlonger-ä           two...\nb          False\n";
        assert_eq!(printed(table(), true), format!("{head}{body}"));
        assert_eq!(printed(table(), false), body);
    }

    #[test]
    fn what_follows_keeps_the_columns() {
        let (mut out, mut err, mut widths) = (Vec::new(), Vec::new(), Vec::new());
        for (n, name) in ["longer", "a", "b"].into_iter().enumerate() {
            let mut table = Table::new(["NAME", "READY"]);
            table.row([name.into(), "True".into()]);
            table.print_below(&mut Printer::new(&mut out, &mut err), n == 0, &mut widths).unwrap();
        }
        let printed = String::from_utf8(out).unwrap();
        assert_eq!(printed, "NAME     READY\nlonger   True\na        True\nb        True\n");
    }

    #[test]
    fn nothing_in_a_cell_steers_the_terminal() {
        let mut table = Table::new(["NAME"]);
        table.row(["a\u{1b}[31mb\u{7}".into()]);
        assert_eq!(printed(table, false), "a?[31mb?\n");
    }
}
