//! The console's JSON, held against the OpenAPI document that describes it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_testkit::client::{Answer, Call, Connection};
use tollgate_testkit::gateway::Gateway;

use crate::schema::{close, mistakes};
use crate::support::{PASSWORD, Person, log_in, new_key, preset, statuses};

struct Asked<'g> {
    gateway: &'g Gateway,
    document: Value,
    root: Person,
    /// Every operation that was asked for, and how it was answered.
    met: BTreeSet<(String, String, u16)>,
}

impl Asked<'_> {
    /// Asks what the document calls `path`, with `words` in the place of its parameters.
    fn ask(&mut self, method: &str, path: &str, words: &[&str], body: &Value) -> Value {
        let (mut target, mut query) = (path.to_owned(), "");
        for word in words {
            match word.strip_prefix('?') {
                Some(_) => query = word,
                None => {
                    let (begin, end) = (target.find('{').unwrap(), target.find('}').unwrap());
                    target.replace_range(begin..=end, word);
                }
            }
        }
        let call = Call::new(method, &format!("/console/{target}{query}"));
        let call = self.root.with_cookie(call);
        let operation =
            self.document["paths"][format!("/console/{path}")][method.to_lowercase()].clone();
        assert!(operation.is_object(), "{method} {path} is not described");
        let streams = operation["responses"]["200"]["content"].get("text/event-stream");
        let answer = match (body, streams) {
            (_, Some(_)) => self.event(&call),
            (Value::Null, _) => self.gateway.call(&call),
            (body, _) => self.gateway.call(&call.json(body)),
        };
        let at = format!("{method} {target}{query}, {}", answer.status);
        let value = self.held(&operation, &answer, &at);
        if answer.status < 400 && !body.is_null() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let wrong = mistakes(body, schema, &self.document);
            assert!(wrong.is_empty(), "{at}: {wrong:?} in {body}");
        }
        let met = (path.to_owned(), method.to_lowercase(), answer.status);
        self.met.insert(met);
        value
    }

    /// The answer's JSON; of a text nothing.
    fn held(&self, operation: &Value, answer: &Answer, at: &str) -> Value {
        let mut described = &operation["responses"][answer.status.to_string()];
        if let Some(target) = described["$ref"].as_str() {
            described = self.document.pointer(&target[1..]).unwrap();
        }
        assert!(described.is_object(), "{at} is not described");
        let Some(content) = described.get("content") else {
            assert_eq!(answer.text(), "", "{at}");
            return Value::Null;
        };
        let media_type = answer.expect("content-type").split(';').next().unwrap();
        let schema = &content[media_type]["schema"];
        assert!(schema.is_object(), "{at} is {media_type}");
        let text = answer.text();
        let value: Value = match media_type {
            "text/plain" => Value::from(text.as_str()),
            _ => serde_json::from_str(&text).unwrap(),
        };
        let wrong = mistakes(&value, schema, &self.document);
        assert!(wrong.is_empty(), "{at}: {wrong:?} in {text}");
        value
    }

    /// The first event of a stream, as if it were the answer.
    fn event(&self, call: &Call) -> Answer {
        let mut stream = Connection::open(self.gateway.address());
        stream.send(call);
        let mut answer = stream.head().unwrap();
        let event = String::from_utf8(stream.chunk().unwrap()).unwrap();
        answer.body = event.trim_start_matches("data: ").into();
        answer
    }
}

#[test]
fn every_answer_of_the_console_is_as_the_document_says() {
    let gateway = preset("random-number");
    let made = gateway.command(&["user", "create", "root", "--admin"], PASSWORD);
    assert_eq!(made.code, 0, "{made:?}");
    let root = log_in(&gateway, "root");
    let mut document = gateway.get("/docs/openapi.json").json();
    close(&mut document);
    let mut asked = Asked {
        gateway: &gateway,
        document,
        root,
        met: BTreeSet::new(),
    };
    let nothing = Value::Null;

    let new_user = json!({ "username": "ann", "password": PASSWORD });
    for body in [
        &new_user,
        &new_user,
        &json!({ "username": "eve", "password": "x" }),
        &json!({}),
    ] {
        asked.ask("POST", "api/users", &[], body);
    }
    asked.ask("PUT", "api/plans/{plan}", &["pro"], &nothing);
    asked.ask("PUT", "api/plans/{plan}", &["pro"], &nothing);
    asked.ask("PUT", "api/plans/{plan}", &["1"], &nothing);
    for plan in ["pro", "gold"] {
        asked.ask(
            "PUT",
            "api/users/{name}/plan",
            &["ann"],
            &json!({ "plan": plan }),
        );
    }
    for (name, role) in [
        ("ann", "user"),
        ("ann", "king"),
        ("nobody", "user"),
        ("root", "user"),
    ] {
        asked.ask(
            "PUT",
            "api/users/{name}/role",
            &[name],
            &json!({ "role": role }),
        );
    }
    let key = new_key(&gateway, "ann", &[]);
    let scopes: [(&str, &[&str]); 4] = [
        ("api/users/{name}/limits/{limit}", &["ann", "per-user"]),
        ("api/keys/{id}/limits/{limit}", &[&key.id, "per-user"]),
        ("api/plans/{plan}/limits/{limit}", &["pro", "per-user"]),
        ("api/limits/{limit}/quotas", &["per-user"]),
    ];
    for (path, words) in scopes {
        asked.ask(
            "PUT",
            path,
            words,
            &json!({ "quotas": "7 per minute; 300 per hour" }),
        );
        asked.ask("PUT", path, words, &json!({ "quotas": "lots" }));
        asked.ask("PUT", path, words, &json!({}));
        let unknown = [&words[..words.len() - 1], &["nothing"]].concat();
        asked.ask("PUT", path, &unknown, &json!({ "quotas": "7 per minute" }));
    }
    statuses(&gateway, &key.get("/call_api"), 8);
    statuses(&gateway, &asked.root.get("/call_api"), 2);
    asked.gateway.advance(1.0);

    asked.ask("GET", "api/users", &[], &nothing);
    asked.ask("GET", "api/plans", &[], &nothing);
    asked.ask("GET", "api/limits", &[], &nothing);
    for query in ["?key=ann", "?key=ann&key=bob", "?key=nobody"] {
        asked.ask("GET", "api/limits/{limit}", &["per-user", query], &nothing);
    }
    asked.ask("GET", "api/audit", &[], &nothing);
    asked.ask("GET", "api/audit", &["?limit=many"], &nothing);
    asked.ask("GET", "api/health", &[], &nothing);
    asked.ask("GET", "api/monitor/overview", &[], &nothing);
    asked.ask("GET", "api/monitor/live", &[], &nothing);
    asked.ask("GET", "api/monitor/heavy", &[], &nothing);
    asked.ask("GET", "api/monitor/heavy", &["?limit=many"], &nothing);
    asked.ask("GET", "api/monitor/keys", &[], &nothing);
    asked.ask("GET", "api/monitor/keys", &["?sort=name"], &nothing);
    let series = "api/monitor/keys/{id}/series";
    for words in [
        vec![&*key.id],
        vec!["-"],
        vec!["-", "?user=ann"],
        vec!["-", "?step=week"],
        vec!["-", "?user=nobody"],
    ] {
        asked.ask("GET", series, &words, &nothing);
    }

    let create = json!({ "action": "create", "name": "laptop" });
    let own = asked.ask("POST", "me/keys", &[], &create);
    asked.ask("POST", "me/keys", &[], &json!({ "action": "create" }));
    asked.ask("GET", "me/keys", &[], &nothing);
    asked.ask("GET", "me/live", &[], &nothing);
    let own = own["id"].as_str().unwrap();
    for words in [
        ["all", "?span=hour"],
        [own, "?span=5-minutes"],
        ["all", "?span=week"],
        ["x", "?span=day"],
    ] {
        asked.ask("GET", "me/series/{id}", &words, &nothing);
    }
    asked.ask(
        "POST",
        "me/keys",
        &[],
        &json!({ "action": "revoke", "id": own }),
    );

    asked.ask(
        "DELETE",
        "api/limits/{limit}",
        &["per-user", "?key=ann"],
        &nothing,
    );
    asked.ask(
        "DELETE",
        "api/limits/{limit}",
        &["per-user", "?all=true"],
        &nothing,
    );
    asked.ask(
        "DELETE",
        "api/limits/{limit}",
        &["nothing", "?all=true"],
        &nothing,
    );
    asked.ask("DELETE", "api/plans/{plan}", &["pro"], &nothing);
    for (path, words) in scopes {
        asked.ask("DELETE", path, words, &nothing);
        asked.ask("DELETE", path, words, &nothing);
    }
    asked.ask("DELETE", "api/users/{name}/plan", &["ann"], &nothing);
    asked.ask("DELETE", "api/plans/{plan}", &["pro"], &nothing);
    asked.ask("DELETE", "api/plans/{plan}", &["pro"], &nothing);
    for method in ["PUT", "DELETE"] {
        for name in ["ann", "nobody"] {
            asked.ask(method, "api/users/{name}/disabled", &[name], &nothing);
        }
    }
    asked.ask("PUT", "api/users/{name}/disabled", &["root"], &nothing);

    let well: BTreeSet<_> = asked
        .met
        .iter()
        .filter(|(.., status)| *status < 300)
        .collect();
    let well: BTreeSet<_> = well
        .iter()
        .map(|(path, method, _)| (path.as_str(), method.as_str()))
        .collect();
    let paths = asked.document["paths"].as_object().unwrap().iter();
    let below =
        paths.filter_map(|(path, operations)| Some((path.strip_prefix("/console/")?, operations)));
    let described: BTreeSet<_> = below
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods
                .filter(|method| *method != "parameters")
                .map(move |method| (path, method.as_str()))
        })
        .collect();
    assert_eq!(well, described, "all that is described was asked for");
}
