//! The control side: takes calls from the data plane and gives each a task of its own.

use std::sync::Arc;

use axum::Router;
use tokio::sync::{Semaphore, mpsc};
use tollgate::{Clock, PolicyError};
use tollgate_accounts::Accounts;
use tollgate_gateway::Counters;
use tollgate_gateway::builtin::Call;
use tollgate_rules::RuleSet;

use crate::builtin::{Builtins, unreachable};
use crate::monitor::Monitor;

/// Calls that are worked on at the same time.
const CALLS_AT_ONCE_MAX: usize = 256;

/// What answers the built-ins.
pub(super) fn builtins(
    rules: &Arc<RuleSet>,
    accounts: &Accounts,
    counters: &Counters,
    clock: &Arc<dyn Clock>,
    monitor: &Arc<Monitor>,
) -> Result<Arc<Builtins>, PolicyError> {
    let builtins = Builtins::new(
        Arc::clone(rules),
        accounts.clone(),
        counters.clone(),
        Arc::clone(clock),
    )?;
    Ok(Arc::new(builtins.with_monitor(Arc::clone(monitor))))
}

/// Starts answering calls, following changes that others make, keeping house, and writing usage. `management` is what administrators
/// see and change.
pub(super) fn start(
    builtins: Arc<Builtins>,
    management: Router,
    accounts: &Accounts,
    waiting: mpsc::Receiver<Call>,
) {
    tokio::spawn(answer_calls(
        builtins,
        management,
        accounts.clone(),
        waiting,
    ));
    let (following, tidying, writing) = (accounts.clone(), accounts.clone(), accounts.clone());
    tokio::spawn(async move { following.follow_changes().await });
    tokio::spawn(async move { tidying.housekeep().await });
    tokio::spawn(async move { writing.write_usage().await });
}

async fn answer_calls(
    builtins: Arc<Builtins>,
    management: Router,
    accounts: Accounts,
    mut waiting: mpsc::Receiver<Call>,
) {
    let places = Arc::new(Semaphore::new(CALLS_AT_ONCE_MAX));
    while let Some(call) = waiting.recv().await {
        // While all places are taken calls wait in the queue, and when that is full the data plane says so.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (builtins, accounts) = (Arc::clone(&builtins), accounts.clone());
        let management = management.clone();
        // A task that panics drops its reply, and the data plane answers 500 for it.
        tokio::spawn(async move {
            match call {
                Call::Answer(call) => {
                    let answer = builtins.respond(&call, &management).await;
                    let _ = call.reply.send(answer);
                }
                Call::Identify { question, reply } => {
                    let known = accounts.resolve(&question).await;
                    let known = known.map_err(|error| unreachable(&error));
                    let _ = reply.send(known);
                }
            }
            drop(place);
        });
    }
}
