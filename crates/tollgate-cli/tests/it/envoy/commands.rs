//! Files of Envoy's own service: served, changed, validated and converted.

use std::process::Command;

use tollgate_testkit::gateway::DataDir;
use tollgate_testkit::process::{Done, eventually, free_address, run};

use super::Asker;
use crate::support::{binary, launch};

const YAML: &str = "
domain: edge
descriptors:
  - key: key
    rate_limit: {unit: hour, requests_per_unit: 2}
";

fn command(args: &[&str], data: &DataDir) -> Done {
    let mut command = Command::new(binary());
    command.current_dir(data.path()).args(args);
    run(command, "")
}

#[test]
fn a_file_of_envoys_own_service_is_served_without_rules_and_read_again_when_it_changes() {
    let data = DataDir::new();
    let file = data.path().join("limits.yaml");
    std::fs::write(&file, YAML).unwrap();
    let address = free_address();
    let gateway = launch()
        .data(&data)
        .option("--grpc", address.to_string())
        .option("--envoy-config", &file)
        .start();
    let mut asker = Asker::new(address);
    for code in ["OK", "OK", "OVER_LIMIT"] {
        assert_eq!(asker.one("key", "ann")["overallCode"], code);
    }
    std::fs::write(&file, "domain: edge\ndescriptors: [{keey: key}]\n").unwrap();
    eventually("the wrong file to be told of", || {
        let metrics = gateway
            .admin(&tollgate_testkit::client::Call::get("/metrics"))
            .text();
        metrics
            .contains("tollgate_service_domain_load_errors_total 1")
            .then_some(())
    });
    assert_eq!(asker.one("key", "ann")["overallCode"], "OVER_LIMIT");
    std::fs::write(
        &file,
        YAML.replace("requests_per_unit: 2", "requests_per_unit: 4"),
    )
    .unwrap();
    eventually("the new limit to hold", || {
        (asker.one("key", "bob")["statuses"][0]["currentLimit"]["requestsPerUnit"] == 4)
            .then_some(())
    });
    // Counters stay: two of four are used.
    for code in ["OK", "OK", "OVER_LIMIT"] {
        assert_eq!(asker.one("key", "ann")["overallCode"], code);
    }
}

#[test]
fn a_wrong_file_keeps_the_service_from_starting_and_is_shown_with_its_line() {
    let data = DataDir::new();
    std::fs::write(
        data.path().join("limits.yaml"),
        "domain: edge\ndescriptors:\n  - kei: a\n",
    )
    .unwrap();
    let refused = launch()
        .data(&data)
        .option("--grpc", free_address().to_string())
        .option("--envoy-config", "limits.yaml")
        .refused();
    assert_eq!(refused.code, 2);
    let told = command(&["validate", "limits.yaml"], &data);
    assert_eq!(told.code, 2);
    for stderr in [refused.stderr, told.stderr] {
        assert!(
            stderr.contains("limits.yaml:3:5") && stderr.contains("did you mean `key`?"),
            "{stderr}"
        );
    }
    let alone = launch()
        .option("--envoy-config", "limits.yaml")
        .option("--limit", "5 per minute")
        .option("--upstream", "http://127.0.0.1:1")
        .refused();
    assert_eq!(alone.code, 2);
    assert!(alone.stderr.contains("--grpc"), "{}", alone.stderr);
}

#[test]
fn a_right_file_is_validated_and_what_it_is_converted_to_is_right() {
    let data = DataDir::new();
    std::fs::write(data.path().join("limits.yaml"), YAML).unwrap();
    let told = command(&["validate", "limits.yaml"], &data);
    assert_eq!(
        (told.code, told.stdout.trim()),
        (0, "limits.yaml is right. Domain: edge. Descriptors: 1.")
    );
    let converted = command(&["convert", "limits.yaml"], &data);
    assert_eq!(converted.code, 0);
    let rules = format!("[service]\ngrpc = \"127.0.0.1:8081\"\n{}", converted.stdout);
    std::fs::write(data.path().join("rules.toml"), rules).unwrap();
    let told = command(&["validate", "rules.toml"], &data);
    assert_eq!(told.code, 0, "{}", told.stderr);
}

#[test]
fn other_machines_need_a_token_or_a_certificate() {
    let refused = launch().option("--grpc", "0.0.0.0:0").refused();
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("nobody needs a token"),
        "{}",
        refused.stderr
    );
}
