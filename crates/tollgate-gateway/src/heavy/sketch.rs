//! The most frequent of any number of items, in a fixed number of places: Space-Saving (Metwally, Agrawal and El Abbadi,
//! 2005).
//!
//! A newcomer takes the place of the item with the smallest count, and that count is what its own may be too large by.
//! So a count is never too small, its error is at most what was counted in all divided by the places, and an item that
//! came more often than that has a place.

/// A sketch with `PLACES` places.
#[derive(Debug)]
pub(super) struct Sketch<T, const PLACES: usize> {
    /// Beside the entries, so that a search reads little.
    hashes: Vec<u64>,
    entries: Vec<Entry<T>>,
    /// Everything that was counted.
    total: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Entry<T> {
    pub(super) item: T,
    /// How often it came, at most.
    pub(super) count: u64,
    /// How much of that may be of others.
    pub(super) error: u64,
}

impl<T, const PLACES: usize> Default for Sketch<T, PLACES> {
    fn default() -> Self {
        Sketch {
            hashes: Vec::new(),
            entries: Vec::new(),
            total: 0,
        }
    }
}

impl<T, const PLACES: usize> Sketch<T, PLACES> {
    /// Counts an item once; `hash` is what it is known by.
    pub(super) fn add(&mut self, hash: u64, item: impl FnOnce() -> T) {
        self.total += 1;
        if let Some(place) = self.hashes.iter().position(|known| *known == hash) {
            self.entries[place].count += 1;
        } else if self.entries.len() < PLACES {
            let (item, count, error) = (item(), 1, 0);
            self.hashes.push(hash);
            self.entries.push(Entry { item, count, error });
        } else if let Some(place) = self.smallest() {
            let error = self.entries[place].count;
            let (item, count) = (item(), error + 1);
            self.hashes[place] = hash;
            self.entries[place] = Entry { item, count, error };
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Entry<T>)> {
        self.hashes.iter().copied().zip(&self.entries)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// How many entries fit before memory would grow.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.entries.capacity()
    }

    /// How often an item may have come that has no place.
    pub(super) fn absent_max(&self) -> u64 {
        let full = self.entries.len() == PLACES;
        let smallest = self.smallest().filter(|_| full);
        smallest.map_or(0, |place| self.entries[place].count)
    }

    fn smallest(&self) -> Option<usize> {
        let places = self.entries.iter().enumerate();
        let smallest = places.min_by_key(|(_, entry)| entry.count);
        smallest.map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_never_too_small_and_its_error_is_bounded() {
        let mut sketch = Sketch::<u64, 8>::default();
        let mut truth = std::collections::HashMap::new();
        let mut random = 1_u64;
        for _ in 0..10_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let item = match random >> 62 {
                0 | 1 => random >> 40,
                _ => (random >> 60) & 3,
            };
            *truth.entry(item).or_insert(0_u64) += 1;
            sketch.add(item, || item);
        }
        assert_eq!((sketch.total(), sketch.entries.len()), (10_000, 8));
        for (hash, entry) in sketch.entries() {
            let came = truth[&entry.item];
            assert_eq!(hash, entry.item);
            assert!(entry.count >= came && entry.count - entry.error <= came);
            assert!(entry.error <= 10_000 / 8);
        }
        for (item, came) in truth {
            let has_place = sketch.hashes.contains(&item);
            assert!(has_place || came <= sketch.absent_max(), "{item}: {came}");
        }
    }
}
