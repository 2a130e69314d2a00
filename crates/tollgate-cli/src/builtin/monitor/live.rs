//! A stream of what goes on: for a user of their own keys and what is left, for whoever sees everything of all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde::Serialize;
use tollgate::Micros;
use tollgate_accounts::{Identity, KeyId, KeyRate, KeySummary, TermsOfKeys};
use tollgate_gateway::builtin::{BuiltinCall, Pushed};
use tollgate_gateway::page::Window;
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{Limit, Subject};

use super::super::standings::caller;
use super::super::{Builtins, account, time};
use super::counts::Counts;
use super::{by_user, rounded, sees_everything};
use crate::monitor::{Monitor, Place, Source, json_event, stream};
use crate::standing::Standing;

/// How many events there are from one look for new keys to the next.
const LOOK_EVERY: u32 = 10;

/// One event: what a user's keys do, and what is left for the user.
#[derive(Serialize)]
struct Event<'e> {
    as_of: String,
    user: Option<&'e str>,
    keys: Vec<KeyNow<'e>>,
    without_key: Option<RateNow>,
    windows: Vec<WindowNow>,
    /// What passes now; `None` where nothing limits.
    available_now: Option<u64>,
}

#[derive(Serialize)]
struct KeyNow<'e> {
    id: &'e str,
    name: &'e str,
    hint: &'e str,
    remaining: Option<u64>,
    #[serde(flatten)]
    rate: RateNow,
}

/// Rates, and counts since this gateway follows whom they are of.
#[derive(Serialize)]
struct RateNow {
    current_per_s: u32,
    avg_1m: f64,
    avg_5m: f64,
    #[serde(flatten)]
    counts: Counts,
    last_seen: Option<String>,
}

#[derive(Serialize)]
struct WindowNow {
    name: String,
    /// The policy, by its full name.
    policy: String,
    #[serde(flatten)]
    standing: Standing,
}

/// A source that ends with the session, or whatever else the caller was known by.
struct WhileKnown<S> {
    builtins: Arc<Builtins>,
    who: Arc<Identity>,
    inner: S,
}

/// The events of one user.
struct Own {
    builtins: Arc<Builtins>,
    who: Arc<Identity>,
    shown: Shown,
    keys: Vec<KeySummary>,
    terms: TermsOfKeys,
    events: u32,
}

/// The limits whose rest a stream shows.
pub(in crate::builtin) struct Shown {
    /// For each key.
    pub(in crate::builtin) for_keys: Vec<Arc<Limit>>,
    /// For whoever reads the stream.
    pub(in crate::builtin) for_reader: Vec<Arc<Limit>>,
    /// Where the reader comes from.
    pub(in crate::builtin) address: IpAddr,
}

impl Builtins {
    pub(in crate::builtin) fn live(
        self: &Arc<Self>,
        call: &BuiltinCall,
    ) -> Result<Response<Pushed>, Refusal> {
        if sees_everything(account(call)?) {
            return self.live_of_all(call);
        }
        let shown = Shown {
            for_keys: by_user(&call.of),
            for_reader: by_user(&call.of),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        self.live_of_own(call, shown)
    }

    /// The traffic of the whole gateway. Whoever calls this has found out that the caller may see it.
    pub(in crate::builtin) fn live_of_all(
        self: &Arc<Self>,
        call: &BuiltinCall,
    ) -> Result<Response<Pushed>, Refusal> {
        let (monitor, place) = self.place(call)?;
        let source = self.while_known(call, monitor.everything())?;
        Ok(stream(monitor, place, source))
    }

    /// What the caller's keys do, and what is left for them and for the caller.
    pub(in crate::builtin) fn live_of_own(
        self: &Arc<Self>,
        call: &BuiltinCall,
        shown: Shown,
    ) -> Result<Response<Pushed>, Refusal> {
        let (monitor, place) = self.place(call)?;
        let who = call.caller.identity.as_ref();
        let own = Own {
            builtins: Arc::clone(self),
            who: Arc::clone(who.ok_or_else(Refusal::no_credentials)?),
            shown,
            keys: Vec::new(),
            terms: TermsOfKeys::default(),
            events: 0,
        };
        Ok(stream(monitor, place, self.while_known(call, own)?))
    }

    fn place(&self, call: &BuiltinCall) -> Result<(&Arc<Monitor>, Place), Refusal> {
        let who = account(call)?;
        let monitor = self.monitor.as_ref().ok_or_else(Refusal::not_found)?;
        let full = || Refusal::unavailable("Too many streams are open.");
        let place = monitor.users.take(who.user.as_str()).ok_or_else(full)?;
        Ok((monitor, place))
    }

    fn while_known<S>(
        self: &Arc<Self>,
        call: &BuiltinCall,
        inner: S,
    ) -> Result<WhileKnown<S>, Refusal> {
        let who = call.caller.identity.as_ref();
        Ok(WhileKnown {
            builtins: Arc::clone(self),
            who: Arc::clone(who.ok_or_else(Refusal::no_credentials)?),
            inner,
        })
    }
}

impl<S: Source> Source for WhileKnown<S> {
    async fn event(&mut self) -> Option<Bytes> {
        if !self.who.is_good(self.builtins.now()) {
            return None;
        }
        self.inner.event().await
    }
}

impl Source for Own {
    async fn event(&mut self) -> Option<Bytes> {
        let now = self.builtins.now();
        if self.events.is_multiple_of(LOOK_EVERY) {
            let accounts = &self.builtins.accounts;
            if let Ok(keys) = accounts.list_keys(&self.who.user).await
                && let Ok(terms) = accounts.terms_of_keys(Some(&self.who.user)).await
            {
                (self.keys, self.terms) = (keys, terms);
            }
        }
        self.events += 1;
        Some(json_event(&self.now(now).await))
    }
}

impl Own {
    async fn now(&self, now: Micros) -> Event<'_> {
        let usage = self.builtins.accounts.usage();
        let live: Vec<&KeySummary> = self.keys.iter().filter(|key| key.is_live(now)).collect();
        let remaining = self
            .builtins
            .remaining_of_each(&live, &self.shown.for_keys, &self.terms, now)
            .await;
        let keys = live
            .into_iter()
            .zip(remaining)
            .map(|(key, remaining)| KeyNow {
                id: key.id.as_str(),
                name: &key.name,
                hint: &key.hint,
                remaining,
                rate: RateNow::of(usage.rate_of(&key.id, now)),
            });
        let (windows, available_now) = self.windows().await;
        let without_key = usage.rate_of_user(&self.who.user, now);
        Event {
            as_of: time::rfc3339(now),
            user: self.who.name.as_deref(),
            keys: keys.collect(),
            without_key: without_key.map(|rate| RateNow::of(Some(rate))),
            windows,
            available_now,
        }
    }

    async fn windows(&self) -> (Vec<WindowNow>, Option<u64>) {
        let (who, headers) = (&self.who, HeaderMap::new());
        let name = who.name.as_deref();
        let key = who.counts_as.as_ref().map(KeyId::as_str);
        let subject = Subject {
            address: self.shown.address,
            claims: &who.claims,
            ..caller(Some(who.user.as_str()), name, key, &headers)
        };
        let (own, terms) = (&who.own, Some(&who.terms));
        match self
            .builtins
            .standings(&self.shown.for_reader, &subject, own, terms)
            .await
        {
            Ok(standings) => {
                let windows = standings.windows.into_iter().map(WindowNow::from);
                (windows.collect(), standings.available)
            }
            // Who came by session stands nowhere under a limit by key.
            Err(_) => (Vec::new(), None),
        }
    }
}

impl RateNow {
    fn of(rate: Option<KeyRate>) -> Self {
        let counts = rate
            .as_ref()
            .map(|rate| rate.counts.clone())
            .unwrap_or_default();
        RateNow {
            current_per_s: rate.as_ref().map_or(0, |rate| rate.current_per_s),
            avg_1m: rounded(rate.as_ref().map_or(0.0, |rate| rate.avg_1m)),
            avg_5m: rounded(rate.as_ref().map_or(0.0, |rate| rate.avg_5m)),
            counts: Counts::from(&counts),
            last_seen: rate.map(|rate| time::rfc3339(rate.last_seen)),
        }
    }
}

impl From<Window> for WindowNow {
    fn from(window: Window) -> Self {
        WindowNow {
            standing: Standing::from(&window),
            name: window.name,
            policy: window.policy,
        }
    }
}
