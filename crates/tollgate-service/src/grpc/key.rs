//! Under which key the entries of a descriptor are counted.

use aws_lc_rs::digest::{SHA256, digest};
use tollgate::key::{CompositeKey, KEY_BYTES_MAX};
use tollgate_rules::domain::Decide;

use super::messages::Entry;

/// The key of a descriptor of a domain. Whoever sends requests chooses values, and may choose long ones: refusing these
/// would let them pass, because Envoy lets pass what its service refuses. So what is longer than a key is hashed.
pub(super) fn of(domain: &str, decide: Decide, entries: &[Entry<'_>]) -> CompositeKey {
    let mut key = CompositeKey::new();
    key.push(domain.as_bytes());
    for entry in entries {
        key.push(entry.key.as_bytes());
        key.push(entry.value.as_bytes());
    }
    // Of a cluster, the server is chosen by the first part: what is decided together is together, and what is not is
    // spread.
    let room = KEY_BYTES_MAX - size_of::<u32>();
    match decide {
        Decide::Together if key.as_ref().len() <= KEY_BYTES_MAX => key,
        Decide::Together => {
            let mut hashed = CompositeKey::new();
            hashed.push(domain.as_bytes());
            hashed.push(digest(&SHA256, key.as_ref()).as_ref());
            hashed
        }
        Decide::Apart => {
            let mut whole = CompositeKey::new();
            match key.as_ref().len() <= room {
                true => whole.push(key.as_ref()),
                false => whole.push(digest(&SHA256, key.as_ref()).as_ref()),
            }
            whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries<'m>(values: &[(&'m str, &'m str)]) -> Vec<Entry<'m>> {
        let entry = |&(key, value)| Entry { key, value };
        values.iter().map(entry).collect()
    }

    #[test]
    fn no_two_lists_of_entries_share_a_key_and_none_is_too_long_for_one() {
        let long = "v".repeat(60_000);
        let longer = "v".repeat(60_001);
        let border = "v".repeat(KEY_BYTES_MAX - 20);
        let lists = [
            entries(&[]),
            entries(&[("a", "")]),
            entries(&[("a", "b")]),
            entries(&[("ab", "")]),
            entries(&[("a", "b"), ("c", "d")]),
            entries(&[("c", "d"), ("a", "b")]),
            entries(&[("a", &border)]),
            entries(&[("a", &long)]),
            entries(&[("a", &longer)]),
        ];
        for decide in [Decide::Together, Decide::Apart] {
            let keys = ["d", "e"].map(|domain| {
                let of = |list: &Vec<Entry<'_>>| of(domain, decide, list).as_ref().to_vec();
                lists.iter().map(of).collect::<Vec<_>>()
            });
            let mut keys = keys.concat();
            assert!(keys.iter().all(|key| key.len() <= KEY_BYTES_MAX));
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), 2 * lists.len());
        }
    }

    #[test]
    fn what_is_decided_together_begins_with_its_domain_and_what_is_not_with_itself() {
        let first = |decide, value: &str| {
            let key = of("d", decide, &entries(&[("a", value)]));
            tollgate::key::first_part(key.as_ref()).unwrap().to_vec()
        };
        let long = "v".repeat(5_000);
        for value in ["x", &long] {
            assert_eq!(first(Decide::Together, value), b"d");
            assert_ne!(first(Decide::Apart, value), first(Decide::Apart, "y"));
        }
    }
}
