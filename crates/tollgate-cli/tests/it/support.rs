//! People, keys and fields, as tests speak of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::client::{Answer, Call};
use tollgate_testkit::gateway::{Gateway, Launch};
use tollgate_testkit::process::run;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const QUOTA_EXCEEDED: &str =
    "https://iana.org/assignments/http-problem-types#quota-exceeded";
pub(crate) const NO_CREDENTIALS: &str = "tag:tollgate,2026:no-credentials";
pub(crate) const BAD_CREDENTIALS: &str = "tag:tollgate,2026:bad-credentials";

pub(crate) fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_tollgate").into()
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn launch() -> Launch {
    Launch::new(binary())
}

pub(crate) fn preset(name: &str) -> Gateway {
    launch().preset(name).start()
}

/// Somebody who has logged in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) token: String,
    pub(crate) session: String,
}

impl Person {
    /// A GET with the bearer token.
    pub(crate) fn get(&self, target: &str) -> Call {
        Call::get(target).bearer(&self.token)
    }

    /// A call with the session cookie, as browsers send it.
    pub(crate) fn with_cookie(&self, call: Call) -> Call {
        call.field("cookie", &format!("session={}", self.session))
    }
}

pub(crate) fn credentials(name: &str) -> Value {
    json!({ "username": name, "password": PASSWORD })
}

pub(crate) fn sign_up(gateway: &Gateway, name: &str) {
    let answer = gateway.call(&Call::post("/signup").json(&credentials(name)));
    assert_eq!(answer.status, 201, "{}", answer.text());
}

pub(crate) fn log_in(gateway: &Gateway, name: &str) -> Person {
    let answer = gateway.call(&Call::post("/login").json(&credentials(name)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    Person {
        token: answer.json()["token"].as_str().unwrap().to_owned(),
        session: answer.cookie("session").unwrap().0,
    }
}

/// Somebody new.
pub(crate) fn join(gateway: &Gateway, name: &str) -> Person {
    sign_up(gateway, name);
    log_in(gateway, name)
}

/// An API key, made by the command.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Key {
    /// A GET with the key in its field.
    pub(crate) fn get(&self, target: &str) -> Call {
        Call::get(target).field("x-api-key", &self.secret)
    }
}

/// Makes a user by the command.
pub(crate) fn new_user(gateway: &Gateway, name: &str) {
    let done = gateway.command(&["user", "create", name], PASSWORD);
    assert_eq!(done.code, 0, "{done:?}");
}

/// Makes a key by the command.
pub(crate) fn new_key(gateway: &Gateway, user: &str, options: &[&str]) -> Key {
    made_key(gateway, &[&["key", "create", user], options].concat())
}

/// Makes a key in the place of another, which is good for ten minutes more.
pub(crate) fn rotate(gateway: &Gateway, key: &Key) -> Key {
    made_key(gateway, &["key", "rotate", &key.id, "--grace", "600"])
}

fn made_key(gateway: &Gateway, args: &[&str]) -> Key {
    let done = gateway.command(args, "");
    assert_eq!(done.code, 0, "{done:?}");
    let id = done.stderr.split("(id ").nth(1).unwrap();
    Key {
        id: id.split(')').next().unwrap().to_owned(),
        secret: done.stdout.trim().to_owned(),
    }
}

/// `RateLimit` by policy: what remains, and in how many seconds more will.
pub(crate) fn rate_limit(answer: &Answer) -> BTreeMap<String, (u64, Option<u64>)> {
    let items = answer.expect("ratelimit").split(", ");
    let item = |item: &str| {
        let mut parts = item.split(';');
        let name = parts.next().unwrap().trim_matches('"').to_owned();
        let numbers: BTreeMap<&str, u64> = parts
            .map(|part| part.split_once('=').unwrap())
            .map(|(key, value)| (key, value.parse().unwrap()))
            .collect();
        (name, (numbers["r"], numbers.get("t").copied()))
    };
    items.map(item).collect()
}

/// The statuses of so many calls, one after the other.
pub(crate) fn statuses(gateway: &Gateway, call: &Call, count: usize) -> Vec<u16> {
    (0..count).map(|_| gateway.call(call).status).collect()
}

/// One window of `see_remaining_limits`.
pub(crate) fn window(limit: u64, used: u64, resets_in: Option<u64>) -> Value {
    json!({ "limit": limit, "used": used, "remaining": limit - used, "resets_in": resets_in })
}

/// The values of `fields` of an object, as one.
pub(crate) fn pick(object: &Value, fields: &[&str]) -> Value {
    let pairs = fields
        .iter()
        .map(|field| ((*field).to_owned(), object[field].clone()));
    Value::Object(pairs.collect())
}

/// A proxy of everything, without a limit.
pub(crate) fn open_proxy(url: &str) -> Gateway {
    launch().upstream(url).start()
}

/// What an administrator's command prints.
pub(crate) fn ok(gateway: &Gateway, args: &[&str]) -> String {
    let done = gateway.command(args, "");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{args:?}");
    done.stdout.trim().to_owned()
}

/// What the system's clock reads, in seconds since 1970.
pub(crate) fn system_now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "another process reads the same clock"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A root, a certificate of the service and one of a client, in a directory.
pub(crate) fn certificates(directory: &Path) {
    let openssl = |args: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(directory).args(args);
        let done = run(command, "");
        assert_eq!(done.code, 0, "{}", done.stderr);
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ];
    let root = [
        "req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=root",
    ];
    openssl(&[&root[..], &key].concat());
    for name in ["service", "client"] {
        let (request, cert, private) = (
            format!("{name}.csr"),
            format!("{name}.pem"),
            format!("{name}.key"),
        );
        let subject = format!("/CN={name}");
        let ask = [
            "req",
            "-keyout",
            &private,
            "-out",
            &request,
            "-subj",
            &subject,
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ];
        openssl(&[&ask[..], &key[..5]].concat());
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-copy_extensions",
            "copy",
            "-out",
            &cert,
        ]);
    }
}

/// A copy of an example with some words replaced, so that a busy machine does not change what it does.
pub(crate) fn patient(example: &str, replaced: &[(&str, &str)]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for file in std::fs::read_dir(root().join("examples").join(example)).unwrap() {
        let from = file.unwrap().path();
        let to = copy.path().join(from.file_name().unwrap());
        // With the permission to run it.
        std::fs::copy(&from, &to).unwrap();
        let mut text = std::fs::read_to_string(&from).unwrap();
        for (words, others) in replaced {
            found.extend(text.contains(words).then_some(*words));
            text = text.replace(words, others);
        }
        std::fs::write(&to, text).unwrap();
    }
    for (words, _) in replaced {
        assert!(found.contains(words), "`{words}` is nowhere in {example}");
    }
    copy
}
