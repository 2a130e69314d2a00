//! Traces as a collector receives them: the binary with the feature `otlp`, read by OpenTelemetry's own messages.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tollgate_testkit::certificates::Certificates;
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::{Gateway, Launch};
use tollgate_testkit::process::{eventually, free_address, run};
use tollgate_testkit::redis::{RedisEngine, RedisServer};
use tollgate_testkit::relay::Relay;
use tollgate_testkit::upstream::Upstream;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that takes everything.
fn collector() -> Upstream {
    Upstream::answering("200 OK", "content-type: application/x-protobuf\r\n", "")
}

/// A gateway that sends its spans there at once.
fn launch(collector: &str) -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_tollgate"))
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
}

fn rules(server: &str, upstream: &Upstream) -> String {
    format!(
        "[server]\n{server}\n[counters]\ndeadline_ms = 10000\n\
         [limits.thing]\nkey = \"global\"\nquotas = [\"2 per hour\"]\n\
         [[routes]]\nmatch = \"GET /things/{{id}}\"\nlimits = [\"thing\"]\nupstream = \"{}\"\n",
        upstream.url()
    )
}

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1/32\"]";

/// A request within a trace that its caller records, with much that is nobody's business.
fn traced() -> Call {
    Call::get("/things/private-path?key=private-query")
        .field("traceparent", &format!("00-{TRACE}-{CALLER}-01"))
        .field("tracestate", "vendor=1")
        .field("x-api-key", "private-key")
        .field("cookie", "a=private-cookie")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Python with OpenTelemetry's messages and grpcio.
fn python() -> PathBuf {
    let venv = std::env::var_os("TOLLGATE_VENV");
    let venv = venv.map_or_else(|| root().join("../../target/venv"), PathBuf::from);
    venv.join("bin/python")
}

/// What came to the collector, a span each.
fn spans(collector: &Upstream) -> Vec<Value> {
    let received = collector.received();
    for request in &received {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", "/v1/traces")
        );
        assert_eq!(
            request.field("content-type"),
            Some("application/x-protobuf")
        );
        let text = String::from_utf8_lossy(&request.body);
        assert!(!text.contains("private"), "{text}");
    }
    let hex = |body: &[u8]| -> String { body.iter().map(|byte| format!("{byte:02x}")).collect() };
    let lines: Vec<String> = received.iter().map(|request| hex(&request.body)).collect();
    let mut python = Command::new(python());
    python.arg(root().join("tests/otlp/decode.py"));
    let decoded = run(python, &lines.join("\n"));
    assert_eq!(decoded.code, 0, "{}", decoded.stderr);
    let lines = decoded.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// So many spans, by name; of several that have one name the first.
fn eventually_spans(collector: &Upstream, count: usize) -> Vec<Value> {
    eventually("the spans to arrive", || {
        let spans = spans(collector);
        (spans.len() >= count).then_some(spans)
    })
}

fn named<'s>(spans: &'s [Value], name: &str) -> &'s Value {
    let found = spans.iter().find(|span| span["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    let lines = metrics.lines();
    let value = lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .next();
    value
        .unwrap_or_else(|| panic!("no {name}:\n{metrics}"))
        .parse()
        .unwrap()
}

#[test]
fn a_caller_s_trace_goes_through_gateway_and_store_to_the_upstream() {
    let (collector, upstream) = (collector(), Upstream::recording());
    let redis = RedisServer::new(RedisEngine::Redis);
    let gateway = launch(&collector.url())
        .variable("OTEL_SERVICE_NAME", "edge")
        .rules(&rules(TRUSTED, &upstream))
        .option("--counters", redis.url())
        .start();
    let answer = gateway.call(&traced());
    assert_eq!(answer.status, 200);
    let spans = eventually_spans(&collector, 3);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let whole = named(&spans, "GET /things/{id}");
    let [store, leg] = ["decide", "GET"].map(|name| named(&spans, name));
    for span in &spans {
        assert_eq!(span["trace"], TRACE);
        assert_eq!(
            (&span["state"], &span["flags"]),
            (&json!("vendor=1"), &json!(1))
        );
        assert_eq!(span["resource"]["service.name"], "edge");
        assert_eq!(span["failed"], false);
        let (from, to) = (&span["started_ns"], &span["ended_ns"]);
        assert!(from.as_u64() >= whole["started_ns"].as_u64(), "{span}");
        assert!(to.as_u64() <= whole["ended_ns"].as_u64(), "{span}");
        assert!(from.as_u64() < to.as_u64(), "{span}");
    }
    assert_eq!(
        (&whole["parent"], &whole["kind"]),
        (&json!(CALLER), &json!("SPAN_KIND_SERVER"))
    );
    for part in [store, leg] {
        assert_eq!(part["parent"], whole["id"]);
        assert_eq!(part["kind"], "SPAN_KIND_CLIENT");
    }
    let expected = json!({
        "http.request.method": "GET", "http.route": "/things/{id}", "http.response.status_code": 200,
        "tollgate.decision": "allowed", "tollgate.degraded": false,
        "tollgate.request_id": answer.expect("x-request-id"),
    });
    assert_eq!(whole["attributes"], expected);
    let expected = json!({ "db.system.name": "redis", "tollgate.degraded": false });
    assert_eq!(store["attributes"], expected);
    let expected = json!({
        "http.request.method": "GET", "http.response.status_code": 200,
        "server.address": "127.0.0.1", "server.port": upstream.address().port(),
    });
    assert_eq!(leg["attributes"], expected);
    let received = upstream.last();
    let told = format!("00-{TRACE}-{}-01", leg["id"].as_str().unwrap());
    assert_eq!(received.fields("traceparent"), [told]);
    assert_eq!(received.fields("tracestate"), ["vendor=1"]);
    eventually("the answer of the collector to be read", || {
        (metric(&gateway, "tollgate_spans_exported_total") == 3).then_some(())
    });
    assert_eq!(metric(&gateway, "tollgate_spans_dropped_total"), 0);
}

#[test]
fn a_denial_says_which_limit_it_was_and_a_fault_of_the_upstream_what_it_was() {
    let (collector, upstream) = (collector(), Upstream::resetting());
    let gateway = launch(&collector.url())
        .rules(&rules("", &upstream))
        .start();
    let statuses = [(); 3].map(|()| gateway.get("/things/1").status);
    assert_eq!(statuses, [502, 502, 429]);
    let spans = eventually_spans(&collector, 5);
    let all =
        |name: &str| -> Vec<&Value> { spans.iter().filter(|span| span["name"] == name).collect() };
    let whole = all("GET /things/{id}");
    let told: Vec<_> = whole.iter().map(|span| &span["attributes"]).collect();
    assert_eq!(
        (&told[0]["tollgate.decision"], &told[0]["error.type"]),
        (&json!("failed"), &json!("502"))
    );
    assert_eq!(
        (
            &told[2]["tollgate.decision"],
            &told[2]["tollgate.denied_by"]
        ),
        (&json!("denied"), &json!(["thing.hour"]))
    );
    assert_eq!(
        (&whole[0]["failed"], &whole[2]["failed"]),
        (&json!(true), &json!(false))
    );
    let legs = all("GET");
    assert_eq!(legs.len(), 2, "who is denied goes nowhere");
    assert_eq!(
        (&legs[0]["attributes"]["error.type"], &legs[0]["failed"]),
        (&json!("closed"), &json!(true))
    );
    // Without a caller's, each request begins a trace of its own.
    assert_eq!(
        (&whole[0]["parent"], &whole[0]["state"]),
        (&json!(""), &json!(""))
    );
    assert_ne!(whole[0]["trace"], whole[1]["trace"]);
}

#[test]
fn who_is_no_trusted_proxy_does_not_say_what_is_recorded_here_or_behind() {
    let (collector, upstream) = (collector(), Upstream::recording());
    let gateway = launch(&collector.url())
        .variable("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        .rules(&rules("", &upstream))
        .start();
    assert_eq!(gateway.call(&traced()).status, 200);
    let received = upstream.last();
    let told = received.field("traceparent").unwrap();
    assert!(
        told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"),
        "{told}"
    );
    assert_eq!(
        gateway
            .call(&Call::get("/things/2").field("tracestate", "vendor=1"))
            .status,
        200
    );
    assert_eq!(upstream.last().field("tracestate"), None, "of no trace");
    gateway.stop();
    assert_eq!(spans(&collector), Vec::<Value>::new());
}

#[test]
fn a_question_to_the_service_has_a_span_in_the_trace_of_whoever_asks() {
    let (collector, address) = (collector(), free_address());
    let rules = "[limits.one]\nkey = \"user\"\nquotas = [\"1 per hour\"]\n";
    let gateway = launch(&collector.url())
        .rules(&format!("[service]\nhttp = \"{address}\"\n{rules}"))
        .start();
    let body = json!({ "limit": "one", "key": { "user": "private-user" } });
    let asked = Call::post("/v1/check")
        .json(&body)
        .field("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!([(); 2].map(|()| asked.send(address).status), [200, 429]);
    assert_eq!(Call::get("/private").send(address).status, 404);
    let spans = eventually_spans(&collector, 3);
    let of_check: Vec<_> = spans
        .iter()
        .filter(|span| span["name"] == "POST /v1/check")
        .collect();
    for (span, status) in of_check.iter().zip([200, 429]) {
        assert_eq!(
            (&span["trace"], &span["parent"]),
            (&json!(TRACE), &json!(CALLER))
        );
        let expected = json!({
            "http.request.method": "POST", "http.route": "/v1/check", "http.response.status_code": status,
        });
        assert_eq!(span["attributes"], expected);
    }
    assert_eq!(of_check.len(), 2);
    named(&spans, "GET");
    drop(gateway);
}

/// One call of Envoy's about the key `ann`, within a trace.
const CALL: &str = r#"
import sys, grpc
ask = grpc.insecure_channel(sys.argv[1]).unary_unary("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")
ask(b"\n\x04edge\x12\x0c\n\x0a\n\x03key\x12\x03ann", metadata=[("traceparent", sys.argv[2])], timeout=20)
"#;

#[test]
fn a_question_of_envoy_has_a_span_in_envoy_s_trace() {
    let (collector, address) = (collector(), free_address());
    let descriptors =
        "[[service.domains.edge.descriptors]]\nentries = [\"key\"]\nquotas = [\"1 per hour\"]\n";
    let gateway = launch(&collector.url())
        .rules(&format!("[service]\ngrpc = \"{address}\"\n{descriptors}"))
        .start();
    for _ in 0..2 {
        let mut python = Command::new(python());
        let caller = format!("00-{TRACE}-{CALLER}-01");
        python.args(["-c", CALL, &address.to_string(), &caller]);
        let asked = run(python, "");
        assert_eq!(asked.code, 0, "{}", asked.stderr);
    }
    let spans = eventually_spans(&collector, 2);
    for (span, decision) in spans.iter().zip(["allowed", "denied"]) {
        let name = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
        assert_eq!(
            (&span["name"], &span["trace"]),
            (&json!(name), &json!(TRACE))
        );
        let expected = json!({ "rpc.system": "grpc", "rpc.grpc.status_code": 0, "tollgate.decision": decision });
        assert_eq!(
            (&span["parent"], &span["attributes"]),
            (&json!(CALLER), &expected)
        );
    }
    drop(gateway);
}

#[test]
fn the_last_spans_are_sent_before_the_gateway_ends() {
    let (collector, upstream) = (collector(), Upstream::recording());
    let gateway = launch(&collector.url())
        .variable("OTEL_BSP_SCHEDULE_DELAY", "600000")
        .rules(&rules("", &upstream))
        .start();
    assert_eq!(gateway.get("/things/1").status, 200);
    assert!(gateway.stop().success());
    assert_eq!(spans(&collector).len(), 2);
}

#[test]
fn a_collector_that_is_away_or_silent_is_said_once_and_holds_nobody_up() {
    let upstream = Upstream::recording();
    let silent = Upstream::hanging();
    for away in [format!("http://{}", free_address()), silent.url()] {
        let mut gateway = launch(&away)
            .variable("OTEL_BSP_MAX_QUEUE_SIZE", "2")
            .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
            .rules(&rules("", &upstream).replace("2 per hour", "1000 per hour"))
            .start();
        eventually("spans to be dropped", || {
            assert_eq!(gateway.get("/things/1").status, 200);
            (metric(&gateway, "tollgate_spans_dropped_total") > 20).then_some(())
        });
        assert_eq!(metric(&gateway, "tollgate_spans_exported_total"), 0);
        assert_eq!(gateway.process().logged("takes no spans").len(), 1);
    }
}

#[test]
fn a_collector_that_is_back_gets_spans_again_without_a_restart() {
    let (collector, upstream) = (collector(), Upstream::recording());
    let relay = Relay::new(collector.address());
    relay.cut();
    let mut gateway = launch(&format!("http://{}", relay.address()))
        .rules(&rules("", &upstream))
        .start();
    eventually("spans to be dropped", || {
        gateway.get("/things/1");
        (metric(&gateway, "tollgate_spans_dropped_total") > 0).then_some(())
    });
    relay.heal();
    eventually("spans to be taken", || {
        gateway.get("/things/1");
        (metric(&gateway, "tollgate_spans_exported_total") > 0).then_some(())
    });
    assert_eq!(gateway.process().logged("takes spans again").len(), 1);
}

/// Takes TLS with this certificate, in front of a collector.
fn encrypting(collector: &Upstream, certificates: &Certificates) -> Gateway {
    let (cert, key) = (certificates.certificate(), certificates.key());
    let rules = format!(
        "[server]\ntls = {{ cert = {cert:?}, key = {key:?} }}\n\
         [[routes]]\nmatch = \"/v1/traces\"\nupstream = \"{}\"\n",
        collector.url()
    );
    Launch::new(env!("CARGO_BIN_EXE_tollgate"))
        .rules(&rules)
        .start()
}

#[test]
fn spans_go_over_tls_to_a_collector_whose_certificate_is_known() {
    let (collector, upstream) = (collector(), Upstream::recording());
    let certificates = Certificates::new();
    let encrypting = encrypting(&collector, &certificates);
    let gateway = launch(&format!("https://{}", encrypting.address()))
        .variable("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates.authority())
        .rules(&rules("", &upstream))
        .start();
    assert_eq!(gateway.get("/things/1").status, 200);
    eventually_spans(&collector, 2);
    assert_eq!(metric(&gateway, "tollgate_spans_dropped_total"), 0);
}

#[test]
fn a_collector_whose_certificate_is_not_known_gets_no_spans_and_that_is_said_once() {
    let (collector, upstream) = (collector(), Upstream::recording());
    let encrypting = encrypting(&collector, &Certificates::new());
    let other = Certificates::new();
    let address = format!("https://{}", encrypting.address());
    // With an authority that has not signed it, and with those that everybody knows.
    for known in [Some(other.authority()), None] {
        let mut launch = launch(&address).rules(&rules("", &upstream));
        if let Some(known) = known {
            launch = launch.variable("OTEL_EXPORTER_OTLP_CERTIFICATE", known);
        }
        let mut gateway = launch.start();
        eventually("spans to be dropped", || {
            assert_ne!(gateway.get("/things/1").status, 502);
            (metric(&gateway, "tollgate_spans_dropped_total") > 5).then_some(())
        });
        assert_eq!(metric(&gateway, "tollgate_spans_exported_total"), 0);
        let said = gateway.process().logged("takes no spans");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("certificate"), "{said:?}");
        gateway.stop();
    }
    assert_eq!(spans(&collector), Vec::<Value>::new());
}

#[test]
fn what_cannot_be_meant_is_said_at_the_start() {
    let upstream = Upstream::recording();
    let refused = launch("http://127.0.0.1:1")
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .rules(&rules("", &upstream))
        .refused();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("OTEL_EXPORTER_OTLP_PROTOCOL"),
        "{refused:?}"
    );
}
