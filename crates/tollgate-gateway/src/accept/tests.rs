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
        self.stop.send(true).unwrap();
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
