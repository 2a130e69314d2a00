//! What a table knows of a key: 58 bits of a keyed hash of the policy's name and the key.
//!
//! Two keys with one fingerprint under one policy would share its units. Of ten million live keys the chance that any
//! two do is one in 6,000; that a given newcomer meets one of them, one in thirty billion. The seed is secret, so
//! nobody can look for such a pair.

use std::hash::{BuildHasher, Hasher, RandomState};

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use siphasher::sip::SipHasher13;

use crate::policy::Policy;

/// Bits that a cell keeps of a fingerprint.
pub(super) const TAG_BITS: u32 = 47;
/// Bits of a fingerprint that its place in a table comes from: the highest.
const POSITION_BITS: u32 = 32;
const BITS: u32 = 58;
/// Up to this length foldhash takes a key in one step.
const SHORT_KEY_BYTES: usize = 16;
/// Bits of the position that are in the tag too, so that tag and place tell the whole fingerprint.
const SHARED_BITS: u32 = POSITION_BITS + TAG_BITS - BITS;
/// The fewest homes of a table from whose cells fingerprints can be told: as many as a window spans, times this.
pub(super) const HOMES_PER_WINDOW_MIN: usize = 1 << (POSITION_BITS - SHARED_BITS);

/// How keys become fingerprints.
///
/// ```
/// use tollgate::{KeyHash, MemoryStore};
///
/// // Where strangers choose keys and the price of a decision matters less.
/// let store = MemoryStore::builder().key_hash(KeyHash::Strong).build();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyHash {
    /// foldhash: about 2 ns for a short key. Keyed by a secret, but not made to withstand an attacker who can measure
    /// which keys meet.
    #[default]
    Fast,
    /// SipHash-1-3: about 10 ns, and more where a decision waits for memory. Made to withstand.
    Strong,
}

/// 58 bits of hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) u64);

impl Fingerprint {
    /// `None` for a number that no fingerprint is.
    pub(super) fn new(number: u64) -> Option<Self> {
        (number >> BITS == 0).then_some(Fingerprint(number))
    }

    #[inline]
    pub(super) fn tag(self) -> u64 {
        self.0 & ((1 << TAG_BITS) - 1)
    }

    /// The home among `homes`.
    #[inline]
    pub(super) fn home(self, homes: usize) -> usize {
        (((self.0 >> (BITS - POSITION_BITS)) * homes as u64) >> POSITION_BITS) as usize
    }

    /// The fingerprint that has this tag and a home in the `window` homes that end with `last`.
    pub(super) fn recover(tag: u64, last: usize, window: usize, homes: usize) -> Option<Self> {
        let low = tag >> (BITS - POSITION_BITS);
        let first_position =
            ((last.saturating_sub(window - 1) as u64) << POSITION_BITS).div_ceil(homes as u64);
        // The first position from there on that ends in the bits that the tag has.
        let span = 1 << SHARED_BITS;
        let position = first_position + (low.wrapping_sub(first_position) & (span - 1));
        let below = tag & ((1 << (BITS - POSITION_BITS)) - 1);
        let found = Fingerprint(position << (BITS - POSITION_BITS) | below);
        (position >> POSITION_BITS == 0 && found.home(homes) <= last).then_some(found)
    }
}

/// Makes fingerprints. The seed is a secret of this store and of its snapshots.
pub(super) struct KeyHasher {
    kind: KeyHash,
    seed: [u64; 2],
    shared: SharedSeed,
}

impl KeyHasher {
    pub(super) fn new(kind: KeyHash) -> Self {
        let random = RandomState::new();
        KeyHasher::with_seed(kind, [random.hash_one(0), random.hash_one(1)])
    }

    pub(super) fn with_seed(kind: KeyHash, seed: [u64; 2]) -> Self {
        KeyHasher {
            kind,
            seed,
            shared: SharedSeed::from_u64(seed[1]),
        }
    }

    pub(super) fn kind(&self) -> KeyHash {
        self.kind
    }

    pub(super) fn seed(&self) -> [u64; 2] {
        self.seed
    }

    #[inline(always)]
    pub(super) fn fingerprint(&self, policy: &Policy, key: &[u8]) -> Fingerprint {
        let short = self.of_short(policy, key);
        short.unwrap_or_else(|| self.hash(policy.name_hash(), key))
    }

    /// A number that another build's hash would not give, so that a snapshot knows whether its fingerprints still hold.
    pub(super) fn sample(&self) -> u64 {
        let text = b"a sample that is longer than any short form";
        self.hash(0, text).0 ^ self.hash(1, b"short").0
    }

    /// The same of a short key, if the hash takes few instructions for one.
    #[inline(always)]
    pub(super) fn of_short(&self, policy: &Policy, key: &[u8]) -> Option<Fingerprint> {
        let is_short = key.len() <= SHORT_KEY_BYTES && self.kind == KeyHash::Fast;
        is_short.then(|| Fingerprint(self.fast(policy.name_hash(), key) >> (u64::BITS - BITS)))
    }

    #[inline(always)]
    fn fast(&self, policy: u64, key: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed[0] ^ policy, &self.shared);
        hasher.write(key);
        hasher.finish()
    }

    #[inline(never)]
    fn hash(&self, policy: u64, key: &[u8]) -> Fingerprint {
        let hash = match self.kind {
            KeyHash::Fast => self.fast(policy, key),
            KeyHash::Strong => {
                let mut hasher = SipHasher13::new_with_keys(self.seed[0], self.seed[1]);
                hasher.write_u64(policy);
                hasher.write(key);
                hasher.finish()
            }
        };
        Fingerprint(hash >> (u64::BITS - BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_recovered_from_its_tag_and_any_place_in_its_window() {
        let hasher = KeyHasher::new(KeyHash::Fast);
        for (window, homes) in [
            (8, 8 * HOMES_PER_WINDOW_MIN),
            (8, 1_000_003),
            (32, 32 * HOMES_PER_WINDOW_MIN),
        ] {
            for key in 0..10_000_u64 {
                let fingerprint = hasher.hash(7, &key.to_le_bytes());
                for offset in 0..window {
                    let last = fingerprint.home(homes) + offset;
                    assert_eq!(
                        Fingerprint::recover(fingerprint.tag(), last, window, homes),
                        Some(fingerprint),
                        "{homes} homes, {offset} from home"
                    );
                }
            }
        }
    }

    #[test]
    fn policies_and_seeds_make_other_fingerprints() {
        for kind in [KeyHash::Fast, KeyHash::Strong] {
            let (one, other) = (KeyHasher::new(kind), KeyHasher::new(kind));
            assert_ne!(one.hash(1, b"ann"), one.hash(2, b"ann"));
            assert_ne!(one.hash(1, b"ann"), other.hash(1, b"ann"));
            let again = KeyHasher::with_seed(kind, one.seed());
            assert_eq!(one.hash(1, b"ann"), again.hash(1, b"ann"));
        }
    }

    #[test]
    fn another_hash_gives_another_sample() {
        let sample = |kind, seed| KeyHasher::with_seed(kind, seed).sample();
        let one = sample(KeyHash::Fast, [1, 2]);
        assert_eq!(one, sample(KeyHash::Fast, [1, 2]));
        assert_ne!(one, sample(KeyHash::Strong, [1, 2]));
        assert_ne!(one, sample(KeyHash::Fast, [1, 3]));
    }
}
