//! Accounts on a file in a directory of their own.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tollgate::{Clock, ManualClock, Micros};
use tollgate_accounts::{Accounts, Credential, HashCost, Identity, LogIn, Lookup, Settings, User};

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Fixture {
    pub(crate) accounts: Accounts,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
        let accounts = open(&dir, clock.clone()).await;
        Self {
            accounts,
            clock,
            dir,
        }
    }

    /// A second process on the same data.
    pub(crate) async fn other_process(&self) -> Accounts {
        open(&self.dir, self.clock.clone()).await
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

pub(crate) fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::new("sqlite:tollgate.db", dir.path());
    settings.cost = HashCost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    settings
}

async fn open(dir: &TempDir, clock: Arc<ManualClock>) -> Accounts {
    Accounts::open(settings(dir), clock)
        .await
        .expect("accounts that open")
}
