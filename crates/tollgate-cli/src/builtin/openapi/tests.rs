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
        ("random-number", "/console/me/series/{id}"),
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

/// Of the admin socket, what is no administrator's business or not theirs alone.
const ELSEWHERE: [&str; 5] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/accounts/url",
    "/clock/advance",
];

/// Every path that a file of the admin side routes, with its methods, as the source writes them.
fn routed(source: &str) -> Vec<(String, &'static str)> {
    let mut routed = Vec::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let handlers = route.split("\n}").next().unwrap();
        for method in ["get", "put", "post", "delete"] {
            if handlers.contains(&format!("{method}(")) && !ELSEWHERE.contains(&path) {
                routed.push((path.to_owned(), method));
            }
        }
    }
    routed
}

#[test]
fn what_the_admin_side_answers_is_documented_below_the_console_and_nothing_else() {
    let admin = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/admin");
    let files = std::fs::read_dir(admin).unwrap();
    let mut routed: Vec<(String, &str)> = files
        .flat_map(|file| routed(&std::fs::read_to_string(file.unwrap().path()).unwrap()))
        .collect();
    let document = document(&rules("random-number"));
    let mut documented = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete"] {
            if let Some(path) = path.strip_prefix("/console/api")
                && operations.get(method).is_some()
            {
                documented.push((path.to_owned(), method));
            }
        }
    }
    routed.sort();
    documented.sort();
    assert_eq!(documented, routed);
}

#[test]
fn a_reader_meets_the_api_first_and_administration_last_and_no_heading_without_an_operation() {
    let all = [
        "API",
        "Limits",
        "Accounts",
        "API keys",
        "Console",
        "Administration",
    ];
    for (preset, expected) in [
        ("random-number", &all[..]),
        ("hello-by-ip", &["API", "Accounts"]),
    ] {
        let document = document(&rules(preset));
        let tags = document["tags"].as_array().unwrap().iter();
        let names: Vec<&str> = tags.map(|tag| tag["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{preset}");
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let used = operations.filter_map(|operation| operation["tags"][0].as_str());
        for tag in used {
            assert!(names.contains(&tag), "{preset}: {tag}");
        }
    }
}
