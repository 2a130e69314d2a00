//! What keeps a server's connections alive, and looks whether it is back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tollgate::Clock;

use super::Shared;
use crate::error::LinkError;
use crate::link::backoff;
use crate::link::dial::{Driver, Role, driven};
use crate::link::probe::{self, probe};
use crate::location::Kind;

/// The longest wait before the first connection of a server is tried again, so that its return is noticed; and before
/// each of the others, which also follow the first.
const FIRST_WAIT_MAX: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Between probes.
const PROBE_LEAST: Duration = Duration::from_millis(200);
const PROBE_MOST: Duration = Duration::from_millis(250);

impl Shared {
    /// Has a connection at `place`, for as long as the node is there.
    pub(super) async fn keep(self: Arc<Self>, place: usize) {
        let mut failures = 0;
        let mut was_there = false;
        loop {
            match self.connect().await {
                Ok((connection, mut driver)) => {
                    failures = 0;
                    if std::mem::replace(&mut was_there, true) {
                        self.common.stats.reconnects.fetch_add(1, Ordering::Relaxed);
                    }
                    let _connected = self.common.stats.connected();
                    let cut = self.places[place].cut.notified();
                    self.set(place, Some(connection));
                    self.attempt.send_replace(Some(Ok(())));
                    self.changed.notify_waiters();
                    if place == 0 {
                        self.first_came.notify_waiters();
                    }
                    tokio::select! {
                        () = &mut driver => {}
                        () = cut => {}
                    }
                    self.set(place, None);
                }
                Err(error) => {
                    failures += 1;
                    self.has_failed(error);
                }
            }
            let wait = |longest| tokio::time::sleep(backoff::wait(failures, longest));
            if place == 0 {
                wait(FIRST_WAIT_MAX).await;
            } else {
                tokio::select! {
                    () = wait(WAIT_MAX) => {}
                    () = self.first_came.notified() => {}
                }
            }
        }
    }

    fn set(&self, place: usize, connection: Option<MultiplexedConnection>) {
        let mut held = self.places[place]
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *held = connection;
    }

    /// A connection that has shown that it can write.
    async fn connect(&self) -> Result<(MultiplexedConnection, Driver), LinkError> {
        let dialer = &self.common.dialer;
        let address = match &self.address {
            Some(address) => address.clone(),
            None => dialer.primary().await?,
        };
        let (mut connection, mut driver) = dialer.open(&address, Role::Server).await?;
        let limit = dialer.settings.connect_timeout;
        let inspected = driven(&mut driver, self.inspect_and_probe(&mut connection));
        let inspected = tokio::time::timeout(limit, inspected).await;
        inspected.unwrap_or(Err(LinkError::Timeout(limit)))?;
        Ok((connection, driver))
    }

    async fn inspect_and_probe(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), LinkError> {
        let is_cluster = self.common.dialer.location.kind == Kind::Cluster;
        if !self.is_inspected.load(Ordering::Relaxed) {
            probe::inspect(connection, is_cluster).await?;
            self.is_inspected.store(true, Ordering::Relaxed);
        }
        self.probe(connection).await
    }

    async fn probe(&self, connection: &mut MultiplexedConnection) -> Result<(), LinkError> {
        let key = self
            .probe_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let sent = self.common.clock.now();
        match probe(connection, &key).await {
            Ok(said) => {
                self.ahead.heard(sent, said);
                Ok(())
            }
            // The key's slot has gone to another node; a node that says so is well.
            Err(LinkError::IsCluster) if self.common.dialer.location.kind == Kind::Cluster => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn has_failed(&self, error: LinkError) {
        let is_alone = self.places.iter().all(|place| {
            place
                .connection
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none()
        });
        if is_alone {
            self.trip(&error);
        }
        self.attempt.send_replace(Some(Err(error)));
    }

    pub(super) async fn probe_while_open(self: Arc<Self>) {
        loop {
            self.opened.notified().await;
            while self.is_open.load(Ordering::Acquire) {
                self.probe_once().await;
            }
        }
    }

    async fn probe_once(&self) {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let Some((place, mut connection)) = self.any() else {
            self.probed(false);
            let _ = tokio::time::timeout(PROBE_MOST, changed).await;
            return;
        };
        let deadline = self.common.dialer.settings.deadline;
        let probed = tokio::time::timeout(deadline, self.probe(&mut connection)).await;
        if probed.is_err() {
            self.places[place].cut.notify_waiters();
        }
        let is_good = matches!(probed, Ok(Ok(())));
        if self.probed(is_good) {
            return;
        }
        tokio::time::sleep(backoff::jitter(PROBE_LEAST, PROBE_MOST)).await;
    }
}
