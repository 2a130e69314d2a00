//! What `/metrics` exports: by the letter of OpenMetrics, by the conventions of names, and as the documentation says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{free_address, run};
use tollgate_testkit::redis::{RedisEngine, RedisServer};
use tollgate_testkit::upstream::Upstream;

use crate::fastapi::python;
use crate::support::{join, launch, root};

/// A family, by what a reader of OpenMetrics says of it.
#[derive(Debug, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

fn families(gateway: &Gateway) -> BTreeMap<String, Family> {
    let answer = gateway.admin(&Call::get("/metrics"));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.expect("content-type"), content_type);
    let mut reader = Command::new(python());
    reader.arg(root().join("crates/tollgate-cli/tests/it/metrics/families.py"));
    let read = run(reader, &answer.text());
    assert_eq!(read.code, 0, "{}\n{}", read.stderr, answer.text());
    let read: BTreeMap<String, Value> = serde_json::from_str(&read.stdout).unwrap();
    let family = |(name, said): (String, Value)| {
        let labels = said["labels"].as_array().unwrap().iter();
        let labels = labels.map(|label| label.as_str().unwrap().to_owned());
        let kind = said["kind"].as_str().unwrap().to_owned();
        assert_ne!(said["help"], "", "{name}");
        // A counter's samples have `_total` behind the name of their family, an info's `_info`.
        let name = match kind.as_str() {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name,
        };
        let labels = labels.collect();
        (name, Family { kind, labels })
    };
    read.into_iter().map(family).collect()
}

/// The tables below `## Metrics` in the documentation.
fn documented() -> BTreeMap<String, Family> {
    let page = std::fs::read_to_string(root().join("docs/monitoring.md")).unwrap();
    let section = page.split("\n## Metrics\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?.to_owned();
        let kind = cells.next()?.to_owned();
        let labels = cells.next()?.split(", ").filter(|label| !label.is_empty());
        let labels = labels
            .map(|label| label.trim_matches('`').to_owned())
            .collect();
        Some((name, Family { kind, labels }))
    };
    section.lines().filter_map(row).collect()
}

const RULES: &str = "\
[service]\nhttp = \"HTTP\"\nresp = \"RESP\"\ngrpc = \"GRPC\"\n\
[[service.domains.edge.descriptors]]\nentries = [\"key\"]\nquotas = [\"5 per minute\"]\n\
[counters]\ndeadline_ms = 10000\n\
[limits.few]\nkey = \"global\"\nquotas = [\"2 per hour\"]\n\
[[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n\
[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n\
[[routes]]\nmatch = \"GET /few\"\nlimits = [\"few\"]\nupstream = \"UPSTREAM\"\n";

fn rules(upstream: &Upstream) -> String {
    let mut rules = RULES.replace("UPSTREAM", &upstream.url());
    for place in ["HTTP", "RESP", "GRPC"] {
        rules = rules.replace(place, &free_address().to_string());
    }
    rules
}

#[test]
fn what_is_exported_is_what_is_documented_and_a_strict_reader_takes_it() {
    let (redis, upstream) = (RedisServer::new(RedisEngine::Redis), Upstream::recording());
    let over_memory = launch().rules(&rules(&upstream)).start();
    let shared = launch()
        .rules(&rules(&upstream))
        .option("--counters", redis.url())
        .start();
    let mut exported = BTreeMap::new();
    for gateway in [&over_memory, &shared] {
        join(gateway, "ann");
        for status in [200, 200, 429] {
            assert_eq!(gateway.get("/few").status, status);
        }
        exported.extend(families(gateway));
    }
    let documented = documented();
    assert!(documented.len() > 30, "{documented:?}");
    for (name, family) in &exported {
        assert_eq!(documented.get(name), Some(family), "{name}");
        if !["http_", "process_"]
            .iter()
            .any(|other| name.starts_with(other))
        {
            assert!(name.starts_with("tollgate_"), "{name}");
        }
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
    }
    let exported: Vec<&String> = exported.keys().collect();
    assert_eq!(exported, documented.keys().collect::<Vec<_>>());
}

#[test]
fn durations_are_told_apart_by_method_template_and_status_and_never_by_what_a_client_makes_up() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("2 per hour by client-ip")
        .start();
    for method in ["GET", "PROPFIND"] {
        assert_eq!(
            gateway
                .call(&Call::new(method, "/a/private?query=1"))
                .status,
            200
        );
    }
    assert_eq!(gateway.get("/b").status, 429);
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count"));
    let mut counts: Vec<&str> = counts.map(|line| line.split_once('{').unwrap().1).collect();
    counts.sort_unstable();
    let expected = [
        "http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/{*rest}\",http_response_status_code=\"200\"} 1",
        "http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/{*rest}\",http_response_status_code=\"429\"} 1",
        "http_request_method=\"_OTHER\",url_scheme=\"http\",http_route=\"/{*rest}\",http_response_status_code=\"200\"} 1",
    ];
    assert_eq!(counts, expected);
    assert!(!metrics.contains("private"), "{metrics}");
}

#[test]
fn faults_of_an_upstream_are_counted_by_what_they_are_and_all_are_there_from_the_start() {
    let upstream = Upstream::resetting();
    let gateway = launch().upstream(&upstream.url()).start();
    let errors = |kind: &str| {
        let metrics = gateway.admin(&Call::get("/metrics")).text();
        let name = format!(
            "tollgate_upstream_errors_total{{upstream=\"{}\",kind=\"{kind}\"}} ",
            upstream.address()
        );
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name.as_str()));
        line.unwrap_or_else(|| panic!("no {kind}:\n{metrics}"))
            .parse::<u64>()
            .unwrap()
    };
    let kinds = [
        "unreachable",
        "connect_timeout",
        "closed",
        "broken_off",
        "malformed",
        "timeout",
    ];
    assert_eq!(kinds.map(errors), [0; 6]);
    assert_eq!(gateway.get("/").status, 502);
    assert_eq!(kinds.map(errors), [0, 0, 1, 0, 0, 0]);
}

#[test]
fn every_way_in_which_the_shared_store_can_fail_is_there_at_0_from_the_start() {
    let redis = RedisServer::new(RedisEngine::Redis);
    let gateway = launch()
        .rules("[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"hello\" }\n")
        .option("--counters", redis.url())
        .start();
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    let errors: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("tollgate_store_errors_total{"))
        .collect();
    assert!(errors.len() >= 18, "{metrics}");
    assert!(errors.iter().all(|line| line.ends_with(" 0")), "{errors:?}");
    let connections = metrics
        .lines()
        .find_map(|line| line.strip_prefix("tollgate_store_connections "));
    assert!(
        connections.unwrap().parse::<u64>().unwrap() > 0,
        "{metrics}"
    );
}
