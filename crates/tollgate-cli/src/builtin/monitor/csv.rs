//! Tables as CSV (RFC 4180), with no cell that a spreadsheet would run.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::super::answer;

/// A table with a line of names.
pub(super) struct Csv(String);

impl Csv {
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut csv = Csv(String::new());
        csv.line(names);
        csv
    }

    pub(super) fn line<Cell: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.0.push(',');
            }
            self.cell(cell.as_ref());
        }
        self.0.push_str("\r\n");
    }

    /// A text that begins like a formula, in wide letters too, gets a quotation mark before it, by which spreadsheets know a text.
    fn cell(&mut self, text: &str) {
        let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
        let guard = if runs { "'" } else { "" };
        if runs || text.contains([',', ';', '\t', '"', '\r', '\n']) {
            let text = text.replace('"', "\"\"");
            self.0.push_str(&format!("\"{guard}{text}\""));
        } else {
            self.0.push_str(text);
        }
    }

    /// The table as a file to save.
    pub(super) fn answer(self) -> Response<Bytes> {
        let body = self.0.into();
        let mut response = answer::with_type(StatusCode::OK, "text/csv; charset=utf-8", body);
        response.headers_mut().insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"usage.csv\""),
        );
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_text_comes_back_whole() {
        let mut csv = Csv::new(["name", "n"]);
        for name in [
            "=1+1",
            "@x",
            "-2",
            "+3",
            "a,b",
            "say \"hi\"",
            "two\nlines",
            "x;=1",
            "＝1",
            "plain = 1",
        ] {
            csv.line([name, "7"]);
        }
        assert_eq!(
            csv.0,
            "name,n\r\n\"'=1+1\",7\r\n\"'@x\",7\r\n\"'-2\",7\r\n\"'+3\",7\r\n\"a,b\",7\r\n\"say \"\"hi\"\"\",7\r\n\"two\nlines\",7\r\n\"x;=1\",7\r\n\"'＝1\",7\r\nplain = 1,7\r\n"
        );
    }
}
