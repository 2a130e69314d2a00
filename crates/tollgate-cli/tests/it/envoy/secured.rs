//! Who may ask: tokens, TLS, and certificates of clients.

use std::path::{Path, PathBuf};

use serde_json::json;
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::DataDir;
use tollgate_testkit::process::eventually;
use tollgate_testkit::upstream::Upstream;

use super::{Asker, Proxy, about_to_serve, question, serving};
use crate::support::certificates;

const LIMIT: &str = "
[[service.domains.edge.descriptors]]
entries = [\"remote_address\"]
quotas = [\"1 per minute\"]
[[service.domains.edge.descriptors]]
entries = [\"key\"]
quotas = [\"1 per minute\"]
";

#[test]
fn where_a_token_is_needed_nobody_is_answered_without_one() {
    let (_gateway, address) = serving(&format!(
        "[service]\ntoken = \"a-token-of-the-service\"\n{LIMIT}"
    ));
    let mut asker = Asker::new(address);
    let mut asked = question(&[("key", "ann")]);
    assert_eq!(asker.ask(&asked)["error"], "UNAUTHENTICATED");
    for wrong in ["a-token-of-the-servicf", ""] {
        asked["token"] = wrong.into();
        assert_eq!(asker.ask(&asked)["error"], "UNAUTHENTICATED");
    }
    asked["token"] = "a-token-of-the-service".into();
    assert_eq!(asker.ask(&asked)["overallCode"], "OK");
    assert_eq!(asker.ask(&json!({ "health": "" }))["status"], "SERVING");
    let reflection = asker.ask(&json!({ "services": true }));
    assert_eq!(reflection["error"], "UNAUTHENTICATED");
}

fn tls(directory: &Path) -> String {
    let file = |name: &str| directory.join(name).display().to_string();
    format!(
        "[service]\ntls = {{ cert = {:?}, key = {:?}, client_ca = {:?} }}\n{LIMIT}",
        file("service.pem"),
        file("service.key"),
        file("ca.pem")
    )
}

#[test]
fn over_tls_only_those_with_a_certificate_are_answered_also_after_the_service_got_another() {
    let data = DataDir::new();
    certificates(data.path());
    let (gateway, address) = about_to_serve(&tls(data.path()));
    let gateway = gateway.start();
    let file = |name: &str| -> PathBuf { data.path().join(name) };
    let path = |name: &str| file(name).display().to_string();
    let (ca, cert, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let name = format!("localhost:{}", address.port());
    let with = ["--ca", &ca, "--cert", &cert, "--key", &key];
    assert_eq!(
        Asker::with(&name, &with).one("key", "ann")["overallCode"],
        "OK"
    );
    let mut without = Asker::with(&name, &["--ca", &ca]);
    assert_eq!(without.one("key", "bob")["error"], "UNAVAILABLE");
    let mut plain = Asker::new(address);
    assert_eq!(plain.one("key", "bob")["error"], "UNAVAILABLE");
    // Another root: who had a certificate of the old one is turned away, who has one of the new is let in.
    let old = DataDir::new();
    for name in ["ca.pem", "client.pem", "client.key"] {
        std::fs::copy(file(name), old.path().join(name)).unwrap();
    }
    certificates(data.path());
    eventually("the new certificates to be used", || {
        let answer = Asker::with(&name, &with).one("key", "eve");
        (answer["error"].is_null()).then_some(())
    });
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"]
        .map(|name| old.path().join(name).display().to_string());
    let with_old = ["--ca", &ca, "--cert", &cert, "--key", &key];
    assert_eq!(
        Asker::with(&name, &with_old).one("key", "bob")["error"],
        "UNAVAILABLE"
    );
    // What is no certificate is kept out.
    std::fs::write(file("service.pem"), "nothing").unwrap();
    eventually("it to be said", || {
        gateway.admin(&Call::get("/readyz"));
        let mut again = Asker::with(&name, &with);
        (again.one("key", "new")["overallCode"] == "OK").then_some(())
    });
}

#[test]
fn envoy_asks_over_tls_with_its_certificate() {
    let data = DataDir::new();
    certificates(data.path());
    let (gateway, address) = about_to_serve(&tls(data.path()));
    let _gateway = gateway.start();
    let upstream = Upstream::answering("200 OK", "", "here");
    let file = |name: &str| data.path().join(name).display().to_string();
    let socket = format!(
        "    - name: tollgate\n      transport_socket:\n        name: envoy.transport_sockets.tls\n        typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n          sni: localhost\n          common_tls_context:\n            tls_certificates: [{{ certificate_chain: {{ filename: {:?} }}, private_key: {{ filename: {:?} }} }}]\n            validation_context: {{ trusted_ca: {{ filename: {:?} }} }}\n",
        file("client.pem"),
        file("client.key"),
        file("ca.pem"),
    );
    let proxy = Proxy::start(address, upstream.address(), |text| {
        text.replace("    - name: tollgate\n", &socket)
    });
    let statuses = [(); 2].map(|()| Call::get("/address").send(proxy.address).status);
    assert_eq!(statuses, [200, 429], "{}", proxy.log());
}
