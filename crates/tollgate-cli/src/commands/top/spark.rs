//! A series as one line of bars.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `span` values in at most `width` characters, the newest at the right. Each bar is a sum of as many
/// neighbours as it takes; the highest bar is a full block, and nothing at all is a blank.
pub(super) fn spark(values: &[u64], span: usize, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let per_bar = span.div_ceil(width).max(1);
    let newest = &values[values.len().saturating_sub(span)..];
    let sums: Vec<u64> = newest
        .rchunks(per_bar)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |sum: u64, value| sum.saturating_add(*value))
        })
        .collect();
    let highest = sums.iter().copied().max().unwrap_or(0);
    let bars = sums.iter().rev().map(|sum| bar(*sum, highest));
    let blank = span.div_ceil(per_bar) - sums.len();
    std::iter::repeat_n(' ', blank).chain(bars).collect()
}

fn bar(value: u64, highest: u64) -> char {
    if value == 0 {
        return ' ';
    }
    let eighths = (u128::from(value) * 8).div_ceil(u128::from(highest));
    BARS[(eighths as usize).clamp(1, 8) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_is_a_full_block_and_nothing_is_a_blank() {
        assert_eq!(spark(&[0, 1, 4, 8], 4, 4), " ▁▄█");
        assert_eq!(spark(&[u64::MAX, 1], 2, 2), "█▁");
        assert_eq!(spark(&[0; 10], 10, 5), "     ");
    }

    #[test]
    fn the_newest_stands_at_the_right_also_when_there_are_few_or_many() {
        assert_eq!(spark(&[8], 4, 4), "   █");
        assert_eq!(spark(&[], 4, 4), "    ");
        assert_eq!(spark(&[9, 9, 1, 1, 2, 2], 4, 2), "▄█");
        assert_eq!(spark(&[1; 300], 300, 30).chars().count(), 30);
        assert_eq!(spark(&[1; 300], 300, 0), "");
    }
}
