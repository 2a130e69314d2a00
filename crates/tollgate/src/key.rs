//! Keys: the bytes that identify who is limited.

use smallvec::SmallVec;

/// The longest key that a check may carry, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// A key made of parts that cannot be mistaken for one another: each is preceded by its length.
///
/// ```
/// use tollgate::key::CompositeKey;
///
/// let mut one = CompositeKey::new();
/// one.push(b"ab");
/// one.push(b"c");
/// let mut other = CompositeKey::new();
/// other.push(b"a");
/// other.push(b"bc");
/// assert_ne!(one.as_ref(), other.as_ref());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompositeKey(SmallVec<[u8; 64]>);

impl CompositeKey {
    /// A key without parts.
    pub fn new() -> Self {
        CompositeKey::default()
    }

    /// Adds a part.
    pub fn push(&mut self, part: &[u8]) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(part);
    }
}

/// The first part of a key that was made as [`CompositeKey`]s are; `None` for one without parts, and for other bytes.
///
/// ```
/// use tollgate::key::{CompositeKey, first_part};
///
/// let mut key = CompositeKey::new();
/// key.push(b"ann");
/// key.push(b"192.0.2.1");
/// assert_eq!(first_part(key.as_ref()), Some(&b"ann"[..]));
/// assert_eq!(first_part(b"ann"), None);
/// ```
pub fn first_part(key: &[u8]) -> Option<&[u8]> {
    split(key).map(|(part, _)| part)
}

/// The parts of a key that was made as [`CompositeKey`]s are; `None` for one without parts, and for other bytes.
///
/// ```
/// use tollgate::key::{CompositeKey, parts};
///
/// let mut key = CompositeKey::new();
/// key.push(b"ann");
/// key.push(b"192.0.2.1");
/// let parts: Vec<&[u8]> = parts(key.as_ref()).unwrap().collect();
/// assert_eq!(parts, [&b"ann"[..], b"192.0.2.1"]);
/// assert!(tollgate::key::parts(b"ann").is_none());
/// ```
pub fn parts(key: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut rest = key;
    while !rest.is_empty() {
        (_, rest) = split(rest)?;
    }
    let mut rest = key;
    let parts = std::iter::from_fn(move || {
        let (part, behind) = split(rest)?;
        rest = behind;
        Some(part)
    });
    (!key.is_empty()).then_some(parts)
}

/// The first part, and what stands behind it.
fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = key.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

impl AsRef<[u8]> for CompositeKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_of_a_key_is_found_and_nothing_else_is_taken_for_one() {
        let mut key = CompositeKey::new();
        assert_eq!(first_part(key.as_ref()), None);
        key.push(b"ann");
        key.push(b"192.0.2.1");
        assert_eq!(first_part(key.as_ref()), Some(&b"ann"[..]));
        assert_eq!(first_part(b"anna"), None);
    }

    #[test]
    fn keys_of_other_parts_are_other_keys() {
        let lists: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[b"", b""],
            &[b"abc"],
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc", b""],
            &[b"", b"abc"],
        ];
        let key = |parts: &&[&[u8]]| {
            let mut key = CompositeKey::new();
            parts.iter().for_each(|part| key.push(part));
            key.as_ref().to_vec()
        };
        let keys: std::collections::HashSet<_> = lists.iter().map(key).collect();
        assert_eq!(keys.len(), lists.len());
        for list in &lists[1..] {
            let key = key(list);
            let found: Vec<&[u8]> = parts(&key).unwrap().collect();
            assert_eq!(found, *list);
            assert!(parts(&key[1..]).is_none() && parts(&[&key[..], b"x"].concat()).is_none());
        }
        assert!(parts(b"").is_none());
    }
}
