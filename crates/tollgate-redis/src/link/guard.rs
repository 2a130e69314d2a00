//! A stream that lets only replies of a bounded size through: the parser behind it would make room for whatever a length
//! promises.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest reply, in bytes.
pub(super) const REPLY_BYTES_MAX: u64 = 1 << 20;
/// The longest line: a length, a number, an error.
const LINE_BYTES_MAX: usize = 4096;
/// Elements of one array.
const ITEMS_MAX: u64 = 20_000;
const DEPTH_MAX: usize = 8;

/// A stream of RESP2 replies.
pub(super) struct Guarded<S> {
    stream: S,
    scan: Scan,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S) -> Self {
        let scan = Scan::default();
        Guarded { stream, scan }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let scanned = self.scan.take(&buffer.filled()[before..]);
        Poll::Ready(scanned.map_err(|reason| Error::new(ErrorKind::InvalidData, reason)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where in a reply the stream is.
#[derive(Debug, Default)]
struct Scan {
    /// The line so far, if it is not whole.
    line: Vec<u8>,
    /// Bytes of a string that are to come, with its line's end.
    string: u64,
    /// Items that are to come, of each array that is open.
    open: Vec<u64>,
    /// Bytes of this reply.
    bytes: u64,
}

impl Scan {
    fn take(&mut self, mut bytes: &[u8]) -> std::result::Result<(), &'static str> {
        while !bytes.is_empty() {
            let taken = match self.string {
                0 => self.take_line(bytes)?,
                left => {
                    let taken = left.min(bytes.len() as u64);
                    self.string -= taken;
                    self.count(taken)?;
                    if self.string == 0 {
                        self.item();
                    }
                    taken as usize
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> std::result::Result<(), &'static str> {
        self.bytes += bytes;
        if self.bytes > REPLY_BYTES_MAX {
            return Err("a reply of more than 1 MiB");
        }
        Ok(())
    }

    fn take_line(&mut self, bytes: &[u8]) -> std::result::Result<usize, &'static str> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.is_empty() && !b"+-:$*".contains(&bytes[0]) {
            return Err(
                "a reply that does not begin as one; does the server speak another protocol, or TLS?",
            );
        }
        if self.line.len() + taken > LINE_BYTES_MAX {
            return Err("a line that does not end");
        }
        self.line.extend_from_slice(&bytes[..taken]);
        self.count(taken as u64)?;
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.end_line(&line)?;
        }
        Ok(taken)
    }

    fn end_line(&mut self, line: &[u8]) -> std::result::Result<(), &'static str> {
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or("a line without its proper end")?;
        match line[0] {
            b'$' => match length(line)? {
                None => self.item(),
                Some(length) if length > REPLY_BYTES_MAX => {
                    return Err("a string of more than 1 MiB");
                }
                Some(length) => self.string = length + 2,
            },
            b'*' => match length(line)? {
                None | Some(0) => self.item(),
                Some(items) if items > ITEMS_MAX => {
                    return Err("an array of more than 20,000 items");
                }
                Some(_) if self.open.len() == DEPTH_MAX => {
                    return Err("arrays within more than eight others");
                }
                Some(items) => self.open.push(items),
            },
            _ => self.item(),
        }
        Ok(())
    }

    /// A whole item has come; with it perhaps the arrays that it was the last of, and the reply.
    fn item(&mut self) {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
        self.bytes = 0;
    }
}

fn length(line: &[u8]) -> std::result::Result<Option<u64>, &'static str> {
    let text = std::str::from_utf8(&line[1..]).map_err(|_| "a length that is no number")?;
    match text {
        "-1" => Ok(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => text
            .parse()
            .map(Some)
            .map_err(|_| "a length that is no number"),
        _ => Err("a length that is no number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken whole, and byte by byte: both say the same.
    fn verdict(bytes: &[u8]) -> std::result::Result<(), &'static str> {
        let whole = Scan::default().take(bytes);
        let mut scan = Scan::default();
        let apart = bytes.iter().try_for_each(|byte| scan.take(&[*byte]));
        assert_eq!(whole, apart, "{:?}", String::from_utf8_lossy(bytes));
        whole
    }

    #[test]
    fn replies_pass_whole_or_in_pieces() {
        for reply in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":-5\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "$4\r\na\r\nb\r\n",
        ] {
            assert_eq!(verdict(reply.as_bytes()), Ok(()));
            let nested = format!("*2\r\n*1\r\n{reply}{reply}:1\r\n");
            assert_eq!(verdict(nested.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn a_stream_of_replies_is_as_long_as_it_likes() {
        let mut scan = Scan::default();
        let reply = format!("*1\r\n$100000\r\n{}\r\n", "x".repeat(100_000));
        assert!((0..100).all(|_| scan.take(reply.as_bytes()).is_ok()));
    }

    #[test]
    fn what_promises_too_much_is_refused_at_its_promise() {
        for promise in [
            "$1048577\r\n",
            "$99999999999999999999\r\n",
            "*20001\r\n",
            "*1000000000\r\n",
            "$-2\r\n",
            "$x\r\n",
            "*\u{fc}\r\n",
            "$+5\r\n",
        ] {
            assert!(verdict(promise.as_bytes()).is_err(), "{promise}");
        }
        assert!(verdict("*1\r\n".repeat(9).as_bytes()).is_err());
        assert!(verdict(format!("+{}", "x".repeat(LINE_BYTES_MAX)).as_bytes()).is_err());
        let large = format!("$600000\r\n{}\r\n", "x".repeat(600_000));
        assert!(verdict(large.as_bytes()).is_ok());
        assert!(verdict(format!("*2\r\n{large}{large}").as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for junk in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\u{15}\u{3}\u{3}",
            "\r\n",
            "+OK\n",
            "%1\r\n",
            ">2\r\n",
        ] {
            assert!(verdict(junk.as_bytes()).is_err(), "{junk}");
        }
    }
}
