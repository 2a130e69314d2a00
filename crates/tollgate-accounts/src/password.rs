//! Passwords: what is acceptable, and Argon2id off the async threads, a few at a time.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::error::{Busy, Invalid, OpenError};
use crate::hashing::Hashing;
use crate::normal::nfkc;
use crate::random;
use crate::settings::{HashCost, Settings};

/// The longest password that is hashed; longer ones are refused, never cut.
pub(crate) const BYTES_MAX: usize = 1024;

/// What a password is beside a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Wrong,
    Right,
    /// Right, and it would be hashed otherwise today: at another cost, or in its normal form.
    Outdated,
}

pub(crate) struct Passwords {
    hasher: Argon2<'static>,
    chars_min: usize,
    /// Verified in place of the hash that an unknown user does not have: same cost, never right.
    decoy: String,
    hashing: Hashing,
}

impl Passwords {
    pub(crate) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let HashCost {
            memory_kib,
            passes,
            lanes,
        } = settings.cost;
        let params = Params::new(memory_kib, passes, lanes, None)
            .map_err(|error| OpenError::Cost(error.to_string()))?;
        let hashing = Hashing::start(settings.hashing_concurrency.max(1))
            .map_err(|source| OpenError::Threads { source })?;
        Ok(Self {
            hasher: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            chars_min: settings.password_chars_min,
            decoy: decoy(settings.cost),
            hashing,
        })
    }

    /// The threads that hash.
    pub(crate) fn hashing(&self) -> &Hashing {
        &self.hashing
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
        let hasher = self.hasher.clone();
        let password = nfkc(password).into_owned();
        let hashed = self
            .hashing
            .run(move || hasher.hash_password(password.as_bytes()))
            .await?;
        hashed.map(|hash| hash.to_string()).map_err(|_| Busy)
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
        let hasher = self.hasher.clone();
        let password = password.to_owned();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let is_current = self.is_current(&hash);
        self.hashing
            .run(move || {
                let is_right = |text: &str| hasher.verify_password(text.as_bytes(), &*hash).is_ok();
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

fn decoy(cost: HashCost) -> String {
    let HashCost {
        memory_kib,
        passes,
        lanes,
    } = cost;
    let salt = STANDARD_NO_PAD.encode(random::bytes::<16>());
    let hash = STANDARD_NO_PAD.encode(random::bytes::<32>());
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
        let as_typed = passwords.hasher.hash_password(DECOMPOSED.as_bytes());
        let as_typed = as_typed.unwrap().to_string();
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
