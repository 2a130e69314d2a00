//! The OpenAPI document, held against real answers.

use serde_json::{Value, json};
use tollgate_testkit::client::{Answer, Call};

use super::{Service, per_user};
use crate::schema::mistakes;

fn hold(document: &Value, method: &str, path: &str, body: Option<&Value>, answer: &Answer) {
    let operation = &document["paths"][path][method];
    let response = &operation["responses"][answer.status.to_string()];
    assert!(
        response.is_object(),
        "{path} answers {}, which is not described",
        answer.status
    );
    let (media_type, described) = response["content"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert_eq!(answer.expect("content-type"), media_type, "{path}");
    let wrong = mistakes(&answer.json(), &described["schema"], document);
    assert!(
        wrong.is_empty(),
        "{path}, {}: {wrong:?} in {}",
        answer.status,
        answer.text()
    );
    if let Some(body) = body.filter(|_| answer.status < 422) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(
            mistakes(body, schema, document),
            Vec::<String>::new(),
            "{path}: {body}"
        );
    }
    for field in response["headers"].as_object().into_iter().flatten() {
        let in_batch = answer.json().get("answers").is_some();
        let has_no_end = field.0 == "Retry-After" && answer.json()["retry_after_ms"].is_null();
        assert!(
            in_batch || has_no_end || answer.field(field.0).is_some(),
            "{path}: {}",
            field.0
        );
    }
}

#[test]
fn every_answer_is_as_the_document_says() {
    let service = Service::usual();
    let document = Call::get("/v1/openapi.json").send(service.address).json();
    assert_eq!(document["openapi"], "3.1.0");
    let reserve = || {
        let body = json!({ "limit": "tokens", "key": "ann", "cost": 10 });
        service.post("/v1/reserve", body).json()["receipt"].clone()
    };
    let checks =
        json!({ "checks": [{ "limit": "per-user", "key": ["zoe"] }, { "limit": "everybody" }] });
    let asked = [
        ("/v1/check", per_user("ann", 5)),
        ("/v1/check", per_user("ann", 1)),
        ("/v1/check", per_user("ann", 9)),
        ("/v1/check", checks.clone()),
        (
            "/v1/check",
            json!({ "requests": [checks, per_user("ann", 1)] }),
        ),
        ("/v1/check", json!({ "limit": "nobody" })),
        ("/v1/peek", per_user("bob", 1)),
        ("/v1/reserve", per_user("cat", 5)),
        ("/v1/reserve", per_user("cat", 5)),
        ("/v1/settle", json!({ "receipt": reserve(), "cost": 5 })),
        ("/v1/settle", json!({ "receipt": reserve(), "costs": [5] })),
        ("/v1/settle", json!({ "receipt": "", "cost": 5 })),
        ("/v1/refund", json!({ "receipt": reserve() })),
        ("/v1/refund", json!({ "receipt": "x" })),
        ("/v1/reset", json!({ "limit": "per-user", "key": "ann" })),
        ("/v1/reset", json!({ "limit": "per-user" })),
    ];
    let mut statuses = Vec::new();
    for (path, body) in &asked {
        let answer = service.post(path, body.clone());
        statuses.push(answer.status);
        hold(&document, "post", path, Some(body), &answer);
    }
    assert_eq!(
        statuses,
        [
            200, 429, 429, 200, 200, 422, 200, 200, 429, 200, 200, 410, 200, 410, 200, 422
        ]
    );
    hold(
        &document,
        "get",
        "/v1/limits",
        None,
        &Call::get("/v1/limits").send(service.address),
    );
    for path in document["paths"].as_object().unwrap().keys() {
        assert_ne!(Call::get(path).send(service.address).status, 404, "{path}");
    }
    let text = document.to_string();
    for target in text
        .split("\"$ref\":\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        assert!(document.pointer(target).is_some(), "{target}");
    }
    // A document that says something else is noticed.
    let mut wrong = document;
    wrong["components"]["schemas"]["Standing"]["properties"]["charged"]["type"] = json!("string");
    let told = service.check(per_user("dan", 1)).json();
    assert!(
        !mistakes(
            &told,
            &json!({ "$ref": "#/components/schemas/Decision" }),
            &wrong
        )
        .is_empty()
    );
}
