//! Just enough HTTP/1.1 for tests, over blocking streams: heads, and the three ways a body is framed.

use std::io::{self, BufRead, Read};

/// The first line and the fields of a message, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` when the peer closed before it sent one.
    pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Head>> {
        let Some(start) = line(stream)? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        loop {
            let line = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(Head { start, fields }));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| broken(&format!("no field: {line:?}")))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The value of the first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of every field of this name.
    pub(crate) fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> + use<'h> {
        let name = name.to_owned();
        let same = self
            .fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(&name));
        same.map(|(_, value)| value.as_str())
    }

    /// How the body behind this head is framed; `silent` is what holds when no field says it.
    pub(crate) fn framing(&self, silent: Framing) -> Framing {
        let chunked = self
            .field("transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
        match self.field("content-length").map(str::parse) {
            _ if chunked => Framing::Chunked,
            Some(Ok(length)) => Framing::Length(length),
            _ => silent,
        }
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// With a chunk of no bytes.
    Chunked,
    /// With the connection.
    Close,
}

impl Framing {
    /// The next part of the body as it arrives, empty at its end; what is left is kept in `self`.
    pub(crate) fn part(&mut self, stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
        match self {
            Framing::Length(0) => Ok(Vec::new()),
            Framing::Length(left) => {
                let there = stream.fill_buf()?;
                let part = there[..there.len().min(*left as usize)].to_vec();
                if part.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                stream.consume(part.len());
                *left -= part.len() as u64;
                Ok(part)
            }
            Framing::Close => {
                let part = stream.fill_buf()?.to_vec();
                stream.consume(part.len());
                Ok(part)
            }
            Framing::Chunked => {
                let size = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let digits = size.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(digits, 16)
                    .map_err(|_| broken(&format!("no chunk size: {size:?}")))?;
                let mut part = Vec::new();
                stream.take(size).read_to_end(&mut part)?;
                if part.len() as u64 != size {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                // After the data its line end; after the last chunk the trailers and theirs.
                while !line(stream)?
                    .ok_or(io::ErrorKind::UnexpectedEof)?
                    .is_empty()
                {}
                if size == 0 {
                    *self = Framing::Length(0);
                }
                Ok(part)
            }
        }
    }

    /// The whole body.
    pub(crate) fn whole(mut self, stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let part = self.part(stream)?;
            if part.is_empty() {
                return Ok(body);
            }
            body.extend(part);
        }
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let line = bytes
        .strip_suffix(b"\r\n")
        .or(bytes.strip_suffix(b"\n"))
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(line.iter().map(|byte| char::from(*byte)).collect()))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
