//! The OpenAPI document, held against answers to the questions that Schemathesis makes of it: what it allows, what it
//! does not, with and without a token, and reservations with what their receipts are good for.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::DataDir;
use tollgate_testkit::process::{Process, within};
use tollgate_testkit::random::Random;

use super::Service;
use crate::fastapi::python;
use crate::support::launch;

const TOKEN: &str = "fuzzed-0123456789abcdef";

/// Limits of every kind of key, and of slots, windows of the calendar, penalties and what only watches.
const RULES: &str = "
[service]
token = \"fuzzed-0123456789abcdef\"
[limits.everybody]
key = \"global\"
quotas = [\"1000 per second\"]
[limits.per-user]
key = \"user\"
quotas = [\"5 per minute\", \"8 per hour\"]
[limits.per-address]
key = \"client-ip\"
quotas = [\"3 per minute token-bucket\"]
penalty = { block = \"1 minute\" }
[limits.per-pair]
key = [\"user\", \"header:x-tenant\"]
quotas = [\"2 per minute fixed-window\"]
[limits.work]
key = \"user\"
quotas = [\"2 concurrent\"]
[limits.daily]
key = \"user\"
quotas = [\"20 per day calendar UTC\"]
[limits.watched]
key = \"user\"
mode = \"shadow\"
quotas = [\"1 per day\"]
";

/// What a run may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(600);

fn service() -> (Service, Value) {
    let service = Service::start(launch().rules(RULES));
    let mut document = Call::get("/v1/openapi.json").send(service.address).json();
    assert_eq!(document["openapi"], "3.1.0");
    // Of the two ways that it names, this service has the one with a token.
    document["security"] = json!([{ "token": [] }]);
    (service, document)
}

/// Holds the service against the document, with so many questions for each operation in each of the ways in which
/// Schemathesis makes them: those that the document allows (`positive`), and others (`all`). `taken` is how the former
/// may be answered. Returns how many there were, and what was wrong with the answers: nothing, if all is fine.
fn held(
    service: &Service,
    document: &Value,
    random: &mut Random,
    mode: &str,
    questions: u32,
    taken: &[u16],
) -> (u64, String) {
    let directory = DataDir::new();
    let write = |name: &str, text: String| {
        std::fs::write(directory.path().join(name), text).unwrap();
    };
    write("openapi.json", document.to_string());
    // 413: what is too long is not read, so nothing else can be said of it.
    let checks = format!(
        "[checks.positive_data_acceptance]\nexpected-statuses = {taken:?}\n\
         [checks.negative_data_rejection]\nexpected-statuses = [400, 401, 405, 413, 415, 422]\n"
    );
    write("checks.toml", checks);
    let mut command = Command::new(python());
    command
        .current_dir(directory.path())
        .args(["-m", "schemathesis.cli", "--config-file", "checks.toml"])
        .args(["run", "openapi.json", "--no-color", "--checks", "all"])
        .args(["--request-timeout", "120"])
        .args(["--url", &format!("http://{}", service.address)])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--seed", &random.below(1 << 32).to_string()])
        .args(["--mode", mode])
        .args(["--max-examples", &questions.to_string()])
        .args(["--report", "json", "--report-json-path", "report.json"]);
    let mut asking = Process::spawn(command);
    let ended = within(PATIENCE, || asking.ended().is_some());
    assert!(ended, "it goes on and on: {}", asking.log());
    let report = std::fs::read_to_string(directory.path().join("report.json"));
    let report = report.unwrap_or_else(|_| panic!("{}", asking.log()));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["errors"], json!([]), "{}", asking.log());
    let wrong = match asking.ended().is_some_and(|status| status.success()) {
        true => String::new(),
        false => asking.log(),
    };
    (report["test_cases"]["generated"].as_u64().unwrap(), wrong)
}

#[test]
fn thousands_of_questions_right_and_wrong_are_answered_as_the_document_says() {
    let mut random = Random::new();
    let (service, document) = service();
    let taken = [200, 204, 410, 413, 422, 429];
    let (asked, wrong) = held(&service, &document, &mut random, "all", 160, &taken);
    assert_eq!(wrong, "");
    assert!(asked >= 2_000, "{asked} questions");
    let metrics = service.gateway.admin(&Call::get("/metrics")).text();
    for outcome in ["allowed", "denied"] {
        let line = format!("protocol=\"http\",outcome=\"{outcome}\"}} ");
        let counted = metrics.lines().find_map(|known| known.split_once(&line));
        let (_, count) = counted.unwrap_or_else(|| panic!("{metrics}"));
        assert_ne!(count, "0", "{outcome}");
    }
}

/// A question about these words, in each of the ways to write a key.
fn question(limit: &str, parts: &[(&str, &Value)]) -> Value {
    let named = parts
        .iter()
        .map(|(name, word)| ((*name).to_owned(), (*word).clone()));
    let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    let words: Vec<&Value> = parts.iter().map(|(_, word)| *word).collect();
    let list = json!({ "type": "array", "prefixItems": words, "minItems": words.len(), "maxItems": words.len() });
    let object = json!({
        "type": "object",
        "properties": named.collect::<serde_json::Map<_, _>>(),
        "required": names,
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {
            "limit": { "const": limit },
            "key": { "anyOf": [list, object] },
            "cost": { "type": "integer", "minimum": 0, "maximum": 4 },
        },
        "required": ["limit", "key"],
        "additionalProperties": false,
    })
}

#[test]
fn what_names_a_limit_that_there_is_and_a_key_of_it_is_decided() {
    let mut random = Random::new();
    let (service, mut document) = service();
    let word = json!({ "type": "string", "minLength": 1, "maxLength": 20 });
    let address = json!({ "enum": ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] });
    let schemas = &mut document["components"]["schemas"];
    schemas["One"] = json!({ "anyOf": [
        question("everybody", &[]),
        question("per-user", &[("user", &word)]),
        question("per-address", &[("client-ip", &address)]),
        question("per-pair", &[("user", &word), ("header:x-tenant", &word)]),
        question("work", &[("user", &word)]),
        question("daily", &[("user", &word)]),
        question("watched", &[("user", &word)]),
    ] });
    // As many as fit into one decision, and into one body.
    schemas["Several"]["properties"]["checks"]["maxItems"] = json!(8);
    schemas["Batch"]["properties"]["requests"]["maxItems"] = json!(20);
    let paths = document["paths"].as_object_mut().unwrap();
    paths
        .retain(|path, _| ["/v1/check", "/v1/peek", "/v1/reserve", "/v1/reset"].contains(&&**path));
    let reserved = &mut document["paths"]["/v1/reserve"]["post"]["responses"]["200"];
    reserved.as_object_mut().unwrap().remove("links");
    let (asked, wrong) = held(
        &service,
        &document,
        &mut random,
        "positive",
        40,
        &[200, 204, 429],
    );
    assert_eq!(wrong, "");
    assert!(asked >= 200, "{asked} questions");
}

#[test]
fn an_answer_that_the_document_does_not_describe_is_noticed() {
    let mut random = Random::new();
    let (service, mut document) = service();
    let limits = document["paths"]["/v1/limits"].clone();
    document["paths"] = json!({ "/v1/limits": limits });
    let any = &[200];
    assert_eq!(held(&service, &document, &mut random, "all", 1, any).1, "");
    let mut without_401 = document.clone();
    let responses = &mut without_401["paths"]["/v1/limits"]["get"]["responses"];
    responses.as_object_mut().unwrap().remove("401");
    let limits = &mut document["components"]["schemas"]["Limits"];
    limits["properties"]["limits"]["items"]["properties"]["key"]["type"] = json!("string");
    for wrong in [document, without_401] {
        assert_ne!(held(&service, &wrong, &mut random, "all", 1, any).1, "");
    }
}
