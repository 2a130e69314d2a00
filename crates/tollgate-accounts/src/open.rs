//! Opening the accounts, also while their database is away.

use std::sync::Arc;

use tokio::sync::Mutex;
use tollgate::Clock;

use crate::accounts::{Accounts, Inner};
use crate::actor::Actor;
use crate::database::{self, Database};
use crate::directory::Directory;
use crate::error::OpenError;
use crate::password::Passwords;
use crate::quotas::{Reader, Shared};
use crate::reach::Reach;
use crate::seen::SeenSessions;
use crate::settings::Settings;
use crate::terms_changed::TermsChanged;
use crate::token::Tokens;
use crate::usage::Usage;

impl Accounts {
    /// Opens the accounts, and makes database, tables and the key that signs tokens when they are missing.
    ///
    /// # Errors
    /// A server that cannot be reached, and what waiting does not mend: a wrong password, no such database, newer tables,
    /// a file that cannot be opened.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let accounts = Self::unopened(settings, clock)?;
        let mut place = accounts.inner().place.lock().await;
        *place = Some(accounts.reach_first().await?);
        drop(place);
        Ok(accounts)
    }

    /// As [`open`](Self::open), but a server that is away for now is no error: it is said in the log, and
    /// [`follow_changes`](Self::follow_changes) opens it as soon as it can be reached. Until then every call that needs
    /// it fails at once.
    ///
    /// # Errors
    /// What waiting does not mend: a wrong password, no such database, newer tables, a file that cannot be opened.
    pub async fn open_or_wait(
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let accounts = Self::unopened(settings, clock)?;
        let mut place = accounts.inner().place.lock().await;
        match accounts.reach_first().await {
            Ok(first) => *place = Some(first),
            Err(error) if accounts.inner().db.is_server() && error.is_away() => {
                accounts.note_away(&error.into());
            }
            Err(error) => return Err(error),
        }
        drop(place);
        Ok(accounts)
    }

    fn unopened(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        database::make_dir(&settings.data_dir)?;
        let tokens = Arc::new(Tokens::open(&settings, clock.now())?);
        let passwords = Passwords::new(&settings)?;
        let db = Database::new(&settings.url, &settings.data_dir)?;
        let inner = Arc::new(Inner {
            shared: Shared::default(),
            reader: Reader::new(settings.limits.clone()),
            terms_changed: TermsChanged::new(settings.on_terms_changed.clone()),
            directory: Directory::new(settings.credentials_cached_max, tokens.clone()),
            usage: Usage::new(db.clone(), settings.usage_kept),
            place: Mutex::new(None),
            reach: Reach::new(clock.now()),
            chores: Mutex::default(),
            db,
            clock,
            settings,
            passwords,
            tokens,
            seen: SeenSessions::default(),
        });
        Ok(Self(inner, Actor::Local))
    }
}
