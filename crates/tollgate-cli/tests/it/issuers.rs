//! Tokens of an identity system elsewhere, known by its keys in a file.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::{DataDir, Gateway};

use crate::support::{launch, log_in, sign_up};

/// 2027, as the gateways of these tests take it to be.
const START: u64 = 1_800_000_000;

const ROUTES: &str = "\
    [[routes]]\nmatch = \"GET /\"\nauth = [\"session\", \"bearer\"]\nscopes = [\"numbers:read\"]\nlimits = [\"a\"]\nrespond = { text = \"x\" }\n\
    [[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n";

struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    /// A gateway that takes its tokens, with a limit `a` of three a minute.
    fn trusted_by_a_gateway(&self, data: &DataDir, limit: &str) -> Gateway {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x }] });
        std::fs::write(data.path().join("login.jwks.json"), keys.to_string()).unwrap();
        let rules = format!(
            "[[accounts.issuers]]\nissuer = \"https://login.example\"\naudience = \"api\"\n\
             jwks = \"login.jwks.json\"\nalgorithms = [\"EdDSA\"]\nname_claim = \"name\"\n\
             [limits.a]\n{limit}\nquotas = [\"3 per minute\"]\n{ROUTES}"
        );
        launch().data(data).rules(&rules).clock(START).start()
    }

    /// A request with a token of ann's, but for these claims.
    fn call(&self, changes: Value) -> Call {
        let mut claims = json!({ "iss": "https://login.example", "aud": ["api"], "sub": "7", "exp": START + 600,
            "name": "ann", "scope": "numbers:read" });
        let changes = changes.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(changes);
        let parts = [json!({ "alg": "EdDSA", "kid": "1" }), claims];
        let message = parts
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
            .join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        Call::get("/").bearer(&format!("{message}.{signature}"))
    }
}

#[test]
fn another_issuers_token_is_taken_by_its_keys_in_a_file_and_spares_nobody_a_limit() {
    let (issuer, data) = (Issuer::new(), DataDir::new());
    let gateway = issuer.trusted_by_a_gateway(&data, "key = \"user\"\nexempt = [\"user:ann\"]");
    let status = |changes| gateway.call(&issuer.call(changes)).status;
    assert_eq!(status(json!({ "scope": "other" })), 403);
    assert_eq!(status(json!({ "aud": "other" })), 401);
    let statuses = [(); 4].map(|()| status(json!({})));
    assert_eq!(
        statuses,
        [200, 200, 200, 429],
        "the name of an account is not the account"
    );
    assert_eq!(status(json!({ "sub": "8" })), 200);
    sign_up(&gateway, "ann");
    let ann = log_in(&gateway, "ann");
    for _ in 0..5 {
        assert_eq!(
            gateway.call(&ann.get("/")).status,
            200,
            "the account is spared"
        );
    }
    gateway.advance(600.0);
    assert_eq!(status(json!({})), 401);
}

#[test]
fn a_limit_by_a_claim_counts_what_tokens_say_and_refuses_who_says_nothing() {
    let (issuer, data) = (Issuer::new(), DataDir::new());
    let gateway = issuer.trusted_by_a_gateway(&data, "key = \"claim:tenant\"");
    let status = |changes| gateway.call(&issuer.call(changes)).status;
    assert_eq!(status(json!({ "tenant": "blue", "sub": "1" })), 200);
    assert_eq!(status(json!({ "tenant": "blue", "sub": "2" })), 200);
    assert_eq!(status(json!({ "tenant": "blue", "sub": "3" })), 200);
    assert_eq!(status(json!({ "tenant": "blue", "sub": "4" })), 429);
    assert_eq!(status(json!({ "tenant": "red" })), 200);
    for nothing in [
        json!({}),
        json!({ "tenant": "" }),
        json!({ "tenant": 7 }),
        json!({ "tenant": "x".repeat(2000) }),
    ] {
        assert_eq!(status(nothing), 403);
    }
    sign_up(&gateway, "ann");
    let ann = log_in(&gateway, "ann");
    assert_eq!(
        gateway.call(&ann.get("/")).status,
        403,
        "an account has no claims"
    );
}

#[test]
fn an_administrator_sees_and_resets_what_another_issuers_user_has_used() {
    let (issuer, data) = (Issuer::new(), DataDir::new());
    let gateway = issuer.trusted_by_a_gateway(&data, "key = \"user\"");
    let status = || gateway.call(&issuer.call(json!({}))).status;
    assert_eq!([(); 4].map(|()| status()), [200, 200, 200, 429]);
    let heavy = gateway.admin(&Call::get("/monitor/heavy")).json();
    let user = heavy["allowed"]["callers"][0]["id"].as_str().unwrap();
    assert!(user.starts_with("ext-"), "{heavy}");
    let shown = gateway.command(&["limit", "show", "a", user], "");
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains('3'), "{shown:?}");
    let reset = gateway.command(&["limit", "reset", "a", user], "");
    assert_eq!(reset.code, 0, "{reset:?}");
    assert_eq!(status(), 200);
    // A name may look a little like such an id.
    sign_up(&gateway, "ext-ann");
    let shown = gateway.command(&["limit", "show", "a", "ext-ann"], "");
    assert_eq!(shown.code, 0, "{shown:?}");
    let missing = gateway.command(&["limit", "show", "a", "ext-bob"], "");
    assert!(missing.stderr.contains("there is no user"), "{missing:?}");
}
