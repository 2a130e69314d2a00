//! Client libraries and tools that others have written, unchanged.

use std::process::Command;

use tollgate_testkit::process::{Done, run};

use super::Service;
use crate::fastapi::python;
use crate::support::{launch, root};

const RULES: &str = "[limits.per-user]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n[service]\ntoken = \"0123456789abcdef\"\n";

fn guarded() -> Service {
    Service::start(launch().rules(RULES))
}

fn done(command: &mut Command) -> Done {
    let mut taken = Command::new("true");
    std::mem::swap(command, &mut taken);
    let done = run(taken, "");
    assert_eq!(done.code, 0, "{done:?}");
    done
}

fn redis_cli(service: &Service, words: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args([
        "-p",
        &service.address.port().to_string(),
        "-a",
        "0123456789abcdef",
        "--no-auth-warning",
    ]);
    done(command.args(words)).stdout
}

#[test]
fn redis_cli_asks_in_both_protocols() {
    let service = guarded();
    let throttle = ["CL.THROTTLE", "ann", "15", "30", "60"];
    assert_eq!(redis_cli(&service, &throttle), "0\n16\n15\n-1\n2\n");
    let with_resp3 = redis_cli(&service, &["-3", "TOLLGATE.CHECK", "per-user", "ann"]);
    assert!(
        with_resp3.starts_with("allowed 1\nlimit 5\nremaining 4\n"),
        "{with_resp3}"
    );
    assert!(redis_cli(&service, &["INFO"]).contains("redis_mode:standalone"));
    assert!(redis_cli(&service, &["NONSENSE"]).contains("ERR unknown command"));
}

#[test]
fn redis_benchmark_runs_with_pipelines() {
    let service = guarded();
    let mut command = Command::new("redis-benchmark");
    command.args([
        "-p",
        &service.address.port().to_string(),
        "-a",
        "0123456789abcdef",
    ]);
    command.args(["-n", "20000", "-P", "16", "-c", "20", "-r", "1000", "-q"]);
    let done = done(command.args(["CL.THROTTLE", "key:__rand_int__", "15", "30", "60"]));
    assert!(done.stdout.contains("requests per second"), "{done:?}");
    let metrics = service
        .gateway
        .admin(&tollgate_testkit::client::Call::get("/metrics"))
        .text();
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("tollgate_service_decisions_total{protocol=\"resp\""));
    let counted: u64 = counted
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, 20_000);
}

#[test]
fn redis_py_asks_one_by_one_in_pipelines_and_from_many_threads() {
    let service = guarded();
    for protocol in ["2", "3"] {
        let mut command = Command::new(python());
        command.arg(root().join("tests/clients/redis_py.py")).args([
            &service.address.port().to_string(),
            "0123456789abcdef",
            protocol,
        ]);
        assert_eq!(done(&mut command).stdout.trim(), "fine");
    }
}

#[test]
fn ioredis_asks_one_by_one_and_in_pipelines() {
    let clients = root().join("tests/clients");
    assert!(
        clients.join("node_modules/ioredis").exists(),
        "there is no ioredis: `make test` installs it in {}",
        clients.display()
    );
    let service = guarded();
    let mut command = Command::new("node");
    command
        .arg(clients.join("ioredis.mjs"))
        .args([&service.address.port().to_string(), "0123456789abcdef"]);
    assert_eq!(done(&mut command).stdout.trim(), "fine");
}

#[test]
fn the_redis_crate_asks_over_one_connection_for_many() {
    let service = guarded();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for protocol in ["resp2", "resp3"] {
            let url = format!(
                "redis://:0123456789abcdef@{}/?protocol={protocol}",
                service.address
            );
            let client = redis::Client::open(url).unwrap();
            let patient = redis::AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            let connection = client
                .get_multiplexed_async_connection_with_config(&patient)
                .await
                .unwrap();
            let ask = |_| {
                let mut connection = connection.clone();
                async move {
                    let mut command = redis::cmd("CL.THROTTLE");
                    command.arg(protocol).arg(4).arg(5).arg(60);
                    let five: [i64; 5] = command.query_async(&mut connection).await.unwrap();
                    five
                }
            };
            let answers = futures_util::future::join_all((0..100).map(ask)).await;
            assert_eq!(answers.iter().filter(|five| five[0] == 0).count(), 5);
            let mut check = redis::cmd("TOLLGATE.CHECK");
            let told: std::collections::HashMap<String, redis::Value> = check
                .arg("per-user")
                .arg(protocol)
                .query_async(&mut connection.clone())
                .await
                .unwrap();
            assert_eq!(told["remaining"], redis::Value::Int(4));
        }
    });
}
