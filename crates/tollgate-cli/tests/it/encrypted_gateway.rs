//! The gateway's own listener over TLS. The decision service's is in `encrypted`.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::{DataDir, Gateway};
use tollgate_testkit::process::{Done, eventually, run};
use tollgate_testkit::upstream::Upstream;

use crate::support::{certificates, launch, root};

/// A gateway with certificates of its own, in front of `upstream`.
struct Encrypted {
    gateway: Gateway,
    files: DataDir,
}

impl Encrypted {
    /// `rules` has `TLS` where the section of the server goes on.
    fn start(rules: &str, more: &str) -> Self {
        let files = DataDir::new();
        certificates(files.path());
        let file = |name: &str| files.path().join(name).display().to_string();
        let (cert, key, ca) = (file("service.pem"), file("service.key"), file("ca.pem"));
        let more = more.replace("CA", &format!("{ca:?}"));
        let tls = format!("tls = {{ cert = {cert:?}, key = {key:?}{more} }}\n");
        let gateway = launch().rules(&rules.replace("TLS", &tls)).start();
        Encrypted { gateway, files }
    }

    fn curl(&self, path: &str, options: &[&str]) -> Done {
        let mut command = Command::new("curl");
        command.current_dir(self.files.path());
        command.args([
            "--silent",
            "--show-error",
            "--include",
            "--cacert",
            "ca.pem",
        ]);
        command.args(options);
        command.arg(format!(
            "https://localhost:{}{path}",
            self.gateway.address().port()
        ));
        run(command, "")
    }
}

const CERTIFIED: [&str; 4] = ["--cert", "client.pem", "--key", "client.key"];

fn proxying(upstream: &Upstream, more: &str) -> String {
    format!(
        "[server]\nTLS{more}[limits.per-address]\nkey = \"client-ip\"\nquotas = [\"2 per minute\"]\n\
         [[routes]]\nmatch = \"/\"\nlimits = [\"per-address\"]\nupstream = {:?}\n",
        upstream.url()
    )
}

#[test]
fn requests_over_tls_are_limited_and_their_upstream_is_told_that_they_came_by_https() {
    let upstream = Upstream::recording();
    let site = Encrypted::start(&proxying(&upstream, ""), "");
    // Nobody is believed about it who is not listed.
    let answer = site.curl("/", &["--header", "X-Forwarded-Proto: http"]);
    assert!(answer.stdout.starts_with("HTTP/1.1 200"), "{answer:?}");
    assert!(answer.stdout.contains("ratelimit: "), "{answer:?}");
    assert_eq!(upstream.last().field("x-forwarded-proto"), Some("https"));
    let statuses = [(); 2].map(|()| site.curl("/", &[]).stdout[..12].to_owned());
    assert_eq!(statuses, ["HTTP/1.1 200", "HTTP/1.1 429"]);
    let plain = Call::get("/").try_send(site.gateway.address());
    assert!(plain.is_err(), "{plain:?}");
    assert_eq!(upstream.count(), 2, "a refused one goes nowhere");
    let metrics = eventually("the failed greeting to be counted", || {
        let metrics = site.gateway.admin(&Call::get("/metrics")).text();
        let counted = metrics.contains("\ntollgate_tls_handshakes_failed_total 1\n");
        counted.then_some(metrics)
    });
    assert!(
        metrics.contains("http_request_method=\"GET\",url_scheme=\"https\""),
        "{metrics}"
    );
}

#[test]
fn a_proxy_that_is_believed_knows_better_how_its_clients_came() {
    let upstream = Upstream::recording();
    let trusting = "trusted_proxies = [\"127.0.0.1\", \"::1\"]\n";
    let site = Encrypted::start(&proxying(&upstream, trusting), "");
    for scheme in ["http", "https"] {
        let said = format!("X-Forwarded-Proto: {scheme}");
        let answer = site.curl("/", &["--header", &said]);
        assert!(answer.stdout.starts_with("HTTP/1.1 200"), "{answer:?}");
        assert_eq!(upstream.last().field("x-forwarded-proto"), Some(scheme));
    }
}

#[test]
fn a_proxy_that_does_not_say_how_its_clients_came_is_told_by_its_own_connection() {
    let upstream = Upstream::recording();
    let trusting = "trusted_proxies = [\"127.0.0.1\", \"::1\"]\n";
    let site = Encrypted::start(&proxying(&upstream, trusting), "");
    let answer = site.curl("/", &["--header", "X-Forwarded-For: 192.0.2.7"]);
    assert!(answer.stdout.starts_with("HTTP/1.1 200"), "{answer:?}");
    assert_eq!(upstream.last().field("x-forwarded-proto"), Some("https"));
}

#[test]
fn who_does_not_greet_in_the_time_for_a_header_is_cut_off() {
    let upstream = Upstream::recording();
    let site = Encrypted::start(&proxying(&upstream, "header_timeout_s = 1\n"), "");
    let mut silent = TcpStream::connect(site.gateway.address()).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_session_cookie_is_bound_to_https_and_the_first_line_says_where_to_go() {
    let file = root().join("examples/random-number/tollgate.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let mut site = Encrypted::start(&text.replace("[server]\n", "[server]\nTLS"), "");
    let who = ["--data", "username=ann&password=correct-horse"];
    let signed_up = site.curl("/signup", &who);
    assert!(
        signed_up.stdout.starts_with("HTTP/1.1 201"),
        "{signed_up:?}"
    );
    let logged_in = site.curl("/login", &who).stdout;
    assert!(
        logged_in.contains("__Host-session=") && logged_in.contains("; Secure"),
        "{logged_in}"
    );
    let listens = |line: &str| line.starts_with("Tollgate listens on https://127.0.0.1:");
    site.gateway.process().line(listens);
}

#[test]
fn clients_without_a_certificate_are_not_answered_where_one_is_wanted_and_new_files_are_read() {
    let upstream = Upstream::recording();
    let site = Encrypted::start(&proxying(&upstream, ""), ", client_ca = CA");
    let without = site.curl("/", &[]);
    assert!(
        without.code != 0 && without.stdout.is_empty(),
        "{without:?}"
    );
    let answered = || site.curl("/", &CERTIFIED).stdout.starts_with("HTTP/1.1");
    assert!(answered());
    certificates(site.files.path());
    eventually("the new certificates to be used", || {
        answered().then_some(())
    });
}

#[test]
fn certificates_that_could_not_be_read_are_tried_again_although_no_file_changes() {
    let upstream = Upstream::recording();
    let mut site = Encrypted::start(&proxying(&upstream, ""), ", client_ca = CA");
    let (path, next) = (site.files.path().to_owned(), DataDir::new());
    certificates(next.path());
    std::fs::copy(next.path().join("ca.pem"), path.join("next-ca.pem")).unwrap();
    // The roots are away while the certificate changes, and come back as they were.
    std::fs::rename(path.join("ca.pem"), path.join("away.pem")).unwrap();
    for name in ["service.pem", "service.key"] {
        std::fs::copy(next.path().join(name), path.join(name)).unwrap();
    }
    let told = "certificates have changed and are not used";
    eventually("the failure to be told", || {
        site.gateway.process().log().contains(told).then_some(())
    });
    std::fs::rename(path.join("away.pem"), path.join("ca.pem")).unwrap();
    let options = [&CERTIFIED[..], &["--cacert", "next-ca.pem"]].concat();
    eventually("the new certificate to be used", || {
        let answer = site.curl("/", &options);
        answer.stdout.starts_with("HTTP/1.1").then_some(())
    });
}

#[test]
fn files_that_are_wrong_end_the_start_with_the_section_and_the_file() {
    let rules = |tls: &str| {
        format!(
            "[server]\ntls = {tls}\n[[routes]]\nmatch = \"GET /\"\nrespond = {{ text = \"\" }}\n"
        )
    };
    let missing = launch().rules(&rules("{ cert = \"none.pem\", key = \"none.key\" }"));
    let done = missing.refused();
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.stderr.contains("`tls` in [server]: none.pem"),
        "{done:?}"
    );
    let half = launch().rules(&rules("{ cert = \"none.pem\" }")).refused();
    assert!(
        half.stderr.contains("needs a `cert` and a `key`"),
        "{half:?}"
    );
}
