//! A list as lines of text: headings, and columns as wide as what stands in them.

/// Lines of `rows` under their headings; an empty cell is a dash, so that programs find as many words in every line.
pub(super) fn lines<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let width_of = |column: usize| all().map(|row| shown(&row[column]).chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width_of(column).unwrap_or(0)).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{:<width$}", shown(cell)))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

/// As [`lines`], on standard output.
pub(super) fn print<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    for line in lines(headings, rows) {
        println!("{line}");
    }
}

fn shown(cell: &str) -> &str {
    match cell {
        "" => "-",
        cell => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_headings_and_nothing_is_a_dash() {
        let rows = [["ann", "admin", "1f"], ["über-long-name", "", "20"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            lines(["NAME", "ROLE", "ID"], &rows),
            [
                "NAME            ROLE   ID",
                "ann             admin  1f",
                "über-long-name  -      20",
            ]
        );
        assert_eq!(lines(["NAME", "ID"], &[]), ["NAME  ID"]);
    }
}
