//! Which thread of a listener a connection comes to, and how all of them end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const THREADS: usize = 2;

struct Listening {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listening {
    /// A listener whose threads say which they are, and stay with a client until it goes.
    fn begin() -> Self {
        let listeners = Listeners::bind("127.0.0.1:0".parse().unwrap(), THREADS).unwrap();
        let terms = Terms {
            admission: Admission::new(1_000, 1_000, Vec::new()),
            tls: None,
            spoken: Spoken::Unnamed,
            greeting_timeout: Duration::from_secs(10),
            greetings_failed: Counter::default(),
            drain_timeout: Duration::from_secs(10),
        };
        let (stop, stopped) = watch::channel(false);
        let address = listeners.address();
        let thread = || {
            let name = std::thread::current().name().unwrap().to_owned();
            move |mut stream: Stream, _, _| {
                let name = name.clone();
                async move {
                    stream.write_all(name.as_bytes()).await.unwrap();
                    let _ = stream.read(&mut [0]).await;
                }
            }
        };
        let threads = serve(listeners, "served", &terms, &stopped, thread).unwrap();
        Listening {
            address,
            stop,
            threads,
        }
    }

    /// A connection, and which thread serves it.
    fn connect(&self) -> (Client, String) {
        let mut client = Client::connect(self.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut name = [0; "served-0".len()];
        client.read_exact(&mut name).unwrap();
        (client, String::from_utf8(name.to_vec()).unwrap())
    }

    fn end(self) {
        // Threads that have ended already do not hear it.
        self.stop.send_replace(true);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn of_a_few_connections_each_thread_serves_as_many_whatever_their_addresses() {
    let listening = Listening::begin();
    // By the system's hash alone four of eight would come to each thread in one round of four.
    for round in 0..12 {
        let clients: Vec<_> = (0..8).map(|_| listening.connect()).collect();
        let first = clients.iter().filter(|(_, name)| name == "served-0");
        assert_eq!(first.count(), 4, "round {round}");
        for (mut client, _) in clients {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    }
    listening.end();
}

#[test]
fn threads_end_when_their_connections_have_ended_also_those_that_were_handed_on() {
    let listening = Listening::begin();
    let clients: Vec<_> = (0..8).map(|_| listening.connect()).collect();
    listening.stop.send(true).unwrap();
    for (mut client, _) in clients {
        client.write_all(b".").unwrap();
    }
    listening.end();
}

#[tokio::test]
async fn a_connection_for_a_thread_that_has_ended_is_served_by_the_one_that_accepted_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admission = Admission::new(1_000, 1_000, Vec::new());
    let (ended, _) = mpsc::unbounded_channel();
    let (own, _handed) = mpsc::unbounded_channel();
    let among = Among {
        index: 1,
        balance: Balance::new(2),
        others: [ended, own].into(),
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, peer, place) = accept_one(&admission, &listener).await.unwrap();
        let mut accepted = among.keep(stream, peer, place).unwrap();
        assert_eq!(accepted.served.thread(), among.index);
        accepted.stream.write_all(b".").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'.');
        kept.push((client, accepted));
    }
}
