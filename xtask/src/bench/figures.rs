//! Numbers and tables: medians, and markdown whose columns line up.

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

/// The smallest value.
pub(super) fn minimum(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

/// As many digits as a reader can use: tenths below 100, thousands apart above 9999.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    if digits.len() < 5 {
        return format!("{value:.0}");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| str::from_utf8(part).unwrap_or("")).collect();
    format!("{sign}{}", parts.join(" "))
}

/// A count, thousands apart.
pub(super) fn count(value: u64) -> String {
    if value < 100 { value.to_string() } else { number(value as f64) }
}

/// A table in markdown.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(super) fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:<width$} |"));
            format!("|{}\n", cells.collect::<String>())
        };
        let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>();
        let mut text = line(&self.rows[0]);
        text += &line(&rule);
        text.extend(self.rows[1..].iter().map(|row| line(row)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_minimum_is_the_smallest() {
        assert_eq!(minimum(&[3.0, -1.0, 2.0]), Some(-1.0));
        assert_eq!(minimum(&[]), None);
    }

    #[test]
    fn numbers_have_as_many_digits_as_can_be_used() {
        let shown = [4.04, 99.94, 99.96, 1234.4, 12_345.0, -1_234_567.0].map(number);
        assert_eq!(shown, ["4.0", "99.9", "100", "1234", "12 345", "-1 234 567"]);
        assert_eq!([7, 200_000].map(count), ["7", "200 000"]);
    }

    #[test]
    fn the_columns_of_a_table_line_up() {
        let mut table = Table::new(&["act", "ns"]);
        assert!(table.is_empty());
        table.row(vec!["open".to_owned(), "1".to_owned()]);
        assert_eq!(table.render(), "| act  | ns |\n| ---- | -- |\n| open | 1  |\n");
    }
}
