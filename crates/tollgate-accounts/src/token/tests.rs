//! Forged, stretched and misshapen tokens: each is nobody.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

mod issuers;
mod rotation;

const SECRET: [u8; 32] = [7; 32];
const NOW: Micros = Micros::from_secs(1_000_000);

/// Tokens of a directory whose key is this, as versions before rotation wrote it.
fn tokens_of(secret: [u8; 32]) -> Tokens {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token.secret"), secret).unwrap();
    Tokens::open(&Settings::new("sqlite::memory:", dir.path()), NOW).unwrap()
}

fn tokens() -> Tokens {
    tokens_of(SECRET)
}

/// A token with any header and claims, signed by the right secret with `algorithm`.
fn signed(header: &str, claims: &str, algorithm: hmac::Algorithm) -> String {
    signed_with(&SECRET, header, claims, algorithm)
}

fn signed_with(secret: &[u8], header: &str, claims: &str, algorithm: hmac::Algorithm) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

fn verify_claims(claims: &str) -> Option<Bearer> {
    let token = signed(r#"{"alg":"HS256","typ":"JWT"}"#, claims, hmac::HMAC_SHA256);
    tokens().verify(&token, NOW)
}

/// Claims that are good at `NOW`.
const SOUND: [&str; 6] = [
    r#""iss":"tollgate""#,
    r#""aud":"tollgate""#,
    r#""sub":"guest-1""#,
    r#""exp":1000060"#,
    r#""iat":1000000"#,
    r#""jti":"1""#,
];

/// The sound claims with one replaced, or left out when `change` is a name alone.
fn claims_with(change: &str) -> String {
    let (name, value) = change.split_once(':').unwrap_or((change, ""));
    let mut claims: Vec<_> = SOUND
        .into_iter()
        .filter(|claim| !claim.starts_with(name))
        .collect();
    if !value.is_empty() {
        claims.push(change);
    }
    object(&claims)
}

fn object(members: &[&str]) -> String {
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_guest_token_is_good_until_it_expires_and_not_at_that_instant() {
    let token = tokens().for_guest(NOW);
    assert_eq!(token.expires_in, Duration::from_secs(3600));
    let end = NOW + token.expires_in;
    let last = Micros(end.0 - 1);
    assert!(matches!(
        tokens().verify(token.token.expose(), last),
        Some(Bearer::Guest { .. })
    ));
    assert_eq!(tokens().verify(token.token.expose(), end), None);
}

#[test]
fn a_session_token_never_outlives_its_session() {
    let (user, session) = (UserId::from("ann"), SessionId::from("s"));
    let end = NOW + Duration::from_secs(10);
    let token = tokens().for_session(&user, &session, end, NOW);
    assert_eq!(token.expires_in, Duration::from_secs(10));
    let expected = Bearer::Session {
        session,
        user,
        token: read_token(token.token.expose()).unwrap().0,
        expires_at: end,
        kid: decode_header(token.token.expose()).unwrap().kid.unwrap(),
    };
    assert_eq!(tokens().verify(token.token.expose(), NOW), Some(expected));
    assert_eq!(tokens().verify(token.token.expose(), end), None);
}

#[test]
fn a_token_with_a_sound_signature_and_claims_is_known() {
    assert!(verify_claims(&object(&SOUND)).is_some());
    assert!(verify_claims(&claims_with(r#""nbf":1000000"#)).is_some());
}

#[test]
fn misshapen_claims_are_refused_even_when_signed() {
    let changes = [
        r#""exp":"1000060""#,
        r#""exp":1000060.5"#,
        r#""exp":1000060.0"#,
        r#""exp":null"#,
        r#""exp":-1"#,
        r#""exp":9223372036854775808"#,
        r#""exp":1000000"#,
        r#""exp":1000060,"exp":2000000"#,
        r#""exp""#,
        r#""nbf":"1""#,
        r#""nbf":1000001"#,
        r#""iat":1000061"#,
        r#""iat":"1""#,
        r#""aud":["tollgate"]"#,
        r#""aud":"other""#,
        r#""aud""#,
        r#""iss":"other""#,
        r#""iss""#,
        r#""sub":5"#,
        r#""sub""#,
    ];
    for change in changes {
        assert_eq!(verify_claims(&claims_with(change)), None, "{change}");
    }
}

#[test]
fn an_account_without_a_session_is_nobody() {
    assert_eq!(
        verify_claims(&claims_with(r#""sub":"0123456789abcdef""#)),
        None
    );
}

#[test]
fn only_hs256_is_believed() {
    let claims = object(&SOUND);
    for alg in ["none", "None", "nOnE", "", "RS256", "ES256"] {
        let token = signed(&format!(r#"{{"alg":"{alg}"}}"#), &claims, hmac::HMAC_SHA256);
        assert_eq!(tokens().verify(&token, NOW), None, "{alg}");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(
            tokens().verify(&unsigned, NOW),
            None,
            "{alg} without a signature"
        );
    }
    let wider = signed(r#"{"alg":"HS512"}"#, &claims, hmac::HMAC_SHA512);
    assert_eq!(tokens().verify(&wider, NOW), None);
    let missing = signed(r#"{"typ":"JWT"}"#, &claims, hmac::HMAC_SHA256);
    assert_eq!(tokens().verify(&missing, NOW), None);
}

#[test]
fn a_key_that_the_header_brings_is_ignored() {
    let header = r#"{"alg":"HS256","jku":"http://evil.test/keys","x5u":"http://evil.test/x",
        "jwk":{"kty":"oct","k":"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg"}}"#;
    let own = signed(header, &object(&SOUND), hmac::HMAC_SHA256);
    assert!(tokens().verify(&own, NOW).is_some());
    let forged = tokens_of([8; 32]).for_guest(NOW);
    assert_eq!(tokens().verify(forged.token.expose(), NOW), None);
    assert_eq!(tokens_of([8; 32]).verify(&own, NOW), None);
}

#[test]
fn a_key_that_nobody_has_is_nobodys_even_when_the_signature_is_ours() {
    let long = "x".repeat(4096);
    for kid in ["../../etc/passwd", "' OR 1", "", "token.secret", &long] {
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
        let token = signed(&header, &object(&SOUND), hmac::HMAC_SHA256);
        assert_eq!(tokens().verify(&token, NOW), None, "{kid}");
    }
}

#[test]
fn a_header_that_must_be_understood_and_is_not_makes_a_token_void() {
    let header = r#"{"alg":"HS256","crit":["exp"]}"#;
    let token = signed(header, &object(&SOUND), hmac::HMAC_SHA256);
    assert_eq!(tokens().verify(&token, NOW), None);
}

#[test]
fn a_changed_claim_breaks_the_signature() {
    let token = tokens().for_guest(NOW);
    let (head, signature) = token.token.expose().rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(claims_with(r#""sub":"guest-2""#));
    assert_eq!(
        tokens().verify(&format!("{header}.{other}.{signature}"), NOW),
        None
    );
}

#[test]
fn the_debug_form_shows_no_secret() {
    let token = tokens().for_guest(NOW);
    assert!(!format!("{token:?}{:?}", tokens()).contains(token.token.expose()));
}
