//! Starting servers from one thread that lives as long as the process: the system kills a server when the thread that
//! started it ends, and threads of tests end early.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};

use crate::process::Process;

type Order = (Command, Sender<Process>);

/// Starts a server.
pub(super) fn server(command: Command) -> Process {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, ordered) = channel::<Order>();
        std::thread::spawn(move || {
            for (command, reply) in ordered {
                let _ = reply.send(Process::spawn(command));
            }
        });
        Mutex::new(orders)
    });
    let (reply, started) = channel();
    orders.lock().unwrap().send((command, reply)).unwrap();
    started
        .recv()
        .expect("the program is there; scripts/install-tools redis installs it")
}
