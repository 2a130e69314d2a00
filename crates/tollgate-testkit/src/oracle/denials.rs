//! What a penalty means, written so plainly that it cannot be wrong: every denial of one key, and nothing clever.

use tollgate::Penalty;

/// The denials of one key by one policy with a penalty, in the order in which they came.
pub struct Denials {
    block: u64,
    factor: u64,
    block_max: u64,
    quiet: u64,
    denied: Vec<u64>,
}

/// The last block that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub end: u64,
    pub forgiven_at: u64,
    length: u64,
}

impl Denials {
    pub fn new(penalty: Penalty) -> Self {
        let micros = |time: std::time::Duration| time.as_micros() as u64;
        Denials {
            block: micros(penalty.block()),
            factor: penalty.factor().into(),
            block_max: micros(penalty.block_max()),
            quiet: micros(penalty.quiet()),
            denied: Vec::new(),
        }
    }

    /// A request was denied at `now`, whether in a block or not.
    pub fn deny(&mut self, now: u64) {
        self.denied.push(now);
    }

    /// The block that `now` is in, or that has ended and is not yet forgiven.
    pub fn last(&self, now: u64) -> Option<Block> {
        let mut last: Option<Block> = None;
        for denied in &self.denied {
            let before = last.filter(|block| self.counts(*block, *denied));
            last = match before {
                Some(block) if *denied < block.end => Some(block),
                Some(block) => Some(self.begin(*denied, block.length * self.factor)),
                None => Some(self.begin(*denied, self.block)),
            };
        }
        last.filter(|block| self.counts(*block, now))
    }

    /// Until when `now` is blocked.
    pub fn until(&self, now: u64) -> Option<u64> {
        let end = self.last(now)?.end;
        (now < end).then_some(end)
    }

    fn begin(&self, now: u64, length: u64) -> Block {
        let length = length.min(self.block_max);
        Block {
            end: now + length,
            forgiven_at: now + length + self.quiet,
            length,
        }
    }

    /// Whether a block means anything at `now`: it is not forgiven, and not further ahead than a clock that was put back
    /// explains.
    fn counts(&self, block: Block, now: u64) -> bool {
        now < block.forgiven_at && block.end <= now + 2 * self.block_max
    }
}
