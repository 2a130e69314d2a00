//! The fields of a trace (W3C Trace Context): `traceparent`, read strictly and written, and `tracestate`, which is others'.

use std::fmt::{self, Write};

use http::HeaderMap;

use super::{SpanId, TraceId};

/// The longest `tracestate` that goes into spans, over all its lines; W3C asks for no more.
const STATE_BYTES_MAX: usize = 512;

/// What `traceparent` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// Whether the caller records it.
    pub(super) sampled: bool,
}

impl Context {
    /// The context of a request, if it has one and only one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all("traceparent").iter();
        let (line, None) = (lines.next()?, lines.next()) else {
            return None;
        };
        Context::parse(line.as_bytes())
    }

    /// Of a version that is not known, as much as is known.
    fn parse(text: &[u8]) -> Option<Self> {
        let (known, further) = text.split_at_checked(55)?;
        let [version] = bytes(&known[..2])?;
        let is_whole = match version {
            0 => further.is_empty(),
            0xff => false,
            _ => further.first().is_none_or(|byte| *byte == b'-'),
        };
        let apart = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let (trace, span) = (bytes(&known[3..35])?, bytes(&known[36..52])?);
        let [flags] = bytes(&known[53..])?;
        let is_none = trace == [0; 16] || span == [0; 8];
        (is_whole && apart && !is_none).then_some(Context {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// A number that is as good as random, and the same for everybody who has part in the trace.
    pub(super) fn dice(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.trace;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// As version 00 writes it.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", hex(&self.trace), hex(&self.span))
    }
}

/// `tracestate`, its lines as one; `None` where it is none, or too long to be kept.
pub(super) fn state(headers: &HeaderMap) -> Option<String> {
    let mut state = String::new();
    for line in headers.get_all("tracestate") {
        let line = line.to_str().ok()?;
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(line);
        if state.len() > STATE_BYTES_MAX {
            return None;
        }
    }
    Some(state).filter(|state| !state.is_empty())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Bytes from lower-case hexadecimal digits.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<Context> {
        Context::parse(text.as_bytes())
    }

    #[test]
    fn what_is_read_is_what_is_written() {
        let context = read(GOOD).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.dice(), 0x8448_eb21_1c80_319c);
        let not = GOOD.replace("-01", "-00");
        assert_eq!(read(&not).unwrap().to_string(), not);
        // Other flags than ours are not passed on.
        assert_eq!(read(&GOOD.replace("-01", "-ff")).unwrap().to_string(), GOOD);
    }

    #[test]
    fn what_is_no_context_by_the_letter_is_none() {
        for wrong in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &GOOD.replace("00-", "ff-"),
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7", "0ag7"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("-b7", "_b7"),
            &GOOD.replace("cd43", "\u{e4}43"),
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        // A later version may say more.
        assert!(read(&GOOD.replace("00-", "cc-")).is_some());
        assert!(read(&format!("{}-what", GOOD.replace("00-", "cc-"))).is_some());
        assert!(read(&format!("{}what", GOOD.replace("00-", "cc-"))).is_none());
    }

    #[test]
    fn two_contexts_are_none_and_a_state_has_a_bound() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static(GOOD));
        headers.append("tracestate", HeaderValue::from_static("a=1"));
        headers.append("tracestate", HeaderValue::from_static("b=2"));
        assert!(Context::of(&headers).is_some());
        assert_eq!(state(&headers).unwrap(), "a=1,b=2");
        let long = HeaderValue::try_from("c".repeat(STATE_BYTES_MAX)).unwrap();
        headers.append("tracestate", long);
        assert_eq!(state(&headers), None);
        headers.append("traceparent", HeaderValue::from_static(GOOD));
        assert_eq!(Context::of(&headers), None);
    }
}
