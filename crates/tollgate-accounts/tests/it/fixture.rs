//! Accounts on a database of their own, in a directory of their own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, Executor, Row};
use tempfile::TempDir;
use tollgate::{Clock, ManualClock, Micros, Policy, Quota};
use tollgate_accounts::{
    Accounts, Credential, HashCost, Identity, Limits, LogIn, Lookup, Settings, User,
};
use tollgate_testkit::database::Database;

use super::ENGINE;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Fixture {
    pub(crate) accounts: Accounts,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) place: Place,
}

/// Where everything is.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) server: Option<Database>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            server: ENGINE.map(Database::new),
        }
    }

    pub(crate) fn url(&self) -> String {
        match &self.server {
            Some(database) => database.url(),
            None => format!("sqlite://{}", self.dir.path().join("tollgate.db").display()),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.url(), self.dir.path());
        settings.cost = HashCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        settings.limits = Some(Arc::new(Known));
        settings
    }

    /// The database beside the accounts. Names in `"` are names in MySQL as well.
    pub(crate) async fn pool(&self) -> AnyPool {
        install_default_drivers();
        let url = self.url();
        let options = AnyPoolOptions::new().after_connect(move |connection, _| {
            Box::pin(async move {
                if connection.backend_name() == "MySQL" {
                    connection.execute("SET sql_mode = 'ANSI_QUOTES'").await?;
                }
                Ok(())
            })
        });
        options.connect(&url).await.expect("a database")
    }
}

impl Place {
    /// Every text of every table about accounts.
    pub(crate) async fn rows(&self) -> String {
        let pool = self.pool().await;
        let mut texts = String::new();
        for statement in [
            "SELECT * FROM users",
            "SELECT * FROM sessions",
            "SELECT * FROM api_keys",
            "SELECT * FROM changes",
            "SELECT * FROM plans",
            "SELECT * FROM overrides",
            "SELECT * FROM audit",
            "SELECT * FROM revoked_tokens",
        ] {
            let rows = sqlx::query(statement).fetch_all(&pool).await.expect("rows");
            for row in &rows {
                let columns = 0..row.columns().len();
                let text = |column| row.try_get::<String, _>(column).ok();
                texts.extend(columns.filter_map(text).map(|text| text + "\n"));
            }
        }
        pool.close().await;
        texts
    }
}

/// The limits of these tests: any that begins with `per-`, of which `per-address` tells no callers apart. A route
/// charges all of them together with room for three quotas.
struct Known;

impl Limits for Known {
    fn is_by_caller(&self, limit: &str) -> Option<bool> {
        limit.starts_with("per-").then_some(limit != "per-address")
    }

    fn policies_of(&self, limit: &str, quotas: &str) -> Result<Vec<Arc<Policy>>, String> {
        let quotas = Quota::parse_list(quotas).map_err(|error| error.to_string())?;
        let policy = |quota: Quota| {
            let name = format!("{limit}.{}", quota.window_name());
            Arc::new(Policy::new(&name, quota).expect("a policy"))
        };
        Ok(quotas.into_iter().map(policy).collect())
    }

    fn fits(&self, _limit: &str, most: &HashMap<String, usize>) -> Result<(), String> {
        let most = most.values().copied().max().unwrap_or(0);
        (most <= 3)
            .then_some(())
            .ok_or_else(|| "too many".to_owned())
    }
}

/// What holds for somebody instead of the rules' quotas for `limit`, and whether it counts apart.
pub(crate) fn in_force(
    accounts: &Accounts,
    limit: &str,
    identity: Option<&Identity>,
) -> Option<(String, bool)> {
    let terms = identity.map(|identity| &identity.terms);
    let overridden = accounts.overridden(limit, limit != "per-address", terms)?;
    let quotas = overridden.policies.iter().map(|policy| policy.quota());
    let quotas: Vec<String> = quotas.flatten().map(|quota| quota.to_string()).collect();
    Some((quotas.join("; "), overridden.counts_apart))
}

/// Makes connections until eight who ask at once are served in time: each of them waits for one for two seconds at most,
/// in which a busy machine does not make as many.
pub(crate) async fn connect(accounts: &Accounts) {
    let mut are_there = false;
    while !are_there {
        let ask = |_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.list_users().await.is_ok() })
        };
        are_there = true;
        for asked in (0..8).map(ask).collect::<Vec<_>>() {
            are_there &= asked.await.expect("an end");
        }
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let place = Place::new();
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
        let accounts = open(&place, clock.clone()).await;
        Self {
            accounts,
            clock,
            place,
        }
    }

    /// A second process on the same data.
    pub(crate) async fn other_process(&self) -> Accounts {
        open(&self.place, self.clock.clone()).await
    }

    pub(crate) async fn with_ann() -> (Self, User) {
        let fixture = Self::new().await;
        let ann = fixture
            .accounts
            .sign_up("ann", PASSWORD)
            .await
            .expect("a new name");
        (fixture, ann)
    }

    pub(crate) async fn log_in(&self) -> LogIn {
        self.accounts
            .log_in("ann", PASSWORD)
            .await
            .expect("the right password")
    }

    pub(crate) fn now(&self) -> Micros {
        self.clock.now()
    }

    pub(crate) fn advance_secs(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn lookup(&self, credential: Credential<'_>) -> Lookup {
        self.accounts.directory().lookup(&credential, self.now())
    }

    pub(crate) async fn identify(&self, credential: Credential<'_>) -> Option<Arc<Identity>> {
        identify(&self.accounts, credential).await
    }
}

pub(crate) async fn identify(
    accounts: &Accounts,
    credential: Credential<'_>,
) -> Option<Arc<Identity>> {
    accounts
        .identify(&credential)
        .await
        .expect("a database that answers")
}

async fn open(place: &Place, clock: Arc<ManualClock>) -> Accounts {
    Accounts::open(place.settings(), clock)
        .await
        .expect("accounts that open")
}
