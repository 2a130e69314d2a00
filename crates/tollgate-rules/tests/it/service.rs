//! Where the decision service listens, and who may ask.

use tollgate_rules::{Overrides, RuleSet, Service};

use crate::{ROUTE, printed, rules};

const TOKEN: &str = "0123456789abcdef";

fn complaints(text: &str) -> String {
    printed(&crate::complaints(text))
}

fn service(body: &str) -> String {
    format!("[service]\n{body}\n")
}

#[test]
fn the_service_is_off_unless_an_address_is_written_and_then_there_may_be_no_route() {
    assert_eq!(rules(ROUTE).service, Service::default());
    assert!(complaints("[service]\n").contains("no `[[routes]]`"));
    let both = rules(&service("resp = \"127.0.0.1:6380\"\nhttp = \"[::1]:8090\""));
    assert!(both.service.is_on() && both.routes.routes().is_empty());
    assert_eq!(both.service.addresses().count(), 2);
    let limited = "[limits.a]\nkey = \"user\"\nquotas = [\"1 per day\"]\n";
    assert_eq!(
        rules(&format!("{limited}{}", service("resp = \"127.0.0.1:1\"")))
            .unused_limits()
            .count(),
        0
    );
    assert_eq!(
        rules(&format!("{limited}{ROUTE}")).unused_limits().count(),
        1
    );
}

#[test]
fn an_address_of_the_command_line_stands_before_the_files_and_a_token_beside() {
    let given = Service {
        resp: Some("127.0.0.1:7000".parse().unwrap()),
        tokens: vec!["fedcba9876543210".to_owned()],
        ..Service::default()
    };
    let overrides = Overrides {
        service: given,
        ..Overrides::default()
    };
    let file = service(&format!(
        "resp = \"127.0.0.1:6380\"\ntokens = [\"{TOKEN}\"]"
    ));
    let service = RuleSet::parse("file", &file, &overrides).unwrap().service;
    assert_eq!(service.resp.unwrap().port(), 7000);
    assert_eq!(service.tokens.len(), 2);
    assert!(
        !format!("{service:?}").contains(TOKEN),
        "the debug form shows no secret"
    );
}

#[test]
fn what_others_reach_needs_a_token_or_the_word_that_it_is_meant() {
    for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
        let reached = format!("http = \"{address}\"");
        let found = complaints(&service(&reached));
        assert!(found.contains("nobody needs a token there"), "{found}");
        rules(&service(&format!("{reached}\ntoken = \"{TOKEN}\"")));
        rules(&service(&format!("{reached}\nopen = true")));
    }
}

#[test]
fn an_address_a_token_or_a_key_that_is_none_is_said() {
    for (body, said) in [
        ("resp = \"here\"", "`here` is not an address"),
        ("resp = 6380", "a string"),
        (
            "resp = \"127.0.0.1:1\"\ntoken = \"short\"",
            "16 to 256 printable",
        ),
        (
            "resp = \"127.0.0.1:1\"\ntoken = \"with blanks in the token\"",
            "16 to 256 printable",
        ),
        ("resp = \"127.0.0.1:1\"\nrespp = 1", "unknown key `respp`"),
    ] {
        let found = complaints(&service(body));
        assert!(found.contains(said), "{body}: {found}");
    }
    let many = vec![format!("\"{TOKEN}\""); Service::TOKENS_MAX + 1].join(", ");
    let found = complaints(&service(&format!(
        "resp = \"127.0.0.1:1\"\ntokens = [{many}]"
    )));
    assert!(found.contains("more than 16 tokens"), "{found}");
}

#[test]
fn certificates_of_clients_stand_in_the_place_of_a_token_for_what_they_encrypt() {
    let files = "cert = \"c.pem\", key = \"k.pem\"";
    let all = "resp = \"0.0.0.0:1\"\nhttp = \"0.0.0.0:2\"\ngrpc = \"0.0.0.0:3\"";
    let text = |tls: &str| service(&format!("{all}\ntls = {{ {files}{tls} }}"));
    let known = rules(&text(", client_ca = \"ca.pem\"")).service;
    let tls = known.tls.as_ref().unwrap();
    assert!(
        tls.resp && tls.http && tls.grpc,
        "all of them, if nothing is said"
    );
    assert!(complaints(&text("")).contains("nobody needs a token there"));
    let but_http = text(", client_ca = \"ca.pem\", protocols = [\"resp\", \"grpc\"]");
    let complaint = complaints(&but_http);
    assert!(complaint.contains("0.0.0.0:2"), "{complaint}");
    let some = service(&format!(
        "http = \"127.0.0.1:2\"\ntls = {{ {files}, protocols = [\"http\"] }}"
    ));
    let known = rules(&some).service.tls.unwrap();
    assert!(known.http && !known.resp && !known.grpc);
    let none = text(", client_ca = \"ca.pem\", protocols = []");
    assert!(complaints(&none).contains("`protocols` must not be empty"));
    let wrong = text(", client_ca = \"ca.pem\", protocols = [\"htp\"]");
    assert!(complaints(&wrong).contains("did you mean `http`?"));
}

#[test]
fn an_open_address_of_the_command_line_is_blamed_on_its_flag_and_one_of_the_file_on_its_line() {
    let open = Overrides {
        service: Service {
            http: Some("0.0.0.0:8090".parse().unwrap()),
            ..Service::default()
        },
        ..Overrides::default()
    };
    for file in ["", ROUTE, "[service]\nhttp = \"127.0.0.1:8090\"\n"] {
        let errors = RuleSet::parse("rules.toml", file, &open).unwrap_err();
        let shown = printed(&errors);
        assert!(
            shown.starts_with(
                "error: --http or TOLLGATE_HTTP: other machines reach the service on 0.0.0.0:8090"
            ),
            "{shown}"
        );
        assert!(!shown.contains("rules.toml"), "{shown}");
        assert!(shown.contains(" = help: set `token`"), "{shown}");
        assert_eq!((errors.len(), errors[0].line()), (1, 0));
    }
    let shown = complaints(&service("http = \"0.0.0.0:8090\""));
    assert!(shown.contains("--> tollgate.toml:2:8"), "{shown}");
}
