//! A network between two programs that a test can cut, silence and heal: a TCP relay on a loopback port.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::process::free_address;

const BACKLOG: i32 = 128;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It carries everything.
    Whole,
    /// Connections are reset, and new ones refused.
    Cut,
    /// Connections are accepted, and what comes over them is swallowed.
    Frozen,
    /// The server hears everything, and what it answers is swallowed.
    Mute,
    /// The server hears everything, and what it answers waits on the way.
    Held,
    /// The test is over.
    Gone,
}

/// A way to a server. When it is dropped, its connections are reset.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    network: Mutex<Network>,
    changed: Condvar,
    /// Bytes that went to the server.
    carried: AtomicU64,
}

struct Network {
    state: State,
    /// What the server is to hear last before the network goes mute.
    last_words: Option<&'static [u8]>,
    links: Vec<Arc<Link>>,
}

/// A connection, and what stands behind it.
struct Link {
    ends: Vec<TcpStream>,
    /// Bytes are missing in its stream: it can only be reset.
    is_broken: AtomicBool,
}

impl Relay {
    /// To this server, whether it listens yet or not.
    pub fn new(target: SocketAddr) -> Self {
        Self::at(free_address(), target)
    }

    /// The same at an address of the test's choice.
    pub fn at(address: SocketAddr, target: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            target,
            network: Mutex::new(Network {
                state: State::Whole,
                last_words: None,
                links: Vec::new(),
            }),
            changed: Condvar::new(),
            carried: AtomicU64::new(0),
        });
        let listener = listen(address);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept(address, listener));
        Relay { address, shared }
    }

    /// Where the server seems to be.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes have gone to the server so far.
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Acquire)
    }

    /// Resets all connections, and refuses new ones from now on.
    pub fn cut(&self) {
        self.change(State::Cut);
        self.wake();
        // Only a listener that is closed refuses.
        let refused = || TcpStream::connect(self.address).is_err();
        assert!(crate::process::within(Duration::from_secs(10), refused));
    }

    /// Accepts connections and swallows what comes over them, in both directions, without an answer.
    pub fn freeze(&self) {
        self.change(State::Frozen);
    }

    /// Carries what goes to the server, and swallows what it answers.
    pub fn mute(&self) {
        self.change(State::Mute);
    }

    /// Goes [mute](Relay::mute) as soon as somebody says these words to the server, which hears them.
    pub fn mute_after(&self, words: &'static str) {
        self.shared.network().last_words = Some(words.as_bytes());
    }

    /// Whether it has gone mute.
    pub fn is_mute(&self) -> bool {
        self.shared.network().state == State::Mute
    }

    /// Carries what goes to the server, and keeps what it answers until it is healed.
    pub fn hold_answers(&self) {
        self.change(State::Held);
    }

    /// Carries everything again. A connection of which bytes were swallowed is reset, as by a machine on the way that has
    /// forgotten it.
    pub fn heal(&self) {
        self.heal_for_newcomers();
        self.shared.network().links.retain(|link| {
            let is_whole = !link.is_broken.load(Ordering::Acquire);
            if !is_whole {
                link.reset();
            }
            is_whole
        });
    }

    /// Carries new connections, and those of which nothing was swallowed; the others stay silent, as behind a machine that
    /// has forgotten them and says nothing.
    pub fn heal_for_newcomers(&self) {
        self.change(State::Whole);
        let listens = || TcpStream::connect(self.address).is_ok();
        assert!(crate::process::within(Duration::from_secs(10), listens));
    }

    fn change(&self, state: State) {
        let mut network = self.shared.network();
        network.state = state;
        network.links.retain(|link| {
            let stays = matches!(
                state,
                State::Whole | State::Frozen | State::Mute | State::Held
            );
            if !stays {
                link.reset();
            }
            stays
        });
        self.shared.changed.notify_all();
    }

    /// Has whoever accepts look at what has changed.
    fn wake(&self) {
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.change(State::Gone);
        self.wake();
    }
}

impl Shared {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap()
    }

    fn accept(self: Arc<Self>, address: SocketAddr, mut listener: TcpListener) {
        loop {
            let accepted = listener.accept();
            let state = self.network().state;
            match (state, accepted) {
                (State::Gone, _) => return,
                (State::Cut, _) => {
                    drop(listener);
                    let cut = |network: &mut Network| network.state == State::Cut;
                    drop(self.changed.wait_while(self.network(), cut).unwrap());
                    listener = listen(address);
                }
                (_, Ok((client, _))) => self.link(client),
                (_, Err(_)) => {}
            }
        }
    }

    fn link(self: &Arc<Self>, client: TcpStream) {
        let mut network = self.network();
        let frozen = network.state == State::Frozen;
        let server = (!frozen).then(|| TcpStream::connect(self.target));
        let Some(server) = server.transpose().ok() else {
            return;
        };
        let ends = server.into_iter().chain([client]);
        let ends: Vec<TcpStream> = ends.inspect(|end| end.set_nodelay(true).unwrap()).collect();
        let link = Arc::new(Link {
            ends,
            is_broken: AtomicBool::new(frozen),
        });
        // The last end is the client's, the first the server's, if there is one.
        let last = link.ends.len() - 1;
        for from in 0..link.ends.len() {
            let (shared, link) = (Arc::clone(self), Arc::clone(&link));
            std::thread::spawn(move || shared.carry(&link, from, last - from, from == last));
        }
        network.links.push(link);
    }

    fn carry(&self, link: &Link, from: usize, to: usize, is_to_server: bool) {
        let mut bytes = [0; 16 << 10];
        while let Ok(count @ 1..) = (&link.ends[from]).read(&mut bytes) {
            // A change of state waits until what was read has gone one way or the other.
            let waits = |network: &mut Network| network.state == State::Held && !is_to_server;
            let mut network = self.changed.wait_while(self.network(), waits).unwrap();
            if is_to_server && network.hears_last_words(&bytes[..count]) {
                network.state = State::Mute;
            }
            let goes_on = match network.state {
                State::Frozen => false,
                // A connection that was accepted while all was frozen has no server behind it.
                State::Mute => is_to_server && from != to,
                State::Whole | State::Held | State::Cut | State::Gone => {
                    !link.is_broken.load(Ordering::Acquire)
                }
            };
            if !goes_on {
                link.is_broken.store(true, Ordering::Release);
                continue;
            }
            drop(network);
            if is_to_server {
                self.carried.fetch_add(count as u64, Ordering::AcqRel);
            }
            if (&link.ends[to]).write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // Nobody is told of an end through a network that is frozen, nor by what has been forgotten.
        let mut network = self.network();
        if network.state == State::Frozen || link.is_broken.load(Ordering::Acquire) {
            link.is_broken.store(true, Ordering::Release);
        } else {
            network.links.retain(|other| !std::ptr::eq(&**other, link));
            link.ends
                .iter()
                .for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
    }
}

impl Network {
    fn hears_last_words(&mut self, said: &[u8]) -> bool {
        let said_now = |words: &mut &[u8]| said.windows(words.len()).any(|piece| piece == *words);
        self.last_words.take_if(said_now).is_some()
    }
}

impl Link {
    /// Ends both connections without a farewell, as soon as their threads have let them go.
    fn reset(&self) {
        for end in &self.ends {
            let _ = SockRef::from(end).set_linger(Some(Duration::ZERO));
            let _ = end.shutdown(Shutdown::Read);
        }
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    // Connections of the time before may still be closing.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    socket.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::eventually;

    /// Says back what it hears.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut bytes = [0; 64];
                    while let Ok(count @ 1..) = stream.read(&mut bytes) {
                        stream.write_all(&bytes[..count]).unwrap();
                    }
                });
            }
        });
        address
    }

    /// Asks for an echo and waits for it for so long.
    fn says_back_within(limit: Duration, stream: &mut TcpStream) -> bool {
        stream.set_read_timeout(Some(limit)).unwrap();
        let mut answer = [0; 4];
        stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok()
    }

    fn says_back(stream: &mut TcpStream) -> bool {
        says_back_within(Duration::from_secs(120), stream)
    }

    fn is_silent(stream: &mut TcpStream) -> bool {
        !says_back_within(Duration::from_secs(1), stream)
    }

    /// Waits until the server has been sent so many bytes.
    fn carries(relay: &Relay, bytes: u64) {
        eventually("the bytes to be carried", || {
            (relay.carried() == bytes).then_some(())
        });
    }

    #[test]
    fn a_network_that_is_cut_resets_and_refuses_until_it_is_healed() {
        let relay = Relay::new(echo());
        let mut before = TcpStream::connect(relay.address()).unwrap();
        assert!(says_back(&mut before));
        assert_eq!(relay.carried(), 4);
        relay.cut();
        assert!(is_silent(&mut before));
        assert!(TcpStream::connect(relay.address()).is_err());
        relay.heal();
        assert!(is_silent(&mut before));
        assert!(says_back(&mut TcpStream::connect(relay.address()).unwrap()));
    }

    #[test]
    fn a_mute_network_lets_the_server_hear_and_swallows_what_it_answers() {
        let relay = Relay::new(echo());
        relay.mute();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        assert!(is_silent(&mut stream));
        assert!(is_silent(&mut stream));
        carries(&relay, 8);
        relay.heal();
        assert!(is_silent(&mut stream));
        assert!(says_back(&mut TcpStream::connect(relay.address()).unwrap()));
    }

    #[test]
    fn a_network_goes_mute_after_words_that_the_server_still_hears() {
        let relay = Relay::new(echo());
        relay.mute_after("ping");
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        stream.write_all(b"pi").unwrap();
        carries(&relay, 2);
        assert!(!relay.is_mute());
        assert!(is_silent(&mut stream));
        carries(&relay, 6);
        assert!(relay.is_mute());
    }

    #[test]
    fn answers_that_are_held_arrive_when_the_network_is_healed() {
        let relay = Relay::new(echo());
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        assert!(says_back(&mut stream));
        relay.hold_answers();
        assert!(is_silent(&mut stream));
        relay.heal();
        let mut answer = [0; 4];
        stream.set_read_timeout(None).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping");
        assert!(says_back(&mut stream));
    }

    #[test]
    fn a_frozen_network_accepts_and_swallows_and_only_what_lost_nothing_goes_on() {
        let relay = Relay::new(echo());
        let mut idle = TcpStream::connect(relay.address()).unwrap();
        assert!(says_back(&mut idle));
        let mut busy = TcpStream::connect(relay.address()).unwrap();
        assert!(says_back(&mut busy));
        relay.freeze();
        assert!(is_silent(&mut busy));
        assert!(is_silent(&mut TcpStream::connect(relay.address()).unwrap()));
        relay.heal();
        assert!(is_silent(&mut busy));
        assert!(says_back(&mut idle));
    }
}
