//! Aligned columns, two spaces apart, no lines drawn.

use super::style::Style;
use super::words::printable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A heading and rows of text. A column without any text is left out.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(columns: I) -> Self {
        Self {
            columns: columns
                .into_iter()
                .map(|name| (name.into(), Align::Left))
                .collect(),
            rows: vec![],
        }
    }

    /// Numbers of this column stand under one another.
    #[must_use]
    pub fn right(mut self, column: &str) -> Self {
        for (name, align) in &mut self.columns {
            if name == column {
                *align = Align::Right;
            }
        }
        self
    }

    /// Cells that are missing are empty; line breaks become spaces.
    pub fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        let mut row: Vec<String> = cells
            .into_iter()
            .map(|cell| printable(&cell.into()).replace('\n', " "))
            .collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each behind `indent`.
    #[must_use]
    pub fn render(&self, style: Style, indent: &str) -> String {
        // (column, its width)
        let used: Vec<(usize, usize)> = (0..self.columns.len())
            .filter(|column| self.rows.iter().any(|row| !row[*column].is_empty()))
            .map(|column| (column, self.width(column)))
            .collect();
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = String::new();
        if !self.rows.is_empty() {
            let line = self.line(&used, &heading);
            text += &format!("{indent}{}\n", style.bold(&line));
        }
        for row in &self.rows {
            text += &format!("{indent}{}\n", self.line(&used, row));
        }
        text
    }

    fn line(&self, used: &[(usize, usize)], cells: &[String]) -> String {
        let cells: Vec<String> = used
            .iter()
            .map(|(column, width)| {
                let (cell, width) = (&cells[*column], *width);
                match self.columns[*column].1 {
                    Align::Left => format!("{cell:width$}"),
                    Align::Right => format!("{cell:>width$}"),
                }
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    }

    fn width(&self, column: usize) -> usize {
        self.rows
            .iter()
            .map(|row| &row[column])
            .chain([&self.columns[column].0])
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let mut table = Table::new(["NAME", "NEVER", "COUNT", "NOTE"]).right("COUNT");
        table.row(["a", "", "1", ""]);
        table.row(["longer name", "", "1000", "two\nlines"]);
        table.row(["b"]);
        insta::assert_snapshot!(table.render(Style::Plain, "  "));
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert_eq!(Table::new(["NAME"]).render(Style::Plain, ""), "");
    }
}
