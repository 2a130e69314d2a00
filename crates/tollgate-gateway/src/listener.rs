//! Sockets that listen on one address, one for each thread that will serve them.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Sockets on one address, one for each thread.
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Listens on `address` with `count` sockets. Who connects from now on waits until [`serve`](crate::accept::serve) takes them.
    ///
    /// # Errors
    /// The address is in use, also by another gateway.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        // The first listens without the option that would let another gateway have the address too, so that of several
        // that start together at most one is left. It gets the option when it has the address, and stays: a socket that only
        // tried whether the address is free, and is closed, would take with it whoever connected in that instant.
        let first = listen(address, false).map_err(failed)?;
        first.set_reuse_port(true).map_err(failed)?;
        let first = TcpListener::from(first);
        let address = first.local_addr().map_err(failed)?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(listen(address, true).map_err(failed)?.into());
        }
        Ok(Listeners { address, sockets })
    }

    /// Where they listen; with the port that was found when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, one for each thread.
    pub(crate) fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }
}

fn listen(address: SocketAddr, shared: bool) -> std::io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

    use super::*;

    const SOCKETS: usize = 4;
    const CLIENTS: usize = 4;
    const GATEWAYS: usize = 4;
    const ROUNDS: usize = 300;

    /// An address of the test's own that is free: below those that the system gives away, so that nobody takes it between
    /// two rounds, and no client is connected to itself.
    fn address() -> SocketAddr {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let place = std::process::id() * 3 + NEXT.fetch_add(1, Ordering::Relaxed);
            let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + (place % 20_000) as u16));
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        }
    }

    #[test]
    fn whoever_connects_while_the_sockets_are_made_is_accepted() {
        let address = address();
        for _ in 0..ROUNDS {
            let (trying, failed) = (Barrier::new(1 + CLIENTS), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let connect = || {
                    let early = TcpStream::connect(address);
                    trying.wait();
                    assert!(early.is_err(), "somebody else listens there");
                    loop {
                        match TcpStream::connect(address) {
                            Ok(stream) => return stream,
                            Err(_) => assert!(!failed.load(Ordering::Relaxed)),
                        }
                    }
                };
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(connect)).collect();
                trying.wait();
                let listeners = Listeners::bind(address, SOCKETS);
                failed.store(listeners.is_err(), Ordering::Relaxed);
                let sockets = listeners.unwrap().into_sockets();
                let connected: Vec<_> =
                    clients.into_iter().map(|one| one.join().unwrap()).collect();
                let accept = |_: &TcpStream| sockets.iter().find_map(|socket| socket.accept().ok());
                let accepted: Vec<_> = connected.iter().map_while(accept).collect();
                assert_eq!(
                    accepted.len(),
                    CLIENTS,
                    "some went to a socket that is gone"
                );
                // Clients close first: what is left of a connection is at their end, in nobody's way.
                drop(connected);
            });
        }
    }

    #[test]
    fn connections_are_spread_over_all_sockets() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::bind(any, SOCKETS).unwrap();
        let address = listeners.address();
        let clients: Vec<_> = (0..128)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for socket in listeners.into_sockets() {
            assert!(socket.accept().is_ok());
        }
        drop(clients);
    }

    #[test]
    fn of_gateways_that_start_at_the_same_moment_one_has_the_address() {
        let address = address();
        let mut rounds_with_one = 0;
        for _ in 0..ROUNDS {
            // They spin, to begin within less than a microsecond.
            let arrived = AtomicUsize::new(0);
            let start = || {
                arrived.fetch_add(1, Ordering::AcqRel);
                while arrived.load(Ordering::Acquire) < GATEWAYS {
                    std::hint::spin_loop();
                }
                Listeners::bind(address, SOCKETS).ok()
            };
            let listening: Vec<_> = std::thread::scope(|scope| {
                let started: Vec<_> = (0..GATEWAYS).map(|_| scope.spawn(start)).collect();
                let ended = started.into_iter().map(|one| one.join().unwrap());
                ended.collect()
            });
            let left = listening.iter().flatten().count();
            assert!(left <= 1);
            rounds_with_one += left;
        }
        assert!(rounds_with_one > 0, "all give way to each other");
    }
}
