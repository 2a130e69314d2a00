//! Servers to stand behind a gateway in tests: one that records, and whatever else a test scripts.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::wire::{Framing, Head};

/// A connection over which nothing comes for so long is dropped.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A request as a server received it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// Its target, as it was written.
    pub target: String,
    /// Its body, when it was read [as a whole](Exchange::body).
    pub body: Vec<u8>,
    /// Which connection brought it, counted from 0.
    pub connection: usize,
    head: Head,
}

impl Received {
    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The values of every field of this name.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        self.head.all(name).collect()
    }

    /// The names of all fields, in lower case.
    pub fn names(&self) -> Vec<String> {
        let names = self.head.fields.iter();
        names.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

/// One request within a script: read its body, write an answer.
pub struct Exchange<'s> {
    /// The request.
    pub request: Received,
    stream: &'s mut BufReader<TcpStream>,
    framing: Framing,
    open: bool,
    shared: &'s Shared,
    place: usize,
}

impl Exchange<'_> {
    /// The next part of the request's body as it arrives, empty at its end.
    ///
    /// # Errors
    /// The gateway closed within the body.
    pub fn part(&mut self) -> io::Result<Vec<u8>> {
        self.framing.part(self.stream)
    }

    /// The rest of the request's body, which is noted.
    ///
    /// # Errors
    /// The gateway closed within the body.
    pub fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let part = self.part()?;
            if part.is_empty() {
                break;
            }
            body.extend(part);
        }
        // Before anything is answered, so that who has the answer finds it.
        self.shared.received.lock().unwrap()[self.place]
            .body
            .clone_from(&body);
        Ok(body)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The gateway has closed.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    /// Answers with a status, fields and a body of known length.
    ///
    /// # Errors
    /// The gateway has closed.
    pub fn answer(&mut self, status: &str, fields: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}"
        ))
    }

    /// Waits until the gateway closes the connection; whether it did in bounded time.
    pub fn is_closed_by_peer(&mut self) -> bool {
        use std::io::BufRead;
        self.open = false;
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Closes the connection after this exchange.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Resets the connection: the peer sees an error instead of an end.
    pub fn reset(&mut self) {
        self.open = false;
        let socket = socket2::SockRef::from(self.stream.get_ref());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

type Script = dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync;

struct Shared {
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    closed: AtomicUsize,
    stopped: AtomicBool,
    script: Box<Script>,
}

/// A server on a free loopback port, with keep-alive, that notes every request.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// One that reads each request and answers 200 with `{"random":7}`.
    pub fn recording() -> Self {
        Upstream::answering(
            "200 OK",
            "content-type: application/json\r\n",
            "{\"random\":7}",
        )
    }

    /// One that reads each request and always answers the same.
    pub fn answering(status: &'static str, fields: &'static str, body: &'static str) -> Self {
        Upstream::scripted(move |exchange| {
            exchange.body()?;
            let silent = exchange.request.method == "HEAD";
            match silent {
                true => exchange.write(format!(
                    "HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n",
                    body.len()
                )),
                false => exchange.answer(status, fields, body),
            }
        })
    }

    /// One that answers each request at once with these bytes, whatever they are, and closes.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Upstream::scripted(move |exchange| {
            exchange.body()?;
            exchange.close();
            exchange.write(&bytes)
        })
    }

    /// One that reads requests and answers none, until the gateway closes.
    pub fn hanging() -> Self {
        Upstream::scripted(|exchange| {
            exchange.body()?;
            exchange.is_closed_by_peer();
            Ok(())
        })
    }

    /// One that reads the head of a request and resets the connection.
    pub fn resetting() -> Self {
        Upstream::scripted(|exchange| {
            exchange.reset();
            Ok(())
        })
    }

    /// One that reads a request, says so, and answers it when it is told to.
    pub fn held() -> (Self, Held) {
        let (arrive, arrived) = channel();
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let upstream = Upstream::scripted(move |exchange| {
            exchange.body()?;
            let _ = arrive.send(());
            let _ = released.lock().unwrap().recv_timeout(SILENCE_MAX);
            exchange.answer("200 OK", "content-type: text/plain\r\n", "late")
        });
        (upstream, Held { arrived, release })
    }

    /// One that does with each request what `script` does.
    pub fn scripted(
        script: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            script: Box::new(script),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if server.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = server.connections.fetch_add(1, Ordering::SeqCst);
                let server = Arc::clone(&server);
                std::thread::spawn(move || {
                    // A connection that breaks is the gateway's to handle, and the test's to judge.
                    let _ = serve(&server, stream, number);
                    server.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Upstream { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// The last request.
    pub fn last(&self) -> Received {
        self.received().pop().expect("nothing reached the upstream")
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them it has closed so far.
    pub fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// The test's end of [`Upstream::held`].
pub struct Held {
    arrived: Receiver<()>,
    release: Sender<()>,
}

impl Held {
    /// Waits until a request has arrived.
    pub fn arrived(&self) {
        self.arrived
            .recv_timeout(SILENCE_MAX)
            .expect("no request arrived");
    }

    /// Lets one request be answered.
    pub fn release(&self) {
        self.release.send(()).unwrap();
    }
}

fn serve(shared: &Shared, stream: TcpStream, number: usize) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(head) = Head::read(&mut stream)? {
        let mut words = head.start.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, target) = (word(), word());
        let framing = head.framing(Framing::Length(0));
        let closing = head
            .all("connection")
            .any(|value| value.eq_ignore_ascii_case("close"));
        let request = Received {
            method,
            target,
            body: Vec::new(),
            connection: number,
            head,
        };
        let place = {
            let mut received = shared.received.lock().unwrap();
            received.push(request.clone());
            received.len() - 1
        };
        let mut exchange = Exchange {
            request,
            stream: &mut stream,
            framing,
            open: !closing,
            shared,
            place,
        };
        (shared.script)(&mut exchange)?;
        if !exchange.open {
            return Ok(());
        }
    }
    Ok(())
}
