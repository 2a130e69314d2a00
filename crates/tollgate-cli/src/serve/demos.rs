//! The number API where the rules call for it: a thread's work of this process, or a process of its own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tollgate_gateway::Upstreams;
use tollgate_rules::{RuleSet, Upstream};

use crate::demo_api;
use crate::failure::Failure;

/// How often a process that starts is looked at, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 200;

/// Number APIs that run as long as this is kept.
pub(super) struct Demos {
    pub(super) upstreams: Upstreams,
    _processes: Vec<Child>,
}

/// Starts what the rules call for.
pub(super) async fn start(rules: &RuleSet) -> Result<Demos, Failure> {
    let mut demos = Demos {
        upstreams: Upstreams::default(),
        _processes: Vec::new(),
    };
    for upstream in &rules.upstreams {
        let address = match upstream {
            Upstream::Server { .. } => None,
            Upstream::Demo { process: None } => Some(here().await?),
            Upstream::Demo {
                process: Some(address),
            } => {
                demos._processes.push(process(*address).await?);
                Some(*address)
            }
        };
        demos.upstreams.demos.push(address);
    }
    Ok(demos)
}

async fn here() -> Result<SocketAddr, Failure> {
    let failed = |error: std::io::Error| Failure::because("the number API cannot start", &error);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "the number API listens, with its documentation at /docs");
    tokio::spawn(demo_api::serve(listener, std::future::pending()));
    Ok(address)
}

async fn process(address: SocketAddr) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| Failure::because("the number API cannot start", &error);
    // Whoever listens there already would be taken for it.
    drop(std::net::TcpListener::bind(address).map_err(|error| {
        Failure::because(format!("the number API cannot listen on {address}"), &error)
    })?);
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .arg("demo-api")
        .arg("--listen")
        .arg(address.to_string())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    for _ in 0..LOOKS_MAX {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(child);
        }
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Err(Failure::Failed(format!(
                "the number API ended at once: {status}"
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::Failed(format!(
        "the number API does not listen on {address}"
    )))
}
