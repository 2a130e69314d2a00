use super::*;
use crate::builtin::testing::rules;

/// Every `$ref` of the document leads somewhere.
fn check_refs(value: &Value, document: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                assert!(document.pointer(&target[1..]).is_some(), "{target}");
            }
            fields
                .values()
                .for_each(|value| check_refs(value, document));
        }
        Value::Array(values) => values.iter().for_each(|value| check_refs(value, document)),
        _ => {}
    }
}

#[test]
fn each_preset_is_documented_with_its_routes_and_nothing_points_nowhere() {
    for (preset, path) in [
        ("random-number", "/call_api"),
        ("hello-by-ip", "/hello/{name}"),
        ("pages", "/see_remaining_limit"),
        ("hourly-module", "/"),
        ("per-api-key", "/monitor/keys/{id}/series"),
    ] {
        let document = document(&rules(preset));
        assert!(
            document["paths"][path]["get"]["summary"].is_string(),
            "{preset}: {document}"
        );
        assert!(document["paths"].get("/assets/{rest}").is_none());
        check_refs(&document, &document);
    }
}

#[test]
fn a_route_is_documented_as_the_rules_decide_it() {
    let document = document(&rules("random-number"));
    let call = &document["paths"]["/call_api"]["get"];
    assert_eq!(
        call["security"],
        json!([{ "session": [] }, { "bearer": [] }, { "apiKey": [] }])
    );
    assert!(
        call["description"]
            .as_str()
            .unwrap()
            .contains("`per-user.hour` 300 per hour")
    );
    let refused = &call["responses"]["403"];
    for field in [
        "WWW-Authenticate",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
    ] {
        assert!(
            refused["headers"].get(field).is_some(),
            "{field}: {refused}"
        );
    }
    assert!(refused["content"].get("application/problem+json").is_some());
    assert!(call["responses"].get("429").is_none() && call["responses"].get("401").is_none());

    let signup = &document["paths"]["/signup"]["post"];
    assert_eq!(
        signup["requestBody"]["$ref"],
        "#/components/requestBodies/Credentials"
    );
    assert!(
        signup["responses"]["429"]["headers"]
            .get("Retry-After")
            .is_some()
    );
    assert_eq!(signup["security"], json!([]));
}

#[test]
fn parameters_are_named_by_the_pattern() {
    let document = document(&rules("hello-by-ip"));
    let parameters = &document["paths"]["/hello/{name}"]["parameters"];
    assert_eq!(parameters[0]["name"], "name");
}
