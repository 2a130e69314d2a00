//! What clients say when they connect: who they are, which protocol they speak, and what they ask about the server.

use tollgate::Micros;

use super::reply::{Replies, repeated};
use super::table::COMMANDS;
use crate::Service;

/// Wrong passwords on one connection; with the last of them it is closed.
const WRONG_MAX: u8 = 8;
/// The longest name that a client gives its connection.
const NAME_BYTES_MAX: usize = 64;

const NO_AUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";

/// One client's connection, apart from its socket.
pub(super) struct Session<'s> {
    service: &'s Service,
    id: i64,
    pub(super) resp3: bool,
    is_known: bool,
    wrong: u8,
    name: Vec<u8>,
    /// Whether the connection ends behind the replies.
    pub(super) is_over: bool,
}

impl<'s> Session<'s> {
    pub(super) fn new(service: &'s Service, id: i64) -> Self {
        Session {
            service,
            id,
            resp3: false,
            is_known: service.tokens.is_open(),
            wrong: 0,
            name: Vec::new(),
            is_over: false,
        }
    }

    /// Whether the client has said who it is, or need not.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// `AUTH password` or `AUTH name password`; the name means nothing.
    pub(super) fn auth(&mut self, args: &[&[u8]], replies: &mut Replies<'_>) {
        match args {
            _ if self.service.tokens.is_open() => replies.error(NO_PASSWORD),
            [password] | [_, password] => match self.admit(password) {
                true => replies.ok(),
                false => replies.error(WRONG_PASS),
            },
            _ => replies.error("ERR syntax error"),
        }
    }

    fn admit(&mut self, password: &[u8]) -> bool {
        let tokens = &self.service.tokens;
        if tokens.admit(password) {
            self.is_known = true;
            return true;
        }
        self.wrong += 1;
        self.is_over |= self.wrong >= WRONG_MAX;
        false
    }

    /// `HELLO [2|3 [AUTH name password] [SETNAME name]]`.
    pub(super) fn hello(&mut self, args: &[&[u8]], replies: &mut Replies<'_>) {
        let (resp3, mut options) = match args {
            [] => (self.resp3, args),
            [b"2", options @ ..] => (false, options),
            [b"3", options @ ..] => (true, options),
            _ => return replies.error("NOPROTO unsupported protocol version"),
        };
        let (mut password, mut name) = (None, None);
        while let [option, values @ ..] = options {
            options = match values {
                [_, given, rest @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                    password = Some(*given);
                    rest
                }
                [given, rest @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                    name = Some(*given);
                    rest
                }
                _ => return replies.error("ERR Syntax error in HELLO option"),
            };
        }
        match password {
            Some(_) if self.service.tokens.is_open() => return replies.error(NO_PASSWORD),
            Some(password) if !self.admit(password) => return replies.error(WRONG_PASS),
            _ if !self.is_known => return replies.error(NO_AUTH),
            _ => {}
        }
        if let Some(name) = name
            && !self.set_name(name)
        {
            return replies.error(BAD_NAME);
        }
        self.resp3 = resp3;
        replies.resp3 = resp3;
        replies.map(7);
        for (key, value) in [
            ("server", "tollgate"),
            ("version", env!("CARGO_PKG_VERSION")),
        ] {
            replies.bulk(key.as_bytes());
            replies.bulk(value.as_bytes());
        }
        replies.bulk(b"proto");
        replies.integer(if resp3 { 3 } else { 2 });
        replies.bulk(b"id");
        replies.integer(self.id);
        for (key, value) in [("mode", "standalone"), ("role", "master")] {
            replies.bulk(key.as_bytes());
            replies.bulk(value.as_bytes());
        }
        replies.bulk(b"modules");
        replies.array(0);
    }

    /// `RESET`: as if the client had just come.
    pub(super) fn reset(&mut self, replies: &mut Replies<'_>) {
        self.resp3 = false;
        replies.resp3 = false;
        self.is_known = self.service.tokens.is_open();
        self.name.clear();
        replies.simple("RESET");
    }

    fn set_name(&mut self, name: &[u8]) -> bool {
        let fits = name.len() <= NAME_BYTES_MAX && name.iter().all(u8::is_ascii_graphic);
        if fits {
            self.name = name.to_vec();
        }
        fits
    }

    /// `CLIENT`: a name, an id, and what libraries say about themselves.
    pub(super) fn client(&mut self, args: &[&[u8]], replies: &mut Replies<'_>) {
        let Some((word, args)) = args.split_first() else {
            return replies.error("ERR wrong number of arguments for 'client' command");
        };
        match (word.to_ascii_uppercase().as_slice(), args) {
            (b"SETNAME", [name]) => match self.set_name(name) {
                true => replies.ok(),
                false => replies.error(BAD_NAME),
            },
            (b"GETNAME", []) if self.name.is_empty() => replies.null(),
            (b"GETNAME", []) => replies.bulk(&self.name),
            (b"ID", []) => replies.integer(self.id),
            (b"INFO", []) | (b"LIST", ..) => {
                let name = String::from_utf8_lossy(&self.name);
                let proto = if self.resp3 { 3 } else { 2 };
                replies.text(&format!("id={} name={name} db=0 resp={proto}\n", self.id));
            }
            (b"SETINFO", [_, _]) | (b"NO-EVICT" | b"NO-TOUCH", [_]) => replies.ok(),
            _ => {
                let word = repeated(word);
                replies.error(&format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try CLIENT ID."));
            }
        }
    }

    /// `INFO`: what client libraries look for, and nothing about callers.
    pub(super) fn info(&self, now: Micros, replies: &mut Replies<'_>) {
        let up = now.as_secs().saturating_sub(self.service.started.as_secs());
        let version = env!("CARGO_PKG_VERSION");
        replies.text(&format!(
            "# Server\r\nserver_name:tollgate\r\ntollgate_version:{version}\r\nredis_mode:standalone\r\nuptime_in_seconds:{up}\r\n\r\n# Persistence\r\nloading:0\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
        ));
    }

    /// `COMMAND`: what there is, and where keys are.
    pub(super) fn command(&self, args: &[&[u8]], replies: &mut Replies<'_>) {
        let Some((word, args)) = args.split_first() else {
            replies.array(COMMANDS.len());
            return COMMANDS
                .iter()
                .for_each(|command| command.describe(replies));
        };
        match word.to_ascii_uppercase().as_slice() {
            b"COUNT" => replies.integer(COMMANDS.len() as i64),
            b"DOCS" => replies.map(0),
            b"LIST" => {
                replies.array(COMMANDS.len());
                COMMANDS
                    .iter()
                    .for_each(|command| replies.bulk(command.name.as_bytes()));
            }
            b"INFO" => {
                replies.array(args.len());
                for name in args {
                    let known = |name: &[u8]| {
                        let mut all = COMMANDS.iter();
                        all.find(move |command| name.eq_ignore_ascii_case(command.name.as_bytes()))
                    };
                    match known(name) {
                        Some(command) => command.describe(replies),
                        None if replies.resp3 => replies.null(),
                        None => replies.out.extend_from_slice(b"*-1\r\n"),
                    }
                }
            }
            _ => replies.error("ERR unknown subcommand. Try COMMAND COUNT."),
        }
    }
}

const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";
