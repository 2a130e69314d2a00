//! Random text from the operating system's generator.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) const BASE62: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The greatest multiple of 62 in a byte: bytes from here on are thrown away, so that every digit is equally likely.
const UNBIASED: u8 = 248;

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 128 random bits as 32 hexadecimal digits.
pub(crate) fn hex_id() -> String {
    hex(&bytes::<16>())
}

/// 256 random bits as 43 characters of base64url.
pub(crate) fn session_secret() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// `digits` random characters of base 62: 5.95 bits each.
pub(crate) fn base62(digits: usize) -> String {
    let mut text = String::with_capacity(digits);
    while text.len() < digits {
        let fresh = bytes::<64>();
        let unbiased = fresh.iter().filter(|byte| **byte < UNBIASED);
        let wanted = digits - text.len();
        text.extend(
            unbiased
                .take(wanted)
                .map(|byte| char::from(BASE62[usize::from(byte % 62)])),
        );
    }
    text
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_promised_and_values_differ() {
        assert_eq!(hex_id().len(), 32);
        assert_eq!(session_secret().len(), 43);
        assert_eq!(base62(30).len(), 30);
        assert_ne!(base62(30), base62(30));
    }

    #[test]
    fn hex_is_lower_case_and_padded() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa0]), "000fa0");
    }
}
