//! An HTTP/1.1 client that says exactly what a test wants said, malformed or not, from any loopback address.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::wire::{Framing, Head};

/// A peer that is silent for so long has failed the test. Hashing a password takes long beside a build: it
/// gives way to it.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    from: Option<Ipv4Addr>,
}

impl Call {
    /// A request of this method for this target, written as it is.
    pub fn new(method: &str, target: &str) -> Self {
        Call {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: None,
            from: None,
        }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Call::new("GET", target)
    }

    /// A POST.
    pub fn post(target: &str) -> Self {
        Call::new("POST", target)
    }

    /// With one more field; `host` stands in the place of the usual one.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a browser asks.
    #[must_use]
    pub fn browser(self) -> Self {
        self.field(
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        )
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.field("authorization", &format!("Bearer {token}"))
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.field("content-type", content_type)
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With the body of an HTML form. The values are plain words.
    #[must_use]
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key}={}", value.replace(' ', "+")))
            .collect();
        self.body("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// From this address of the loopback network, `127.0.0.0/8`.
    #[must_use]
    pub fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = Some(address);
        self
    }

    /// Sends it over a connection of its own.
    pub fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to)
            .unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.target))
    }

    /// As [`send`](Self::send), where no answer is a possible outcome.
    ///
    /// # Errors
    /// No connection, or no whole answer.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        let mut connection = Connection::try_open(to, self.from)?;
        connection.write(
            self.clone()
                .field("connection", "close")
                .bytes(&to.to_string()),
        )?;
        connection.try_answer_to(&self.method)
    }

    /// Sends it over a connection that is already there and stays.
    pub fn over(&self, connection: &mut Connection) -> Answer {
        self.try_over(connection)
            .unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.target))
    }

    /// As [`over`](Self::over), where no answer is a possible outcome.
    ///
    /// # Errors
    /// The peer has closed, or there is no whole answer.
    pub fn try_over(&self, connection: &mut Connection) -> io::Result<Answer> {
        let host = connection.host.clone();
        connection.write(self.bytes(&host))?;
        connection.try_answer_to(&self.method)
    }

    /// What is sent.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let named = |wanted: &str| {
            self.fields
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !named("host") {
            head += &format!("host: {host}\r\n");
        }
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        let body = self.body.as_deref();
        if let Some(body) = body.filter(|_| !named("content-length") && !named("transfer-encoding"))
        {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        [head.as_bytes(), body.unwrap_or_default()].concat()
    }
}

/// One response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    head: Head,
}

impl Answer {
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

    /// The value of a field that is there, or the test has failed.
    pub fn expect(&self, name: &str) -> &str {
        self.field(name)
            .unwrap_or_else(|| panic!("no field {name} in {self:?}"))
    }

    /// The whole seconds of `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        self.field("retry-after").map(|text| text.parse().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in {self:?}: {}", self.text()))
    }

    /// The value of a cookie that this answer sets, and its attributes.
    pub fn cookie(&self, name: &str) -> Option<(String, String)> {
        let lines = self.fields("set-cookie").into_iter();
        let mut pairs = lines.filter_map(|line| {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            Some((pair.split_once('=')?, attributes))
        });
        pairs
            .find(|((known, _), _)| *known == name)
            .map(|((_, value), attributes)| (value.to_owned(), attributes.to_owned()))
    }
}

trait Stream: Read + Write + Send {
    fn finish(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A connection to a server.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

impl Connection {
    /// Connects.
    pub fn open(to: SocketAddr) -> Self {
        Connection::try_open(to, None).unwrap_or_else(|error| panic!("{to}: {error}"))
    }

    /// Connects from an address of the loopback network.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn try_open(to: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
        }
        socket.connect_timeout(&to.into(), SILENCE_MAX)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Connection {
            stream: BufReader::new(Box::new(stream)),
            host: to.to_string(),
        })
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Connection {
            stream: BufReader::new(Box::new(stream)),
            host: "localhost".to_owned(),
        })
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The peer has closed.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    /// Says that nothing more will be written.
    pub fn finish(&mut self) {
        // A peer that has closed already needs not be told.
        let _ = self.stream.get_ref().finish();
    }

    /// Writes a request without waiting for its answer.
    pub fn send(&mut self, call: &Call) {
        let bytes = call.bytes(&self.host);
        self.write(bytes).unwrap();
    }

    /// The next answer, to a request that was no HEAD.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer, to a request of this method.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer_to(method)
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// As [`answer_to`](Self::answer_to), where none is a possible outcome.
    ///
    /// # Errors
    /// The peer closed, was silent, or spoke no HTTP.
    pub fn try_answer_to(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.head()?;
        let bodiless = method == "HEAD" || matches!(answer.status, 204 | 304);
        if !bodiless {
            let framing = answer.head.framing(Framing::Close);
            answer.body = framing.whole(&mut self.stream)?;
        }
        Ok(answer)
    }

    /// The next final answer without its body, which `part` reads.
    ///
    /// # Errors
    /// The peer closed, was silent, or spoke no HTTP.
    pub fn head(&mut self) -> io::Result<Answer> {
        loop {
            let head = Head::read(&mut self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = head
                .start
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok());
            let status = status.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("no status: {:?}", head.start),
                )
            })?;
            if !(100..200).contains(&status) {
                return Ok(Answer {
                    status,
                    body: Vec::new(),
                    head,
                });
            }
        }
    }

    /// The next chunk of an answer that streams.
    ///
    /// # Errors
    /// The peer closed within the body.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        Framing::Chunked.part(&mut self.stream)
    }

    /// Whether the peer closes without another byte.
    pub fn is_closed_by_peer(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ),
        }
    }
}

/// Sends bytes as they are over a connection of their own, and reads the answer to them.
///
/// # Errors
/// The peer answered nothing.
pub fn raw(to: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<(Answer, Connection)> {
    let mut connection = Connection::try_open(to, None)?;
    // A peer that refuses early may close while the rest is still being written: its answer counts.
    let _ = connection.write(bytes);
    let answer = connection.try_answer_to("GET")?;
    Ok((answer, connection))
}
