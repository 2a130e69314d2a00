//! What Envoy's rate-limit service must keep, over memory and a clock that the test holds.

mod bounds;
mod far;
mod held;
mod line;
mod meaning;
mod protocol;
mod reload;
mod wire;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use tollgate::{ManualClock, MemoryStore, Micros, OnError};
use tollgate_gateway::Counters;
use tollgate_rules::{Overrides, RuleSet};

use super::deadline::Deadline;
use super::messages::{
    Code, DescriptorStatus, Entry, RateLimitDescriptor, RateLimitRequest, RateLimitResponse,
};
use super::{Domains, Grpc, GrpcMetrics, OnLoaded, Refused};
use crate::service::Service;

/// A Wednesday, at the start of an hour.
const START: Micros = Micros::from_secs(1_800_000_000);

struct Fixture {
    grpc: Arc<Grpc>,
    domains: Arc<Domains>,
    metrics: Arc<GrpcMetrics>,
    clock: Arc<ManualClock>,
    files: Vec<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// By domains of the rules.
    fn native(domains: &str) -> Self {
        Fixture::new(domains, &[], memory())
    }

    /// By a file of Envoy's own service.
    fn yaml(text: &str) -> Self {
        Fixture::files(&[text])
    }

    /// By several of them.
    fn files(texts: &[&str]) -> Self {
        Fixture::new("", texts, memory())
    }

    fn new(domains: &str, yaml: &[&str], counters: Counters) -> Self {
        Fixture::loading(domains, yaml, counters, None)
    }

    fn loading(
        domains: &str,
        yaml: &[&str],
        counters: Counters,
        on_loaded: Option<OnLoaded>,
    ) -> Self {
        let text = format!("[service]\ngrpc = \"127.0.0.1:1\"\n{domains}");
        let rules = RuleSet::parse("rules", &text, &Overrides::default());
        let rules = rules.unwrap_or_else(|wrong| panic!("{}", wrong[0]));
        let directory = tempfile::tempdir().unwrap();
        let write = |(place, text): (usize, &&str)| {
            let path = directory.path().join(format!("limits-{place}.yaml"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let files: Vec<PathBuf> = yaml.iter().enumerate().map(write).collect();
        let metrics = Arc::new(GrpcMetrics::new());
        let native = rules.domains.clone();
        let loaded = counters.clone();
        let on_loaded = on_loaded.unwrap_or_else(|| Box::new(move |_| loaded.clone()));
        let measured = Arc::clone(&metrics);
        let domains = Domains::open(native, &files, OnError::Open, measured, on_loaded).unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let service = Service::new(Arc::new(rules), None, counters, clock.clone(), None);
        let grpc = Grpc::new(service, Arc::clone(&domains), Arc::clone(&metrics));
        Fixture {
            grpc,
            domains,
            metrics,
            clock,
            files,
            _directory: directory,
        }
    }

    fn try_ask(&self, request: &RateLimitRequest<'_>) -> Result<RateLimitResponse, Refused> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let answer = async {
            let deadline = Deadline::of(&HeaderMap::new());
            self.grpc.should_rate_limit(request, deadline).await
        };
        runtime.unwrap().block_on(answer)
    }

    fn ask(&self, descriptors: &[RateLimitDescriptor<'_>]) -> RateLimitResponse {
        let answer = self.try_ask(&request("d", descriptors)).unwrap();
        assert_eq!(answer.statuses.len(), descriptors.len());
        let over = answer
            .statuses
            .iter()
            .any(|status| status.code == Code::OverLimit as i32);
        let overall = if over { Code::OverLimit } else { Code::Ok };
        assert_eq!(answer.overall_code, overall as i32);
        let told = |status: &DescriptorStatus| status.code != Code::Unknown as i32;
        assert!(answer.statuses.iter().all(told));
        answer
    }

    /// Whether each of so many requests of this descriptor passes.
    fn pass(&self, descriptor: &RateLimitDescriptor<'_>, times: usize) -> Vec<bool> {
        let each = (0..times).map(|_| is_ok(&self.ask(std::slice::from_ref(descriptor))));
        each.collect()
    }

    /// What is left, by a look.
    fn left(&self, entries: &[(&str, &str)]) -> u32 {
        let mut look = descriptor(entries);
        look.hits_addend = Some(0);
        self.ask(&[look]).statuses[0].limit_remaining
    }
}

fn memory() -> Counters {
    Arc::new(
        MemoryStore::builder()
            .max_memory(MemoryStore::BYTES_MIN)
            .build(),
    )
    .into()
}

fn request<'m>(domain: &'m str, descriptors: &[RateLimitDescriptor<'m>]) -> RateLimitRequest<'m> {
    RateLimitRequest {
        domain,
        descriptors: descriptors.into(),
        hits_addend: 0,
    }
}

fn descriptor<'m>(entries: &[(&'m str, &'m str)]) -> RateLimitDescriptor<'m> {
    let entry = |&(key, value)| Entry { key, value };
    RateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
        ..RateLimitDescriptor::default()
    }
}

fn hits<'m>(entries: &[(&'m str, &'m str)], hits: u64) -> RateLimitDescriptor<'m> {
    RateLimitDescriptor {
        hits_addend: Some(hits),
        ..descriptor(entries)
    }
}

fn give_back<'m>(entries: &[(&'m str, &'m str)], units: u64) -> RateLimitDescriptor<'m> {
    RateLimitDescriptor {
        is_negative_hits: true,
        ..hits(entries, units)
    }
}

fn is_ok(answer: &RateLimitResponse) -> bool {
    answer.overall_code == Code::Ok as i32
}

/// Of each descriptor whether it is within its limit, and what is left.
fn told(answer: &RateLimitResponse) -> Vec<(bool, u32)> {
    let statuses = answer.statuses.iter();
    let told = |status: &DescriptorStatus| (status.code == Code::Ok as i32, status.limit_remaining);
    statuses.map(told).collect()
}
