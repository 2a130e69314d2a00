//! Answers held against the schemas of an OpenAPI document, as far as ours use JSON Schema.

use serde_json::Value;

/// What of `value` the schema does not allow; nothing if all is fine.
pub(crate) fn mistakes(value: &Value, schema: &Value, document: &Value) -> Vec<String> {
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
    if !types.is_empty() && !types.iter().any(|name| is(name, value)) {
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
            match (
                schema["properties"].get(name),
                &schema["additionalProperties"],
            ) {
                (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                    found.extend(mistakes(member, schema, document))
                }
                (None, Value::Bool(false)) => found.push(format!("{name} is not described")),
                _ => {}
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

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// Forbids what objects do not describe: a document leaves that open, so that members can be added.
pub(crate) fn close(document: &mut Value) {
    match document {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
