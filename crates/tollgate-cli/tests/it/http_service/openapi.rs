//! The OpenAPI document, held against real answers.

use serde_json::{Value, json};
use tollgate_testkit::client::{Answer, Call};

use super::{Service, per_user};

/// What of `value` the schema does not allow; nothing if all is fine.
fn mistakes(value: &Value, schema: &Value, document: &Value) -> Vec<String> {
    if let Some(target) = schema["$ref"].as_str() {
        return mistakes(value, document.pointer(&target[1..]).unwrap(), document);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices
            .iter()
            .filter(|choice| mistakes(value, choice, document).is_empty());
        return match fits.count() {
            1 => Vec::new(),
            count => vec![format!("{count} of the choices fit {value}")],
        };
    }
    let mut found = Vec::new();
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.is_empty() && !types.contains(&is) {
        found.push(format!("{value} is no {types:?}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        found.push(format!("{value} is none of {choices:?}"));
    }
    if let Value::Object(members) = value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let missing = required
            .iter()
            .filter(|name| !members.contains_key(name.as_str().unwrap()));
        found.extend(missing.map(|name| format!("{name} is missing")));
        for (name, member) in members {
            match schema["properties"].get(name) {
                Some(schema) => found.extend(mistakes(member, schema, document)),
                None if schema["additionalProperties"] == false => {
                    found.push(format!("{name} is not described"))
                }
                None => {}
            }
        }
    }
    if let (Value::Array(items), Some(schema)) = (value, schema.get("items")) {
        found.extend(
            items
                .iter()
                .flat_map(|item| mistakes(item, schema, document)),
        );
    }
    found
}

fn hold(document: &Value, method: &str, path: &str, body: Option<&Value>, answer: &Answer) {
    let operation = &document["paths"][path][method];
    let response = &operation["responses"][answer.status.to_string()];
    assert!(
        response.is_object(),
        "{path} answers {}, which is not described",
        answer.status
    );
    let told = match response["content"].as_object() {
        Some(content) => {
            let (media_type, described) = content.iter().next().unwrap();
            assert_eq!(answer.expect("content-type"), media_type, "{path}");
            let told = answer.json();
            let wrong = mistakes(&told, &described["schema"], document);
            assert!(
                wrong.is_empty(),
                "{path}, {}: {wrong:?} in {told}",
                answer.status
            );
            told
        }
        None => {
            assert_eq!(answer.text(), "", "{path} answers with a body");
            Value::Null
        }
    };
    if let Some(body) = body.filter(|_| answer.status < 422) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(
            mistakes(body, schema, document),
            Vec::<String>::new(),
            "{path}: {body}"
        );
    }
    for field in response["headers"].as_object().into_iter().flatten() {
        let in_batch = told.get("answers").is_some();
        let has_no_end = field.0 == "Retry-After" && told["retry_after_ms"].is_null();
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
    for path in ["/v1/check", "/v1/peek"] {
        let body = per_user("eve", 1);
        let call = Call::post(path).json(&body);
        let answer = call.field("prefer", "return=minimal").send(service.address);
        assert_eq!(answer.status, 204);
        hold(&document, "post", path, Some(&body), &answer);
    }
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
