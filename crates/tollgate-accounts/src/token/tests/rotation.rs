//! Keys that follow each other: which tokens they leave good.

use std::fs;

use tempfile::TempDir;

use super::super::algorithm::TokenAlgorithm;
use super::*;

const TTL: Duration = Duration::from_secs(3600);

fn open(dir: &TempDir, algorithm: TokenAlgorithm) -> Tokens {
    let mut settings = Settings::new("sqlite::memory:", dir.path());
    settings.token_algorithm = Some(algorithm);
    Tokens::open(&settings, NOW).unwrap()
}

fn is_good(tokens: &Tokens, token: &Token, now: Micros) -> bool {
    tokens.verify(token.token.expose(), now).is_some()
}

#[test]
fn both_keys_verify_and_the_old_one_ends_with_the_longest_life_of_a_token() {
    for algorithm in [
        TokenAlgorithm::Hs256,
        TokenAlgorithm::Es256,
        TokenAlgorithm::EdDsa,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let tokens = open(&dir, algorithm);
        let before = tokens.for_guest(NOW);
        // As somebody signs who has got hold of the key that was replaced.
        let later = tokens.for_guest(NOW + TTL);
        let last = NOW + (TTL - Duration::from_secs(1));
        assert!(!tokens.follow(NOW));
        rotate_token_key(dir.path(), false, NOW).unwrap();
        assert!(!tokens.follow(NOW), "no key is gone");
        let after = tokens.for_guest(NOW);
        for token in [&before, &after] {
            assert!(is_good(&tokens, token, NOW), "{algorithm:?}");
        }
        let header = |token: &Token| decode_header(token.token.expose()).unwrap();
        assert_ne!(header(&before).kid, header(&after).kid);
        assert_eq!(header(&after).alg, algorithm.jwa());
        assert!(is_good(&tokens, &later, last));
        assert!(!is_good(&tokens, &later, NOW + TTL));
    }
}

#[test]
fn a_key_that_is_replaced_at_once_verifies_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = open(&dir, TokenAlgorithm::Hs256);
    let before = tokens.for_guest(NOW);
    rotate_token_key(dir.path(), true, NOW).unwrap();
    assert!(is_good(&tokens, &before, NOW), "not heard of yet");
    assert!(tokens.follow(NOW), "what it has proved counts no more");
    assert!(!is_good(&tokens, &before, NOW));
    assert!(is_good(&tokens, &tokens.for_guest(NOW), NOW));
}

#[test]
fn keys_that_cannot_be_read_leave_those_from_before() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = open(&dir, TokenAlgorithm::Hs256);
    let token = tokens.for_guest(NOW);
    let file = dir.path().join("token.secret");
    for damage in [Some("damaged"), None] {
        match damage {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert!(!tokens.follow(NOW));
        assert!(is_good(&tokens, &token, NOW));
    }
}

#[test]
fn a_rotation_that_could_not_be_read_at_first_is_heard_of_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = open(&dir, TokenAlgorithm::Hs256);
    let before = tokens.for_guest(NOW);
    rotate_token_key(dir.path(), true, NOW).unwrap();
    let file = dir.path().join("token.secret");
    let keys = fs::read(&file).unwrap();
    let changed = fs::metadata(&file).unwrap().modified().unwrap();
    // The disk fails for a moment: the file looks the same when it can be read.
    let write = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let file = fs::File::options().write(true).open(&file).unwrap();
        file.set_modified(changed).unwrap();
        tokens.file.stamp().unwrap()
    };
    let damaged = write(&vec![b'?'; keys.len()]);
    assert!(!tokens.follow(NOW));
    assert_eq!(write(&keys), damaged);
    assert!(tokens.follow(NOW));
    assert!(!is_good(&tokens, &before, NOW));
}

#[test]
fn a_public_key_is_no_secret_and_a_key_verifies_its_own_algorithm_alone() {
    for algorithm in [TokenAlgorithm::Es256, TokenAlgorithm::EdDsa] {
        let dir = tempfile::tempdir().unwrap();
        let tokens = open(&dir, algorithm);
        let set: serde_json::Value = serde_json::from_str(&tokens.jwks(NOW)).unwrap();
        let key = &set["keys"][0];
        let kid = key["kid"].as_str().unwrap();
        let x = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
        for alg in ["HS256", "ES256", "EdDSA", "none"] {
            let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
            let forged = signed_with(&x, &header, &object(&SOUND), hmac::HMAC_SHA256);
            assert_eq!(tokens.verify(&forged, NOW), None, "{algorithm:?} {alg}");
        }
    }
}

#[test]
fn the_set_of_public_keys_has_what_verifies_and_nothing_private() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = open(&dir, TokenAlgorithm::EdDsa);
    rotate_token_key(dir.path(), false, NOW).unwrap();
    tokens.follow(NOW);
    let keys = |now| -> Vec<serde_json::Value> {
        let set: serde_json::Value = serde_json::from_str(&tokens.jwks(now)).unwrap();
        set["keys"].as_array().unwrap().clone()
    };
    assert_eq!(keys(NOW).len(), 2);
    assert_eq!(keys(NOW + TTL).len(), 1);
    for key in keys(NOW) {
        let mut members: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
        members.sort();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    }
    let secret = open(&tempfile::tempdir().unwrap(), TokenAlgorithm::Hs256);
    assert_eq!(secret.jwks(NOW), r#"{"keys":[]}"#);
}
