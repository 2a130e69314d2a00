//! What limits mean: of the rules, and of a file of Envoy's own service.

use super::*;

const TWO: &str = "
[[service.domains.d.descriptors]]
entries = [\"a\"]
quotas = [\"2 per minute fixed-window\", \"3 per hour fixed-window\"]
[[service.domains.d.descriptors]]
entries = [\"b\"]
quotas = [\"10 per hour\"]
";

const YAML: &str = "
domain: d
descriptors:
  - key: a
    rate_limit: {unit: minute, requests_per_unit: 2}
  - key: b
    rate_limit: {unit: hour, requests_per_unit: 10, name: b}
  - key: watched
    shadow_mode: true
    rate_limit: {unit: day, requests_per_unit: 1}
  - key: free
    rate_limit: {unlimited: true}
  - key: big
    rate_limit: {unit: day, requests_per_unit: 100, replaces: [{name: b}]}
  - key: never
    rate_limit: {unit: day, requests_per_unit: 0}
";

fn a() -> RateLimitDescriptor<'static> {
    descriptor(&[("a", "x")])
}

fn b() -> RateLimitDescriptor<'static> {
    descriptor(&[("b", "x")])
}

#[test]
fn descriptors_of_the_rules_are_charged_together_or_not_at_all() {
    let fixture = Fixture::native(TWO);
    let both = [a(), b()];
    assert_eq!(told(&fixture.ask(&both)), [(true, 1), (true, 9)]);
    assert_eq!(told(&fixture.ask(&both)), [(true, 0), (true, 8)]);
    let denied = fixture.ask(&both);
    assert_eq!(told(&denied), [(false, 0), (true, 8)]);
    assert_eq!(denied.statuses[0].duration_until_reset.unwrap().seconds, 60);
    assert_eq!(fixture.left(&[("b", "x")]), 8);
    fixture.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(
        told(&fixture.ask(&both)),
        [(true, 0), (true, 7)],
        "the hour is the tighter one"
    );
    let denied = fixture.ask(&both);
    let limit = denied.statuses[0].current_limit.clone().unwrap();
    assert_eq!(limit.requests_per_unit, 3, "the hour denies, and is told");
    assert_eq!(
        denied.statuses[0].duration_until_reset.unwrap().seconds,
        3_540
    );
}

#[test]
fn the_rules_can_say_that_each_descriptor_counts_for_itself() {
    let fixture = Fixture::native(&format!("[service.domains.d]\ndecide = \"apart\"\n{TWO}"));
    for left in [9, 8, 7] {
        assert_eq!(told(&fixture.ask(&[a(), b()]))[1], (true, left));
    }
}

#[test]
fn in_a_file_of_envoys_own_service_each_descriptor_counts_for_itself() {
    let fixture = Fixture::yaml(YAML);
    let told: Vec<_> = (0..4).map(|_| told(&fixture.ask(&[a(), b()]))).collect();
    assert_eq!(told[1], [(true, 0), (true, 8)]);
    assert_eq!(told[2], [(false, 0), (true, 7)]);
    assert_eq!(told[3], [(false, 0), (true, 6)]);
}

#[test]
fn in_a_file_of_envoys_own_service_windows_are_those_of_the_clock() {
    let fixture = Fixture::yaml(YAML);
    fixture.clock.advance(std::time::Duration::from_secs(50));
    assert_eq!(fixture.pass(&a(), 3), [true, true, false]);
    let over = fixture.ask(&[a()]);
    assert_eq!(over.statuses[0].duration_until_reset.unwrap().seconds, 10);
    fixture.clock.advance(std::time::Duration::from_secs(10));
    assert_eq!(fixture.pass(&a(), 3), [true, true, false]);
}

#[test]
fn in_a_file_of_envoys_own_service_what_is_denied_takes_what_is_left() {
    let fixture = Fixture::yaml(YAML);
    fixture.ask(&[hits(&[("b", "x")], 7)]);
    assert_eq!(told(&fixture.ask(&[hits(&[("b", "x")], 5)])), [(false, 0)]);
    assert_eq!(fixture.left(&[("b", "x")]), 0);
    // In the rules it costs nothing.
    let fixture = Fixture::native(TWO);
    fixture.ask(&[hits(&[("b", "x")], 7)]);
    assert_eq!(told(&fixture.ask(&[hits(&[("b", "x")], 5)])), [(false, 0)]);
    assert_eq!(fixture.left(&[("b", "x")]), 3);
}

#[test]
fn what_only_watches_never_denies_and_is_measured() {
    let fixture = Fixture::yaml(YAML);
    assert_eq!(fixture.pass(&descriptor(&[("watched", "")]), 3), [true; 3]);
    let metrics = fixture.metrics.encode();
    let line = |outcome, count| {
        format!(
            "tollgate_service_descriptors_total{{domain=\"d\",descriptor=\"watched\",outcome=\"{outcome}\"}} {count}"
        )
    };
    assert!(metrics.contains(&line("ok", 1)), "{metrics}");
    assert!(metrics.contains(&line("shadow_over_limit", 2)), "{metrics}");
}

#[test]
fn what_is_unlimited_says_so_and_what_has_no_requests_denies_all() {
    let fixture = Fixture::yaml(YAML);
    let free = fixture.ask(&[descriptor(&[("free", "")])]);
    assert_eq!(told(&free), [(true, u32::MAX)]);
    assert_eq!(free.statuses[0].current_limit, None);
    assert_eq!(fixture.pass(&descriptor(&[("never", "")]), 1), [false]);
}

#[test]
fn a_limit_that_another_one_replaces_does_not_count() {
    let fixture = Fixture::yaml(YAML);
    let big = descriptor(&[("big", "")]);
    let answer = fixture.ask(&[b(), big.clone()]);
    assert_eq!(told(&answer), [(true, 0), (true, 99)]);
    assert_eq!(answer.statuses[0].current_limit, None);
    assert_eq!(fixture.left(&[("b", "x")]), 10);
}

#[test]
fn a_descriptor_that_comes_twice_is_charged_twice() {
    for fixture in [Fixture::native(TWO), Fixture::yaml(YAML)] {
        let answer = fixture.ask(&[b(), b()]);
        assert!(is_ok(&answer));
        assert_eq!(fixture.left(&[("b", "x")]), 8);
    }
    let fixture = Fixture::native(TWO);
    assert_eq!(
        told(&fixture.ask(&[hits(&[("a", "x")], 1), hits(&[("a", "x")], 2)])),
        [(false, 0); 2]
    );
}

#[test]
fn a_hundred_threads_at_once_take_just_what_there_is() {
    let fixture = Fixture::native(&TWO.replace("10 per hour", "5 per hour"));
    let passed = std::sync::atomic::AtomicUsize::new(0);
    let together = std::sync::Barrier::new(100);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                together.wait();
                if is_ok(&fixture.ask(&[b()])) {
                    passed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 5);
}

#[test]
fn a_look_at_what_the_same_request_takes_from_needs_no_unit_more() {
    let fixture = Fixture::native(TWO);
    let look = hits(&[("b", "x")], 0);
    let take = hits(&[("b", "x")], 10);
    let answer = fixture.ask(&[look.clone(), take.clone()]);
    assert_eq!(told(&answer), [(true, 0), (true, 0)]);
    // Both are over the limit now, and what else the request asks for is not taken.
    let answer = fixture.ask(&[look.clone(), take, a()]);
    assert_eq!(told(&answer)[..2], [(false, 0), (false, 0)]);
    assert_eq!(fixture.left(&[("a", "x")]), 2);
    // A look beside what is taken elsewhere is one as ever.
    let answer = fixture.ask(&[look, a()]);
    assert_eq!(told(&answer)[0], (false, 0));
    assert_eq!(fixture.left(&[("a", "x")]), 2);
}
