//! PostgreSQL and MariaDB from Debian's packages: one server for all tests of a run, a database for each test.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Done, eventually, free_address, run};

const USER: &str = "tollgate";

/// Full of what has a meaning in URLs; `scripts/test-database` gives the user the same.
pub const PASSWORD: &str = "p@ss:w/rd";
const PASSWORD_IN_URL: &str = "p%40ss%3Aw%2Frd";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB, which stands for MySQL too.
    MariaDb,
}

/// An empty database of a server that runs, for one test.
#[derive(Debug)]
pub struct Database {
    engine: Engine,
    address: SocketAddr,
    name: String,
}

impl Database {
    /// A new one.
    pub fn new(engine: Engine) -> Self {
        Self::at(engine, engine.server())
    }

    /// A new one on a server that will be killed.
    pub fn on(server: &OwnServer) -> Self {
        Self::at(server.engine, server.address)
    }

    fn at(engine: Engine, address: SocketAddr) -> Self {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let database = Database {
            engine,
            address,
            name: format!("t_{}", id.trim().replace('-', "")),
        };
        let Database { name, .. } = &database;
        engine.tell(address, None, &format!("CREATE DATABASE {name}"));
        database
    }

    /// What the server's own client answers to a statement, one line a row, with tabs between columns. A table may be
    /// called `u.TABLE`, because `usage` alone is a word of MySQL's.
    pub fn ask(&self, statement: &str) -> String {
        let statement = match self.engine {
            Engine::Postgres => statement.replace("u.", "public."),
            Engine::MariaDb => statement.replace("u.", &format!("{}.", self.name)),
        };
        let answer = self.engine.tell(self.address, Some(&self.name), &statement);
        answer.trim_end().to_owned()
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How accounts find it, with user and password.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The same where its server seems to be elsewhere.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = match self.engine {
            Engine::Postgres => "postgres",
            Engine::MariaDb => "mysql",
        };
        let name = &self.name;
        format!("{scheme}://{USER}:{PASSWORD_IN_URL}@{address}/{name}")
    }
}

impl Drop for Database {
    /// MariaDB's are small and go with the server; dropping one would wait for connections that the test still has. One
    /// of PostgreSQL that somebody is slow to leave is left to its server, too.
    fn drop(&mut self) {
        if self.engine == Engine::Postgres && !std::thread::panicking() {
            let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
            self.engine.ask(self.address, None, &statement);
        }
    }
}

/// A server for one test, which may kill it: it is started again on the same data. It ends with the test.
#[derive(Debug)]
pub struct OwnServer {
    engine: Engine,
    address: SocketAddr,
    dir: TempDir,
    _users: File,
}

impl OwnServer {
    /// A new one.
    pub fn new(engine: Engine) -> Self {
        Self::start(engine, &["killed".as_ref()])
    }

    /// A new one that takes TLS, too, with this certificate.
    pub fn with_tls(engine: Engine, certificates: &Certificates) -> Self {
        let (certificate, key) = (certificates.certificate(), certificates.key());
        Self::start(
            engine,
            &["killed".as_ref(), certificate.as_ref(), key.as_ref()],
        )
    }

    fn start(engine: Engine, options: &[&OsStr]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let users = lock_file(&dir.path().join("users.lock"));
        users.lock_shared().unwrap();
        let address = engine.start(dir.path(), options);
        OwnServer {
            engine,
            address,
            dir,
            _users: users,
        }
    }

    /// Ends the server's process at once: SIGKILL; and waits until another one has been started.
    pub fn kill(&self) {
        let number = || {
            let text = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
            text.trim().parse().ok()
        };
        let killed = number();
        let pid = Pid::from_raw(killed.unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        eventually("another server", || number().filter(|_| number() != killed));
    }
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "postgres",
            Engine::MariaDb => "mariadb",
        }
    }

    /// The server, started if nobody has yet. It runs at least until this process ends.
    fn server(self) -> SocketAddr {
        static POSTGRES: OnceLock<(File, SocketAddr)> = OnceLock::new();
        static MARIADB: OnceLock<(File, SocketAddr)> = OnceLock::new();
        let server = match self {
            Engine::Postgres => &POSTGRES,
            Engine::MariaDb => &MARIADB,
        };
        server.get_or_init(|| self.find_or_start()).1
    }

    /// The lock goes with the process, however it ends; when nobody has it any more, the server ends.
    fn find_or_start(self) -> (File, SocketAddr) {
        let dir = root().join("target/test-databases").join(self.name());
        std::fs::create_dir_all(&dir).unwrap();
        let users = lock_file(&dir.join("users.lock"));
        users.lock_shared().unwrap();
        let starting = lock_file(&dir.join("starting.lock"));
        starting.lock().unwrap();
        let running = running(&dir);
        let address = running.unwrap_or_else(|| self.start(&dir, &[]));
        (users, address)
    }

    fn start(self, dir: &Path, options: &[&OsStr]) -> SocketAddr {
        let _ = std::fs::remove_file(dir.join("port"));
        let log = File::create(dir.join("log")).unwrap();
        // A session of its own: what interrupts the tests does not reach it, so that it can clean up.
        let mut script = Command::new("setsid")
            .arg(root().join("scripts/test-database"))
            .args([self.name(), &free_address().port().to_string()])
            .arg(dir.canonicalize().unwrap())
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually("the database server", || {
            if script.try_wait().unwrap().is_some() {
                let log = std::fs::read_to_string(dir.join("log")).unwrap();
                panic!("the test server {} did not start:\n{log}", self.name());
            }
            running(dir)
        })
    }

    /// Has the server's own client run a statement, which must be right.
    fn tell(self, address: SocketAddr, database: Option<&str>, statement: &str) -> String {
        let done = self.ask(address, database, statement);
        assert_eq!(done.code, 0, "{statement}: {}", done.stderr);
        done.stdout
    }

    fn ask(self, address: SocketAddr, database: Option<&str>, statement: &str) -> Done {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let command = match self {
            Engine::Postgres => {
                let mut command = Command::new("psql");
                command
                    .env("PGPASSWORD", PASSWORD)
                    .args(["-X", "-q", "-w", "-A", "-t", "-F", "\t", "-U", USER])
                    .args(["-d", database.unwrap_or("postgres")])
                    .args(["-h", &host, "-p", &port, "-c", statement]);
                command
            }
            Engine::MariaDb => {
                let mut command = Command::new("mariadb");
                command
                    .env("MYSQL_PWD", PASSWORD)
                    // Newer clients ask for TLS where they can: what counts its connections must not count these.
                    .args(["--no-defaults", "--skip-ssl", "-N", "-B", "-u", USER])
                    .args(["-h", &host, "-P", &port, "-e", statement])
                    .args(database);
                command
            }
        };
        run(command, "")
    }
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn lock_file(path: &PathBuf) -> File {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).unwrap()
}

fn running(dir: &Path) -> Option<SocketAddr> {
    let port = std::fs::read_to_string(dir.join("port")).ok()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().ok()?));
    TcpStream::connect(address).is_ok().then_some(address)
}
