//! Tokens of an issuer that the operator trusts: whose they are, and what is none.

use std::fs;
use std::path::Path;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::algorithm::TokenAlgorithm;
use super::super::issuer::Issuer;
use super::*;

/// An identity system elsewhere, with a key of each kind.
struct Elsewhere {
    dir: TempDir,
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Elsewhere {
    fn new() -> Self {
        let elsewhere = Self {
            dir: tempfile::tempdir().unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        };
        elsewhere.publish(&[elsewhere.ec_key("ec-1"), elsewhere.rsa_key("rsa-1")]);
        elsewhere
    }

    fn ec_key(&self, kid: &str) -> Value {
        let point = self.ec.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y })
    }

    fn rsa_key(&self, kid: &str) -> Value {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let [n, e] = [public.n, public.e].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({ "kty": "RSA", "kid": kid, "n": n, "e": e })
    }

    fn publish(&self, keys: &[Value]) {
        // Another length each time, so that the change is seen on file systems with coarse times.
        let text = json!({ "keys": keys, "filler": hex_id() }).to_string();
        let draft = self.dir.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.path()).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("keys.json")
    }

    fn ec_signed(&self, header: &str, claims: &str) -> String {
        let message = message(header, claims);
        let signature = self.ec.sign(&SystemRandom::new(), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
    }

    fn rsa_signed(&self, header: &str, claims: &str) -> String {
        let message = message(header, claims);
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let random = SystemRandom::new();
        self.rsa
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn settings(&self) -> Issuer {
        Issuer {
            issuer: "https://login.example".into(),
            audience: "api".into(),
            jwks: self.path(),
            algorithms: vec![TokenAlgorithm::Es256, TokenAlgorithm::Rs256],
            user_claim: "sub".into(),
            name_claim: Some("name".into()),
            claims: vec!["tenant".into()],
        }
    }

    fn tokens(&self) -> Tokens {
        tokens_with(self.settings()).unwrap()
    }
}

fn tokens_with(issuer: Issuer) -> Result<Tokens, OpenError> {
    let own = tempfile::tempdir().unwrap();
    fs::write(own.path().join("token.secret"), SECRET).unwrap();
    let mut settings = Settings::new("sqlite::memory:", own.path());
    settings.issuers = vec![issuer];
    Tokens::open(&settings, NOW)
}

fn message(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}")
}

const EC: &str = r#"{"alg":"ES256","kid":"ec-1","typ":"at+jwt"}"#;
const RSA: &str = r#"{"alg":"RS256","kid":"rsa-1"}"#;

const FOREIGN: [&str; 5] = [
    r#""iss":"https://login.example""#,
    r#""aud":"api""#,
    r#""sub":"u-1""#,
    r#""exp":1000060"#,
    r#""iat":1000000"#,
];

/// The sound claims with one replaced, or left out when `change` is a name alone.
fn foreign_with(change: &str) -> String {
    let (name, value) = change.split_once(':').unwrap_or((change, ""));
    let mut claims: Vec<_> = FOREIGN
        .into_iter()
        .filter(|claim| !claim.starts_with(name))
        .collect();
    if !value.is_empty() {
        claims.push(change);
    }
    object(&claims)
}

fn holder(tokens: &Tokens, token: &str) -> Option<Box<Foreigner>> {
    match tokens.verify(token, NOW)? {
        Bearer::Foreign(holder) => Some(holder),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_of_either_key_is_known_as_the_same_user_at_all_times() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let claims = foreign_with(r#""name":"Ann\u0007 Lee ""#);
    let by_ec = holder(&tokens, &elsewhere.ec_signed(EC, &claims)).unwrap();
    let by_rsa = holder(&tokens, &elsewhere.rsa_signed(RSA, &claims)).unwrap();
    assert_eq!(by_ec.user, by_rsa.user);
    let id = by_ec.user.as_str();
    assert!(id.starts_with("ext-") && id.len() == 36, "{id}");
    assert_eq!(by_ec.name.as_deref(), Some("Ann Lee"));
    assert_eq!(by_ec.expires_at, Micros::from_secs(1_000_060));
    let other = foreign_with(r#""sub":"u-2""#);
    let other = holder(&tokens, &elsewhere.ec_signed(EC, &other)).unwrap();
    assert_ne!(other.user, by_ec.user);
}

#[test]
fn one_of_several_audiences_will_do_and_tenants_and_scopes_are_kept() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let known = |change| holder(&tokens, &elsewhere.ec_signed(EC, &foreign_with(change)));
    assert!(known(r#""aud":["other","api"]"#).is_some());
    let scopes = |change| known(change).unwrap().scopes.to_string();
    assert_eq!(scopes(r#""scope":"a:read b""#), "a:read b");
    assert_eq!(scopes(r#""scp":["a","b",5]"#), "a b");
    assert_eq!(scopes(r#""scp":"a b""#), "a b");
    assert_eq!(scopes(r#""scope":7"#), "");
    let claims = known(r#""tenant":"acme""#).unwrap().claims;
    assert_eq!(claims, [("tenant".into(), "acme".into())]);
    let long = format!(r#""tenant":"{}""#, "x".repeat(257));
    assert!(known(&long).unwrap().claims.is_empty());
}

#[test]
fn misshapen_claims_of_an_issuer_are_refused_even_when_signed() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let long = format!(r#""sub":"{}""#, "x".repeat(1025));
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
        r#""aud":["other"]"#,
        r#""aud":["api",5]"#,
        r#""aud":[]"#,
        r#""aud":{"api":1}"#,
        r#""aud":"other""#,
        r#""aud""#,
        r#""iss":"https://login.example/""#,
        r#""iss":["https://login.example"]"#,
        r#""iss":"tollgate""#,
        r#""iss""#,
        r#""sub":5"#,
        r#""sub":"""#,
        r#""sub""#,
        r#""jti":5"#,
        r#""tenant":"a","tenant":"b""#,
        &long,
    ];
    for change in changes {
        let token = elsewhere.ec_signed(EC, &foreign_with(change));
        assert_eq!(tokens.verify(&token, NOW), None, "{change}");
    }
}

#[test]
fn a_key_proves_nothing_but_its_own_algorithm_and_only_those_that_are_allowed() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let claims = object(&FOREIGN);
    assert!(holder(&tokens, &elsewhere.ec_signed(EC, &claims)).is_some());
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(elsewhere.rsa.public_key());
    let der = elsewhere.rsa.public_key().as_der().unwrap();
    let secrets = [&public.n[..], der.as_ref(), &SECRET[..]];
    for secret in secrets {
        for kid in [r#","kid":"rsa-1""#, r#","kid":"ec-1""#, ""] {
            let header = format!(r#"{{"alg":"HS256"{kid}}}"#);
            let forged = signed_with(secret, &header, &claims, hmac::HMAC_SHA256);
            assert_eq!(tokens.verify(&forged, NOW), None, "{header}");
        }
    }
    for header in [
        r#"{"alg":"none","kid":"ec-1"}"#,
        r#"{"alg":"None","kid":"ec-1"}"#,
        r#"{"alg":"nOnE","kid":"ec-1"}"#,
        r#"{"kid":"ec-1"}"#,
        r#"{"alg":"RS256","kid":"ec-1"}"#,
        r#"{"alg":"ES384","kid":"ec-1"}"#,
        r#"{"alg":"ES256","kid":"rsa-1"}"#,
        r#"{"alg":"ES256","kid":"../../etc/passwd"}"#,
        r#"{"alg":"ES256","kid":"' OR 1"}"#,
        r#"{"alg":"ES256","kid":"ec-1","crit":["exp"]}"#,
    ] {
        let token = elsewhere.ec_signed(header, &claims);
        assert_eq!(tokens.verify(&token, NOW), None, "{header}");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(tokens.verify(&unsigned, NOW), None, "{header} unsigned");
    }
    let rs512 = r#"{"alg":"RS512","kid":"rsa-1"}"#;
    assert_eq!(
        tokens.verify(&elsewhere.rsa_signed(rs512, &claims), NOW),
        None
    );
    let brought = format!(
        r#"{{"alg":"ES256","jku":"http://evil.test/","jwk":{}}}"#,
        Elsewhere::new().ec_key("ec-1")
    );
    let forger = Elsewhere::new();
    assert_eq!(
        tokens.verify(&forger.ec_signed(&brought, &claims), NOW),
        None
    );
}

#[test]
fn a_token_without_a_key_id_is_proved_by_the_one_key_there_is() {
    let elsewhere = Elsewhere::new();
    let bare = elsewhere.ec_signed(r#"{"alg":"ES256"}"#, &object(&FOREIGN));
    assert!(holder(&elsewhere.tokens(), &bare).is_some());
    elsewhere.publish(&[elsewhere.ec_key("ec-1"), Elsewhere::new().ec_key("ec-2")]);
    assert!(holder(&elsewhere.tokens(), &bare).is_none());
}

#[test]
fn our_own_tokens_are_not_taken_for_anothers_nor_the_other_way_round() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let own = tokens.for_guest(NOW);
    assert!(matches!(
        tokens.verify(own.token.expose(), NOW),
        Some(Bearer::Guest { .. })
    ));
    let as_ours = elsewhere.ec_signed(EC, &object(&SOUND));
    assert_eq!(tokens.verify(&as_ours, NOW), None);
    let by_our_secret = signed(r#"{"alg":"HS256"}"#, &object(&FOREIGN), hmac::HMAC_SHA256);
    assert_eq!(tokens.verify(&by_our_secret, NOW), None);
}

#[test]
fn the_file_is_read_again_when_it_has_changed_but_not_at_every_look() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let token = elsewhere.ec_signed(EC, &object(&FOREIGN));
    let next = Elsewhere::new();
    let after = next.ec_signed(EC, &object(&FOREIGN));
    elsewhere.publish(&[next.ec_key("ec-1"), elsewhere.rsa_key("rsa-1")]);
    assert!(!tokens.follow(NOW + Duration::from_secs(4)));
    assert!(holder(&tokens, &token).is_some());
    assert!(tokens.follow(NOW + Duration::from_secs(5)), "a key is gone");
    assert!(holder(&tokens, &token).is_none());
    assert!(holder(&tokens, &after).is_some());
    fs::write(elsewhere.path(), "{}").unwrap();
    assert!(!tokens.follow(NOW + Duration::from_secs(10)));
    assert!(holder(&tokens, &after).is_some(), "those from before stay");
}

#[test]
fn a_file_that_proves_nothing_is_no_start() {
    let elsewhere = Elsewhere::new();
    let said = |text: &str| {
        fs::write(elsewhere.path(), text).unwrap();
        tokens_with(elsewhere.settings()).err().unwrap().to_string()
    };
    let many = json!({ "keys": vec![elsewhere.ec_key("x"); 101] }).to_string();
    let mut encrypting = elsewhere.ec_key("x");
    encrypting["use"] = "enc".into();
    let mut other = elsewhere.rsa_key("x");
    other["alg"] = "RS512".into();
    let secret = json!({ "kty": "oct", "kid": "x", "k": "AAAA" });
    let short = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    for (text, expected) in [
        ("", "no JSON"),
        ("{}", "no list `keys`"),
        (&json!({ "keys": [] }).to_string(), "no key"),
        (
            &json!({ "keys": [encrypting, other, secret, short, 5] }).to_string(),
            "no key",
        ),
        (&many, "more than 100 keys"),
        (&" ".repeat(300 << 10), "larger than"),
    ] {
        let said = said(text);
        assert!(said.contains(expected), "{said}");
    }
    let mut settings = elsewhere.settings();
    settings.jwks = Path::new("/nowhere/keys.json").to_owned();
    assert!(matches!(tokens_with(settings), Err(OpenError::Jwks { .. })));
    let mut settings = elsewhere.settings();
    settings.algorithms.push(TokenAlgorithm::Hs256);
    assert!(matches!(tokens_with(settings), Err(OpenError::Jwks { .. })));
}

#[test]
fn a_token_without_a_name_is_known_by_what_is_signed() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let id = |token: &str| holder(&tokens, token).unwrap().token;
    let claims = object(&FOREIGN);
    let (one, again) = (
        elsewhere.ec_signed(EC, &claims),
        elsewhere.ec_signed(EC, &claims),
    );
    assert_ne!(one, again, "two signatures of the same");
    assert_eq!(id(&one), id(&again));
    assert_eq!(id(&one), read_token(&one).unwrap().0);
    let named = elsewhere.ec_signed(EC, &foreign_with(r#""jti":"7""#));
    assert_eq!(id(&named), read_token(&named).unwrap().0);
    assert_ne!(id(&named), id(&one));
}

#[test]
fn a_token_is_good_for_a_year_from_its_issue_at_most_whatever_it_says() {
    let elsewhere = Elsewhere::new();
    let tokens = elsewhere.tokens();
    let end = |exp: u64, iat: Option<u64>| {
        let change = format!(r#""exp":{exp}"#);
        let claims = foreign_with(&change);
        let claims = match iat {
            Some(iat) => claims.replace(r#""iat":1000000"#, &format!(r#""iat":{iat}"#)),
            None => claims.replace(r#""iat":1000000,"#, ""),
        };
        let holder = holder(&tokens, &elsewhere.ec_signed(EC, &claims));
        holder.map(|holder| holder.expires_at.as_secs())
    };
    const NOW_S: u64 = 1_000_000;
    let year = TOKEN_TTL_MAX.as_secs();
    assert_eq!(end(9_000_000_000, Some(NOW_S)), Some(NOW_S + year));
    assert_eq!(end(9_000_000_000, Some(NOW_S - 5)), Some(NOW_S + year - 5));
    assert_eq!(end(NOW_S + 60, Some(0)), Some(NOW_S + 60));
    assert_eq!(end(NOW_S + year, None), Some(NOW_S + year));
    assert_eq!(end(NOW_S + year + 1, None), None, "nor is it remembered");
}
