//! `tollgate serve`: from flags to a gateway that runs, and to its end.

mod accounts;
pub(crate) mod admin;
pub(crate) mod certificates;
mod clock;
mod control;
mod counters;
mod data_dir;
mod demos;
mod envoy;
mod first_run;
pub(crate) mod limits;
pub(crate) mod rules;
mod rules_file;
mod saved;
mod service;
mod shared_store;
pub(crate) mod signals;
pub(crate) mod traces;
pub(crate) mod version;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tollgate::Clock;
use tollgate_gateway::{Gateway, Listeners, builtin};
use tollgate_rules::RuleSet;
use tollgate_service::Service;

use crate::args::ServeArgs;
use crate::failure::Failure;
use crate::monitor::Monitor;
use admin::Admin;
use counters::Kept;
use data_dir::DataDir;
use signals::Signals;
use traces::Traces;
use version::RulesVersion;

/// Threads of the control side, which hashes passwords elsewhere and mostly waits.
const CONTROL_THREADS: usize = 2;

pub(crate) fn serve(args: ServeArgs) -> Result<(), Failure> {
    let chosen = rules::choose(&args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::because("cannot start", &error))?;
    let ended = runtime.block_on(run(args, chosen));
    // Whoever does not want to wait for the requests in flight does not wait for the thread that does.
    runtime.shutdown_background();
    ended
}

async fn run(args: ServeArgs, chosen: rules::Chosen) -> Result<(), Failure> {
    let mut signals =
        Signals::listen().map_err(|error| Failure::because("cannot start", &error))?;
    let rules = Arc::new(chosen.rules);
    for (pattern, meant) in rules.routes.lookalikes() {
        tracing::warn!(
            %pattern,
            %meant,
            "this path stands for itself alone, and for no other"
        );
    }
    for limit in rules.unused_limits() {
        tracing::warn!(limit = %limit.name, "no route charges this limit");
    }
    let data = DataDir::lock(&args.accounts.data.data)?;
    let (clock, held) = clock::choose(&args);
    let kept = Kept::open(&rules, data.path(), &*clock, held.is_some()).await?;
    let counters = kept.counters();
    let store = kept.shared_store().cloned();
    let version = RulesVersion::new(&rules, chosen.at, Arc::clone(&clock), store);
    let accounts = accounts::open(&rules, &data, &clock, &version).await?;
    let listeners = gateway_sockets(&rules)?;
    if let (None, Some(address)) = (&listeners, args.listen) {
        tracing::warn!(%address, "nothing listens there: these rules have no routes");
    }
    let tls = rules.server.tls.as_ref().filter(|_| listeners.is_some());
    let tls = tls.map(|named| certificates::open(named, "server"));
    let tls = tls.transpose()?;
    let sockets = service::Sockets::bind(&rules, &args.service, counters, &version)?;
    let demos = demos::start(&rules).await?;
    let (traces, tracer) = Traces::start()?;
    let (calls, waiting) = builtin::calls();
    let gateway = Gateway::new(
        Arc::clone(&rules),
        accounts.clone(),
        counters.clone(),
        Arc::clone(&clock),
        calls,
        &demos.upstreams,
        tracer.clone(),
    );
    let gateway = gateway.map_err(|error| Failure::because("cannot start", error.as_ref()))?;
    let service = rules.service.is_on().then(|| {
        let (accounts, counters) = (accounts.clone(), counters.clone());
        let (rules, clock) = (Arc::clone(&rules), Arc::clone(&clock));
        Service::new(rules, accounts, counters, clock, tracer.clone())
    });

    let (stop, stopping) = watch::channel(false);
    let is_complete = Arc::new(AtomicBool::new(false));
    let monitor = Monitor::start(
        Arc::clone(&gateway),
        accounts.clone(),
        counters.clone(),
        Arc::clone(&clock),
        stopping.clone(),
    );
    let builtins = match &accounts {
        Some(accounts) => Some(
            control::builtins(&rules, accounts, counters, &clock, &monitor)
                .map_err(|error| Failure::because("cannot start", &error))?,
        ),
        None => None,
    };
    let admin = Arc::new(Admin {
        gateway: Arc::clone(&gateway),
        rules: Arc::clone(&rules),
        accounts: accounts.clone(),
        counters: counters.clone(),
        started: clock.now(),
        clock,
        held,
        builtins: builtins.clone(),
        service: service
            .as_ref()
            .map(|service| Arc::clone(service.metrics())),
        envoy: sockets.envoy_metrics(),
        traces: traces.metrics(),
        version,
        monitor,
        is_complete: Arc::clone(&is_complete),
        stopping: stopping.clone(),
    });
    if let (Some(accounts), Some(builtins)) = (&accounts, builtins) {
        let management = admin::management(Arc::clone(&admin));
        control::start(builtins, management, accounts, waiting);
    }
    admin::start(admin, data.path(), args.admin).await?;
    let cannot_start = |error| Failure::because("cannot start", &error);
    let address = listeners.as_ref().map(Listeners::address);
    let mut threads = match listeners {
        Some(listeners) => {
            let served = tollgate_gateway::serve(&gateway, listeners, tls.clone(), &stopping);
            served.map_err(cannot_start)?
        }
        None => Vec::new(),
    };
    if let Some(tls) = &tls {
        certificates::follow(tls);
    }
    if let Some(file) = chosen.file {
        file.follow();
    }
    kept.save_regularly();
    // Requests are answered already: what fails from here on ends as a signal does, and nothing counted is lost.
    let started = async {
        if let Some(address) = address {
            let links = gateway.links();
            let (from, preset) = (&chosen.from, chosen.preset);
            let place = first_run::Place {
                address,
                encrypted: tls.is_some(),
                data: data.path(),
            };
            first_run::greet(from, preset, place, links, accounts.as_ref()).await?;
        }
        if let Some(service) = &service {
            sockets.greet(!rules.service.tokens.is_empty());
            let of_service = sockets.serve(service, &rules, &stopping);
            threads.extend(of_service.map_err(cannot_start)?);
        }
        is_complete.store(true, Ordering::Release);
        Ok(())
    };
    let started = started.await;

    if started.is_ok() {
        signals.next().await;
    }
    tracing::info!("stopping: requests in flight may finish");
    let _ = stop.send(true);
    tokio::select! {
        () = joined(threads) => {}
        () = signals.next() => tracing::warn!("stopped at once"),
    }
    traces.close().await;
    if let Some(accounts) = &accounts {
        if let Err(error) = accounts.usage().flush().await {
            tracing::error!(%error, "the last usage could not be saved");
        }
        accounts.close().await;
    }
    kept.close().await;
    drop(demos);
    drop(data);
    started
}

/// The gateway's sockets, unless there is nothing that it could answer.
fn gateway_sockets(rules: &RuleSet) -> Result<Option<Listeners>, Failure> {
    if rules.routes.routes().is_empty() {
        return Ok(None);
    }
    let listeners = Listeners::bind(rules.server.listen, rules.server.workers);
    let listeners = listeners.map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(Some(listeners))
}

async fn joined(threads: Vec<std::thread::JoinHandle<()>>) {
    let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
    let _ = tokio::task::spawn_blocking(join).await;
}
