//! Passwords: what is acceptable, and Argon2id off the async threads, a few at a time.

use std::sync::Arc;

use argon2::password_hash::phc::Output;
use argon2::{Algorithm, Argon2, Block, Error, Params, PasswordHash, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::error::{Busy, Invalid, OpenError};
use crate::hash_memory::HashMemory;
use crate::hashing::Hashing;
use crate::normal::nfkc;
use crate::random;
use crate::settings::{HashCost, Settings};

/// The longest password that is hashed; longer ones are refused, never cut.
pub(crate) const BYTES_MAX: usize = 1024;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What a password is beside a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Wrong,
    Right,
    /// Right, and it would be hashed otherwise today: at another cost, or in its normal form.
    Outdated,
}

pub(crate) struct Passwords {
    cost: HashCost,
    chars_min: usize,
    /// Verified in place of the hash that an unknown user does not have: same cost, never right.
    decoy: String,
    hashing: Hashing,
    memory: Arc<HashMemory>,
}

impl Passwords {
    pub(crate) fn new(settings: &Settings) -> Result<Self, OpenError> {
        params(settings.cost).map_err(|error| OpenError::Cost(error.to_string()))?;
        let hashing = Hashing::start(settings.hashing_concurrency.max(1))
            .map_err(|source| OpenError::Threads { source })?;
        Ok(Self {
            cost: settings.cost,
            chars_min: settings.password_chars_min,
            decoy: phc(
                settings.cost,
                &random::bytes::<SALT_BYTES>(),
                &random::bytes::<HASH_BYTES>(),
            ),
            hashing,
            memory: Arc::default(),
        })
    }

    /// The threads that hash.
    pub(crate) fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// The memory in which they hash.
    pub(crate) fn memory(&self) -> &HashMemory {
        &self.memory
    }

    /// Whether somebody may choose this password.
    pub(crate) fn check(&self, password: &str) -> Result<(), Invalid> {
        let refused = |reason: String| Err(Invalid::new("password", reason));
        if password.chars().count() < self.chars_min {
            return refused(format!("must have at least {} characters", self.chars_min));
        }
        if password.len() > BYTES_MAX {
            return refused(format!("must have at most {BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// The hash to store, in PHC form with a salt of its own. What is hashed is the password in NFKC, so that it is the
    /// same from every keyboard.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Busy> {
        let (cost, memory) = (self.cost, Arc::clone(&self.memory));
        let password = nfkc(password).into_owned();
        let hashed = self.hashing.run(move || new_hash(cost, &password, &memory));
        hashed.await?.map_err(|_| Busy)
    }

    /// Whether the password is the one behind `hash`; without a hash the answer is no, and takes as long.
    ///
    /// It is tried as typed, as versions before normalising hashed it, and if it has another normal form, in that.
    pub(crate) async fn verify(
        &self,
        password: &str,
        hash: Option<&str>,
    ) -> Result<Verified, Busy> {
        if password.len() > BYTES_MAX {
            return Ok(Verified::Wrong);
        }
        let memory = Arc::clone(&self.memory);
        let password = password.to_owned();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let is_current = self.is_current(&hash);
        self.hashing
            .run(move || {
                let is_right = |text: &str| is_behind(text, &hash, &memory) == Some(true);
                let normal = nfkc(&password);
                let has_other_form = normal != password;
                match is_right(&password) {
                    true if is_current && !has_other_form => Verified::Right,
                    true => Verified::Outdated,
                    false if !has_other_form || !is_right(&normal) => Verified::Wrong,
                    false if is_current => Verified::Right,
                    false => Verified::Outdated,
                }
            })
            .await
    }

    /// Whether a hash was made as one would be made now.
    fn is_current(&self, hash: &str) -> bool {
        hash.split('$').nth(3) == self.decoy.split('$').nth(3)
            && hash.starts_with("$argon2id$v=19$")
    }
}

fn params(cost: HashCost) -> Result<Params, Error> {
    Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_BYTES))
}

/// A hash with a new salt, in PHC form.
fn new_hash(cost: HashCost, password: &str, memory: &HashMemory) -> Result<String, Error> {
    let (salt, mut hash) = (random::bytes::<SALT_BYTES>(), [0; HASH_BYTES]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost)?);
    fill(&argon2, password, &salt, &mut hash, memory)?;
    Ok(phc(cost, &salt, &hash))
}

/// Whether a hash in PHC form is the password's; none if it cannot be read, or not be made.
fn is_behind(password: &str, hash: &str, memory: &HashMemory) -> Option<bool> {
    let read = PasswordHash::new(hash).ok()?;
    let (salt, stored) = (read.salt?, read.hash?);
    let algorithm = Algorithm::try_from(read.algorithm.as_str()).ok()?;
    let version = read.version.map_or(Ok(Version::V0x13), Version::try_from);
    let params = Params::try_from(&read).ok()?;
    let mut made = [0; Output::MAX_LENGTH];
    let made = made.get_mut(..stored.len())?;
    let argon2 = Argon2::new(algorithm, version.ok()?, params);
    fill(&argon2, password, &salt, made, memory).ok()?;
    // Compared in the same time, whatever is different.
    Some(Output::new(made).ok()? == stored)
}

fn fill(
    argon2: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    hash: &mut [u8],
    memory: &HashMemory,
) -> Result<(), Error> {
    memory.lend(argon2.params().block_count(), |blocks| {
        let hashed =
            argon2.hash_password_into_with_memory(password.as_bytes(), salt, hash, &mut *blocks);
        // One pass leaves the first blocks as the password alone has made them.
        if argon2.params().t_cost() < 2 {
            blocks.fill(Block::new());
        }
        hashed
    })
}

/// The form in which a hash is stored.
fn phc(cost: HashCost, salt: &[u8], hash: &[u8]) -> String {
    let HashCost {
        memory_kib,
        passes,
        lanes,
    } = cost;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::WAITING_MAX;

    fn passwords() -> Passwords {
        let mut settings = Settings::new("sqlite::memory:", "");
        settings.cost = HashCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        settings.hashing_concurrency = 1;
        Passwords::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = passwords();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let verify = async |password| passwords.verify(password, Some(&hash)).await.unwrap();
        assert_eq!(verify("correct horse").await, Verified::Right);
        assert_eq!(verify("correct horse ").await, Verified::Wrong);
        assert_ne!(hash, passwords.hash("correct horse").await.unwrap());
    }

    /// Of the tests of Argon2's own authors.
    #[tokio::test]
    async fn a_hash_made_elsewhere_is_right_whatever_the_memory_held_before() {
        const FOREIGN: &str =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let passwords = passwords();
        for (typed, expected) in [
            ("password", Verified::Outdated),
            ("passwore", Verified::Wrong),
            ("password", Verified::Outdated),
        ] {
            let verified = passwords.verify(typed, Some(FOREIGN)).await.unwrap();
            assert_eq!(verified, expected, "{typed}");
        }
    }

    #[tokio::test]
    async fn a_hash_of_one_pass_leaves_nothing_in_the_memory() {
        let passwords = passwords();
        passwords.hash("correct horse").await.unwrap();
        let left = passwords.memory.lend(8, |blocks| {
            let mut words = blocks.iter().flat_map(AsRef::as_ref);
            Ok(words.any(|word: &u64| *word != 0))
        });
        assert_eq!(left, Ok(false));
    }

    #[tokio::test]
    async fn what_is_no_hash_is_nobodys_password() {
        let passwords = passwords();
        let hash = passwords.hash("correct horse").await.unwrap();
        let (start, _) = hash.rsplit_once('$').unwrap();
        let too_large = hash.replace("m=8", "m=4294967295");
        for bad in [
            "",
            "$",
            start,
            &too_large,
            &hash.replace("argon2id", "scrypt"),
        ] {
            let verified = passwords.verify("correct horse", Some(bad)).await.unwrap();
            assert_eq!(verified, Verified::Wrong, "{bad}");
        }
    }

    #[tokio::test]
    async fn an_unknown_user_costs_a_hash_with_the_same_parameters() {
        let passwords = passwords();
        assert!(argon2::PasswordHash::new(&passwords.decoy).is_ok());
        assert!(passwords.decoy.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        let unknown = passwords.verify("anything", None).await.unwrap();
        assert_eq!(unknown, Verified::Wrong);
        let _all = passwords
            .hashing
            .places()
            .acquire_many(1 + WAITING_MAX as u32)
            .await
            .unwrap();
        assert!(
            passwords.verify("anything", None).await.is_err(),
            "it waits in the same queue"
        );
    }

    #[tokio::test]
    async fn a_password_is_one_from_every_keyboard_and_as_it_was_hashed_before() {
        const COMPOSED: &str = "caf\u{e9} noir";
        const DECOMPOSED: &str = "cafe\u{301} noir";
        let passwords = passwords();
        let hash = passwords.hash(DECOMPOSED).await.unwrap();
        for typed in [COMPOSED, DECOMPOSED] {
            let verified = passwords.verify(typed, Some(&hash)).await.unwrap();
            assert_eq!(verified, Verified::Right, "{typed}");
        }
        let as_typed = new_hash(passwords.cost, DECOMPOSED, &passwords.memory).unwrap();
        for (typed, expected) in [
            (DECOMPOSED, Verified::Outdated),
            (COMPOSED, Verified::Wrong),
        ] {
            let verified = passwords.verify(typed, Some(&as_typed)).await.unwrap();
            assert_eq!(verified, expected, "{typed}");
        }
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_right_and_outdated() {
        let hash = passwords().hash("correct horse").await.unwrap();
        let mut dearer = Settings::new("sqlite::memory:", "");
        dearer.cost = HashCost {
            memory_kib: 16,
            passes: 1,
            lanes: 1,
        };
        let dearer = Passwords::new(&dearer).unwrap();
        for (typed, expected) in [
            ("correct horse", Verified::Outdated),
            ("wrong horse", Verified::Wrong),
        ] {
            let verified = dearer.verify(typed, Some(&hash)).await.unwrap();
            assert_eq!(verified, expected, "{typed}");
        }
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_told_so_at_once() {
        let passwords = passwords();
        let places = passwords
            .hashing
            .places()
            .acquire_many(1 + WAITING_MAX as u32)
            .await
            .unwrap();
        assert!(passwords.hash("password").await.is_err());
        let hashing = passwords.hashing();
        assert_eq!((hashing.waiting(), hashing.refused()), (1 + WAITING_MAX, 1));
        drop(places);
        assert!(passwords.hash("password").await.is_ok());
    }

    #[test]
    fn length_is_counted_in_characters_below_and_in_bytes_above() {
        let passwords = passwords();
        assert!(passwords.check("1234567").is_err());
        assert!(passwords.check("p\u{e4}ssw\u{f6}rd").is_ok());
        assert!(passwords.check(&"x".repeat(BYTES_MAX)).is_ok());
        assert!(passwords.check(&"x".repeat(BYTES_MAX + 1)).is_err());
    }
}
