//! The text of an API key: `tg_`, 30 random characters of base 62 (178 bits), 6 characters of checksum.
//!
//! The checksum turns typing errors and garbage away before any look-up; it protects nothing else.

use crate::random::{self, BASE62};
use crate::secret::Secret;

/// What every key begins with, for secret scanners: `tg_[0-9A-Za-z]{36}`.
pub const PREFIX: &str = "tg_";

const RANDOM_CHARS: usize = 30;
const CHECKSUM_CHARS: usize = 6;
const BODY_CHARS: usize = PREFIX.len() + RANDOM_CHARS;

pub(crate) fn fresh() -> Secret {
    let mut key = format!("{PREFIX}{}", random::base62(RANDOM_CHARS));
    let check = checksum(key.as_bytes());
    key.extend(check.map(char::from));
    Secret::new(key)
}

/// Whether this could be a key at all: the right shape and the right checksum.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == BODY_CHARS + CHECKSUM_CHARS
        && bytes.starts_with(PREFIX.as_bytes())
        && bytes[PREFIX.len()..].iter().all(u8::is_ascii_alphanumeric)
        && checksum(&bytes[..BODY_CHARS]) == bytes[BODY_CHARS..]
}

/// What lists show of a key: its prefix and its last four characters.
pub(crate) fn hint(key: &Secret) -> String {
    let key = key.expose();
    format!("{PREFIX}...{}", &key[key.len() - 4..])
}

/// CRC-32 in base 62, most significant digit first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [0; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_is_well_formed_and_unlike_the_last() {
        let key = fresh();
        assert!(is_well_formed(key.expose()), "{}", key.expose());
        assert_ne!(key, fresh());
        assert_eq!(hint(&key), format!("tg_...{}", &key.expose()[35..]));
    }

    #[test]
    fn any_single_changed_character_breaks_the_checksum() {
        let key = fresh();
        for place in 0..key.expose().len() {
            let mut changed = key.expose().as_bytes().to_vec();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!is_well_formed(&changed), "{changed}");
        }
    }

    #[test]
    fn garbage_is_not_a_key() {
        let long = "tg_".repeat(400_000);
        let multibyte = format!("tg_{}", "\u{e9}".repeat(18));
        for text in ["", "tg_", "tg", "xx_", "tg_\0", &long, &multibyte] {
            assert!(!is_well_formed(text));
        }
    }
}
