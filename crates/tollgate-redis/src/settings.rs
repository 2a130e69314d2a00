//! How the store is called: how long, how many at a time, over how many connections.

use std::time::Duration;

use crate::error::LinkError;

/// Bounds of the way to the store. `Settings::default()` is right for a store in the same building.
///
/// ```
/// use std::time::Duration;
/// use tollgate_redis::Settings;
///
/// let settings = Settings::default().with_nodes(3).with_deadline(Duration::from_millis(50));
/// assert_eq!(settings.nodes, 3);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The longest that one call may take, redirects included: 25 ms.
    pub deadline: Duration,
    /// The longest that a connection may take to come about, TLS and log-in included: 1 s.
    pub connect_timeout: Duration,
    /// Connections to each server: 4. Calls share them.
    pub connections: usize,
    /// Calls that may wait for one server: 4,096. Beyond, a call fails at once.
    pub in_flight_max: usize,
    /// How all keys of Tollgate begin, those of probes too: `tollgate`.
    pub prefix: String,
    /// How many nodes share the limits: 1. While the store is away, each of them lets its share pass under `local`.
    pub nodes: u32,
    /// Bytes that states may take in this process while the store is away: 64 MiB, taken as keys come.
    pub local_bytes_max: usize,
    /// Whose clock decides: the server's.
    pub time: Time,
}

/// Whose clock decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// The server's: all who share it share one clock, whatever their own say.
    #[default]
    Server,
    /// Each caller's. For tests; keys then outlive their states by ten minutes.
    Caller,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            deadline: Duration::from_millis(25),
            connect_timeout: Duration::from_secs(1),
            connections: 4,
            in_flight_max: 4_096,
            prefix: "tollgate".to_owned(),
            nodes: 1,
            local_bytes_max: 64 << 20,
            time: Time::default(),
        }
    }
}

/// Makes a setter of each field.
macro_rules! with {
    ($($name:ident $field:ident: $type:ty;)*) => {
        impl Settings {
            $(
                #[doc = concat!("The same with another [`", stringify!($field), "`](Settings::", stringify!($field), ").")]
                #[must_use]
                pub fn $name(self, $field: $type) -> Self {
                    Settings { $field, ..self }
                }
            )*
        }
    };
}

with! {
    with_deadline deadline: Duration;
    with_connect_timeout connect_timeout: Duration;
    with_connections connections: usize;
    with_in_flight_max in_flight_max: usize;
    with_prefix prefix: String;
    with_nodes nodes: u32;
    with_local_bytes_max local_bytes_max: usize;
    with_time time: Time;
}

impl Settings {
    /// Zero never means "no bound", and nothing could be asked with it.
    pub(crate) fn check(&self) -> Result<(), LinkError> {
        let zeros = [
            (self.deadline.is_zero(), "`deadline` is 0"),
            (self.connect_timeout.is_zero(), "`connect_timeout` is 0"),
            (self.connections == 0, "`connections` is 0"),
            (self.in_flight_max == 0, "`in_flight_max` is 0"),
            (self.nodes == 0, "`nodes` is 0"),
        ];
        match zeros.iter().find(|(is_zero, _)| *is_zero) {
            Some((_, what)) => Err(LinkError::Unusable(what)),
            None => Ok(()),
        }
    }
}
