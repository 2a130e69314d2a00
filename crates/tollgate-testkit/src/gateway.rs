//! The real binary on a free loopback port, with a clock that the test holds.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::client::{Answer, Call, Connection};
use crate::process::{Done, Process, eventually, free_address, run};

/// What the held clock reads at the start, in seconds since 1970.
pub const START: u64 = 1_800_000_000;

/// A data directory that outlives the gateways that use it.
#[derive(Clone)]
pub struct DataDir(Arc<TempDir>);

impl DataDir {
    /// An empty one.
    pub fn new() -> Self {
        DataDir(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Default for DataDir {
    fn default() -> Self {
        DataDir::new()
    }
}

/// A gateway that is about to be started.
#[derive(Clone)]
pub struct Launch {
    binary: PathBuf,
    args: Vec<OsString>,
    data: DataDir,
    clock: Option<u64>,
    listen: Option<SocketAddr>,
    variables: Vec<(String, OsString)>,
}

impl Launch {
    /// `tollgate serve` of this binary, on a free port, with an empty data directory and a held clock.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Launch {
            binary: binary.into(),
            args: Vec::new(),
            data: DataDir::new(),
            clock: Some(START),
            listen: None,
            variables: Vec::new(),
        }
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// With one more option and its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.args.extend([name.into(), value.into()]);
        self
    }

    /// With an embedded preset.
    #[must_use]
    pub fn preset(self, name: &str) -> Self {
        self.option("--preset", name)
    }

    /// With this upstream in the place of every other.
    #[must_use]
    pub fn upstream(self, url: &str) -> Self {
        self.option("--upstream", url)
    }

    /// With this limit on everything.
    #[must_use]
    pub fn limit(self, limit: &str) -> Self {
        self.option("--limit", limit)
    }

    /// With a rules file of this text.
    #[must_use]
    pub fn rules(self, text: &str) -> Self {
        let path = self.data.path().join("rules.toml");
        std::fs::write(&path, text).unwrap();
        self.option("--rules", path)
    }

    /// With a data directory that may have been used before.
    #[must_use]
    pub fn data(mut self, data: &DataDir) -> Self {
        self.data = data.clone();
        self
    }

    /// On this address.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// With the machine's own clock.
    #[must_use]
    pub fn running_clock(mut self) -> Self {
        self.clock = None;
        self
    }

    /// With the held clock at this second.
    #[must_use]
    pub fn clock(mut self, seconds: u64) -> Self {
        self.clock = Some(seconds);
        self
    }

    /// Starts it and waits until it is ready, with the database and the store that it was given.
    pub fn start(self) -> Gateway {
        self.start_until(|readiness| readiness == "ready\n")
    }

    /// Starts it where its database or its store is away, and waits until it takes requests without.
    pub fn start_degraded(self) -> Gateway {
        self.start_until(|readiness| readiness.starts_with("degraded: "))
    }

    fn start_until(self, is_as_wanted: impl Fn(&str) -> bool) -> Gateway {
        let (command, address) = self.command();
        let mut process = Process::spawn(command);
        let socket = self.data.path().join("admin.sock");
        eventually("the gateway to be ready", || {
            if process.ended().is_some() {
                panic!("the gateway ended before it was ready:\n{}", process.log());
            }
            let answer = admin(&socket, &Call::get("/readyz")).ok()?;
            (answer.status == 200 && is_as_wanted(&answer.text())).then_some(())
        });
        Gateway {
            process,
            address,
            data: self.data,
            binary: self.binary,
        }
    }

    /// Starts it where it should refuse to, and returns what it said.
    pub fn refused(self) -> Done {
        let (command, _) = self.command();
        run(command, "")
    }

    fn command(&self) -> (Command, SocketAddr) {
        let address = self.listen.unwrap_or_else(free_address);
        let mut command = Command::new(&self.binary);
        command
            .current_dir(self.data.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .arg("serve")
            .args(&self.args)
            .args(["--listen", &address.to_string(), "--data"])
            .arg(self.data.path());
        if let Some(seconds) = self.clock {
            command.args(["--test-clock", &seconds.to_string()]);
        }
        (command, address)
    }
}

/// A gateway that runs until it is stopped, at the latest when it is dropped.
pub struct Gateway {
    process: Process,
    address: SocketAddr,
    data: DataDir,
    binary: PathBuf,
}

impl Gateway {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Sends a request over a connection of its own.
    pub fn call(&self, call: &Call) -> Answer {
        call.send(self.address)
    }

    /// Sends a GET without any field.
    pub fn get(&self, target: &str) -> Answer {
        self.call(&Call::get(target))
    }

    /// Sends a request to the admin socket.
    pub fn admin(&self, call: &Call) -> Answer {
        admin(&self.data.path().join("admin.sock"), call).unwrap()
    }

    /// Moves the clock forward.
    pub fn advance(&self, seconds: f64) {
        let answer = self.admin(&Call::post("/clock/advance").json(&json!({ "seconds": seconds })));
        assert!(
            (200..300).contains(&answer.status),
            "{}: {}",
            answer.status,
            answer.text()
        );
    }

    /// Runs another command of the binary with this gateway's data directory; `args` end with `--data DIR`.
    pub fn command(&self, args: &[&str], input: &str) -> Done {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(self.data.path())
            .args(args)
            .arg("--data")
            .arg(self.data.path());
        run(command, input)
    }

    /// Stops it and waits until it has ended.
    pub fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.wait()
    }
}

fn admin(socket: &Path, call: &Call) -> io::Result<Answer> {
    let mut connection = Connection::unix(socket)?;
    connection.write(call.clone().field("connection", "close").bytes("localhost"))?;
    connection.try_answer_to("GET")
}
