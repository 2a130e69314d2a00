//! Starting, stopping and starting again: nothing in flight is lost, nothing that counts is forgotten.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::{DataDir, START};
use tollgate_testkit::process::{Process, eventually, free_address};
use tollgate_testkit::upstream::Upstream;

use crate::support::{binary, credentials, join, launch, new_key, preset, rate_limit, statuses};

#[test]
fn a_gateway_answers_before_it_is_ready_and_is_ready_when_all_is_done_that_a_start_does() {
    const PART: usize = 4_096;
    // The demo key is shown in a pipe that is full: nobody reads it yet.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let stdout = writer.try_clone().unwrap();
    let (address, data, parts) = (free_address(), DataDir::new(), AtomicUsize::new(0));
    let (data, parts) = (data.path(), &parts);
    let mut command = Command::new(binary());
    command
        .args(["serve", "--preset", "per-api-key"])
        .args(["--listen", &address.to_string(), "--data"])
        .arg(data);
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            while writer.write_all(&[b'.'; PART]).is_ok() && parts.load(Ordering::Relaxed) < 64 {
                parts.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut written = 0;
        eventually("the pipe to be full", || {
            let before = std::mem::replace(&mut written, parts.load(Ordering::Relaxed));
            (before == written && written > 0).then_some(())
        });
        let gateway = Process::spawn_into(command, stdout);
        let readiness = || {
            let mut admin = Connection::unix(&data.join("admin.sock")).ok()?;
            let answer = Call::get("/readyz").over(&mut admin);
            Some((answer.status, answer.text()))
        };
        let starting = eventually("its health to be told", readiness);
        assert_eq!(starting, (503, "starting\n".to_owned()));
        assert_eq!(Call::get("/limit").send(address).status, 401);
        assert_eq!(readiness(), Some(starting));
        let reading = scope.spawn(move || std::io::read_to_string(reader));
        eventually("it to be ready", || {
            (readiness()? == (200, "ready\n".to_owned())).then_some(())
        });
        drop(gateway);
        let said = reading.join().unwrap().unwrap();
        assert!(said.contains("X-API-Key: tg_"), "{said}");
    });
}

#[test]
fn a_request_in_flight_finishes_when_the_gateway_is_told_to_stop() {
    let (upstream, held) = Upstream::held();
    let rules = format!(
        "[server]\ndrain_timeout_s = 3600\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
        upstream.url()
    );
    let mut gateway = launch().rules(&rules).start();
    let mut connection = Connection::open(gateway.address());
    let mut idle = Connection::open(gateway.address());
    connection.send(&Call::get("/slow"));
    held.arrived();
    gateway.process().terminate();
    eventually("the gateway to say that it is stopping", || {
        (gateway.admin(&Call::get("/readyz")).status == 503).then_some(())
    });
    // Nobody new is let in, and who only waits is let go.
    eventually("the gateway to stop listening", || {
        Connection::try_open(gateway.address(), None)
            .is_err()
            .then_some(())
    });
    assert!(idle.is_closed_by_peer());
    assert!(
        gateway.process().ended().is_none(),
        "it did not wait for what is in flight"
    );
    held.release();
    let answer = connection.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert!(connection.is_closed_by_peer());
    assert!(gateway.process().wait().success());
}

#[test]
fn a_request_that_does_not_end_in_time_is_cut_off_so_that_the_gateway_ends() {
    let upstream = Upstream::hanging();
    let rules = format!(
        "[server]\ndrain_timeout_s = 1\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
        upstream.url()
    );
    let mut gateway = launch().rules(&rules).start();
    let mut connection = Connection::open(gateway.address());
    connection.send(&Call::get("/"));
    eventually("the request to arrive", || {
        (upstream.count() == 1).then_some(())
    });
    gateway.process().terminate();
    assert!(gateway.process().wait().success());
    assert!(connection.try_answer_to("GET").is_err());
}

#[test]
fn a_second_signal_stops_the_gateway_without_waiting_for_what_is_in_flight_and_counters_are_kept() {
    let (upstream, held) = Upstream::held();
    let rules = format!(
        "[server]\ndrain_timeout_s = 3600\n[[routes]]\nmatch = \"/{{*rest}}\"\nlimits = [\"2 per hour by client-ip\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let data = DataDir::new();
    let mut gateway = launch().data(&data).rules(&rules).start();
    let mut connection = Connection::open(gateway.address());
    connection.send(&Call::get("/slow"));
    held.arrived();
    gateway.process().terminate();
    eventually("the gateway to say that it is stopping", || {
        (gateway.admin(&Call::get("/readyz")).status == 503).then_some(())
    });
    assert!(gateway.process().ended().is_none());
    gateway.process().terminate();
    assert!(gateway.process().wait().success());
    assert!(connection.try_answer_to("GET").is_err());
    held.release();
    let again = launch().data(&data).rules(&rules).start();
    let shown = again.admin(&Call::get("/limits/rest?key=127.0.0.1"));
    assert_eq!(shown.json()["windows"]["hour"]["remaining"], 1);
}

#[test]
fn a_terminal_that_closes_stops_the_gateway_as_other_signals_do() {
    let (data, limit) = (DataDir::new(), "2 per hour by client-ip");
    let upstream = Upstream::recording();
    let start = || {
        let launch = launch().data(&data).upstream(&upstream.url());
        launch.limit(limit).start()
    };
    let mut gateway = start();
    assert_eq!(statuses(&gateway, &Call::get("/"), 1), [200]);
    gateway.process().hang_up();
    assert!(gateway.process().wait().success());
    drop(gateway);
    assert_eq!(statuses(&start(), &Call::get("/"), 2), [200, 429]);
}

#[test]
fn counters_sessions_tokens_and_keys_survive_a_restart() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    assert_eq!(statuses(&gateway, &ann.get("/call_api"), 3), [200; 3]);
    let data = gateway.data().clone();
    assert!(gateway.stop().success());

    let again = launch()
        .preset("random-number")
        .data(&data)
        .clock(START + 10)
        .start();
    let left = again.call(&ann.get("/see_remaining_limits")).json();
    let minute = json!({ "limit": 5, "used": 3, "remaining": 2, "resets_in": 50 });
    assert_eq!(left["minute"], minute, "by its token");
    let by_cookie = again.call(&ann.with_cookie(Call::get("/call_api")));
    assert_eq!(rate_limit(&by_cookie)["per-user.minute"], (1, Some(50)));
    assert_eq!(statuses(&again, &key.get("/call_api"), 2), [200, 403]);
    again.advance(50.0);
    assert_eq!(again.call(&key.get("/call_api")).status, 200);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    gateway.process().kill();
    let again = launch()
        .preset("random-number")
        .data(gateway.data())
        .start();
    assert_eq!(again.call(&ann.get("/call_api")).status, 200);
    let twice = again.call(&Call::post("/signup").json(&credentials("ann")));
    assert_eq!(twice.status, 409);
}

#[test]
fn saved_counters_that_are_damaged_do_not_keep_the_gateway_from_starting() {
    let data = DataDir::new();
    for damage in [&b""[..], b"\0", b"tollgate", &[0xff; 4096]] {
        std::fs::write(data.path().join("counters.snapshot"), damage).unwrap();
        let gateway = launch().preset("hourly-module").data(&data).start();
        assert_eq!(gateway.get("/").status, 200);
        gateway.stop();
    }
}

#[test]
fn saved_counters_that_cannot_be_opened_are_put_aside_and_not_overwritten() {
    let data = DataDir::new();
    let saved = data.path().join("counters.snapshot");
    std::os::unix::fs::symlink("counters.snapshot", &saved).unwrap();
    let gateway = launch().preset("hourly-module").data(&data).start();
    assert_eq!(gateway.get("/").status, 200);
    gateway.stop();
    assert!(saved.is_file(), "what was counted since is saved");
    let aside = data.path().join("counters.unreadable");
    assert!(aside.symlink_metadata().unwrap().is_symlink());
}

#[test]
fn rules_that_change_while_they_are_in_force_are_told_in_the_log_once_for_each_change() {
    const TOLD: &str = "the rules have changed on disk: restart to apply them";
    let rules =
        |text| format!("[[routes]]\nmatch = \"GET /\"\nrespond = {{ text = \"{text}\" }}\n");
    let mut gateway = launch().rules(&rules("old")).start();
    let file = gateway.data().path().join("rules.toml");
    let put = |text: &str| {
        let beside = file.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &file).unwrap();
    };
    let mut told = || gateway.process().log().matches(TOLD).count();
    for (count, changed) in ["first", "second"].into_iter().enumerate() {
        put(&rules(changed));
        eventually("the change to be told", || (told() > count).then_some(()));
        assert_eq!(told(), count + 1);
    }
    assert_eq!(gateway.get("/").text(), "old");
}

#[test]
fn a_second_gateway_on_one_address_or_one_data_directory_refuses_to_start_and_says_why() {
    let first = preset("hourly-module");
    let address = first.address();
    let second = launch().preset("hourly-module").listen(address).refused();
    assert!([1, 2].contains(&second.code), "{second:?}");
    assert!(
        second
            .stderr
            .contains(&format!("cannot listen on {address}")),
        "{}",
        second.stderr
    );
    let second = launch()
        .preset("hourly-module")
        .data(first.data())
        .refused();
    assert!([1, 2].contains(&second.code), "{second:?}");
    let directory = first.data().path().display().to_string();
    assert!(
        second
            .stderr
            .contains("another gateway is using the data directory"),
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains(&directory), "{}", second.stderr);
    // The first is unharmed, its counters included.
    assert_eq!(rate_limit(&first.get("/"))["hourly.hour"].0, 99);
    assert_eq!(first.admin(&Call::get("/readyz")).status, 200);
    drop(first);
    let third = launch().preset("hourly-module").listen(address).start();
    assert_eq!(third.get("/").status, 200, "the address is free again");
}

#[test]
fn an_address_that_another_program_has_is_refused_as_well() {
    let taken = std::net::TcpListener::bind(free_address()).unwrap();
    let address = taken.local_addr().unwrap();
    let done = launch().preset("hourly-module").listen(address).refused();
    assert!([1, 2].contains(&done.code), "{done:?}");
    assert!(
        done.stderr.contains(&address.to_string()),
        "{}",
        done.stderr
    );
    let done = launch()
        .preset("hourly-module")
        .option("--admin", address.to_string())
        .refused();
    assert!([1, 2].contains(&done.code), "{done:?}");
    let done = launch()
        .preset("pages")
        .upstream(&format!("demo:random@{address}"))
        .refused();
    assert!([1, 2].contains(&done.code), "{done:?}");
    assert!(done.stderr.contains("number API"), "{}", done.stderr);
}

#[test]
fn the_admin_socket_and_the_data_directory_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let data = DataDir::new();
    let inner = data.path().join("made");
    let address = free_address();
    let mut command = std::process::Command::new(crate::support::binary());
    command
        .args([
            "serve",
            "--preset",
            "random-number",
            "--listen",
            &address.to_string(),
            "--data",
        ])
        .arg(&inner);
    let process = tollgate_testkit::process::Process::spawn(command);
    eventually("the gateway to listen", || {
        Connection::try_open(address, None).ok()
    });
    process.line(|line| line.contains("listens"));
    for (name, mode) in [
        ("", 0o700),
        ("admin.sock", 0o600),
        ("tollgate.db", 0o600),
        ("token.secret", 0o600),
        ("lock", 0o600),
    ] {
        let found = std::fs::metadata(inner.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{name:?}: {found:o}");
    }
}

#[test]
fn the_public_address_has_nothing_of_the_admin_side_and_the_admin_address_only_what_everybody_may_know()
 {
    let admin = free_address();
    let gateway = launch()
        .preset("hourly-module")
        .option("--admin", admin.to_string())
        .start();
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/clock/advance",
        "/limits/hourly",
    ] {
        assert_eq!(gateway.get(path).status, 404, "{path}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(Call::get(path).send(admin).status, 200, "{path}");
    }
    for call in [
        Call::post("/clock/advance").json(&json!({ "seconds": 1.0 })),
        Call::get("/limits/hourly?key=127.0.0.1"),
        Call::new("DELETE", "/limits/hourly?all=true"),
        Call::get("/monitor/keys"),
    ] {
        assert_eq!(call.send(admin).status, 404, "{call:?}");
    }
}

#[test]
fn no_secret_is_ever_in_the_log_the_metrics_or_the_data_directory() {
    let mut gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    for call in [
        ann.get("/call_api"),
        key.get("/call_api"),
        ann.with_cookie(Call::get("/call_api")),
    ] {
        assert_eq!(gateway.call(&call).status, 200);
    }
    assert_eq!(
        gateway
            .call(&Call::get("/call_api?key=q-secret").bearer("b-secret"))
            .status,
        403
    );
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    assert!(metrics.contains("tollgate_requests"), "{metrics}");
    let data = gateway.data().clone();
    gateway.process().terminate();
    gateway.process().wait();
    let mut everything = gateway.process().log() + &metrics;
    for entry in std::fs::read_dir(data.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            everything += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
        }
    }
    let password = crate::support::PASSWORD;
    for secret in [
        password,
        &ann.token,
        &ann.session,
        &key.secret,
        "q-secret",
        "b-secret",
    ] {
        assert!(
            !everything.contains(secret),
            "`{secret}` was written somewhere"
        );
    }
    let metrics_names_somebody = ["ann", "127.0.0.1"]
        .iter()
        .any(|word| metrics.contains(word));
    assert!(!metrics_names_somebody, "{metrics}");
}

#[test]
fn the_clock_moves_only_forward_and_only_when_it_is_told_to() {
    let gateway = preset("hourly-module");
    let advance = |body: serde_json::Value| {
        gateway
            .admin(&Call::post("/clock/advance").json(&body))
            .status
    };
    assert_eq!(gateway.get("/").status, 200);
    for body in [
        json!({ "seconds": -1.0 }),
        json!({ "seconds": "x" }),
        json!({}),
    ] {
        let status = advance(body.clone());
        assert!((400..500).contains(&status), "{body}: {status}");
    }
    std::thread::park_timeout(Duration::from_millis(50));
    let answer = gateway.get("/");
    assert_eq!(
        rate_limit(&answer)["hourly.hour"],
        (98, Some(3_600)),
        "time passed by itself"
    );
}

#[test]
fn idle_connections_of_one_machine_to_the_admin_address_are_few_and_keep_no_other_out() {
    let address = free_address();
    let _gateway = launch()
        .preset("hourly-module")
        .option("--admin", address.to_string())
        .start();
    let probe = Call::get("/livez").field("connection", "close");
    // A connection that says nothing is closed after five seconds.
    let idle = eventually("a connection too many", || {
        let idle: Vec<_> = (0..16).map(|_| Connection::open(address)).collect();
        probe.try_send(address).is_err().then_some(idle)
    });
    assert_eq!(
        probe
            .clone()
            .from([127, 0, 0, 2].into())
            .send(address)
            .status,
        200
    );
    drop(idle);
    eventually("a place to be free again", || {
        probe
            .try_send(address)
            .ok()
            .filter(|answer| answer.status == 200)
    });
}
