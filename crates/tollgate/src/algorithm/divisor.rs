//! Dividing by a number that is known in advance: a multiplication, several times as fast.

use std::num::NonZeroU64;

/// A number to divide by, with its reciprocal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Divisor {
    by: NonZeroU64,
    /// `(2^64 - 1) / by`.
    reciprocal: u64,
}

impl Divisor {
    pub(super) fn new(by: u64) -> Option<Self> {
        let by = NonZeroU64::new(by)?;
        let reciprocal = u64::MAX / by;
        Some(Divisor { by, reciprocal })
    }

    #[inline]
    pub(super) fn get(self) -> u64 {
        self.by.get()
    }

    /// Quotient and remainder.
    #[inline]
    pub(super) fn divide(self, number: u64) -> (u64, u64) {
        // The reciprocal is too small by at most `by` of 2^64 parts, so this is the quotient or one less.
        let quotient = ((u128::from(number) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = number - quotient * self.get();
        match rest.checked_sub(self.get()) {
            Some(rest) => (quotient + 1, rest),
            None => (quotient, rest),
        }
    }

    #[inline]
    pub(super) fn divide_up(self, number: u64) -> u64 {
        let (quotient, rest) = self.divide(number);
        quotient + u64::from(rest > 0)
    }
}

/// A divisor for numbers below 2^62: they need no correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SmallDivisor {
    by: NonZeroU64,
    /// `2^(63 + shift) / by`, rounded up. A number below 2^62 times what it is too large by is less than `1 / by`, and no
    /// quotient is nearer to the next integer than that.
    reciprocal: u64,
    /// The highest bit of `by`.
    shift: u32,
}

impl SmallDivisor {
    pub(super) const ONE: SmallDivisor = SmallDivisor {
        by: NonZeroU64::MIN,
        reciprocal: 1 << 63,
        shift: 0,
    };

    pub(super) fn new(by: u64) -> Option<Self> {
        let by = NonZeroU64::new(by)?;
        let shift = by.ilog2();
        let reciprocal = (1_u128 << (63 + shift)).div_ceil(by.get().into());
        Some(SmallDivisor {
            by,
            reciprocal: u64::try_from(reciprocal).ok()?,
            shift,
        })
    }

    #[inline]
    pub(super) fn get(self) -> u64 {
        self.by.get()
    }

    /// The quotient.
    #[inline]
    pub(super) fn divide(self, number: u64) -> u64 {
        debug_assert!(number >> 62 == 0);
        (((u128::from(2 * number) * u128::from(self.reciprocal)) >> 64) as u64) >> self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_divides_exactly() {
        let edges = |around: u64| around.saturating_sub(2)..=around.saturating_add(2);
        let numbers = || {
            (0..=u64::BITS)
                .flat_map(move |power| edges(1_u64.checked_shl(power).unwrap_or(u64::MAX)))
        };
        for by in numbers().filter(|by| *by > 0) {
            let divisor = Divisor::new(by).unwrap();
            let multiples = numbers().map(|times| times.saturating_mul(by));
            for number in multiples.flat_map(edges).chain(numbers()) {
                assert_eq!(
                    divisor.divide(number),
                    (number / by, number % by),
                    "{number} / {by}"
                );
                assert_eq!(
                    divisor.divide_up(number),
                    number.div_ceil(by),
                    "{number} / {by}"
                );
            }
        }
        assert!(Divisor::new(0).is_none());
    }

    #[test]
    fn small_numbers_are_divided_exactly_without_correction() {
        let edges = |around: u64| around.saturating_sub(2)..=around.saturating_add(2);
        let numbers = || (0..u64::BITS).flat_map(move |power| edges(1 << power));
        for by in numbers()
            .chain([10_000_000, 86_400_000_000])
            .filter(|by| *by > 0)
        {
            let divisor = SmallDivisor::new(by).unwrap();
            let multiples = numbers().map(|times| times.saturating_mul(by));
            for number in multiples.flat_map(edges).chain(numbers()) {
                if number < 1 << 62 {
                    assert_eq!(divisor.divide(number), number / by, "{number} / {by}");
                }
            }
        }
        assert_eq!(SmallDivisor::ONE.divide((1 << 62) - 1), (1 << 62) - 1);
        assert!(SmallDivisor::new(0).is_none());
    }
}
