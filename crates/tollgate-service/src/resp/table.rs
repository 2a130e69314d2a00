//! Every command that is known, by name.

use super::reply::Replies;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    ClThrottle,
    Throttle,
    Check,
    Peek,
    Reset,
    Del,
    Auth,
    Hello,
    Client,
    Command,
    Select,
    Ping,
    Echo,
    Info,
    Quit,
    ResetConnection,
    Config,
}

/// What `COMMAND` tells of a command.
pub(super) struct Command {
    pub(super) name: &'static str,
    kind: Name,
    /// Arguments with the name; at least so many if negative.
    arity: i64,
    flags: &'static [&'static str],
    /// Where its key is; 0 for none. Limits of the rules count by words that are no keys of a cluster.
    key: i64,
}

const fn command(
    name: &'static str,
    kind: Name,
    arity: i64,
    flags: &'static [&'static str],
    key: i64,
) -> Command {
    Command {
        name,
        kind,
        arity,
        flags,
        key,
    }
}

/// Those that are asked most come first.
pub(super) const COMMANDS: [Command; 17] = [
    command(
        "cl.throttle",
        Name::ClThrottle,
        -5,
        &["write", "denyoom", "fast"],
        1,
    ),
    command(
        "tollgate.check",
        Name::Check,
        -2,
        &["write", "denyoom", "fast"],
        0,
    ),
    command("tollgate.peek", Name::Peek, -2, &["readonly", "fast"], 0),
    command("tollgate.reset", Name::Reset, -2, &["write", "fast"], 0),
    command(
        "throttle",
        Name::Throttle,
        -5,
        &["write", "denyoom", "fast"],
        1,
    ),
    command("del", Name::Del, -2, &["write"], 1),
    command("ping", Name::Ping, -1, &["fast"], 0),
    command(
        "hello",
        Name::Hello,
        -1,
        &["noscript", "loading", "stale", "fast", "no_auth"],
        0,
    ),
    command(
        "auth",
        Name::Auth,
        -2,
        &["noscript", "loading", "stale", "fast", "no_auth"],
        0,
    ),
    command(
        "client",
        Name::Client,
        -2,
        &["noscript", "loading", "stale"],
        0,
    ),
    command("command", Name::Command, -1, &["loading", "stale"], 0),
    command("select", Name::Select, 2, &["loading", "stale", "fast"], 0),
    command("echo", Name::Echo, 2, &["fast"], 0),
    command("info", Name::Info, -1, &["loading", "stale"], 0),
    command(
        "quit",
        Name::Quit,
        -1,
        &["noscript", "loading", "stale", "fast", "no_auth"],
        0,
    ),
    command(
        "reset",
        Name::ResetConnection,
        1,
        &["noscript", "loading", "stale", "fast", "no_auth"],
        0,
    ),
    command(
        "config",
        Name::Config,
        -2,
        &["noscript", "loading", "stale"],
        0,
    ),
];

/// The command of this name, in whatever case.
pub(super) fn find(name: &[u8]) -> Option<Name> {
    let mut all = COMMANDS.iter();
    let found = all.find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()));
    found.map(|command| command.kind)
}

impl Command {
    /// An item of `COMMAND`'s answer.
    pub(super) fn describe(&self, replies: &mut Replies<'_>) {
        replies.array(6);
        replies.bulk(self.name.as_bytes());
        replies.integer(self.arity);
        replies.array(self.flags.len());
        self.flags.iter().for_each(|flag| replies.simple(flag));
        replies.integer(self.key);
        replies.integer(self.key);
        replies.integer(i64::from(self.key > 0));
    }
}
