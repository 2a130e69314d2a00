//! A median, and how far apart the rounds were.

/// Rounds that a median needs.
pub const ROUNDS_MIN: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub rounds: usize,
}

impl Spread {
    /// Of any rounds, `None` if there are none.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_unstable_by(f64::total_cmp);
        let (low, high) = (*rounds.first()?, *rounds.last()?);
        let middle = rounds.len() / 2;
        let median = match rounds.len() % 2 {
            0 => (rounds[middle - 1] + rounds[middle]) / 2.0,
            _ => rounds[middle],
        };
        Some(Spread {
            median,
            low,
            high,
            rounds: rounds.len(),
        })
    }

    /// What was counted once, and is the same in every round.
    pub fn once(value: f64) -> Spread {
        Spread {
            median: value,
            low: value,
            high: value,
            rounds: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_stands_in_the_middle() {
        let spread =
            |rounds: &[f64]| Spread::of(rounds.iter().copied()).map(|spread| spread.median);
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(spread(&[3.0, 1.0, 9.0, 4.0]), Some(3.5));
    }
}
