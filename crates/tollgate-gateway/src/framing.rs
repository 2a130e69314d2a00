//! Where the body of a message ends (RFC 9112, section 6.3), and taking it out of what was read.

use bytes::{Buf, Bytes, BytesMut};
use httparse::Status;

/// The longest line of a chunk's size. Its extensions are dropped.
const SIZE_LINE_BYTES_MAX: usize = 4 << 10;
/// What the trailer fields of a message may take. They are dropped: who wants them would have to say so.
const TRAILERS_BYTES_MAX: usize = 16 << 10;
const TRAILERS_MAX: usize = 64;

/// Why a body cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// It is not framed as it should be.
    #[error("{0}")]
    Malformed(&'static str),
    /// The connection was closed before its end.
    #[error("the body breaks off")]
    BrokenOff,
}

/// What says where a body ends, less what has been taken of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It ends after this many bytes.
    Length(u64),
    /// It is chunked, and the size of a chunk comes next.
    ChunkSize,
    /// It is chunked, and this much of a chunk comes next, with the end of its line.
    Chunk(u64),
    /// It is chunked, and what comes behind the last chunk comes next.
    Trailers,
    /// It ends with the connection.
    UntilClose,
}

impl Framing {
    /// No body, or one that has been taken whole.
    pub const ENDED: Framing = Framing::Length(0);

    /// How much is still to be taken, if that is known.
    pub fn bytes_left(self) -> Option<u64> {
        match self {
            Framing::Length(left) => Some(left),
            _ => None,
        }
    }

    /// The next part of the body, which is not copied; `None` at its end, and where more has to be read first.
    ///
    /// # Errors
    /// Chunks or trailer fields that are malformed, or larger than they may be.
    pub fn take(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, FramingError> {
        loop {
            match self {
                Framing::Length(left) => return Ok(part(left, read)),
                Framing::UntilClose => return Ok((!read.is_empty()).then(|| read.split().freeze())),
                Framing::Chunk(0) => {
                    if read.len() < 2 {
                        return Ok(None);
                    }
                    if !read.starts_with(b"\r\n") {
                        return Err(FramingError::Malformed("a chunk is longer than it says"));
                    }
                    read.advance(2);
                    *self = Framing::ChunkSize;
                }
                Framing::Chunk(left) => return Ok(part(left, read)),
                Framing::ChunkSize => match httparse::parse_chunk_size(read) {
                    // The parser takes a line without a digit for a zero.
                    Ok(Status::Complete((line_bytes, size)))
                        if line_bytes <= SIZE_LINE_BYTES_MAX
                            && read[0].is_ascii_hexdigit()
                            && is_one_line(&read[..line_bytes]) =>
                    {
                        read.advance(line_bytes);
                        *self = match size {
                            0 => Framing::Trailers,
                            size => Framing::Chunk(size),
                        };
                    }
                    Ok(Status::Partial) if read.len() < SIZE_LINE_BYTES_MAX => return Ok(None),
                    _ => return Err(FramingError::Malformed("a chunk has no usable size")),
                },
                Framing::Trailers => {
                    let mut trailers = [httparse::EMPTY_HEADER; TRAILERS_MAX];
                    match httparse::parse_headers(read, &mut trailers) {
                        Ok(Status::Complete((bytes, _)))
                            if bytes <= TRAILERS_BYTES_MAX
                                && !has_bare_line_feed(&read[..bytes]) =>
                        {
                            read.advance(bytes);
                            *self = Framing::ENDED;
                        }
                        Ok(Status::Partial) if read.len() < TRAILERS_BYTES_MAX => return Ok(None),
                        _ => return Err(FramingError::Malformed("the trailer is malformed")),
                    }
                }
            }
        }
    }

    /// The connection is closed, and nothing that was read is left.
    ///
    /// # Errors
    /// The body has not ended.
    pub fn close(&mut self) -> Result<(), FramingError> {
        match self {
            Framing::UntilClose | &mut Framing::ENDED => {
                *self = Framing::ENDED;
                Ok(())
            }
            _ => Err(FramingError::BrokenOff),
        }
    }
}

/// What is there of the next `left` bytes, if anything is.
fn part(left: &mut u64, read: &mut BytesMut) -> Option<Bytes> {
    let bytes = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
    *left -= bytes as u64;
    (bytes > 0).then(|| read.split_to(bytes).freeze())
}

/// Whether a chunk's first line is one for everybody: some take a bare line feed for the end of a line.
fn is_one_line(line: &[u8]) -> bool {
    let extensions = line.strip_suffix(b"\r\n").unwrap_or(line);
    extensions
        .iter()
        .all(|byte| *byte == b'\t' || *byte >= b' ')
}

/// Whether a line of a head or a trailer ends with LF alone. The parser takes that for its end, and others take it for a
/// part of a field's value (RFC 9112, section 2.2): one of them would see a field that the other does not.
pub fn has_bare_line_feed(lines: &[u8]) -> bool {
    let mut before = 0;
    lines.iter().any(|byte| {
        let is_bare = *byte == b'\n' && before != b'\r';
        before = *byte;
        is_bare
    })
}

/// A length, of digits alone: the standard parser takes a sign as well.
pub fn length(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body comes to that is read in these pieces; and what is left behind it, or why it is refused.
    fn taken<'p>(
        mut framing: Framing,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> (Vec<u8>, Result<Vec<u8>, FramingError>) {
        let (mut body, mut read) = (Vec::new(), BytesMut::new());
        for piece in pieces {
            read.extend_from_slice(piece);
            loop {
                match framing.take(&mut read) {
                    Ok(Some(part)) => body.extend_from_slice(&part),
                    Ok(None) => break,
                    Err(error) => return (body, Err(error)),
                }
            }
        }
        let closed = framing.close();
        (body, closed.map(|()| read.to_vec()))
    }

    /// All ways to cut bytes in two, and byte for byte.
    fn cut(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
        let in_two = (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
        in_two.chain([bytes.chunks(1).collect()])
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        for (framing, bytes, body, rest) in [
            (Framing::Length(5), &b"hello"[..], &b"hello"[..], &b""[..]),
            (Framing::Length(5), b"hello, more", b"hello", b", more"),
            (Framing::ENDED, b"x", b"", b"x"),
            (
                Framing::ChunkSize,
                b"5\r\nhello\r\n0\r\n\r\n",
                b"hello",
                b"",
            ),
            (
                Framing::ChunkSize,
                b"5;a=\"b\"\r\nhello\r\n00A ;x\r\n, and more\r\n0\r\nx: y\r\nz: 1\r\n\r\nHTTP",
                b"hello, and more",
                b"HTTP",
            ),
            (Framing::ChunkSize, b"0\r\n\r\n", b"", b""),
            (Framing::UntilClose, b"all of it", b"all of it", b""),
        ] {
            for pieces in cut(bytes) {
                let (taken, left) = taken(framing, pieces.clone());
                assert_eq!((&taken[..], &left.unwrap()[..]), (body, rest), "{pieces:?}");
            }
        }
    }

    #[test]
    fn half_a_body_is_never_a_whole_one() {
        for (framing, bytes) in [
            (Framing::Length(5), &b"hello"[..]),
            (
                Framing::ChunkSize,
                b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx: y\r\n\r\n",
            ),
        ] {
            for end in 0..bytes.len() {
                let (_, closed) = taken(framing, [&bytes[..end]]);
                assert!(
                    matches!(closed, Err(FramingError::BrokenOff)),
                    "{end} of {bytes:?} passed"
                );
            }
        }
    }

    #[test]
    fn chunks_that_are_framed_wrongly_are_refused_however_they_are_cut() {
        let long = |piece: &[u8], times| [&b"1"[..], &piece.repeat(times)].concat();
        let trailers = |times| [&b"0\r\n"[..], &b"a: b\r\n".repeat(times), b"\r\n"].concat();
        for bytes in [
            b"\r\n\r\n".to_vec(),
            b";x\r\n\r\n".to_vec(),
            b"-1\r\n".to_vec(),
            b"+1\r\na\r\n".to_vec(),
            b"0x1\r\na\r\n".to_vec(),
            b"1\na\r\n".to_vec(),
            b"1;\nx\r\na\r\n".to_vec(),
            b"1;\0\r\na\r\n".to_vec(),
            b"g\r\n".to_vec(),
            b"1 1\r\n".to_vec(),
            b"11111111111111111\r\n".to_vec(),
            b"1\r\nab\r\n".to_vec(),
            b"1\r\na\n\r\n".to_vec(),
            b"0\r\nno field\r\n\r\n".to_vec(),
            b"0\r\n folded\r\n\r\n".to_vec(),
            b"0\r\na: b\n\r\n".to_vec(),
            b"0\r\na: b\r\n\n".to_vec(),
            b"0\r\n\n".to_vec(),
            long(b";x", 4 << 10),
            trailers(TRAILERS_MAX + 1),
            [b"0\r\na: ", &b"b".repeat(TRAILERS_BYTES_MAX)[..]].concat(),
        ] {
            for pieces in cut(&bytes).step_by(1 + bytes.len() / 100) {
                let (_, refused) = taken(Framing::ChunkSize, pieces);
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
                assert!(
                    matches!(refused, Err(FramingError::Malformed(_))),
                    "{shown:?}"
                );
            }
        }
        let (_, closed) = taken(Framing::ChunkSize, [&trailers(TRAILERS_MAX)[..]]);
        assert!(closed.is_ok());
    }
}
