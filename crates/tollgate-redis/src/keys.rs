//! The names of keys: readable, of a slot that is chosen, and never two of one name.

use std::fmt::Write;

use tollgate::Check;
use tollgate::key::parts;

/// The version of names and values. What another version wrote is not read.
const FORMAT: u32 = 2;

/// `PREFIX:2:POLICY:{TAG}`, and `:KEY` behind it where the tag is not the key itself. Of a key that is made of parts, each
/// stands behind a bar. A penalty's blocks are under `POLICY+penalty`.
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
            tag => push_key(&mut name, tag),
        }
        name.push('}');
        if tag != cell.key {
            name.push(':');
            push_key(&mut name, cell.key);
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

/// Each part behind a bar, which nothing else begins with or has in it.
fn push_key(name: &mut String, key: &[u8]) {
    match parts(key) {
        Some(parts) => parts.for_each(|part| {
            name.push('|');
            escape(name, part, b":");
        }),
        None => escape(name, key, b":"),
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

    use tollgate::key::CompositeKey;
    use tollgate::{Penalty, Policy};
    use tollgate_testkit::Random;
    use tollgate_testkit::random::scaled;

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
            (b"ann", None, "tollgate:2:per-user.minute:{ann}"),
            (
                b"2001:db8::1",
                None,
                "tollgate:2:per-user.minute:{2001:db8::1}",
            ),
            (
                b"ann",
                Some(b"acme"),
                "tollgate:2:per-user.minute:{acme}:ann",
            ),
            (b"ann", Some(b"ann"), "tollgate:2:per-user.minute:{ann}"),
            (b"", None, "tollgate:2:per-user.minute:{%}"),
            (
                b"{a}\n\xFF +",
                None,
                "tollgate:2:per-user.minute:{%7Ba%7D%0A%FF+%2B}",
            ),
        ];
        for (key, tag, expected) in cases {
            assert_eq!(name(&per_user, key, tag), expected);
        }
        for (parts, expected) in [
            (
                &["ann", "192.0.2.1"][..],
                "tollgate:2:per-user.minute:{|ann|192.0.2.1}",
            ),
            (&["a|b", ""], "tollgate:2:per-user.minute:{|a%7Cb|}"),
        ] {
            assert_eq!(name(&per_user, &composite(parts), None), expected);
        }
        let tagged = name(&per_user, &composite(&["ann", "/x"]), Some(b"ann"));
        assert_eq!(tagged, "tollgate:2:per-user.minute:{ann}:|ann|/x");
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
            "tollgate:2:log-in+penalty:{ann}"
        );
        let prefix = KeyNames::new("{x}:y").of_all("p:q");
        assert_eq!(prefix, "%7Bx%7D%3Ay:2:p%3Aq:");
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
    fn names_of_random_keys_never_meet() {
        let mut random = Random::new();
        let policies = ["p", "p|", "p:{|a}"].map(policy);
        let mut known = HashMap::new();
        for _ in 0..scaled(50_000) {
            let policy = random.pick(&policies).clone();
            let [key, tag] = [0, 1].map(|_| match random.below(3) {
                0 => text(&mut random).into_bytes(),
                parts => {
                    let parts: Vec<String> = (0..parts).map(|_| text(&mut random)).collect();
                    composite(&parts.iter().map(String::as_str).collect::<Vec<_>>())
                }
            });
            let tag = (random.below(2) == 0).then_some(tag);
            let name = name(&policy, &key, tag.as_deref());
            assert!(
                name.is_ascii() && !name.contains(['\0', ' ', '\n']),
                "{name}"
            );
            let meant = (policy.name().to_owned(), key.clone(), tag.unwrap_or(key));
            let before = known.insert(name.clone(), meant.clone());
            assert!(before.is_none_or(|before| before == meant), "{name}");
        }
    }

    /// A few characters that names or keys give a meaning to.
    fn text(random: &mut Random) -> String {
        let some = [
            'a', 'b', '|', ':', '%', '7', 'C', '{', '}', '+', ' ', '\0', '\u{1}',
        ];
        (0..random.below(4)).map(|_| *random.pick(&some)).collect()
    }

    fn composite(parts: &[&str]) -> Vec<u8> {
        let mut key = CompositeKey::new();
        parts.iter().for_each(|part| key.push(part.as_bytes()));
        key.as_ref().to_vec()
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
