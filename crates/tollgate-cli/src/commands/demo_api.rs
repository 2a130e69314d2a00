//! `tollgate demo-api`: the number API as a process of its own.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::demo_api;
use crate::failure::Failure;
use crate::serve::signals::Signals;

pub(crate) fn run(listen: SocketAddr) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::because("cannot start", &error))?;
    runtime.block_on(async {
        let mut signals =
            Signals::listen().map_err(|error| Failure::because("cannot start", &error))?;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| Failure::because(format!("cannot listen on {listen}"), &error))?;
        println!(
            "The number API listens on http://{listen}: /random, and its documentation at /docs."
        );
        let served = demo_api::serve(listener, async move { signals.next().await }).await;
        served.map_err(|error| Failure::because("the number API ended", &error))
    })
}
