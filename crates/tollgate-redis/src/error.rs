//! What can go wrong between this process and the store.

use std::time::Duration;

/// Why a call to the store failed, or no connection to it came about.
///
/// All but those that [are permanent](LinkError::is_permanent) are transient.
/// A call that failed by [`Timeout`](LinkError::Timeout) or [`Broken`](LinkError::Broken) may have been carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No answer in time.
    #[error("the store did not answer within {0:?}")]
    Timeout(Duration),
    /// No connection came about.
    #[error("no connection to the store: {0}")]
    Unreachable(String),
    /// The connection ended while an answer was awaited.
    #[error("the connection to the store broke")]
    Broken,
    /// The store has failed so often that it is not asked, but for probes.
    #[error("the store is away; it is asked again after three good probes")]
    Away,
    /// Too many calls wait for answers.
    #[error("{0} calls to one server are under way already")]
    Saturated(usize),
    /// What came is no reply, or larger than any that is expected.
    #[error("the store sent what is no reply: {0}")]
    Garbage(String),
    /// Somebody's script does not end.
    #[error(
        "the store is busy with a script that does not end (BUSY); `SCRIPT KILL` there ends it unless it has written"
    )]
    Busy,
    /// The server's `maxmemory` is used up.
    #[error(
        "the store's memory is full (OOM); raise `maxmemory`, or let keys that expire give way: `maxmemory-policy volatile-ttl`"
    )]
    OutOfMemory,
    /// The server is a replica.
    #[error("the store is a replica and takes no writes (READONLY)")]
    ReadOnly,
    /// The server still reads its data from disk.
    #[error("the store is still loading its data (LOADING)")]
    Loading,
    /// A replica has lost its primary.
    #[error("the store is a replica without its primary (MASTERDOWN)")]
    MasterDown,
    /// The cluster does not serve this slot.
    #[error("the cluster does not serve this key now (CLUSTERDOWN)")]
    ClusterDown,
    /// The server refuses writes for a reason of its own: it cannot save, or has too few replicas.
    #[error("the store refuses writes: {0}")]
    Unwritable(String),
    /// Nodes of a cluster sent the call to each other, or the slot is on its way.
    #[error("the cluster sent a call on more than {0} times")]
    Redirected(u32),
    /// No password was given, or it was taken away.
    #[error(
        "the store wants a password: write it into the URL, redis://user:password@host (NOAUTH)"
    )]
    NoPassword,
    /// User and password were refused.
    #[error("the store refused the user or the password of its URL (WRONGPASS)")]
    WrongPassword,
    /// The user may not do what is needed.
    #[error(
        "the store's user may not do what limits need: {0}; grant it `~PREFIX* +@scripting +@read +@write +time +info +scan +cluster`"
    )]
    NotPermitted(String),
    /// No TLS with this server.
    #[error(
        "no TLS with the store: {0}; `?ca=FILE` in its URL names the authority that has signed its certificate"
    )]
    Tls(String),
    /// The URL says TLS, and the server speaks none.
    #[error(
        "{0} speaks no TLS: write redis:// instead of rediss:// (redis+cluster://, redis+sentinel:// likewise)"
    )]
    SpeaksNoTls(String),
    /// The URL says nothing of TLS, and the server speaks nothing else.
    #[error(
        "{0} speaks TLS alone: write rediss:// instead of redis:// (rediss+cluster://, rediss+sentinel:// likewise)"
    )]
    SpeaksTls(String),
    /// What answers there is something else.
    #[error("what answers at {0} is no Redis or Valkey server")]
    NotRedis(String),
    /// A URL of a server, and it is a sentinel.
    #[error("the server is a sentinel: write redis+sentinel://host:port,host:port/SERVICE")]
    IsSentinel,
    /// A URL of sentinels, and the server is none.
    #[error("{0} is no sentinel: write redis://host:port")]
    IsNoSentinel(String),
    /// The sentinels know no such service.
    #[error(
        "the sentinels know no primary of `{0}`: the last part of the URL is the name that `sentinel monitor` gave it"
    )]
    NoSuchService(String),
    /// The file of authorities cannot be used.
    #[error("the certificates of `ca`: {0}")]
    Authorities(String),
    /// The server is older than 6.2.
    #[error("the store is version {0}, and 6.2 is the oldest that will do")]
    TooOld(String),
    /// The server is a program of 32 bits.
    #[error(
        "the store is a program of 32 bits, whose scripts cannot write instants: run one of 64"
    )]
    IsNarrow,
    /// A URL of one server, and the server is part of a cluster.
    #[error("the store is part of a cluster: write redis+cluster://host:port,host:port")]
    IsCluster,
    /// A URL of a cluster, and the server is none.
    #[error("the store is no cluster: write redis://host:port")]
    IsNoCluster,
    /// The server has no database of this number.
    #[error("the store has no database {0}")]
    NoDatabase(i64),
    /// With these settings no call could ever be answered.
    #[error("the settings of the store: {0}")]
    Unusable(&'static str),
    /// The script was not run, or not to its end, for a reason that says nothing about what is stored.
    #[error("the store could not run the script: {0}")]
    Script(String),
    /// The script can make nothing of what is stored, or its answer makes no sense.
    #[error("what is stored is no state of ours: {0}")]
    NotOurs(String),
}

/// The words of [`Stats::errors`](crate::Stats::errors): every one that there is.
pub const ERROR_KINDS: [&str; 19] = [
    "timeout",
    "unreachable",
    "broken",
    "away",
    "saturated",
    "garbage",
    "busy",
    "out_of_memory",
    "read_only",
    "loading",
    "master_down",
    "cluster_down",
    "unwritable",
    "redirected",
    "denied",
    "tls",
    "unsuitable",
    "script",
    "not_ours",
];

impl LinkError {
    /// Whether waiting does not help, but only somebody who changes the settings of one side. Everything else passes, or
    /// may.
    pub fn is_permanent(&self) -> bool {
        use LinkError::*;
        matches!(
            self,
            NoPassword
                | WrongPassword
                | NotPermitted(_)
                | Tls(_)
                | SpeaksNoTls(_)
                | SpeaksTls(_)
                | NotRedis(_)
                | IsSentinel
                | IsNoSentinel(_)
                | NoSuchService(_)
                | Authorities(_)
                | TooOld(_)
                | IsNarrow
                | IsCluster
                | IsNoCluster
                | NoDatabase(_)
                | Unusable(_)
        )
    }

    /// Whether the server failed, and not only this call.
    pub(crate) fn is_of_server(&self) -> bool {
        !matches!(
            self,
            LinkError::Script(_)
                | LinkError::NotOurs(_)
                | LinkError::Away
                | LinkError::Saturated(_)
                | LinkError::Redirected(_)
        )
    }

    /// Whether another server may have taken its place, so that its connections are of no use.
    pub(crate) fn is_of_place(&self) -> bool {
        matches!(
            self,
            LinkError::ReadOnly
                | LinkError::Loading
                | LinkError::MasterDown
                | LinkError::NoPassword
        )
    }

    /// Under which word it is counted.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            LinkError::Timeout(_) => "timeout",
            LinkError::Unreachable(_) => "unreachable",
            LinkError::Broken => "broken",
            LinkError::Away => "away",
            LinkError::Saturated(_) => "saturated",
            LinkError::Garbage(_) => "garbage",
            LinkError::Busy => "busy",
            LinkError::OutOfMemory => "out_of_memory",
            LinkError::ReadOnly => "read_only",
            LinkError::Loading => "loading",
            LinkError::MasterDown => "master_down",
            LinkError::ClusterDown => "cluster_down",
            LinkError::Unwritable(_) => "unwritable",
            LinkError::Redirected(_) => "redirected",
            LinkError::NoPassword | LinkError::WrongPassword | LinkError::NotPermitted(_) => {
                "denied"
            }
            LinkError::Tls(_)
            | LinkError::SpeaksNoTls(_)
            | LinkError::SpeaksTls(_)
            | LinkError::Authorities(_) => "tls",
            LinkError::TooOld(_)
            | LinkError::IsNarrow
            | LinkError::IsCluster
            | LinkError::IsNoCluster
            | LinkError::IsSentinel
            | LinkError::IsNoSentinel(_)
            | LinkError::NoSuchService(_)
            | LinkError::NotRedis(_)
            | LinkError::NoDatabase(_)
            | LinkError::Unusable(_) => "unsuitable",
            LinkError::Script(_) => "script",
            LinkError::NotOurs(_) => "not_ours",
        }
    }
}
