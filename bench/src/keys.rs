//! Keys: 16-byte strings and `u64`, made from numbers before the clock starts.

use std::fmt::Write as _;
use std::hash::Hash;

use crate::workload::mixed;

/// A type of key that every limiter here can be asked for.
pub trait Key:
    ToOwned<Owned: Clone + Default + Eq + Hash + Send + Sync> + Eq + Hash + Sync + 'static
{
    /// Its name in tables and on the command line.
    const NAME: &'static str;
    /// Where a stream's keys lie, one behind the other.
    type Store;
    /// Its bytes.
    type Bytes<'k>: AsRef<[u8]>;

    /// The keys of these numbers.
    fn store(numbers: &[u64]) -> Self::Store;

    /// The keys one by one.
    fn cut(store: &Self::Store) -> Vec<&Self>;

    /// As Tollgate takes it.
    fn bytes(&self) -> Self::Bytes<'_>;

    /// Several at once: they themselves where they are bytes, else in a buffer.
    fn batch<'b, 'k: 'b>(
        keys: &'b [&'k Self],
        buffer: &'b mut Vec<Self::Bytes<'k>>,
    ) -> &'b [Self::Bytes<'k>];

    /// As a library takes it that knows strings alone.
    fn text<'a>(&'a self, buffer: &'a mut String) -> &'a str;
}

/// Bytes of a string key.
const TEXT_BYTES: usize = 16;

impl Key for str {
    const NAME: &'static str = "string";
    type Store = String;
    type Bytes<'k> = &'k str;

    fn store(numbers: &[u64]) -> String {
        let mut text = String::with_capacity(numbers.len() * TEXT_BYTES);
        for number in numbers.iter().copied().map(mixed) {
            for nibble in (0..TEXT_BYTES).rev() {
                let digit = (number >> (4 * nibble)) as u32 & 15;
                text.push(char::from_digit(digit, 16).unwrap_or_default());
            }
        }
        text
    }

    fn cut(store: &String) -> Vec<&str> {
        (0..store.len() / TEXT_BYTES)
            .map(|index| &store[index * TEXT_BYTES..(index + 1) * TEXT_BYTES])
            .collect()
    }

    fn bytes(&self) -> &str {
        self
    }

    fn batch<'b, 'k: 'b>(keys: &'b [&'k str], _: &'b mut Vec<&'k str>) -> &'b [&'k str] {
        keys
    }

    fn text<'a>(&'a self, _: &'a mut String) -> &'a str {
        self
    }
}

impl Key for u64 {
    const NAME: &'static str = "u64";
    type Store = Vec<u64>;
    type Bytes<'k> = [u8; 8];

    fn store(numbers: &[u64]) -> Vec<u64> {
        numbers.iter().map(|number| mixed(*number)).collect()
    }

    fn cut(store: &Vec<u64>) -> Vec<&u64> {
        store.iter().collect()
    }

    fn bytes(&self) -> [u8; 8] {
        self.to_ne_bytes()
    }

    fn batch<'b, 'k: 'b>(keys: &'b [&'k u64], buffer: &'b mut Vec<[u8; 8]>) -> &'b [[u8; 8]] {
        buffer.clear();
        buffer.extend(keys.iter().map(|key| key.to_ne_bytes()));
        buffer
    }

    fn text<'a>(&'a self, buffer: &'a mut String) -> &'a str {
        buffer.clear();
        write!(buffer, "{self}").map_or("", |()| buffer.as_str())
    }
}
