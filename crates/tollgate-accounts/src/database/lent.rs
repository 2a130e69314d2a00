//! A connection on loan from the pool, on which nothing is waited for without an end.
//!
//! A network that swallows everything gives no error. So every statement has an end here, and a connection on which one
//! did not end, or on which nobody waits for it any more, is closed instead of waited for: otherwise all of them would be
//! lost to that network, one after the other.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Either, Execute, Executor, SqlStr};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::location::Kind;

/// How long one statement may take; longer than any wait for a lock.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// How long undoing a transaction and giving a connection back may take.
const GIVE_BACK_MAX: Duration = Duration::from_secs(5);

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'a>>;

/// Dropped, it goes back, and what it began and did not commit is undone.
#[derive(Debug)]
pub(crate) struct Lent {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<Any>>,
    kind: Kind,
    /// A statement was begun whose answer has not been read.
    is_busy: bool,
    /// The database may believe that a transaction is open.
    is_in_transaction: bool,
}

impl Lent {
    pub(super) fn new(connection: PoolConnection<Any>, kind: Kind) -> Self {
        Self {
            connection: Some(connection),
            kind,
            is_busy: false,
            is_in_transaction: false,
        }
    }

    pub(super) async fn begin(&mut self, statement: &'static str) -> sqlx::Result<()> {
        self.is_in_transaction = true;
        let begun = self.run(statement).await;
        // A database that answered with an error has begun nothing.
        self.is_in_transaction = !matches!(begun, Err(sqlx::Error::Database(_)));
        begun
    }

    pub(super) async fn commit(&mut self) -> sqlx::Result<()> {
        self.run("COMMIT").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    async fn run(&mut self, statement: &'static str) -> sqlx::Result<()> {
        let running = self.connection()?.execute(sqlx::raw_sql(statement));
        let done = in_time(STATEMENT_MAX, running).await;
        self.settled(done).map(drop)
    }

    /// All that a query answers.
    pub(super) async fn all<'q>(
        &mut self,
        query: impl Execute<'q, Any> + 'q,
    ) -> sqlx::Result<Vec<Either<AnyQueryResult, AnyRow>>> {
        let answers = self.connection()?.fetch_many(query).try_collect();
        let done = in_time(STATEMENT_MAX, answers).await;
        self.settled(done)
    }

    /// The connection, for a statement whose end [`settled`](Self::settled) hears of.
    fn connection(&mut self) -> sqlx::Result<&mut AnyConnection> {
        self.is_busy = true;
        let connection = self.connection.as_deref_mut();
        connection.ok_or(sqlx::Error::PoolClosed)
    }

    fn settled<T>(&mut self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        self.is_busy = matches!(done, Err(sqlx::Error::Io(_)));
        done
    }
}

impl<'c> Executor<'c> for &'c mut Lent {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let steps =
            stream::once(self.all(query)).map_ok(|steps| stream::iter(steps.into_iter().map(Ok)));
        steps.try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Option<AnyRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move {
            let answer = self.connection()?.fetch_optional(query);
            let done = in_time(STATEMENT_MAX, answer).await;
            self.settled(done)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, AnyStatement>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let prepared = self.connection()?.prepare_with(sql, parameters);
            let done = in_time(STATEMENT_MAX, prepared).await;
            self.settled(done)
        })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.kind == Kind::Server && self.is_busy {
            // Nothing more is said to somebody who may not listen.
            drop(connection.detach());
            return;
        }
        let (kind, undo) = (self.kind, self.is_in_transaction);
        let give_back = async move {
            let undone = match (undo, kind) {
                (false, _) => true,
                (true, Kind::Server) => {
                    let undoing = connection.execute("ROLLBACK");
                    in_time(GIVE_BACK_MAX, undoing).await.is_ok()
                }
                // A file answers in the end. SQLite may have undone it by itself, and says so.
                (true, Kind::Memory | Kind::File) => connection.execute("ROLLBACK").await.is_ok(),
            };
            // What is in memory would be gone with its connection.
            if !undone && kind != Kind::Memory {
                // Not dropped as it is: the pool would ask it whether it is still one, and wait without an end.
                drop(connection.detach());
                return;
            }
            let returned = connection.return_to_pool();
            match kind {
                Kind::Server => drop(timeout(GIVE_BACK_MAX, returned).await),
                Kind::Memory | Kind::File => returned.await,
            }
        };
        // At the end of the process there is no runtime any more, and the connection is just closed.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(give_back));
        }
    }
}

/// `work`, whose being late is an error of the network.
pub(super) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let done = timeout(limit, work).await;
    done.unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()))
}
