//! The decision service over TLS, by Redis's protocol and by HTTP; Envoy's gRPC is in `envoy::secured`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::{DataDir, Gateway};
use tollgate_testkit::process::{Done, eventually, free_address, run};

use crate::support::{certificates, launch};

const LIMIT: &str = "[limits.per-user]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n";

/// A service that speaks both, with `tls` as its rules have it.
struct Service {
    gateway: Gateway,
    resp: SocketAddr,
    http: SocketAddr,
    files: DataDir,
}

impl Service {
    fn start(more: &str) -> Self {
        Self::start_with("", more)
    }

    /// One with more sections in its rules.
    fn start_with(sections: &str, more: &str) -> Self {
        let files = DataDir::new();
        certificates(files.path());
        let (resp, http) = (free_address(), free_address());
        let file = |name: &str| files.path().join(name).display().to_string();
        let (cert, key) = (file("service.pem"), file("service.key"));
        let more = more.replace("CA", &format!("{:?}", file("ca.pem")));
        let rules = format!(
            "{sections}[service]\ntls = {{ cert = {cert:?}, key = {key:?}{more} }}\n{LIMIT}"
        );
        let launch = launch()
            .rules(&rules)
            .option("--resp", resp.to_string())
            .option("--http", http.to_string());
        Service {
            gateway: launch.start(),
            resp,
            http,
            files,
        }
    }

    /// What `redis-cli` says, without a certificate of its own unless `certified`.
    fn redis_cli(&self, certified: bool, words: &[&str]) -> Done {
        let mut command = Command::new("redis-cli");
        command.args(["--tls", "--cacert", "ca.pem", "-p"]);
        command.arg(self.resp.port().to_string());
        if certified {
            command.args(["--cert", "client.pem", "--key", "client.key"]);
        }
        self.with(command, words)
    }

    fn curl(&self, certified: bool, path: &str, body: Option<&Value>) -> Done {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--cacert", "ca.pem"]);
        if certified {
            command.args(["--cert", "client.pem", "--key", "client.key"]);
        }
        if let Some(body) = body {
            let json = ["--header", "content-type: application/json", "--data"];
            command.args(json).arg(body.to_string());
        }
        let url = format!("https://localhost:{}{path}", self.http.port());
        self.with(command, &[&url])
    }

    fn with(&self, mut command: Command, words: &[&str]) -> Done {
        command.current_dir(self.files.path()).args(words);
        run(command, "")
    }
}

fn check(user: &str) -> Value {
    json!({ "limit": "per-user", "key": user })
}

#[test]
fn redis_clients_and_curl_are_answered_over_tls_and_those_who_speak_plainly_are_not() {
    let service = Service::start("");
    let reply = service.redis_cli(false, &["CL.THROTTLE", "ann", "15", "30", "60"]);
    assert_eq!(reply.stdout, "0\n16\n15\n-1\n2\n", "{}", reply.stderr);
    let answer = service.curl(false, "/v1/check", Some(&check("ann")));
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(told["remaining"], 4, "{}", answer.stderr);
    let limits = service.curl(false, "/v1/limits", None);
    assert!(limits.stdout.contains("per-user"), "{}", limits.stderr);
    // Both count together, as ever.
    let reply = service.redis_cli(false, &["TOLLGATE.CHECK", "per-user", "ann"]);
    assert!(reply.stdout.contains("remaining\n3\n"), "{reply:?}");
    let plain = Call::get("/v1/limits").try_send(service.http);
    assert!(plain.is_err(), "{plain:?}");
    let mut plain = Connection::open(service.resp);
    plain.write("PING\r\n").unwrap();
    let answer = plain.try_answer_to("GET");
    assert!(answer.is_err(), "{answer:?}");
    for protocol in ["resp", "http"] {
        let failed = format!("tls_handshakes_failed_total{{protocol=\"{protocol}\"}} 1\n");
        eventually("the failed greeting to be counted", || {
            let metrics = service.gateway.admin(&Call::get("/metrics")).text();
            metrics.contains(&failed).then_some(())
        });
    }
}

#[test]
fn who_does_not_greet_in_the_time_for_a_header_is_cut_off() {
    let service = Service::start_with("[server]\nheader_timeout_s = 1\n", "");
    for address in [service.resp, service.http] {
        let mut silent = TcpStream::connect(address).unwrap();
        silent
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn who_is_still_greeting_does_not_hold_up_the_end() {
    let bounds = "[server]\nheader_timeout_s = 3600\ndrain_timeout_s = 3600\n";
    let service = Service::start_with(bounds, "");
    let silent = [service.resp, service.http].map(|address| TcpStream::connect(address).unwrap());
    // They are accepted by now: whoever came after them is answered.
    assert_eq!(service.redis_cli(false, &["PING"]).stdout, "PONG\n");
    assert_eq!(service.curl(false, "/v1/limits", None).code, 0);
    assert!(service.gateway.stop().success());
    drop(silent);
}

#[test]
fn a_pipeline_is_answered_whole_over_tls_whatever_its_length() {
    let service = Service::start("");
    let mut command = Command::new("redis-benchmark");
    command.args(["--tls", "--cacert", "ca.pem", "-p"]);
    command.arg(service.resp.port().to_string());
    let words = "-n 20000 -P 500 -c 4 -r 1000000 -q CL.THROTTLE key:__rand_int__ 15 30 60";
    let words: Vec<&str> = words.split(' ').collect();
    let done = service.with(command, &words);
    assert_eq!(done.code, 0, "{done:?}");
    let metrics = service.gateway.admin(&Call::get("/metrics")).text();
    let line = "tollgate_service_decisions_total{protocol=\"resp\"";
    let counted = metrics.lines().filter(|known| known.starts_with(line));
    let counted = counted.map(|known| known.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    assert!(counted.sum::<u64>() >= 20_000, "{metrics}");
}

/// A client that reads slower than it is answered: what waits to be sent when the last reply is written is sent as well.
#[test]
fn the_last_replies_arrive_at_a_client_that_was_slow_to_read() {
    const REPLIES: usize = 4_000;
    let service = Service::start("");
    let word = "x".repeat(1_000);
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &service.resp.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut questions, mut answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let asking = std::thread::spawn(move || {
        let line = format!("ECHO {word}\r\n");
        (0..REPLIES).for_each(|_| questions.write_all(line.as_bytes()).unwrap());
        questions
    });
    let (tell, told) = channel();
    let reading = std::thread::spawn(move || {
        let (mut part, mut bytes) = ([0; 512], 0);
        // `$1000`, the word, and the ends of both lines.
        while bytes < REPLIES * (7 + 1_002) {
            match answers.read(&mut part).unwrap() {
                0 => break,
                read => bytes += read,
            }
        }
        let _ = tell.send(bytes);
    });
    let bytes = told.recv_timeout(Duration::from_secs(120));
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(bytes, Ok(REPLIES * 1_009));
    drop(asking.join().unwrap());
    reading.join().unwrap();
}

#[test]
fn where_clients_must_show_a_certificate_nobody_is_answered_without_one() {
    let service = Service::start(", client_ca = CA");
    let ping = |certified| service.redis_cli(certified, &["PING"]).stdout;
    assert_eq!(ping(true), "PONG\n");
    assert!(!ping(false).contains("PONG"));
    assert!(
        service
            .curl(true, "/v1/limits", None)
            .stdout
            .contains("per-user")
    );
    let without = service.curl(false, "/v1/check", Some(&check("ann")));
    assert!(
        without.code != 0 && without.stdout.is_empty(),
        "{without:?}"
    );
    let with = service.curl(true, "/v1/check", Some(&check("ann")));
    assert!(
        with.stdout.contains("\"remaining\":4"),
        "nothing was charged: {with:?}"
    );
    // Other files: whoever trusts the new root is answered, without a restart.
    certificates(service.files.path());
    eventually("the new certificates to be used", || {
        (ping(true) == "PONG\n").then_some(())
    });
    assert!(
        service
            .curl(true, "/v1/limits", None)
            .stdout
            .contains("per-user")
    );
}

#[test]
fn what_is_not_listed_stays_plain_and_files_that_are_wrong_end_the_start() {
    let service = Service::start(", protocols = [\"resp\"]");
    assert_eq!(service.redis_cli(false, &["PING"]).stdout, "PONG\n");
    let limits = Call::get("/v1/limits").send(service.http);
    assert_eq!(limits.status, 200);
    let missing =
        "[service]\nresp = \"127.0.0.1:1\"\ntls = { cert = \"none.pem\", key = \"none.key\" }\n";
    let done = launch().rules(missing).refused();
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.stderr.contains("`tls` in [service]: none.pem"),
        "{done:?}"
    );
}

#[test]
fn the_first_lines_say_how_to_ask() {
    let mut service = Service::start("");
    let line = |start: &'static str| {
        let port = service.resp.port().to_string();
        move |line: &str| {
            line.trim_start().starts_with(start) && (start != "redis-cli" || line.contains(&port))
        }
    };
    let (redis, curl) = (line("redis-cli --tls"), line("curl https://"));
    let process = service.gateway.process();
    process.line(redis);
    process.line(curl);
}

#[test]
fn where_a_token_is_needed_the_first_lines_show_it_by_its_variable_and_not_itself() {
    let token = "0123456789abcdef-secret";
    let mut gateway = launch()
        .variable("TOLLGATE_SERVICE_TOKEN", token)
        .option("--resp", free_address().to_string())
        .option("--http", free_address().to_string())
        .start();
    let process = gateway.process();
    process.line(|line| line.contains("-a \"$TOLLGATE_SERVICE_TOKEN\" CL.THROTTLE"));
    process.line(|line| line.contains("Bearer $TOLLGATE_SERVICE_TOKEN"));
    // The gateway's own address was given in vain.
    eventually("it to say so", || {
        process
            .stderr()
            .iter()
            .any(|line| line.contains("no routes"))
            .then_some(())
    });
    let said = [process.stdout(), process.stderr()].concat();
    assert!(!said.iter().any(|line| line.contains(token)), "{said:?}");
}

#[test]
fn keys_of_the_service_are_not_told_in_errors() {
    let files = DataDir::new();
    certificates(files.path());
    let file = |name: &str| files.path().join(name).display().to_string();
    let key = std::fs::read_to_string(Path::new(&file("service.key"))).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let rules = format!(
        "[service]\nhttp = \"127.0.0.1:1\"\ntls = {{ cert = {:?}, key = {:?} }}\n",
        file("service.key"),
        file("service.key")
    );
    let done = launch().rules(&rules).refused();
    assert_eq!(done.code, 2, "{done:?}");
    assert!(!done.stderr.contains(secret), "{done:?}");
}
