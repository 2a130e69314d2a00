//! What requests meet that is there before them: the thread that answers them, and the other end of their connection.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderValue;

use crate::gateway::Gateway;
use crate::upstream::Pool;

/// One thread of the data plane.
pub(crate) struct Worker {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Pool,
    ids: Cell<u64>,
}

impl Worker {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let pool = Pool::new(
            gateway.upstreams.len(),
            gateway.rules.server.connect_timeout,
            gateway.read_timeout(),
        );
        Worker {
            gateway,
            pool,
            ids: Cell::new(RandomState::new().hash_one(0)),
        }
    }

    /// Sixteen hexadecimal digits that no other request is likely to have.
    pub(crate) fn request_id(&self) -> HeaderValue {
        let id = self.ids.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.ids.set(id);
        let mixed = (id ^ (id >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let digit = |place| b"0123456789abcdef"[(mixed >> (60 - 4 * place)) as usize & 15];
        let digits: [u8; 16] = std::array::from_fn(digit);
        HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Whether what it sends comes encrypted.
    pub(crate) secure: bool,
    /// As upstreams are told of it.
    pub(crate) text: HeaderValue,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, secure: bool) -> Self {
        let text = HeaderValue::try_from(address.to_canonical().to_string());
        Peer {
            address,
            secure,
            text: text.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
        }
    }
}
