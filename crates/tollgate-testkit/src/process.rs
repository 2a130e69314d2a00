//! Processes for tests: on free ports, with their output kept, started and stopped in bounded time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often something that another process does is looked for, and how many times at most: two minutes. Only what
/// fails takes so long; a busy machine fails nothing.
const ATTEMPT: Duration = Duration::from_millis(10);
const ATTEMPTS_MAX: u32 = 12_000;

/// A free port of 127.0.0.1, below those that the system gives to outgoing connections, and given to nobody else: while
/// this process lives it holds the port of this number for datagrams, and other processes of tests do the same.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static HELD: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    const LOW: u32 = 10_000;
    const COUNT: u32 = 22_000;
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], (LOW + offset) as u16));
        if let (Ok(held), Ok(_)) = (UdpSocket::bind(address), TcpListener::bind(address)) {
            HELD.lock().unwrap().push(held);
            return address;
        }
    }
    panic!("no free port between {LOW} and {}", LOW + COUNT);
}

/// Waits until `found` finds something, looking for it for two minutes at most.
///
/// For what other processes do in real time. Windows and lifetimes are not waited for: tests hold the clock.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(found) = found() {
            return found;
        }
        pause();
    }
    panic!("waited in vain: {what}");
}

/// How long a test waits for one process to hear of what another has changed. They read every second, which a test of
/// `tollgate-accounts` holds; how long a busy machine takes is no fault of theirs.
pub const HEARD_WITHIN: Duration = Duration::from_secs(60);

/// Whether `holds` comes to hold within `limit`.
pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let attempts = limit.as_millis() / ATTEMPT.as_millis();
    (0..=attempts).any(|_| {
        holds() || {
            pause();
            false
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process is looked at again and again, at most so many times"
)]
fn pause() {
    std::thread::sleep(ATTEMPT);
}

/// What a process has written so far.
#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Output {
    fn collect(stream: impl Read + Send + 'static) -> Arc<Output> {
        let output = Arc::new(Output::default());
        let shared = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|count| count > 0)
            {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                shared.lines.lock().unwrap().push(text);
                shared.more.notify_all();
                line.clear();
            }
        });
        output
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// A process that runs until it is stopped, at the latest when it is dropped.
pub struct Process {
    child: Child,
    name: String,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it. Of the environment it sees no variable that a gateway reads, and that `command` did not set.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_into(command, Stdio::piped())
    }

    /// The same with its standard output elsewhere.
    pub fn spawn_into(mut command: Command, stdout: impl Into<Stdio>) -> Self {
        let name = format!("{command:?}");
        let mut child = hermetic(&mut command)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = child.stdout.take().map(Output::collect).unwrap_or_default();
        let stderr = Output::collect(child.stderr.take().unwrap());
        Process {
            child,
            name,
            stdout,
            stderr,
            ended: None,
        }
    }

    /// The lines of its standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// The lines of its standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// The lines of its log so far that hold these words, once there is one: a log is written behind what it tells.
    pub fn logged(&self, words: &str) -> Vec<String> {
        eventually(&format!("`{words}` in the log"), || {
            let mut lines = self.stderr();
            lines.retain(|line| line.contains(words));
            (!lines.is_empty()).then_some(lines)
        })
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        let (stdout, stderr) = (self.stdout().join("\n"), self.stderr().join("\n"));
        format!(
            "--- {}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n",
            self.name
        )
    }

    /// The first line of its standard output, now or later, that `wanted` accepts.
    pub fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.stdout.lines.lock().unwrap();
        for _ in 0..ATTEMPTS_MAX {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            lines = self.stdout.more.wait_timeout(lines, ATTEMPT).unwrap().0;
        }
        drop(lines);
        panic!("no such line:\n{}", self.log());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Asks it to stop: SIGTERM.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// What a terminal sends that is closed: SIGHUP.
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Stops it at once: SIGKILL.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Suspends it: SIGSTOP.
    pub fn suspend(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on: SIGCONT.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(status) = self.ended() {
                return status;
            }
            pause();
        }
        panic!("still running:\n{}", self.log());
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        if !within(Duration::from_secs(15), || self.ended().is_some()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// What a command did that runs to its end.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command to its end with this standard input, for two minutes at most.
pub fn run(mut command: Command, input: &str) -> Done {
    let name = format!("{command:?}");
    let mut child = hermetic(&mut command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    // A command that reads no input closes it, which is no fault.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    if !within(ATTEMPT * ATTEMPTS_MAX, || {
        child.try_wait().unwrap().is_some()
    }) {
        let _ = child.kill();
        let _ = child.wait();
        let stderr = stderr.join().unwrap();
        panic!("{name} did not end: {}{stderr}", stdout.join().unwrap());
    }
    let status = child.wait().unwrap();
    Done {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn hermetic(command: &mut Command) -> &mut Command {
    let set: Vec<_> = command
        .get_envs()
        .map(|(name, _)| name.to_owned())
        .collect();
    for (name, _) in std::env::vars_os() {
        let is_read = ["TOLLGATE_", "OTEL_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix));
        if is_read && !set.contains(&name) {
            command.env_remove(name);
        }
    }
    command
}
