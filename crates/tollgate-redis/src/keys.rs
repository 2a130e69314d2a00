//! The names of keys: readable, of a slot that is chosen, and never two of one name.

use std::fmt::Write;

use tollgate::Check;

/// The version of names and values. What another version wrote is not read.
const FORMAT: u32 = 1;

/// `PREFIX:1:POLICY:{TAG}`, and `:KEY` behind it where the tag is not the key itself. A penalty's blocks are under
/// `POLICY+penalty`.
#[derive(Clone, Debug)]
pub(crate) struct KeyNames {
    prefix: String,
}

impl KeyNames {
    /// Names that begin with `prefix`.
    pub(crate) fn new(prefix: &str) -> Self {
        let mut escaped = String::new();
        escape(&mut escaped, prefix.as_bytes(), b"");
        KeyNames { prefix: escaped }
    }

    /// How all keys begin.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key of a cell whose decision has this tag; without one, the tag is the key itself.
    pub(crate) fn of(&self, cell: &Check<'_>, tag: Option<&[u8]>) -> Vec<u8> {
        let mut name = self.of_all(cell.policy.name());
        let tag = tag.unwrap_or(cell.key);
        name.push('{');
        // An empty tag is none, to a cluster.
        match tag {
            [] => name.push('%'),
            tag => escape(&mut name, tag, b":"),
        }
        name.push('}');
        if tag != cell.key {
            name.push(':');
            escape(&mut name, cell.key, b":");
        }
        name.into_bytes()
    }

    /// What the keys of all cells of a policy begin with, and no others.
    pub(crate) fn of_all(&self, policy: &str) -> String {
        let mut name = format!("{}:{FORMAT}:", self.prefix);
        escape(&mut name, policy.as_bytes(), b"");
        name.push(':');
        name
    }
}

/// Writes letters, digits and what means nothing to anybody as they are, a space as `+`, and every other byte as `%XX`.
fn escape(out: &mut String, bytes: &[u8], also: &[u8]) {
    for &byte in bytes {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-._~/@=,".contains(&byte) => {
                out.push(char::from(byte));
            }
            _ if also.contains(&byte) => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use tollgate::{Penalty, Policy};

    use super::*;

    fn policy(name: &str) -> Arc<Policy> {
        Arc::new(Policy::new(name, "5/m".parse().unwrap()).unwrap())
    }

    fn name(policy: &Arc<Policy>, key: &[u8], tag: Option<&[u8]>) -> String {
        let cost = 1;
        let name = KeyNames::new("tollgate").of(&Check { policy, key, cost }, tag);
        String::from_utf8(name).unwrap()
    }

    #[test]
    fn names_are_those_of_the_documentation() {
        let per_user = policy("per-user.minute");
        type Case<'a> = (&'a [u8], Option<&'a [u8]>, &'a str);
        let cases: [Case<'_>; 6] = [
            (b"ann", None, "tollgate:1:per-user.minute:{ann}"),
            (
                b"2001:db8::1",
                None,
                "tollgate:1:per-user.minute:{2001:db8::1}",
            ),
            (
                b"ann",
                Some(b"acme"),
                "tollgate:1:per-user.minute:{acme}:ann",
            ),
            (b"ann", Some(b"ann"), "tollgate:1:per-user.minute:{ann}"),
            (b"", None, "tollgate:1:per-user.minute:{%}"),
            (
                b"{a}\n\xFF +",
                None,
                "tollgate:1:per-user.minute:{%7Ba%7D%0A%FF+%2B}",
            ),
        ];
        for (key, tag, expected) in cases {
            assert_eq!(name(&per_user, key, tag), expected);
        }
        let quota = "5/m".parse().unwrap();
        let punished = Policy::new("log-in", quota).unwrap();
        let penalty = Penalty::new(std::time::Duration::from_secs(60));
        let punished = Arc::new(punished.with_penalty(penalty).unwrap());
        let check = Check {
            policy: &punished,
            key: b"ann",
            cost: 1,
        };
        let blocks = tollgate::decide::cells(&[check])[1].policy;
        assert_eq!(
            name(blocks, b"ann", None),
            "tollgate:1:log-in+penalty:{ann}"
        );
        let prefix = KeyNames::new("{x}:y").of_all("p:q");
        assert_eq!(prefix, "%7Bx%7D%3Ay:1:p%3Aq:");
    }

    #[test]
    fn no_two_keys_have_one_name() {
        let parts: [&[u8]; 12] = [
            b"", b"%", b"a", b"a:", b":a", b"}", b"}:a", b"a}:a", b"{a}", b"%7D", b"a+", b"a ",
        ];
        let mut known = HashMap::new();
        for policy in ["p", "p:", "p:{a}", "p+penalty", "p%3A"].map(policy) {
            for key in parts {
                for tag in parts.map(Some).into_iter().chain([None]) {
                    let meant = (policy.name().to_owned(), key, tag.unwrap_or(key));
                    let name = name(&policy, key, tag);
                    let before = known.insert(name.clone(), meant.clone());
                    assert!(before.is_none_or(|before| before == meant), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_decisions_tag_is_the_hash_tag_of_its_keys() {
        let in_braces = |name: String| {
            let (_, rest) = name.split_once('{').unwrap();
            rest.split_once('}').unwrap().0.to_owned()
        };
        for tag in [&b"acme"[..], b"}{", b"{", b"a:b", b""] {
            let of =
                |policy: &str, key: &[u8]| in_braces(name(&policy_named(policy), key, Some(tag)));
            assert_eq!(of("p{q}", b"ann"), of("r", b"{bob}"));
            assert!(!of("p", b"ann").is_empty());
        }
    }

    fn policy_named(name: &str) -> Arc<Policy> {
        policy(name)
    }
}
