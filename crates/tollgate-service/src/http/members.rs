//! JSON as answers have it: members whose names are known, written in their order.
//!
//! Every decision is written so. A serializer looks through each name for what it may not hold.

use itoa::Buffer;

/// Bytes of most answers.
const USUAL_BYTES: usize = 768;

/// An object that is being written: every member ends with a comma until the object is closed.
pub(super) struct Members(Vec<u8>);

impl Members {
    /// An object without members.
    pub(super) fn open() -> Self {
        let mut json = Vec::with_capacity(USUAL_BYTES);
        json.push(b'{');
        Members(json)
    }

    /// The whole object.
    pub(super) fn close(mut self) -> Vec<u8> {
        self.end(b'{', b'}');
        self.0
    }

    fn end(&mut self, opened: u8, closing: u8) {
        if self.0.last() == Some(&opened) {
            self.0.push(closing);
        } else if let Some(comma) = self.0.last_mut() {
            *comma = closing;
        }
    }

    // Copies of a known length are a few instructions, and calls of others: so all that is written by name is inlined.
    #[inline(always)]
    fn name(&mut self, name: &'static str) {
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    #[inline(always)]
    pub(super) fn bool(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.0
            .extend_from_slice(if value { b"true," } else { b"false," });
    }

    #[inline(always)]
    pub(super) fn number(&mut self, name: &'static str, value: impl Into<Option<u64>>) {
        self.name(name);
        match value.into() {
            Some(number) => {
                let mut digits = Buffer::new();
                self.0.extend_from_slice(digits.format(number).as_bytes());
            }
            None => self.0.extend_from_slice(b"null"),
        }
        self.0.push(b',');
    }

    #[inline(always)]
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if value.bytes().all(is_plain) {
            self.0.push(b'"');
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        } else {
            // Writing into memory does not fail, nor does a string.
            let _ = serde_json::to_writer(&mut self.0, value);
        }
        self.0.push(b',');
    }

    /// A list of objects, of which `write` writes each.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Self),
    ) {
        self.name(name);
        self.0.push(b'[');
        for item in items {
            self.0.push(b'{');
            write(item, self);
            self.end(b'{', b'}');
            self.0.push(b',');
        }
        self.end(b'[', b']');
        self.0.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let text = "a \"b\" \\ \n \u{7f} \u{1} ö";
        let mut members = Members::open();
        members.text("text", text);
        members.bool("yes", true);
        members.bool("no", false);
        members.number("most", u64::MAX);
        members.number("none", None);
        members.list("empty", [(); 0], |(), _| {});
        members.list("list", [1, 2], |item, members| members.number("n", item));
        members.list("objects", [()], |(), _| {});
        let read: serde_json::Value = serde_json::from_slice(&members.close()).unwrap();
        let meant = json!({
            "text": text, "yes": true, "no": false, "most": u64::MAX, "none": null,
            "empty": [], "list": [{ "n": 1 }, { "n": 2 }], "objects": [{}],
        });
        assert_eq!(read, meant);
        assert_eq!(Members::open().close(), b"{}");
    }
}
