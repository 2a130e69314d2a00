//! The second system: a hello-world API, token first, limited by client address.

use std::net::Ipv4Addr;

use serde_json::json;
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use crate::support::{
    BAD_CREDENTIALS, NO_CREDENTIALS, QUOTA_EXCEEDED, launch, new_key, new_user, preset, rate_limit,
    root, statuses,
};

const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn token(gateway: &Gateway) -> String {
    let answer = gateway.get("/get-auth-token");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_a_jwt_with_its_type_and_lifetime_and_no_cache_keeps_it() {
    let gateway = preset("hello-by-ip");
    let answer = gateway.get("/get-auth-token");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.expect("cache-control"), "no-store");
    assert_eq!(answer.expect("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(3_600))
    );
    let token = body["token"].as_str().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    assert!(
        parts[0].starts_with("eyJ") && parts[1].starts_with("eyJ"),
        "{token}"
    );
    assert_eq!(gateway.call(&Call::get("/").bearer(token)).status, 200);
    gateway.advance(3_599.0);
    assert_eq!(gateway.call(&Call::get("/").bearer(token)).status, 200);
    gateway.advance(1.0);
    assert_eq!(
        gateway.call(&Call::get("/").bearer(token)).status,
        401,
        "it outlived its time"
    );
}

#[test]
fn the_first_start_prints_a_demo_key_in_a_ready_curl_line_and_the_second_prints_none() {
    let mut gateway = preset("hello-by-ip");
    let line = gateway.process().line(|line| line.contains("tg_"));
    let url = format!("http://{}/", gateway.address());
    assert!(
        line.trim().starts_with("curl ") && line.contains(&url),
        "{line}"
    );
    let field = line.split('\'').nth(1).unwrap();
    let (name, value) = field.split_once(": ").unwrap();
    let answer = gateway.call(&Call::get("/").field(name, value));
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (200, &json!("Hello, World!"))
    );
    let key = value.strip_prefix("Bearer ").unwrap();
    assert_eq!(
        gateway.call(&Call::get("/").field("x-api-key", key)).status,
        200
    );

    let data = gateway.data().clone();
    gateway.stop();
    let mut again = launch().preset("hello-by-ip").data(&data).start();
    again
        .process()
        .line(|line| line.contains("/get-auth-token"));
    assert!(
        !again.process().log().contains("tg_"),
        "{}",
        again.process().log()
    );
    assert_eq!(again.call(&Call::get("/").bearer(key)).status, 200);
}

#[test]
fn without_credentials_it_is_401_with_a_challenge_and_with_wrong_ones_it_says_so() {
    let gateway = preset("hello-by-ip");
    let nobody = gateway.get("/");
    assert_eq!(
        (nobody.status, &nobody.json()["type"]),
        (401, &json!(NO_CREDENTIALS))
    );
    let challenges = nobody.fields("www-authenticate");
    assert!(
        challenges
            .iter()
            .any(|challenge| challenge.starts_with("Bearer ")),
        "{challenges:?}"
    );
    for wrong in ["x", "eyJ.eyJ.x", "tg_wrong", &token(&gateway)[1..]] {
        let answer = gateway.call(&Call::get("/").bearer(wrong));
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (401, &json!(BAD_CREDENTIALS))
        );
    }
    for nothing in ["Bearer", "Bearer ", "Basic YTpi"] {
        let answer = gateway.call(&Call::get("/").field("authorization", nothing));
        assert_eq!(answer.status, 401, "{nothing}");
    }
}

#[test]
fn three_requests_in_ten_seconds_pass_from_one_address_whoever_asks() {
    let gateway = preset("hello-by-ip");
    let (one, two) = (token(&gateway), token(&gateway));
    assert_ne!(one, two);
    let call = |token: &str| Call::get("/").bearer(token);
    assert_eq!(statuses(&gateway, &call(&one), 2), [200; 2]);
    assert_eq!(gateway.call(&call(&two)).status, 200);
    for token in [&one, &two] {
        let refused = gateway.call(&call(token));
        assert_eq!(refused.status, 429);
        let body = refused.json();
        assert_eq!(body["type"], QUOTA_EXCEEDED);
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("Rate limit exceeded: per-address.10s allows 3 per 10 seconds"),
            "{detail}"
        );
        assert_eq!(body["violated-policies"], json!(["per-address.10s"]));
        assert_eq!(refused.retry_after(), Some(10));
        assert_eq!(rate_limit(&refused)["per-address.10s"], (0, Some(10)));
    }
    let elsewhere = gateway.call(&call(&one).from(OTHER_ADDRESS));
    assert_eq!(
        elsewhere.status, 200,
        "another address has three of its own"
    );
}

#[test]
fn no_ten_seconds_ever_hold_more_than_three() {
    let gateway = preset("hello-by-ip");
    let token = token(&gateway);
    let mut passed: Vec<u32> = Vec::new();
    // In hundredths of a second, so that the test's own arithmetic is exact.
    let mut now = 0;
    for (at, status) in [
        (0, 200),
        (20, 200),
        (990, 200),
        (995, 429),
        (1_000, 200),
        (1_010, 429),
        (1_020, 200),
        (1_985, 429),
        (1_990, 200),
    ] {
        gateway.advance(f64::from(at - now) / 100.0);
        now = at;
        let answer = gateway.call(&Call::get("/").bearer(&token));
        assert_eq!(answer.status, status, "at {at}");
        if status == 200 {
            passed.push(at);
        }
        let within = passed.iter().filter(|earlier| at - **earlier < 1_000);
        assert!(within.count() <= 3, "{passed:?}");
    }
}

#[test]
fn only_requests_that_would_reach_the_api_are_charged() {
    let gateway = preset("hello-by-ip");
    let token = token(&gateway);
    assert_eq!(statuses(&gateway, &Call::get("/"), 5), [401; 5]);
    assert_eq!(
        statuses(&gateway, &Call::get("/").bearer("wrong"), 5),
        [401; 5]
    );
    assert_eq!(
        statuses(&gateway, &Call::get("/get-auth-token"), 5),
        [200; 5]
    );
    assert_eq!(statuses(&gateway, &Call::get("/docs"), 5), [200; 5]);
    assert_eq!(statuses(&gateway, &Call::get("/nowhere"), 5), [404; 5]);
    let answer = gateway.call(&Call::get("/").bearer(&token));
    assert_eq!(
        rate_limit(&answer)["per-address.10s"].0,
        2,
        "the first of three"
    );
}

#[test]
fn wrong_credentials_and_token_requests_have_limits_of_their_own_by_address() {
    let gateway = preset("hello-by-ip");
    let good = token(&gateway);
    let wrong = Call::get("/").bearer("wrong");
    assert_eq!(statuses(&gateway, &wrong, 30), [401; 30]);
    let refused = gateway.call(&wrong);
    assert_eq!(
        (refused.status, &refused.json()["type"]),
        (429, &json!(QUOTA_EXCEEDED))
    );
    assert_eq!(refused.retry_after(), Some(60));
    // Nobody who is known is locked out by it, and nobody elsewhere.
    assert_eq!(gateway.call(&Call::get("/").bearer(&good)).status, 200);
    assert_eq!(gateway.call(&wrong.clone().from(OTHER_ADDRESS)).status, 401);

    assert_eq!(
        statuses(&gateway, &Call::get("/get-auth-token"), 29),
        [200; 29]
    );
    let refused = gateway.get("/get-auth-token");
    assert_eq!((refused.status, refused.retry_after()), (429, Some(60)));
    let elsewhere = Call::get("/get-auth-token").from(OTHER_ADDRESS);
    assert_eq!(gateway.call(&elsewhere).status, 200);
    gateway.advance(60.0);
    assert_eq!(gateway.get("/get-auth-token").status, 200);
    assert_eq!(gateway.call(&wrong).status, 401);
}

#[test]
fn every_other_route_has_the_default_and_a_routes_own_limits_replace_it_unless_it_inherits() {
    let gateway = preset("hello-by-ip");
    let token = token(&gateway);
    let policies = |path: &str| -> Vec<String> {
        let answer = gateway.call(&Call::get(path).bearer(&token));
        assert_eq!(answer.status, 200);
        rate_limit(&answer).into_keys().collect()
    };
    assert_eq!(policies("/hello/ann"), ["default.minute"]);
    assert_eq!(policies("/fast"), ["fast.second"]);
    assert_eq!(policies("/strict"), ["default.minute", "strict.second"]);
    gateway.advance(60.0);
    let call = |path: &str| Call::get(path).bearer(&token);
    assert_eq!(
        statuses(&gateway, &call("/hello/bob"), 6),
        [200, 200, 200, 200, 200, 429]
    );
    assert_eq!(
        statuses(&gateway, &call("/fast"), 3),
        [200, 200, 429],
        "not the default's five"
    );
    assert_eq!(statuses(&gateway, &call("/strict"), 3), [200, 200, 429]);
    gateway.advance(1.0);
    assert_eq!(
        statuses(&gateway, &call("/fast"), 3),
        [200, 200, 429],
        "the default is replaced"
    );
    // Of the five a minute, /strict has used two, and the one that was denied cost nothing.
    assert_eq!(statuses(&gateway, &call("/strict"), 2), [200; 2]);
    gateway.advance(1.0);
    let answers = statuses(&gateway, &call("/strict"), 2);
    assert_eq!(answers, [200, 429], "the default holds as well");
}

#[test]
fn the_algorithm_is_chosen_per_limit() {
    let text = "\
[limits.sliding]\nkey = \"client-ip\"\nquotas = [\"2 per 10 seconds\"]\n\
[limits.fixed]\nkey = \"client-ip\"\nalgorithm = \"fixed-window\"\nquotas = [\"2 per 10 seconds\"]\n\
[limits.bucket]\nkey = \"client-ip\"\nalgorithm = \"token-bucket\"\nquotas = [\"2 per 10 seconds\"]\n\
[[routes]]\nmatch = \"GET /sliding\"\nlimits = [\"sliding\"]\nrespond = { text = \"x\" }\n\
[[routes]]\nmatch = \"GET /fixed\"\nlimits = [\"fixed\"]\nrespond = { text = \"x\" }\n\
[[routes]]\nmatch = \"GET /bucket\"\nlimits = [\"bucket\"]\nrespond = { text = \"x\" }\n";
    let gateway = launch().rules(text).start();
    let calls = |count: usize| {
        ["/sliding", "/fixed", "/bucket"].map(|path| statuses(&gateway, &Call::get(path), count))
    };
    assert_eq!(calls(1), [[200]; 3]);
    gateway.advance(9.0);
    // A bucket has refilled by then; windows have not.
    assert_eq!(calls(2), [[200, 429], [200, 429], [200, 200]]);
    gateway.advance(1.0);
    // The fixed window begins anew as a whole, the sliding one gives back what is ten seconds old.
    assert_eq!(calls(2), [[200, 429], [200, 200], [429, 429]]);
}

#[test]
fn the_documentation_says_which_algorithm_to_choose_when() {
    let pages = std::fs::read_dir(root().join("docs")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().path());
    let chooses = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path)
            .unwrap_or_default()
            .to_lowercase();
        let kinds = ["sliding-window", "token-bucket", "fixed-window", "choose"];
        kinds.iter().all(|word| text.contains(word))
    };
    assert!(
        pages.chain([root().join("README.md")]).any(chooses),
        "no page of docs/ names every algorithm and when to choose it"
    );
}

#[test]
fn an_api_key_works_as_well_as_a_token_in_either_field() {
    let gateway = preset("hello-by-ip");
    new_user(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    assert_eq!(gateway.call(&key.get("/")).status, 200);
    assert_eq!(
        gateway.call(&Call::get("/").bearer(&key.secret)).status,
        200
    );
    let both = key.get("/").bearer(&token(&gateway));
    assert_eq!(gateway.call(&both).status, 400, "one credential, not two");
}

#[test]
fn behind_a_bridge_all_clients_are_one_until_the_line_that_the_log_gives_is_added() {
    let upstream = Upstream::recording();
    let rules = |server: &str| {
        format!(
            "{server}[[routes]]\nmatch = \"GET /\"\nlimits = [\"1 per minute\"]\nupstream = \"{}\"\n",
            upstream.url()
        )
    };
    let from = |client: &str| Call::get("/").field("x-forwarded-for", client);
    let mut gateway = launch().rules(&rules("")).start();
    assert_eq!(gateway.call(&from("192.0.2.1")).status, 200);
    assert_eq!(gateway.call(&from("192.0.2.2")).status, 429);
    let line = "trusted_proxies = [\"127.0.0.1/32\"]";
    let told = gateway.process().logged(line);
    assert_eq!(told.len(), 1, "one warning for each peer: {told:?}");

    let gateway = launch()
        .rules(&rules(&format!("[server]\n{line}\n")))
        .start();
    assert_eq!(gateway.call(&from("192.0.2.1")).status, 200);
    assert_eq!(gateway.call(&from("192.0.2.2")).status, 200);
    assert_eq!(gateway.call(&from("192.0.2.1")).status, 429);
}
