//! The presets' rules and their parts over a database in memory, with a clock that the test holds.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tollgate::{ManualClock, MemoryStore, Micros};
use tollgate_accounts::{Accounts, Credential, HashCost, Identity, Settings};
use tollgate_gateway::builtin::{BuiltinCall, Caller};
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{Builtin, Overrides, RuleSet};

use super::Builtins;

pub(super) const PASSWORD: &str = "correct horse";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";

pub(super) fn rules(preset: &str) -> RuleSet {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let text = std::fs::read_to_string(examples.join(preset).join("tollgate.toml")).unwrap();
    RuleSet::parse(preset, &text, &Overrides::default()).unwrap()
}

/// The parts of a preset.
pub(super) struct Site {
    pub(super) builtins: Builtins,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) accounts: Accounts,
    _dir: tempfile::TempDir,
}

impl Site {
    pub(super) async fn new(preset: &str) -> Self {
        Self::of(rules(preset)).await
    }

    pub(super) async fn of(rules: RuleSet) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1_800_000_000)));
        let mut settings = Settings::new("sqlite::memory:", dir.path());
        settings.cost = HashCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let accounts = Accounts::open(settings, clock.clone()).await.unwrap();
        let store = Arc::new(MemoryStore::new());
        let builtins = Builtins::new(
            Arc::new(rules),
            accounts.clone(),
            store.clone().into(),
            clock.clone(),
        )
        .unwrap();
        Site {
            builtins,
            clock,
            store,
            accounts,
            _dir: dir,
        }
    }

    /// Signs a user up and lets them in.
    pub(super) async fn log_in(&self, name: &str) -> Arc<Identity> {
        self.accounts.sign_up(name, PASSWORD).await.unwrap();
        let login = self.accounts.log_in(name, PASSWORD).await.unwrap();
        let cookie = Credential::Session(login.session_secret.expose());
        self.accounts.identify(&cookie).await.unwrap().unwrap()
    }

    pub(super) async fn get(
        &self,
        builtin: Builtin,
        identity: Option<&Arc<Identity>>,
    ) -> Result<Response<Bytes>, Refusal> {
        let request = Request::get("/here").header("accept", "application/json");
        self.send(builtin, request.body(Bytes::new()).unwrap(), identity)
            .await
    }

    pub(super) async fn post(
        &self,
        builtin: Builtin,
        (media_type, accept): (&str, &str),
        body: &str,
        identity: Option<&Arc<Identity>>,
    ) -> Result<Response<Bytes>, Refusal> {
        let request = Request::post("/here")
            .header("content-type", media_type)
            .header("accept", accept);
        self.send(
            builtin,
            request.body(Bytes::from(body.to_owned())).unwrap(),
            identity,
        )
        .await
    }

    pub(super) async fn send(
        &self,
        builtin: Builtin,
        request: Request<Bytes>,
        identity: Option<&Arc<Identity>>,
    ) -> Result<Response<Bytes>, Refusal> {
        self.send_to(builtin, request, "", identity).await
    }

    pub(super) async fn send_to(
        &self,
        builtin: Builtin,
        request: Request<Bytes>,
        rest: &str,
        identity: Option<&Arc<Identity>>,
    ) -> Result<Response<Bytes>, Refusal> {
        let (reply, _) = tokio::sync::oneshot::channel();
        let call = BuiltinCall {
            builtin,
            of: self.builtins.rules.limits.clone(),
            request,
            rest: rest.to_owned(),
            caller: Caller {
                address: "192.0.2.1".parse().unwrap(),
                secure: false,
                identity: identity.cloned(),
            },
            reply,
        };
        self.builtins.answer(&call).await
    }
}

pub(super) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

pub(super) fn json(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}
