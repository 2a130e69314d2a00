//! Envoy itself asks: what its clients see, and what reaches the upstream.

use tollgate_testkit::client::{Answer, Call};
use tollgate_testkit::process::eventually;
use tollgate_testkit::upstream::Upstream;

use super::{Proxy, serving};

const RULES: &str = "
[service]
token = \"a-token-of-the-service\"

[[service.domains.edge.descriptors]]
entries = [\"remote_address\"]
quotas = [\"3 per minute fixed-window\"]

[[service.domains.edge.descriptors]]
entries = [\"key\"]
quotas = [\"2 per minute fixed-window\"]

[[service.domains.edge.descriptors]]
entries = [\"everybody\"]
quotas = [\"10 per 5 minutes fixed-window\"]

[[service.domains.edge.descriptors]]
entries = [\"ten\"]
quotas = [\"10 per hour fixed-window\"]
count_denied = true

[service.domains.edge]
denied_body = \"slow down\"
";

struct Scene {
    gateway: tollgate_testkit::gateway::Gateway,
    upstream: Upstream,
    proxy: Proxy,
}

impl Scene {
    fn new() -> Self {
        let (gateway, address) = serving(RULES);
        let upstream = Upstream::answering("200 OK", "", "here");
        let proxy = Proxy::start(address, upstream.address(), |text| {
            text.replace("TOKEN", "a-token-of-the-service")
        });
        Scene {
            gateway,
            upstream,
            proxy,
        }
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let call = fields
            .iter()
            .fold(Call::get(target), |call, (name, value)| {
                call.field(name, value)
            });
        call.send(self.proxy.address)
    }

    fn statuses(&self, target: &str, fields: &[(&str, &str)], times: usize) -> Vec<u16> {
        (0..times)
            .map(|_| self.get(target, fields).status)
            .collect()
    }

    /// How often the upstream was asked for this.
    fn reached(&self, target: &str) -> usize {
        let received = self.upstream.received();
        received
            .iter()
            .filter(|request| request.target == target)
            .count()
    }
}

#[test]
fn what_is_over_the_limit_is_429_with_fields_and_does_not_reach_the_upstream() {
    let scene = Scene::new();
    let first = scene.get("/address", &[]);
    assert_eq!(first.status, 200, "{}", scene.proxy.log());
    assert_eq!(first.field("x-ratelimit-limit"), Some("3, 3;w=60"));
    assert_eq!(first.field("x-ratelimit-remaining"), Some("2"));
    assert_eq!(first.field("x-ratelimit-reset"), Some("60"));
    assert_eq!(
        first.field("ratelimit"),
        Some("\"edge/remote_address.minute\";r=2;t=60")
    );
    assert_eq!(scene.statuses("/address", &[], 3), [200, 200, 429]);
    let over = scene.get("/address", &[]);
    assert_eq!((over.status, over.text().as_str()), (429, "slow down"));
    assert_eq!(over.field("x-ratelimit-remaining"), Some("0"));
    assert_eq!(over.field("x-envoy-ratelimited"), Some("true"));
    assert_eq!(over.fields("retry-after"), ["60"]);
    assert_eq!(scene.reached("/address"), 3);
    scene.gateway.advance(60.0);
    assert_eq!(scene.get("/address", &[]).status, 200);
}

#[test]
fn descriptors_of_one_request_are_charged_together_and_told_each() {
    let scene = Scene::new();
    let ann = [("x-key", "ann")];
    let first = scene.get("/both", &ann);
    assert_eq!(
        first.field("x-ratelimit-limit"),
        Some("2, 2;w=60, 10;w=300")
    );
    assert_eq!(
        scene.statuses("/both", &ann, 9),
        [200, 429, 429, 429, 429, 429, 429, 429, 429]
    );
    // Eight denials of ann cost everybody nothing.
    let bob = scene.get("/both", &[("x-key", "bob")]);
    assert_eq!(
        (bob.status, bob.field("x-ratelimit-remaining")),
        (200, Some("1"))
    );
    assert!(
        bob.field("ratelimit")
            .unwrap()
            .contains("everybody.5m\";r=7"),
        "{:?}",
        bob.field("ratelimit")
    );
    assert_eq!(scene.reached("/both"), 3);
    // Without the field there is no such descriptor.
    assert_eq!(
        scene.get("/both", &[]).field("x-ratelimit-remaining"),
        Some("6")
    );
}

#[test]
fn hits_are_those_of_the_route_of_a_field_or_come_when_the_answer_has_gone() {
    let scene = Scene::new();
    assert_eq!(
        scene.statuses("/three", &[("x-key", "ann")], 4),
        [200, 200, 200, 429]
    );
    let cost = |key, cost| scene.get("/cost", &[("x-key", key), ("x-cost", cost)]);
    assert_eq!(cost("bob", "7").field("x-ratelimit-remaining"), Some("3"));
    assert_eq!(cost("bob", "4").status, 429);
    // The look before passes while anything is left; each answer costs four, after it has gone, and the last takes what
    // is left.
    let left = || scene.get("/cost", &[("x-key", "eve"), ("x-cost", "0")]);
    for expected in ["6", "2", "0"] {
        assert_eq!(scene.get("/tokens", &[("x-key", "eve")]).status, 200);
        eventually("the answer to be charged", || {
            (left().field("x-ratelimit-remaining") == Some(expected)).then_some(())
        });
    }
    let over = scene.get("/tokens", &[("x-key", "eve")]);
    assert_eq!(over.status, 429);
    assert_eq!(scene.reached("/tokens"), 3);
    assert_eq!(
        scene.get("/back", &[("x-key", "eve")]).status,
        200,
        "giving back never denies"
    );
    assert_eq!(left().field("x-ratelimit-remaining"), Some("2"));
}

#[test]
fn a_limit_that_the_request_brings_is_kept() {
    let scene = Scene::new();
    let ann = [("x-key", "ann")];
    let first = scene.get("/brought", &ann);
    assert_eq!(
        first.field("x-ratelimit-limit"),
        Some("2, 2;w=3600"),
        "{}",
        scene.proxy.log()
    );
    assert_eq!(scene.statuses("/brought", &ann, 2), [200, 429]);
}
