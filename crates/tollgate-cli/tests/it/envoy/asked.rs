//! What grpcio, a client that knows nothing of this, is answered.

use std::process::Command;

use serde_json::{Value, json};
use tollgate_testkit::client::Call;
use tollgate_testkit::process::run;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::{Asker, about_to_serve, question, serving};
use crate::fastapi::python;
use crate::support::root;

const RULES: &str = "
[[service.domains.edge.descriptors]]
entries = [\"key\"]
quotas = [\"5 per minute\"]
";

#[test]
fn a_client_of_grpc_is_told_the_limit_what_is_left_and_when_to_come_back() {
    let (gateway, address) = serving(RULES);
    let mut asker = Asker::new(address);
    let first = asker.one("key", "ann");
    let status = json!([{
        "code": "OK",
        "currentLimit": { "requestsPerUnit": 5, "unit": "MINUTE" },
        "limitRemaining": 4,
        "durationUntilReset": "60s",
    }]);
    assert_eq!(first["overallCode"], "OK");
    assert_eq!(first["statuses"], status);
    for _ in 0..4 {
        assert_eq!(asker.one("key", "ann")["overallCode"], "OK");
    }
    let over = asker.one("key", "ann");
    assert_eq!(over["overallCode"], "OVER_LIMIT");
    assert_eq!(over["statuses"][0]["durationUntilReset"], "60s");
    gateway.advance(60.0);
    assert_eq!(asker.one("key", "ann")["overallCode"], "OK");
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    for line in [
        "tollgate_service_decisions_total{protocol=\"grpc\",outcome=\"denied\"} 1",
        "tollgate_service_descriptors_total{domain=\"edge\",descriptor=\"key\",outcome=\"ok\"} 6",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn hits_that_are_given_back_count_over_a_store_that_is_shared() {
    let redis = RedisServer::new(RedisEngine::Redis);
    let rules = format!("[counters]\ndeadline_ms = 10000\n{RULES}");
    let (launch, address) = about_to_serve(&rules);
    let gateway = launch.option("--counters", redis.url()).start();
    let mut asker = Asker::new(address);
    for _ in 0..5 {
        assert_eq!(asker.one("key", "ann")["overallCode"], "OK");
    }
    assert_eq!(asker.one("key", "ann")["overallCode"], "OVER_LIMIT");
    let mut back = question(&[("key", "ann")]);
    back["request"]["descriptors"][0]["isNegativeHits"] = true.into();
    back["request"]["descriptors"][0]["hitsAddend"] = 2.into();
    let answer = asker.ask(&back);
    assert_eq!(answer["statuses"][0]["limitRemaining"], 2, "{answer}");
    assert_eq!(asker.one("key", "ann")["statuses"][0]["limitRemaining"], 1);
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    assert!(
        metrics.contains("tollgate_service_refunds_lost_total 0"),
        "{metrics}"
    );
}

#[test]
fn a_hundred_at_once_against_five_are_five() {
    let (_gateway, address) = serving(RULES);
    let mut asked = question(&[("key", "ann")]);
    asked["times"] = 100.into();
    let codes = Asker::new(address).ask(&asked);
    let codes = codes["codes"].as_array().unwrap();
    let passed = codes.iter().filter(|code| **code == "OK").count();
    assert_eq!((passed, codes.len()), (5, 100));
}

#[test]
fn health_and_reflection_answer_and_what_there_is_not_is_said_so() {
    let (_gateway, address) = serving(RULES);
    let mut asker = Asker::new(address);
    for service in ["", "envoy.service.ratelimit.v3.RateLimitService"] {
        assert_eq!(
            asker.ask(&json!({ "health": service })),
            json!({ "status": "SERVING" })
        );
    }
    assert_eq!(
        asker.ask(&json!({ "health": "other" }))["error"],
        "NOT_FOUND"
    );
    let message = "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor";
    let told = asker.ask(&json!({ "services": message }));
    let services = told["services"].as_array().unwrap();
    assert!(
        services.contains(&"envoy.service.ratelimit.v3.RateLimitService".into()),
        "{told}"
    );
    let fields = json!({ "entries": 1, "limit": 2, "hits_addend": 3, "is_negative_hits": 4 });
    assert_eq!(told["fields"], fields);
}

#[test]
fn what_is_no_request_is_an_error_and_the_connection_goes_on() {
    let (_gateway, address) = serving(RULES);
    let mut asker = Asker::new(address);
    let no_descriptors = json!({ "request": { "domain": "edge" } });
    assert_eq!(asker.ask(&no_descriptors)["error"], "INVALID_ARGUMENT");
    assert_eq!(
        asker.ask(&json!({ "raw": "" }))["error"],
        "INVALID_ARGUMENT"
    );
    for bytes in ["ff", "0a", "0aff", "0a01ff", "1205ff"] {
        let answer = asker.ask(&json!({ "raw": bytes }));
        assert!(answer["error"].is_string(), "{bytes}: {answer}");
    }
    let long = "v".repeat(300 << 10);
    assert!(asker.one("key", &long)["error"].is_string());
    // As long as all that Envoy's client can send in header fields, four times.
    let long = "v".repeat(60 << 10);
    let four = [("a", &*long), ("b", &*long), ("c", &*long), ("key", &*long)];
    assert_eq!(asker.ask(&question(&four))["overallCode"], "OK");
    assert_eq!(asker.one("key", "ann")["overallCode"], "OK");
}

#[test]
fn a_field_that_is_not_known_is_passed_over() {
    let (_gateway, address) = serving(RULES);
    // Domain `edge`, one descriptor `key`, and a field 99.
    let raw = "0a0465646765120a0a080a036b65791201 61".replace(' ', "") + "9a06026869";
    let answer: Value = Asker::new(address).ask(&json!({ "raw": raw }));
    assert!(
        answer["raw"].as_str().unwrap().starts_with("0801"),
        "{answer}"
    );
}

#[test]
fn the_same_is_asked_in_json_over_http_of_the_same_counters() {
    let http = tollgate_testkit::process::free_address();
    let (launch, address) = super::about_to_serve(RULES);
    let _gateway = launch.option("--http", http.to_string()).start();
    let mut asked = question(&[("key", "ann")])["request"].take();
    asked["hitsAddend"] = 4.into();
    let ask = |asked: &Value| Call::post("/json").json(asked).send(http);
    let first = ask(&asked);
    let status = json!({
        "code": "OK",
        "currentLimit": { "requestsPerUnit": 5, "unit": "MINUTE" },
        "limitRemaining": 1,
        "durationUntilReset": "60s",
    });
    assert_eq!(first.status, 200);
    assert_eq!(
        first.json(),
        json!({ "overallCode": "OK", "statuses": [status] })
    );
    assert_eq!(
        first.field("ratelimit"),
        Some("\"edge/key.minute\";r=1;t=60")
    );
    assert_eq!(Asker::new(address).one("key", "ann")["overallCode"], "OK");
    let over = ask(&asked);
    assert_eq!(
        (over.status, &over.json()["overallCode"]),
        (429, &json!("OVER_LIMIT"))
    );
    assert_eq!(over.retry_after(), Some(60));
    // Both spellings of names, numbers of 64 bits in quotes, and what is no such request.
    let look = json!({ "domain": "edge", "descriptors": [{ "entries": [{ "key": "key", "value": "bob" }], "hits_addend": "0" }] });
    assert_eq!(ask(&look).json()["statuses"][0]["limitRemaining"], 5);
    for wrong in [
        json!([]),
        json!({}),
        json!({ "domain": "edge" }),
        json!({ "domain": 1 }),
        json!({ "domian": "edge" }),
    ] {
        assert_eq!(ask(&wrong).status, 400, "{wrong}");
    }
}

#[test]
fn streams_that_never_end_end_when_the_service_stops_and_hold_nothing_up() {
    let (mut gateway, address) = serving(RULES);
    let mut asker = Asker::new(address);
    let first = asker.ask(&json!({ "streams": true }));
    assert_eq!(first, json!({ "status": "SERVING" }));
    gateway.process().terminate();
    let ended = asker.ask(&json!({ "ended": true }));
    assert_eq!(ended["statuses"], json!(["NOT_SERVING"]), "{ended}");
    assert_eq!(ended["watch"], "UNAVAILABLE");
    gateway.process().wait();
    let log = gateway.process().log();
    assert!(!log.contains("cut off"), "{log}");
}

#[test]
fn what_reflection_tells_is_what_the_proto_files_say() {
    let directory = tempfile::tempdir().unwrap();
    let compiled = directory.path().join("rls.binpb");
    let mut command = Command::new(python());
    command
        .current_dir(root().join("crates/tollgate-service/proto"))
        .args(["-m", "grpc_tools.protoc", "-I", ".", "--include_imports"])
        .arg(format!("--descriptor_set_out={}", compiled.display()))
        .arg("envoy/service/ratelimit/v3/rls.proto");
    let done = run(command, "");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let checked_in = root().join("crates/tollgate-service/proto/rls.binpb");
    let same = std::fs::read(compiled).unwrap() == std::fs::read(checked_in).unwrap();
    assert!(same, "compile proto/ again, as this test does");
}
