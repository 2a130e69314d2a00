//! Which connections are served: so many at a time, and of one address only so many of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_tower::address::{Proxies, network};

/// The connections of all threads.
pub struct Admission {
    places: Arc<Semaphore>,
    per_address_max: usize,
    /// They speak for many, and have no share.
    proxies: Proxies,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    refused: AtomicU64,
}

/// A connection's place, free again when it is dropped.
pub struct Place {
    _share: Share,
    _permit: OwnedSemaphorePermit,
}

/// One connection's part of its address's share.
struct Share {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    /// At most `connections_max` at one time, of one address at most `per_address_max`, unless it is one of the `proxies`
    /// that are believed.
    pub fn new(connections_max: usize, per_address_max: usize, proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Admission {
            places: Arc::new(Semaphore::new(connections_max)),
            per_address_max,
            proxies: Proxies::new(proxies),
            by_address: Mutex::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// A place for a connection that was accepted: waits while all are taken, and is `None` when its address has its
    /// share.
    pub async fn place(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let is_proxy = self.proxies.trusts(peer.to_canonical());
        let address = (!is_proxy).then(|| network(peer));
        if let Some(address) = address {
            let mut counts = self.counts();
            let count = counts.entry(address).or_default();
            if *count >= self.per_address_max {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            *count += 1;
        }
        // Made before the wait, so that whoever stops waiting is not counted for ever.
        let share = Share {
            admission: Arc::clone(self),
            address,
        };
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(permit) => Some(Place {
                _share: share,
                _permit: permit,
            }),
            Err(_) => None,
        }
    }

    /// How many connections found that their address had its share.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.admission.counts();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_take_every_place() {
        let admission = Admission::new(10, 2, vec!["198.51.100.0/24".parse().unwrap()]);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = admission.place(one).await;
        let _second = admission.place(one).await.unwrap();
        assert!(admission.place(one).await.is_none());
        assert!(
            admission
                .place("::ffff:192.0.2.1".parse().unwrap())
                .await
                .is_none()
        );
        assert_eq!(admission.refused(), 2);
        assert!(admission.place(other).await.is_some());
        let mut places = Vec::new();
        for address in ["198.51.100.7", "::ffff:198.51.100.7", "198.51.100.7"] {
            places.extend(admission.place(address.parse().unwrap()).await);
        }
        assert_eq!(places.len(), 3, "a proxy has no share");
        drop(places);
        drop(first);
        assert!(admission.place(one).await.is_some());
        assert!(admission.counts().len() <= 1, "who has left is forgotten");
    }

    #[tokio::test]
    async fn who_stops_waiting_for_a_place_gives_the_share_back() {
        let admission = Admission::new(1, 2, Vec::new());
        let address = "2001:db8::1".parse().unwrap();
        let _taken = admission.place("192.0.2.9".parse().unwrap()).await.unwrap();
        for _ in 0..5 {
            let waiting = admission.place(address);
            let waited = tokio::time::timeout(std::time::Duration::ZERO, waiting).await;
            assert!(waited.is_err(), "there was a place, or none to wait for");
        }
        assert_eq!(admission.counts().get(&network(address)), None);
        assert_eq!(network("2001:db8::2".parse().unwrap()), network(address));
    }
}
