//! Connections to the database, kept between statements, and the gate in front of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::any::{AnyPoolOptions, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyPool, ConnectOptions, Connection, Either, Execute, Executor, SqlStr};
use tokio::time::timeout;

use super::lent::{BoxFuture, Lent, in_time};
use super::location::{Kind, Location};
use crate::away::Closed;

/// How many statements run at the same time, beside the reading of changes, which has a connection of its own.
const CONNECTIONS_MAX: u32 = 8;

/// How long a caller waits for a connection before the database counts as unavailable.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a kept connection may take to say that it is still one. Less than [`CONNECT_MAX`], so that there is time
/// left for a new one.
const STILL_THERE_MAX: Duration = Duration::from_secs(1);

/// How long it may take to find out why there is none. With [`CONNECT_MAX`] less than a reading of changes may take.
const WHY_MAX: Duration = Duration::from_millis(500);

/// How long closing all connections may take; what a silent server keeps from closing is closed with the process.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Where statements outside a transaction go. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pool: AnyPool,
    kind: Kind,
    /// Shared by all clones; `None` for the one who finds out whether it may be opened, and has its own connection.
    gate: Option<Arc<AtomicBool>>,
}

impl Pool {
    /// Connects to nothing yet, and is closed to everybody until [`set_open`](Self::set_open).
    pub(super) fn new(location: &Location) -> sqlx::Result<Self> {
        let kind = location.kind();
        Ok(Self {
            pool: lazy(location, options_of(kind))?,
            kind,
            gate: Some(Arc::default()),
        })
    }

    /// One connection more, to which no gate leads. What is in memory has no other than its one.
    pub(super) fn probe(&self, location: &Location) -> sqlx::Result<Self> {
        let pool = match self.kind {
            Kind::Memory => self.pool.clone(),
            Kind::File | Kind::Server => lazy(location, options_of(self.kind).max_connections(1))?,
        };
        Ok(Self {
            pool,
            kind: self.kind,
            gate: None,
        })
    }

    /// Whether statements are let through. While a server is away nobody waits for it, but for the one who asks whether
    /// it has come back.
    pub(super) fn set_open(&self, open: bool) {
        if let Some(gate) = &self.gate {
            gate.store(open, Ordering::Release);
        }
    }

    pub(super) fn sqlx(&self) -> &AnyPool {
        &self.pool
    }

    /// Returns when somebody closes it.
    pub(super) async fn closed(&self) {
        self.pool.close_event().await;
    }

    pub(super) async fn close(&self) {
        let _ = timeout(CLOSE_MAX, self.pool.close()).await;
    }

    /// A connection; dropped, it goes back.
    pub(super) async fn lend(&self) -> sqlx::Result<Lent> {
        let is_open = |gate: &Arc<AtomicBool>| gate.load(Ordering::Acquire);
        if !self.gate.as_ref().is_none_or(is_open) {
            return Err(io::Error::new(io::ErrorKind::NotConnected, Closed).into());
        }
        match self.pool.acquire().await {
            Ok(connection) => Ok(Lent::new(connection, self.kind)),
            // Nobody else can have taken the one connection, so the server has not let us in.
            Err(sqlx::Error::PoolTimedOut) if self.gate.is_none() => Err(self.why_none().await),
            Err(error) => Err(error),
        }
    }

    /// Why no connection comes about: the pool tries again and again and keeps to itself what it met.
    async fn why_none(&self) -> sqlx::Error {
        let options = self.pool.connect_options();
        match timeout(WHY_MAX, options.connect()).await {
            Ok(Err(error)) => error,
            // Silence; or it is there again, and the next one finds it so.
            _ => {
                let late = "no connection came about in time";
                io::Error::new(io::ErrorKind::TimedOut, late).into()
            }
        }
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let work = async move { self.lend().await?.all(query).await };
        let steps = stream::once(work).map_ok(|steps| stream::iter(steps.into_iter().map(Ok)));
        steps.try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Option<AnyRow>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move { self.lend().await?.fetch_optional(query).await })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, AnyStatement>
    where
        'p: 'e,
    {
        Box::pin(async move { self.lend().await?.prepare_with(sql, parameters).await })
    }
}

fn lazy(location: &Location, options: AnyPoolOptions) -> sqlx::Result<AnyPool> {
    let on_connect = location.dialect().on_connect();
    let options = options.after_connect(move |connection, _| {
        Box::pin(async move {
            connection.execute(on_connect).await?;
            Ok(())
        })
    });
    Ok(options.connect_lazy_with(location.options()?.disable_statement_logging()))
}

fn options_of(kind: Kind) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().acquire_timeout(CONNECT_MAX);
    match kind {
        // Each connection would be a database of its own, gone when it closes.
        Kind::Memory => options
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None),
        Kind::File => options.max_connections(CONNECTIONS_MAX),
        Kind::Server => options
            .max_connections(CONNECTIONS_MAX)
            .test_before_acquire(false)
            .before_acquire(|connection, _| {
                Box::pin(async move {
                    // Where it is not, a new one is made in its place.
                    Ok(in_time(STILL_THERE_MAX, connection.ping()).await.is_ok())
                })
            }),
    }
}
