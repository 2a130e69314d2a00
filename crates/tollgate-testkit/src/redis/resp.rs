//! The little of RESP that a test needs to ask a server of its own: one command, one reply.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple string.
    Status(String),
    /// An error, with its code as the first word.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A string.
    Bulk(Vec<u8>),
    /// Nothing.
    Nil,
    /// Several replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a reply that is one; an integer in digits, nothing as an empty text.
    pub fn text(&self) -> String {
        match self {
            Reply::Status(text) => text.clone(),
            Reply::Integer(number) => number.to_string(),
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Nil => String::new(),
            Reply::Error(_) | Reply::Array(_) => panic!("no text: {self:?}"),
        }
    }

    /// The integer.
    pub fn integer(&self) -> i64 {
        self.text().parse().unwrap()
    }

    /// The replies of an array.
    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) => items,
            _ => panic!("no array: {self:?}"),
        }
    }
}

/// Sends a command and reads its reply.
pub fn ask(stream: &mut (impl Read + Write), words: &[&str]) -> Result<Reply> {
    send(stream, words)?;
    read(stream)
}

/// Sends a command.
pub fn send(stream: &mut impl Write, words: &[&str]) -> Result<()> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(command.as_bytes())
}

/// Reads a reply. A map is an array of its names and values.
pub fn read(stream: &mut impl Read) -> Result<Reply> {
    let line = line(stream)?;
    let (kind, rest) = line.split_at(1);
    let number = || rest.parse::<i64>().map_err(|_| broken(&line));
    Ok(match kind {
        "+" => Reply::Status(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Integer(number()?),
        "$" | "*" if number()? < 0 => Reply::Nil,
        "$" => {
            let mut bytes = vec![0; number()? as usize + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Bulk(bytes)
        }
        "_" => Reply::Nil,
        "=" => {
            let mut bytes = vec![0; number()? as usize + 2];
            stream.read_exact(&mut bytes)?;
            Reply::Bulk(bytes[4..bytes.len() - 2].to_vec())
        }
        "*" | "%" => Reply::Array(
            (0..number()? * if kind == "%" { 2 } else { 1 })
                .map(|_| read(stream))
                .collect::<Result<_>>()?,
        ),
        _ => return Err(broken(&line)),
    })
}

/// Byte for byte: nothing behind the reply is taken.
fn line(stream: &mut impl Read) -> Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    match String::from_utf8(line) {
        Ok(line) if !line.is_empty() => Ok(line),
        _ => Err(broken("a line")),
    }
}

fn broken(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("no reply: {line}"))
}
