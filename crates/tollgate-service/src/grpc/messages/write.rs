//! An answer as the bytes of a message.

use prost::Message;

use super::{CurrentLimit, DescriptorStatus, HeaderValue, RateLimitResponse};

/// Writes an answer behind what is there.
pub(crate) fn answer(answer: &RateLimitResponse, out: &mut Vec<u8>) {
    number(1, answer.overall_code as u64, out);
    for each in &answer.statuses {
        nested(2, out, |out| status(each, out));
    }
    for HeaderValue { key, value } in &answer.response_headers_to_add {
        nested(3, out, |out| {
            bytes(1, key.as_str().as_bytes(), out);
            bytes(2, value.as_bytes(), out);
        });
    }
    bytes(5, &answer.raw_body, out);
    if let Some(metadata) = &answer.dynamic_metadata {
        nested(6, out, |out| out.extend(metadata.encode_to_vec()));
    }
}

fn status(status: &DescriptorStatus, out: &mut Vec<u8>) {
    number(1, status.code as u64, out);
    if let Some(limit) = &status.current_limit {
        nested(2, out, |out| current_limit(limit, out));
    }
    number(3, status.limit_remaining.into(), out);
    if let Some(duration) = &status.duration_until_reset {
        nested(4, out, |out| {
            number(1, duration.seconds as u64, out);
            number(2, duration.nanos as u64, out);
        });
    }
}

fn current_limit(limit: &CurrentLimit, out: &mut Vec<u8>) {
    number(1, limit.requests_per_unit.into(), out);
    number(2, limit.unit as u64, out);
    bytes(3, limit.name.as_bytes(), out);
    if let Some(multiplier) = limit.unit_multiplier {
        nested(4, out, |out| number(1, multiplier.into(), out));
    }
}

const NUMBER: u8 = 0;
const BYTES: u8 = 2;

/// 0 is not written: it is what a field is that is not there.
fn number(tag: u8, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(tag << 3 | NUMBER);
        varint(number, out);
    }
}

/// Likewise.
fn bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.push(tag << 3 | BYTES);
        varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number > 127 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A message within the message.
fn nested(tag: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[tag << 3 | BYTES, 0]);
    let begin = out.len();
    write(out);
    // Nearly all are so short that their length is one byte. The others are moved.
    match u8::try_from(out.len() - begin) {
        Ok(length @ ..128) => out[begin - 1] = length,
        _ => {
            let mut length = Vec::new();
            varint((out.len() - begin) as u64, &mut length);
            out.splice(begin - 1..begin, length);
        }
    }
}
