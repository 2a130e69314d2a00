//! Who makes a change.

use crate::id::UserId;

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the machine: the command line, and the admin socket.
    Local,
    /// Whoever the change is about, for themselves: somebody who signs up, or changes their own keys.
    Owner,
    /// This user.
    User(UserId),
}
