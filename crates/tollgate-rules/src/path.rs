//! One form for every path: what is matched is what is forwarded, so no spelling dodges a limit.

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path must begin with `/`")]
    NoSlash,
    /// A percent sign without two hexadecimal digits after it.
    #[error("the path has a percent sign without two hexadecimal digits")]
    Percent,
    /// An encoded slash or a backslash, which servers read differently.
    #[error("the path has an encoded slash or a backslash")]
    HiddenSlash,
    /// `;`, behind which some servers hide path parameters from matching.
    #[error("the path has a `;`")]
    Parameter,
    /// A control character, or bytes that are not UTF-8.
    #[error("the path has a control character, or is not UTF-8")]
    Characters,
    /// `..` above the root.
    #[error("the path leads above the root")]
    AboveRoot,
}

/// The one form of a path: no empty or dot segments, percent-encoding only where it is needed and in upper case.
///
/// # Errors
/// A path that servers read differently from each other, or that means nothing.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes())?;
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(PathError::AboveRoot)?;
            }
            segment => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() || ["/", "/.", "/.."].iter().any(|end| decoded.ends_with(end)) {
        normal.push('/');
    }
    Ok(Cow::Owned(normal))
}

/// Whether nothing needs to be done, which is so for almost every path.
fn is_normal(path: &[u8]) -> bool {
    path.iter().all(|byte| is_plain(*byte))
        && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

/// What stands in a path as itself: `pchar` and the slash (RFC 3986, section 3.3), without `;`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,=".contains(&byte)
}

/// Decodes what need not be encoded, and encodes the rest in upper case. Servers read `!` and `%21` alike, so both
/// are one spelling here.
fn decode(path: &[u8]) -> Result<String, PathError> {
    let mut normal = String::with_capacity(path.len());
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match first {
            b'%' => {
                let digits = tail
                    .get(..2)
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                let hex =
                    digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                rest = tail.get(2..).unwrap_or_default();
                u8::from_str_radix(hex.ok_or(PathError::Percent)?, 16)
                    .map_err(|_| PathError::Percent)?
            }
            byte => *byte,
        };
        bytes.push(byte);
        match byte {
            b'\\' => return Err(PathError::HiddenSlash),
            b'/' if *first == b'%' => return Err(PathError::HiddenSlash),
            b';' => return Err(PathError::Parameter),
            0..=0x1f | 0x7f => return Err(PathError::Characters),
            byte if is_plain(byte) => normal.push(char::from(byte)),
            byte => {
                normal.push('%');
                normal.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                normal.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
            }
        }
    }
    std::str::from_utf8(&bytes).map_err(|_| PathError::Characters)?;
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_becomes_one_or_is_refused() {
        let same = [
            "/admin/x",
            "//admin/x",
            "/admin//x",
            "/./admin/x",
            "/admin/./x",
            "/b/../admin/x",
            "/%61dmin/x",
            "/%61%64min/%78",
            "/b/%2e%2e/admin/x",
            "/b/%2E%2e/admin/x",
            "/admin/%2e/x",
        ];
        for path in same {
            assert_eq!(normalise(path).as_deref(), Ok("/admin/x"), "{path}");
        }
        let kept = [
            ("/", "/"),
            ("/a/", "/a/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/%2561", "/%2561"),
            ("/a.b", "/a.b"),
            ("/..a", "/..a"),
        ];
        for (path, normal) in kept {
            assert_eq!(normalise(path).as_deref(), Ok(normal), "{path}");
        }
        let refused = [
            ("", PathError::NoSlash),
            ("admin", PathError::NoSlash),
            ("/%", PathError::Percent),
            ("/%4", PathError::Percent),
            ("/%zz", PathError::Percent),
            ("/%+1", PathError::Percent),
            ("/admin%2Fx", PathError::HiddenSlash),
            ("/admin%2fx", PathError::HiddenSlash),
            ("/admin%5cx", PathError::HiddenSlash),
            ("/admin\\x", PathError::HiddenSlash),
            ("/admin;x=1", PathError::Parameter),
            ("/admin%3b", PathError::Parameter),
            ("/a%00", PathError::Characters),
            ("/a%0d%0a", PathError::Characters),
            ("/%c0%ae", PathError::Characters),
            ("/%ff", PathError::Characters),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("/%2e%2e/b", PathError::AboveRoot),
        ];
        for (path, error) in refused {
            assert_eq!(normalise(path), Err(error), "{path}");
        }
    }

    #[test]
    fn a_normal_path_stays_as_it_is() {
        for path in ["/", "/call_api", "/a/%C3%A9", "/a b", "/x/"] {
            let once = normalise(path).unwrap().into_owned();
            assert_eq!(normalise(&once).unwrap(), once);
        }
    }
}
