//! Envoy's rate-limit service: asked by grpcio, and by Envoy itself.

mod asked;
mod commands;
mod example;
mod proxied;
mod secured;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tollgate_testkit::gateway::{Gateway, Launch};
use tollgate_testkit::process::{Process, eventually, free_address};

use crate::fastapi::python;
use crate::support::{launch, root};

/// A gateway that answers Envoy, and where.
pub(crate) fn serving(rules: &str) -> (Gateway, SocketAddr) {
    let (launch, address) = about_to_serve(rules);
    (launch.start(), address)
}

pub(crate) fn about_to_serve(rules: &str) -> (Launch, SocketAddr) {
    let address = free_address();
    let launch = launch().rules(rules).option("--grpc", address.to_string());
    (launch, address)
}

/// `tests/envoy/ask.py`, which asks over gRPC.
pub(crate) struct Asker {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Asker {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Asker::with(&format!("127.0.0.1:{}", address.port()), &[])
    }

    pub(crate) fn with(address: &str, options: &[&str]) -> Self {
        let mut child = Command::new(python())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(root().join("tests/envoy/ask.py"))
            .arg(address)
            .arg(root().join("crates/tollgate-service/proto/rls.binpb"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Asker {
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The answer to a question of the script.
    pub(crate) fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "ask.py has ended");
        serde_json::from_str(&answer).unwrap()
    }

    /// Asks for one descriptor of the domain `edge`.
    pub(crate) fn one(&mut self, key: &str, value: &str) -> Value {
        self.ask(&question(&[(key, value)]))
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request with one descriptor for each key and value, in the domain `edge`.
pub(crate) fn question(descriptors: &[(&str, &str)]) -> Value {
    let descriptor =
        |(key, value): &(&str, &str)| json!({ "entries": [{ "key": key, "value": value }] });
    let descriptors: Vec<Value> = descriptors.iter().map(descriptor).collect();
    json!({ "request": { "domain": "edge", "descriptors": descriptors } })
}

/// Envoy with the configuration of `tests/envoy/`, in front of an upstream.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    process: Process,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// `change` is done to the configuration.
    pub(crate) fn start(
        tollgate: SocketAddr,
        upstream: SocketAddr,
        change: impl Fn(String) -> String,
    ) -> Self {
        let envoy = python().with_file_name("envoy");
        assert!(
            envoy.exists(),
            "there is no {}: `make test` installs it there",
            envoy.display()
        );
        let address = free_address();
        let text = std::fs::read_to_string(root().join("tests/envoy/envoy.yaml")).unwrap();
        let text = text
            .replace("FRONT_PORT", &address.port().to_string())
            .replace("UPSTREAM_PORT", &upstream.port().to_string())
            .replace("TOLLGATE_PORT", &tollgate.port().to_string());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("envoy.yaml");
        std::fs::write(&file, change(text)).unwrap();
        let mut command = Command::new(envoy);
        command.arg("--config-path").arg(&file).args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
        ]);
        let mut process = Process::spawn(command);
        eventually("Envoy to answer", || {
            assert!(process.ended().is_none(), "{}", process.log());
            tollgate_testkit::client::Call::get("/up")
                .try_send(address)
                .ok()
        });
        Proxy {
            address,
            process,
            _directory: directory,
        }
    }

    /// What Envoy has said.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}
