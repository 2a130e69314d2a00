//! A table of texts, laid out into lines of a given width: the first column takes what the others leave.

use ratatui::text::Span;

/// A column and its width, in cells of a terminal. All but the first are set flush right.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: usize,
}

/// Rows in the order in which they are shown, each with a cell for every column.
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Vec<String>>,
    /// Why there are no rows, or not all.
    pub(super) note: Option<String>,
}

impl Table {
    /// No rows, for a reason.
    pub(super) fn empty(columns: &'static [Column], note: impl Into<String>) -> Self {
        Table {
            columns,
            rows: Vec::new(),
            note: Some(note.into()),
        }
    }

    pub(super) fn header(&self, width: usize) -> String {
        self.line(self.columns.iter().map(|column| column.title), width)
    }

    pub(super) fn row(&self, row: &[String], width: usize) -> String {
        self.line(row.iter().map(String::as_str), width)
    }

    /// How wide it is when no cell of the first column is cut.
    pub(super) fn full_width(&self) -> usize {
        let first = self.rows.iter().filter_map(|row| row.first());
        let title = self.columns.first().map_or(0, |column| column.width);
        let first = first.map(|cell| width_of(cell)).fold(title, usize::max);
        first + self.others()
    }

    fn line<'c>(&self, cells: impl Iterator<Item = &'c str>, width: usize) -> String {
        let mut line = String::new();
        for (at, (cell, column)) in cells.zip(self.columns).enumerate() {
            if at == 0 {
                line.push_str(&left(cell, width.saturating_sub(self.others())));
            } else {
                line.push(' ');
                line.push_str(&right(cell, column.width));
            }
        }
        line
    }

    /// The columns behind the first, each with a blank before it.
    fn others(&self) -> usize {
        self.columns
            .iter()
            .skip(1)
            .map(|column| column.width + 1)
            .sum()
    }
}

/// How many cells of a terminal a text takes.
pub(super) fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

/// Flush left in exactly so many cells; cut if it is wider.
pub(super) fn left(text: &str, width: usize) -> String {
    let mut text = cut(text, width);
    text.push_str(&" ".repeat(width.saturating_sub(width_of(&text))));
    text
}

/// Flush right in exactly so many cells; cut if it is wider.
pub(super) fn right(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let blanks = " ".repeat(width.saturating_sub(width_of(&text)));
    blanks + &text
}

fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for char in text.chars() {
        kept.push(char);
        if width_of(&kept) >= width {
            kept.pop();
            break;
        }
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_as_wide_as_it_should_be_also_with_wide_characters() {
        static COLUMNS: [Column; 2] = [
            Column {
                title: "name",
                width: 4,
            },
            Column {
                title: "n",
                width: 3,
            },
        ];
        let rows = ["ann", "漢字漢字漢字", "a漢字漢字漢字", "e\u{301}e\u{301}"]
            .map(|name| vec![name.to_owned(), "1".to_owned()]);
        let table = Table {
            columns: &COLUMNS,
            rows: rows.to_vec(),
            note: None,
        };
        assert_eq!(table.header(12), "name       n");
        let lines: Vec<String> = table.rows.iter().map(|row| table.row(row, 12)).collect();
        assert_eq!(
            lines,
            [
                "ann        1",
                "漢字漢…    1",
                "a漢字漢…   1",
                "e\u{301}e\u{301}         1"
            ]
        );
        assert!(lines.iter().all(|line| width_of(line) == 12));
        assert_eq!(table.full_width(), 17);
        assert_eq!(
            (left("abc", 0), right("12345", 3)),
            (String::new(), "12…".to_owned())
        );
    }
}
