//! A sentinel that watches a primary and makes a replica one when it is gone.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use tempfile::TempDir;

use super::{RedisServer, resp, spawn};
use crate::process::{Process, eventually, free_address};

/// One sentinel, whose word is enough.
pub struct RedisSentinel {
    address: SocketAddr,
    _dir: TempDir,
    process: Process,
}

impl RedisSentinel {
    /// Watches `primary` under the name `main`, with the primary's password.
    pub fn of(primary: &RedisServer) -> Self {
        let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
        let (ip, port) = (primary.address.ip(), primary.address.port());
        let mut lines = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor main {ip} {port} 1\n\
             sentinel down-after-milliseconds main 3000\nsentinel failover-timeout main 2000\n",
            address.port(),
            dir.path().display(),
        );
        if let Some(password) = &primary.options.password {
            lines += &format!("sentinel auth-pass main {password}\n");
        }
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, lines).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(super::program(primary.engine));
        command.arg(file).arg("--sentinel");
        let process = spawn::server(command);
        let sentinel = RedisSentinel {
            address,
            _dir: dir,
            process,
        };
        eventually("the sentinel watches", || {
            let mut stream = TcpStream::connect(address).ok()?;
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
            resp::ask(&mut stream, &words).ok().map(drop)
        });
        sentinel
    }

    /// Waits until it knows so many replicas.
    pub fn knows_replicas(&self, count: usize) {
        eventually("the sentinel knows the replicas", || {
            let mut stream = TcpStream::connect(self.address).unwrap();
            let replicas = resp::ask(&mut stream, &["SENTINEL", "REPLICAS", "main"]).unwrap();
            (replicas.items().len() == count).then_some(())
        });
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RedisSentinel {
    fn drop(&mut self) {
        self.process.kill();
    }
}
