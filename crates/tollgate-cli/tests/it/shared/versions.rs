//! Gateways on one store whose rules, or what they know of quotas, are not the same: the newest hold for all.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tollgate_testkit::client::Call;
use tollgate_testkit::database::{Database, Engine};
use tollgate_testkit::gateway::{DataDir, Gateway, START};
use tollgate_testkit::process::{eventually, free_address};
use tollgate_testkit::relay::Relay;

use super::{PATIENT, Shared, in_turn, metric, preset_rules};
use crate::envoy::Asker;
use crate::support::{Key, join, launch, ok, statuses};

const HOUR: u64 = 3_600;

/// Rules that limit every address.
fn rules(quota: &str) -> String {
    format!(
        "{PATIENT}\n[limits.per-address]\nkey = \"client-ip\"\nquotas = \"{quota}\"\n\
         [[routes]]\nmatch = \"GET /\"\nlimits = [\"per-address\"]\nrespond = {{ text = \"\" }}\n\
         [[routes]]\nmatch = [\"GET /login\", \"POST /login\"]\nbuiltin = \"login\"\n"
    )
}

/// A gateway with accounts of its own and a rules file that was written so many seconds before the clock's start.
fn of_age(shared: &Shared, rules: &str, seconds: u64) -> Gateway {
    let data = DataDir::new();
    let launch = launch()
        .data(&data)
        .rules(rules)
        .option("--counters", shared.redis.url());
    date(&data.path().join("rules.toml"), seconds);
    launch.start()
}

/// Gives a file the date of so many seconds before the clock's start.
fn date(file: &Path, seconds: u64) {
    let file = File::options().write(true).open(file);
    let written = UNIX_EPOCH + Duration::from_secs(START - seconds);
    file.unwrap().set_modified(written).unwrap();
}

/// How many pass of so many requests to each gateway in turn.
fn passing(gateways: &[Gateway; 2], count: usize) -> usize {
    let answered = in_turn(gateways, &Call::get("/"), count).into_iter();
    answered.filter(|status| *status == 200).count()
}

fn one(gateway: &Gateway, count: usize) -> usize {
    let answered = statuses(gateway, &Call::get("/"), count).into_iter();
    answered.filter(|status| *status == 200).count()
}

fn under_newer_rules(gateway: &Gateway) -> u64 {
    metric(gateway, "tollgate_store_decisions_under_newer_rules_total ")
}

#[test]
fn of_two_gateways_with_different_rules_in_turn_those_of_the_newer_file_hold() {
    for (newer, older) in [
        ("4 per day", "20 per day"),
        ("20 per day", "4 per day"),
        ("4 per day fixed-window", "20 per day"),
        ("20 per day", "4 per day token-bucket"),
    ] {
        let shared = Shared::new();
        let new = of_age(&shared, &rules(newer), HOUR);
        let old = of_age(&shared, &rules(older), 2 * HOUR);
        assert_eq!(one(&new, 1), 1);
        let gateways = [old, new];
        let limit: usize = newer.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(passing(&gateways, 60), limit - 1, "{newer} and {older}");
        let [old, new] = gateways;
        assert!(under_newer_rules(&old) > 0 && under_newer_rules(&new) == 0);
        // A gateway that is started with the older rules does not bring them back.
        old.stop();
        let again = of_age(&shared, &rules(older), 2 * HOUR);
        assert_eq!(passing(&[again, new], 20), 0, "{newer} and {older}");
    }
}

#[test]
fn units_that_older_rules_have_counted_do_not_come_back() {
    let shared = Shared::new();
    let old = of_age(&shared, &rules("20 per day"), 2 * HOUR);
    assert_eq!(one(&old, 9), 9);
    let new = of_age(&shared, &rules("4 per day"), HOUR);
    assert_eq!(passing(&[new, old], 60), 0);
}

#[test]
fn a_version_in_the_rules_stands_before_the_date_of_their_file() {
    let shared = Shared::new();
    let dated =
        |quota: &str, day: u32| format!("version = 2026-03-{day:02}T10:00:00Z\n{}", rules(quota));
    let new = of_age(&shared, &dated("4 per day", 2), 3 * HOUR);
    let old = of_age(&shared, &dated("20 per day", 1), HOUR);
    assert_eq!(one(&new, 1), 1);
    assert_eq!(passing(&[old, new], 60), 3);
}

#[test]
fn rules_of_one_date_hold_in_an_order_that_all_gateways_know() {
    let shared = Shared::new();
    let gateways = ["4 per day", "20 per day"].map(|quota| of_age(&shared, &rules(quota), HOUR));
    let passed = passing(&gateways, 80);
    assert!([4, 5, 20].contains(&passed), "{passed}");
    assert_eq!(passing(&gateways, 20), 0);
}

#[test]
fn quotas_set_on_one_gateway_hold_there_at_once_and_are_not_taken_back_by_one_that_has_not_heard() {
    let shared = Shared::new();
    // Neither hears of the other: each has accounts of its own.
    let gateways = [(); 2].map(|()| of_age(&shared, &rules("10 per day"), HOUR));
    let set = |args: &[&str]| ok(&gateways[0], &[&["limit"], args].concat());
    assert_eq!(passing(&gateways, 2), 2);
    set(&["set", "per-address", "4 per day"]);
    assert_eq!(one(&gateways[0], 1), 1);
    assert_eq!(passing(&gateways, 40), 1, "four in all");
    set(&["set", "per-address", "20 per day"]);
    assert_eq!(one(&gateways[0], 1), 1);
    assert_eq!(passing(&gateways, 60), 15, "twenty in all");
    set(&["unset", "per-address"]);
    assert_eq!(one(&gateways[0], 1), 0);
    assert_eq!(passing(&gateways, 40), 0);
    gateways
        .iter()
        .for_each(|gateway| gateway.advance(86_400.0));
    assert_eq!(one(&gateways[0], 1), 1);
    assert_eq!(passing(&gateways, 40), 9, "ten in all");
}

#[test]
fn what_is_denied_to_everybody_on_one_gateway_gives_the_others_nothing_back() {
    let shared = Shared::new();
    let gateways = [(); 2].map(|()| of_age(&shared, &rules("5 per day"), HOUR));
    assert_eq!(passing(&gateways, 2), 2);
    ok(&gateways[0], &["limit", "set", "per-address", "deny"]);
    assert_eq!(one(&gateways[0], 3), 0);
    let passed = passing(&gateways, 60);
    assert!(passed <= 3, "{passed} beyond the five of a day");
}

#[test]
fn a_user_who_changes_plans_has_the_new_ones_quotas_at_once_also_beside_a_gateway_that_is_deaf() {
    let shared = Shared::new();
    let database = Database::new(Engine::Postgres);
    let relay = Relay::new(database.address());
    let rules = preset_rules("per-api-key");
    let on = |url: String| {
        let launch = launch().rules(&rules).option("--accounts", url);
        launch.option("--counters", shared.redis.url()).start()
    };
    let gateways = [on(database.url()), on(database.url_at(relay.address()))];
    let [hears, _] = &gateways;
    let plan = |plan, quota| ok(hears, &["plan", "set", plan, "per-user", quota]);
    ok(hears, &["plan", "create", "small"]);
    ok(hears, &["plan", "create", "large"]);
    plan("small", "3 per day");
    join(hears, "ann");
    ok(hears, &["user", "plan", "ann", "large"]);
    let url = database.url();
    let made = hears.command(&["key", "create", "ann", "--accounts", &url], "");
    let ann = Key {
        id: String::new(),
        secret: made.stdout.trim().to_owned(),
    };
    // The last change of all. Changes are heard in their order: who knows this one will not forget ann because of another.
    plan("large", "12 per day");
    let call = ann.get("/limit");
    let passing = |count| {
        let answered = in_turn(&gateways, &call, count).into_iter();
        answered.filter(|status| *status == 200).count()
    };
    eventually("the other gateway to hear of the plan", || {
        let answer = gateways[1].call(&call);
        let policy = answer.field("ratelimit-policy").unwrap_or_default();
        policy.contains("q=12").then_some(())
    });
    // It knows her plan from now on, also without its database.
    gateways[1].call(&call);
    ok(hears, &["limit", "reset", "per-user", "ann"]);
    relay.mute();
    assert_eq!(passing(2), 2);
    // Its quotas were set before those of the plan that she has had.
    ok(hears, &["user", "plan", "ann", "small"]);
    assert_eq!(hears.call(&call).status, 200);
    assert_eq!(passing(30), 0);
    ok(hears, &["user", "plan", "ann", "large"]);
    assert_eq!(hears.call(&call).status, 200);
    assert_eq!(passing(40), 8, "twelve in all");
    ok(
        hears,
        &["limit", "set", "per-user", "15 per day", "--user", "ann"],
    );
    assert_eq!(hears.call(&call).status, 200);
    assert_eq!(passing(40), 2, "fifteen in all");
    ok(hears, &["limit", "unset", "per-user", "--user", "ann"]);
    assert_eq!(hears.call(&call).status, 429);
    assert_eq!(passing(40), 0);
}

#[test]
fn a_restarted_gateway_knows_of_which_version_its_quotas_are() {
    let shared = Shared::new();
    let rules = rules("10 per day");
    let start = || shared.launch(&rules).start();
    let deaf = of_age(&shared, &rules, HOUR);
    let first = start();
    ok(&first, &["limit", "set", "per-address", "3 per day"]);
    assert_eq!(one(&first, 1), 1);
    first.stop();
    let again = start();
    assert_eq!(passing(&[deaf, again], 40), 2);
}

#[test]
fn operators_see_whose_rules_differ() {
    let shared = Shared::new();
    let gateways = [
        ("4 per day", HOUR),
        ("4 per day", 2 * HOUR),
        ("5 per day", HOUR),
    ]
    .map(|(quota, age)| of_age(&shared, &rules(quota), age));
    let shown = gateways.each_ref().map(|gateway| {
        let health = gateway.admin(&Call::get("/health")).json();
        let metrics = gateway.admin(&Call::get("/metrics")).text();
        let contents = health["rules"]["contents"].as_str().unwrap().to_owned();
        let line = format!("tollgate_rules_info{{contents=\"{contents}\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
        (
            contents,
            health["rules"]["version"].as_str().unwrap().to_owned(),
        )
    });
    assert_eq!(shown[0].0, shown[1].0);
    assert_ne!(shown[0].1, shown[1].1);
    assert_ne!(shown[0].0, shown[2].0);
    let since = |gateway: &Gateway| metric(gateway, "tollgate_rules_as_of_seconds ");
    assert_eq!(since(&gateways[0]) - since(&gateways[1]), HOUR);
    assert_eq!(metric(&gateways[0], "tollgate_quotas_changed_seconds "), 0);
    ok(&gateways[0], &["limit", "set", "per-address", "9 per day"]);
    assert_eq!(
        metric(&gateways[0], "tollgate_quotas_changed_seconds "),
        START
    );
}

#[test]
fn a_gateway_that_decides_under_anothers_newer_rules_says_so_once() {
    let shared = Shared::new();
    let new = of_age(&shared, &rules("4 per day"), HOUR);
    let mut old = of_age(&shared, &rules("20 per day"), 2 * HOUR);
    assert_eq!((one(&new, 1), one(&old, 9)), (1, 3));
    let wanted = "newer rules of another node";
    let log = eventually("the log to say so", || {
        let log = old.process().log();
        log.contains(wanted).then_some(log)
    });
    assert_eq!(log.matches(wanted).count(), 1, "{log}");
}

/// A service for Envoy with a file of domains of this age.
fn for_envoy(shared: &Shared, requests: u32, seconds: u64) -> (Gateway, DataDir, SocketAddr) {
    let (data, address) = (DataDir::new(), free_address());
    let file = data.path().join("limits.yaml");
    let launch = launch()
        .data(&data)
        .rules(PATIENT)
        .option("--counters", shared.redis.url())
        .option("--grpc", address.to_string())
        .option("--envoy-config", &file);
    write_limits(&file, requests, seconds);
    date(&data.path().join("rules.toml"), 100 * HOUR);
    (launch.start(), data, address)
}

fn write_limits(file: &Path, requests: u32, seconds: u64) {
    let limit = format!("{{unit: year, requests_per_unit: {requests}}}");
    let text = format!("domain: edge\ndescriptors:\n  - key: key\n    rate_limit: {limit}\n");
    // Put in place as a whole.
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    date(&beside, seconds);
    std::fs::rename(beside, file).unwrap();
}

#[test]
fn of_two_services_with_different_files_of_envoy_the_newer_one_holds_also_after_it_has_been_changed()
 {
    let shared = Shared::new();
    let (_new, _, newer) = for_envoy(&shared, 4, HOUR);
    let (_old, data, older) = for_envoy(&shared, 20, 2 * HOUR);
    assert_eq!(asked_in_turn([newer, older], 40), 4);
    // Another file, whose date is older than that of the other service's: it is newer than what it takes the place of.
    write_limits(&data.path().join("limits.yaml"), 30, 3 * HOUR);
    assert_eq!(asked_in_turn([newer, older], 10), 0);
    write_limits(&data.path().join("limits.yaml"), 9, HOUR / 2);
    eventually("the newest file to hold", || {
        let mut asker = Asker::new(older);
        let answer = asker.one("key", "bob");
        (answer["statuses"][0]["currentLimit"]["requestsPerUnit"] == 9).then_some(())
    });
    assert_eq!(asked_in_turn([older, newer], 40), 5, "nine in all");
}

fn asked_in_turn(addresses: [SocketAddr; 2], count: usize) -> usize {
    let mut askers = addresses.map(Asker::new);
    let codes = (0..count).map(|turn| askers[turn % 2].one("key", "ann")["overallCode"].clone());
    codes.filter(|code| code == "OK").count()
}
