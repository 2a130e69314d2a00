//! A request out of the bytes of a message. Its texts stay where they are.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::super::asked::{DESCRIPTORS_MAX, ENTRIES_MAX};
use super::{Entry, RateLimitDescriptor, RateLimitOverride, RateLimitRequest};

/// Bytes that are no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

type Read<T> = Result<T, Malformed>;

/// Reads a request. Of its descriptors, and of the entries of each, one more is read than there may be, so that it is told
/// that they are too many.
pub(crate) fn request(message: &[u8]) -> Read<RateLimitRequest<'_>> {
    let mut request = RateLimitRequest::default();
    let mut fields = Fields(message);
    while let Some((tag, field)) = fields.next()? {
        match tag {
            1 => request.domain = field.text()?,
            2 => {
                let descriptor = descriptor(field.bytes()?)?;
                if request.descriptors.len() <= DESCRIPTORS_MAX {
                    request.descriptors.push(descriptor);
                }
            }
            3 => request.hits_addend = field.number()? as u32,
            _ => {}
        }
    }
    Ok(request)
}

fn descriptor(message: &[u8]) -> Read<RateLimitDescriptor<'_>> {
    let mut descriptor = RateLimitDescriptor::default();
    let mut fields = Fields(message);
    while let Some((tag, field)) = fields.next()? {
        match tag {
            1 => {
                let entry = entry(field.bytes()?)?;
                if descriptor.entries.len() <= ENTRIES_MAX {
                    descriptor.entries.push(entry);
                }
            }
            2 => merge(field.bytes()?, descriptor.limit.get_or_insert_default())?,
            3 => {
                let before = descriptor.hits_addend.unwrap_or(0);
                descriptor.hits_addend = Some(wrapped(field.bytes()?, before)?);
            }
            4 => descriptor.is_negative_hits = field.number()? != 0,
            _ => {}
        }
    }
    Ok(descriptor)
}

fn entry(message: &[u8]) -> Read<Entry<'_>> {
    let mut entry = Entry::default();
    let mut fields = Fields(message);
    while let Some((tag, field)) = fields.next()? {
        match tag {
            1 => entry.key = field.text()?,
            2 => entry.value = field.text()?,
            _ => {}
        }
    }
    Ok(entry)
}

/// A message that is there twice is one: what the second says of it replaces what the first said.
fn merge(message: &[u8], limit: &mut RateLimitOverride) -> Read<()> {
    let mut fields = Fields(message);
    while let Some((tag, field)) = fields.next()? {
        match tag {
            1 => limit.requests_per_unit = field.number()? as u32,
            2 => limit.unit = field.number()? as i32,
            3 => {
                let before = u64::from(limit.unit_multiplier.unwrap_or(0));
                limit.unit_multiplier = Some(wrapped(field.bytes()?, before)? as u32);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A number in a message of its own, which tells that it is there.
fn wrapped(message: &[u8], before: u64) -> Read<u64> {
    let mut number = before;
    let mut fields = Fields(message);
    while let Some((tag, field)) = fields.next()? {
        if tag == 1 {
            number = field.number()?;
        }
    }
    Ok(number)
}

/// What is left of a message: field after field.
struct Fields<'m>(&'m [u8]);

enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// Of a kind that no field has that is known here.
    Other,
}

impl<'m> Fields<'m> {
    #[inline]
    fn next(&mut self) -> Read<Option<(u32, Field<'m>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (tag, kind) = decode_key(&mut self.0).map_err(|_| Malformed)?;
        let field = match kind {
            WireType::Varint => Field::Number(self.number()?),
            WireType::LengthDelimited => {
                let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            kind => {
                let skipped = skip_field(kind, tag, &mut self.0, DecodeContext::default());
                skipped.map_err(|_| Malformed)?;
                Field::Other
            }
        };
        Ok(Some((tag, field)))
    }

    #[inline]
    fn number(&mut self) -> Read<u64> {
        decode_varint(&mut self.0).map_err(|_| Malformed)
    }
}

impl<'m> Field<'m> {
    fn number(&self) -> Read<u64> {
        match self {
            Field::Number(number) => Ok(*number),
            _ => Err(Malformed),
        }
    }

    fn bytes(&self) -> Read<&'m [u8]> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    fn text(&self) -> Read<&'m str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }
}
