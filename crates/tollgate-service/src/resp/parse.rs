//! From bytes to commands: RESP arrays of bulk strings, and inline commands. Nothing is copied.
//!
//! What is not whole is parsed again from its beginning when more has come; a command is short enough for that.

use std::ops::Range;

use smallvec::SmallVec;

/// The arguments of one command: where they are in the bytes.
pub(super) type Args = SmallVec<[Range<usize>; 8]>;

/// The longest number of a length line, with its ends: `*` or `$`, digits, CR, LF.
const LENGTH_LINE_BYTES_MAX: usize = 24;

/// How large a command may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Arguments, with the command's name.
    pub(super) args_max: usize,
    /// Bytes of one argument.
    pub(super) bulk_bytes_max: usize,
    /// Bytes of a whole command.
    pub(super) command_bytes_max: usize,
}

/// Before a client has said who it is.
pub(super) const STRANGER: Bounds = Bounds {
    args_max: 10,
    bulk_bytes_max: 1024,
    command_bytes_max: 8 << 10,
};

/// Afterwards.
pub(super) const KNOWN: Bounds = Bounds {
    args_max: 64,
    bulk_bytes_max: 4 << 10,
    command_bytes_max: 64 << 10,
};

/// What is no command. The connection is closed behind the answer: where the next command begins is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("invalid multibulk length")]
    ArgsCount,
    #[error("invalid bulk length")]
    BulkLength,
    #[error("expected '$', got '{0}'")]
    NoBulk(char),
    #[error("a bulk string does not end where it says")]
    BulkEnd,
    #[error("too big inline request")]
    InlineTooBig,
    #[error("too big request")]
    TooBig,
}

/// The first command in `bytes`: its arguments into `args`, and how many bytes it takes; `None` if it is not whole yet.
/// A command without arguments means nothing.
pub(super) fn parse(
    bytes: &[u8],
    bounds: &Bounds,
    args: &mut Args,
) -> Result<Option<usize>, ProtocolError> {
    args.clear();
    let parsed = match bytes.first() {
        None => return Ok(None),
        Some(b'*') => array(bytes, bounds, args)?,
        Some(_) => inline(bytes, bounds, args)?,
    };
    let taken = parsed.unwrap_or(bytes.len());
    match (parsed, taken > bounds.command_bytes_max) {
        (None, false) => Ok(None),
        (Some(taken), false) => Ok(Some(taken)),
        // A whole one is refused too, so that how the bytes were cut makes no difference.
        (_, true) => Err(ProtocolError::TooBig),
    }
}

fn array(bytes: &[u8], bounds: &Bounds, args: &mut Args) -> Result<Option<usize>, ProtocolError> {
    let Some((count, mut at)) = length(bytes, 1).map_err(|()| ProtocolError::ArgsCount)? else {
        return Ok(None);
    };
    let count = usize::try_from(count).unwrap_or(0);
    if count > bounds.args_max {
        return Err(ProtocolError::ArgsCount);
    }
    for _ in 0..count {
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::NoBulk(shown(*other))),
        }
        let found = length(bytes, at + 1).map_err(|()| ProtocolError::BulkLength)?;
        let Some((size, start)) = found else {
            return Ok(None);
        };
        let size = usize::try_from(size).ok();
        let size = size.filter(|size| *size <= bounds.bulk_bytes_max);
        let end = start + size.ok_or(ProtocolError::BulkLength)?;
        match bytes.get(end..) {
            Some([b'\r', b'\n', ..]) => {}
            None | Some([] | [b'\r']) => return Ok(None),
            Some(_) => return Err(ProtocolError::BulkEnd),
        }
        args.push(start..end);
        at = end + 2;
    }
    Ok(Some(at))
}

/// The number that begins at `at` and ends with CR LF, and where what follows begins; `None` if it is not whole.
fn length(bytes: &[u8], at: usize) -> Result<Option<(i64, usize)>, ()> {
    let line = bytes.get(at..).unwrap_or_default();
    let negative = line.first() == Some(&b'-');
    let mut number = 0i64;
    for (place, byte) in line.iter().enumerate().take(LENGTH_LINE_BYTES_MAX) {
        match byte {
            b'0'..=b'9' => {
                let digit = i64::from(byte - b'0');
                number = number
                    .checked_mul(10)
                    .and_then(|ten| ten.checked_add(digit))
                    .ok_or(())?;
            }
            b'-' if place == 0 => {}
            b'\r' if place > usize::from(negative) => {
                return match line.get(place + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some((
                        if negative { -number } else { number },
                        at + place + 2,
                    ))),
                    Some(_) => Err(()),
                };
            }
            _ => return Err(()),
        }
    }
    match line.len() < LENGTH_LINE_BYTES_MAX {
        true => Ok(None),
        false => Err(()),
    }
}

/// Words between blanks; quotes mean nothing.
fn inline(bytes: &[u8], bounds: &Bounds, args: &mut Args) -> Result<Option<usize>, ProtocolError> {
    let window = &bytes[..bytes.len().min(bounds.bulk_bytes_max)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return match window.len() < bounds.bulk_bytes_max {
            true => Ok(None),
            false => Err(ProtocolError::InlineTooBig),
        };
    };
    let mut at = 0;
    for word in bytes[..end].split(u8::is_ascii_whitespace) {
        if !word.is_empty() {
            if args.len() == bounds.args_max {
                return Err(ProtocolError::ArgsCount);
            }
            args.push(at..at + word.len());
        }
        at += word.len() + 1;
    }
    Ok(Some(end + 1))
}

fn shown(byte: u8) -> char {
    match byte.is_ascii_graphic() {
        true => char::from(byte),
        false => '?',
    }
}

#[cfg(test)]
mod tests;
