//! From answers to bytes, in RESP2 and RESP3.

/// What is written of a client's own words in an error.
const REPEATED_CHARS_MAX: usize = 128;

/// Replies on their way, in the protocol that the client has chosen.
pub(super) struct Replies<'o> {
    pub(super) out: &'o mut Vec<u8>,
    /// Whether maps and nulls have a form of their own.
    pub(super) resp3: bool,
}

impl Replies<'_> {
    pub(super) fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    pub(super) fn ok(&mut self) {
        self.simple("OK");
    }

    /// `text` begins with the error's code.
    pub(super) fn error(&mut self, text: &str) {
        self.out.push(b'-');
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        let text: String = text.chars().map(plain).collect();
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    pub(super) fn integer(&mut self, number: i64) {
        integer(self.out, b':', number);
    }

    pub(super) fn bulk(&mut self, bytes: &[u8]) {
        integer(self.out, b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    pub(super) fn null(&mut self) {
        self.out
            .extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// So many items follow.
    pub(super) fn array(&mut self, items: usize) {
        integer(self.out, b'*', items as i64);
    }

    /// So many pairs follow; in RESP2 as an array of twice as many.
    pub(super) fn map(&mut self, pairs: usize) {
        match self.resp3 {
            true => integer(self.out, b'%', pairs as i64),
            false => self.array(2 * pairs),
        }
    }

    /// Text that people read.
    pub(super) fn text(&mut self, text: &str) {
        match self.resp3 {
            true => {
                integer(self.out, b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
            false => self.bulk(text.as_bytes()),
        }
    }

    fn line(&mut self, kind: u8, text: &str) {
        self.out.push(kind);
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

fn integer(out: &mut Vec<u8>, kind: u8, number: i64) {
    let mut digits = itoa::Buffer::new();
    out.push(kind);
    out.extend_from_slice(digits.format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A client's word as an error repeats it.
pub(super) fn repeated(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    text.chars().take(REPEATED_CHARS_MAX).collect()
}
