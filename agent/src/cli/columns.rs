//! Aligned columns, and what stands in them.

use std::{fmt::Write, io::Write as _};

use clap::ValueEnum;
use jiff::{Timestamp, tz::TimeZone};
use plimsoll_ebpf::value::readable;
use serde::Serialize;

use super::{exit::Failure, output};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
}

/// A heading and rows below it; a column is as wide as what stands in it. Control characters are
/// escaped.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    aligned(heading.map(str::to_owned).into(), rows.iter().map(<[String; N]>::as_slice))
}

/// Like [`table`], of as many columns as the heading has.
pub(super) fn aligned<'r>(
    heading: Vec<String>,
    rows: impl Iterator<Item = &'r [String]>,
) -> String {
    let shown = |cell: &String| match cell.as_str() {
        "" => "-".to_owned(),
        text => readable(text.as_bytes()).into_owned(),
    };
    let columns = heading.len();
    let rows = rows.map(|row| row.iter().map(shown).collect());
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|it| it.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|it| width(it).unwrap_or_default()).collect();
    let mut table = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(table, "{}", text.trim_end());
    }
    table
}

/// One object a line.
pub(super) fn lines(objects: &[impl Serialize]) -> String {
    let line = |it| serde_json::to_string(it).expect("what was JSON is JSON again") + "\n";
    objects.iter().map(line).collect()
}

/// A moment in the zone of whoever reads it; what is none stays as it is.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339.parse::<Timestamp>().map_or_else(
        |_| rfc3339.to_owned(),
        |it| it.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// Prints a result.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = output::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_reaches_the_terminal_raw() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let table = table(["A", "LONG"], &[row("first", ""), row("é", "\x1b[2J")]);
        assert_eq!(table, "A      LONG\nfirst  -\né      \\x1b[2J\n");
    }

    #[test]
    fn a_moment_that_is_none_stays_as_it_is() {
        assert_eq!(moment("2026-12-31T12:00:00Z").len(), 16);
        assert_eq!(moment("soon"), "soon");
    }
}
