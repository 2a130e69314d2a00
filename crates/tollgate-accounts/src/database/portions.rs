//! Rows for statements of a few sizes, so that the prepared ones are used again and again.

/// How many rows one statement writes.
const ROWS_AT_ONCE: [usize; 3] = [64, 8, 1];

/// The rows in portions of few sizes.
pub(crate) fn portions<Row>(mut rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    std::iter::from_fn(move || {
        let size = ROWS_AT_ONCE.into_iter().find(|size| *size <= rows.len())?;
        let (portion, rest) = rows.split_at(size);
        rows = rest;
        Some(portion)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_portion_and_portions_have_few_sizes() {
        let rows: Vec<usize> = (0..139).collect();
        let sizes: Vec<usize> = portions(&rows).map(<[_]>::len).collect();
        assert_eq!(sizes, [64, 64, 8, 1, 1, 1]);
        assert_eq!(portions(&rows).collect::<Vec<_>>().concat(), rows);
    }
}
