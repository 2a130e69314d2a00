//! Users and API keys by command, beside a running gateway and without one.

use std::process::Command;

use serde_json::json;
use tollgate_testkit::client::Call;
use tollgate_testkit::process::{HEARD_WITHIN, run, within};

use crate::support::{
    BAD_CREDENTIALS, PASSWORD, binary, join, launch, log_in, new_key, new_user, preset, sign_up,
    statuses, system_now,
};

/// What changes elsewhere is known to a running gateway within this time.

#[test]
fn a_user_made_by_the_command_can_log_in_at_a_running_gateway_at_once() {
    let gateway = preset("random-number");
    let done = gateway.command(&["user", "create", "ann"], &format!("{PASSWORD}\n"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("ann") && !done.stdout.contains(PASSWORD));
    assert_eq!(
        gateway
            .call(&log_in(&gateway, "ann").get("/call_api"))
            .status,
        200
    );
    let taken = gateway.command(&["user", "create", "ANN"], PASSWORD);
    assert_eq!(taken.code, 1, "{taken:?}");
    assert!(taken.stderr.contains("taken"), "{}", taken.stderr);
    for (name, password, field) in [
        ("bob", "short", "password"),
        ("", PASSWORD, "name"),
        ("bob", "", "password"),
    ] {
        let done = gateway.command(&["user", "create", name], password);
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.stderr.contains(field), "{}", done.stderr);
    }
    let list = gateway.command(&["user", "list"], "");
    assert_eq!((list.code, list.stdout.lines().count()), (0, 2), "{list:?}");
    assert!(
        list.stdout.contains("active") && list.stdout.contains("ann"),
        "{}",
        list.stdout
    );
}

#[test]
fn a_disabled_user_and_their_keys_are_out_within_two_seconds_and_back_when_enabled() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let bob = join(&gateway, "bob");
    let key = new_key(&gateway, "ann", &[]);
    let looks = "/see_remaining_limits";
    let calls = [
        ann.get(looks),
        ann.with_cookie(Call::get(looks)),
        key.get(looks),
    ];
    for call in &calls {
        assert_eq!(gateway.call(call).status, 200);
    }
    assert_eq!(gateway.command(&["user", "disable", "Ann"], "").code, 0);
    for call in &calls {
        assert!(within(HEARD_WITHIN, || gateway.call(call).status == 403));
        assert_eq!(gateway.call(call).json()["type"], BAD_CREDENTIALS);
    }
    let wrong = gateway.call(&Call::post("/login").json(&crate::support::credentials("ann")));
    assert_eq!(wrong.status, 401);
    assert_eq!(gateway.call(&bob.get(looks)).status, 200);
    let list = gateway.command(&["user", "list"], "").stdout;
    assert!(
        list.lines()
            .any(|line| line.contains("disabled") && line.starts_with("ann ")),
        "{list}"
    );
    assert_eq!(gateway.command(&["user", "enable", "ann"], "").code, 0);
    let back = within(HEARD_WITHIN, || {
        // An unknown key is remembered for a second of the gateway's clock.
        gateway.advance(1.0);
        gateway.call(&key.get(looks)).status == 200
    });
    assert!(back, "the key rested, and is back");
    log_in(&gateway, "ann");
    assert_eq!(
        gateway.call(&ann.get(looks)).status,
        403,
        "the sessions ended for good"
    );
    for command in ["disable", "enable", "passwd"] {
        let done = gateway.command(&["user", command, "nobody"], PASSWORD);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(
            done.stderr.contains("there is no such user"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn a_new_password_ends_every_session_within_two_seconds_and_keeps_the_keys() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    let looks = "/see_remaining_limits";
    assert_eq!(gateway.call(&ann.get(looks)).status, 200);
    let done = gateway.command(&["user", "passwd", "ann"], "another good password\n");
    assert_eq!(done.code, 0, "{done:?}");
    for call in [ann.get(looks), ann.with_cookie(Call::get(looks))] {
        assert!(within(HEARD_WITHIN, || gateway.call(&call).status == 403));
    }
    assert_eq!(gateway.call(&key.get(looks)).status, 200);
    let old = gateway.call(&Call::post("/login").json(&crate::support::credentials("ann")));
    assert_eq!(old.status, 401);
    let new = json!({ "username": "ann", "password": "another good password" });
    assert_eq!(gateway.call(&Call::post("/login").json(&new)).status, 200);
}

#[test]
fn a_key_is_shown_once_listed_without_its_secret_and_dead_within_two_seconds_of_its_revocation() {
    let gateway = preset("per-api-key");
    new_user(&gateway, "ann");
    let done = gateway.command(
        &[
            "key",
            "create",
            "ann",
            "--name",
            "laptop",
            "--quota",
            "2 per second",
        ],
        "",
    );
    assert_eq!(done.code, 0, "{done:?}");
    let secret = done.stdout.trim().to_owned();
    assert!(
        secret.starts_with("tg_") && secret.len() == 39,
        "the secret alone, for scripts: {done:?}"
    );
    let id = done
        .stderr
        .split("(id ")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap()
        .to_owned();
    let call = Call::get("/limit").field("x-api-key", &secret);
    assert_eq!(
        statuses(&gateway, &call, 3),
        [200, 200, 429],
        "good at once, with its own quota"
    );
    let list = gateway.command(&["key", "list", "ann"], "");
    assert_eq!(list.code, 0);
    let line = list.stdout.lines().find(|line| line.contains(&id)).unwrap();
    for part in ["active", "laptop", "2 per second", &secret[35..]] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(
        !list.stdout.contains(&secret) && list.stdout.lines().count() == 2,
        "{}",
        list.stdout
    );

    assert_eq!(gateway.command(&["key", "revoke", &id], "").code, 0);
    assert!(within(HEARD_WITHIN, || {
        gateway.advance(1.0);
        gateway.call(&call).status == 401
    }));
    assert!(
        gateway
            .command(&["key", "list", "ann"], "")
            .stdout
            .contains("revoked")
    );
    for (args, said) in [
        (&["key", "create", "nobody"][..], "nobody"),
        (&["key", "revoke", "nothing"], "there is no such key"),
        (&["key", "rotate", "nothing"], "there is no such key"),
        (&["key", "list", "nobody"], "nobody"),
    ] {
        let done = gateway.command(args, "");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(said), "{}", done.stderr);
    }
}

#[test]
fn a_rotated_key_lives_through_its_grace_beside_the_new_one() {
    // The command reads the system's clock, so here the gateway does as well, held at the same time.
    let gateway = launch().preset("per-api-key").clock(system_now()).start();
    new_user(&gateway, "ann");
    let old = new_key(&gateway, "ann", &[]);
    assert_eq!(gateway.call(&old.get("/limit")).status, 200);
    let done = gateway.command(&["key", "rotate", &old.id, "--grace", "600"], "");
    assert_eq!(done.code, 0, "{done:?}");
    let told = format!("The old key (id {}) is good until ", old.id);
    let until = done.stderr.split(&told).nth(1);
    let until = until.expect(&done.stderr).trim_end().trim_end_matches('.');
    assert_eq!(until.len(), "2027-01-15T08:00:00Z".len(), "{until}");
    let list = gateway.command(&["key", "list", "ann"], "").stdout;
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let lines: Vec<Vec<String>> = list.lines().map(words).collect();
    assert_eq!(lines[0][3..5], ["UNTIL", "USED"], "{list}");
    let line = |id: &str| {
        lines
            .iter()
            .find(|line| line.last().is_some_and(|last| last == id))
    };
    assert_eq!(
        line(&old.id).expect(&list)[2..4],
        ["active", until],
        "{list}"
    );
    let new = Call::get("/limit").field("x-api-key", done.stdout.trim());
    assert_ne!(done.stdout.trim(), old.secret);
    assert_eq!(gateway.call(&new).status, 200);
    assert_eq!(gateway.call(&old.get("/limit")).status, 200);
    gateway.advance(500.0);
    assert_eq!(gateway.call(&old.get("/limit")).status, 200);
    gateway.advance(200.0);
    let ended = within(HEARD_WITHIN, || {
        gateway.call(&old.get("/monitor/keys")).status == 401
    });
    assert!(ended, "its grace is over");
    assert_eq!(gateway.call(&old.get("/limit")).status, 401);
    assert_eq!(gateway.call(&new).status, 200);
}

#[test]
fn where_the_running_gateway_has_no_accounts_commands_say_what_its_rules_lack() {
    let rules = "[limits.a]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n\
                 [[routes]]\nmatch = \"GET /\"\nlimits = [\"a\"]\nrespond = { text = \"x\" }\n";
    let gateway = launch().rules(rules).start();
    for args in [
        &["user", "create", "ann"][..],
        &["user", "list"],
        &["key", "create", "ann"],
        &["token", "rotate"],
        &["user", "plan", "ann", "gold"],
        &["limit", "set", "a", "6 per minute"],
        &["plan", "create", "gold"],
    ] {
        let done = gateway.command(args, PASSWORD);
        assert_ne!(done.code, 0, "{args:?}: {done:?}");
        for told in ["these rules have no accounts", "add `auth = [\"api-key\"]`"] {
            assert!(done.stderr.contains(told), "{args:?}: {}", done.stderr);
        }
    }
    let left_behind = ["tollgate.db", "token.secret"].map(|file| gateway.data().path().join(file));
    assert!(left_behind.iter().all(|file| !file.exists()));
    // A database that is named is somebody's, whatever this gateway has.
    let other = format!(
        "sqlite:{}",
        gateway.data().path().join("other.db").display()
    );
    let named = gateway.command(&["user", "create", "ann", "--accounts", &other], PASSWORD);
    assert_eq!(named.code, 0, "{named:?}");
}

#[test]
fn the_commands_work_on_a_data_directory_without_a_gateway_as_well() {
    let gateway = preset("random-number");
    sign_up(&gateway, "ann");
    let data = gateway.data().clone();
    gateway.stop();
    let command = |args: &[&str], input: &str| {
        let mut command = Command::new(binary());
        command.args(args).arg("--data").arg(data.path());
        run(command, input)
    };
    assert_eq!(command(&["user", "create", "bob"], PASSWORD).code, 0);
    let key = command(&["key", "create", "bob"], "");
    assert_eq!(key.code, 0, "{key:?}");
    assert_eq!(command(&["user", "list"], "").stdout.lines().count(), 3);
    let again = launch().preset("random-number").data(&data).start();
    let call = Call::get("/call_api").field("x-api-key", key.stdout.trim());
    assert_eq!(again.call(&call).status, 200);
}

#[test]
fn no_key_is_said_to_be_in_use_before_the_database_has_it_too() {
    let data = tempfile::tempdir().unwrap();
    let rotate = |accounts: String| {
        let mut command = Command::new(binary());
        command.args(["token", "rotate", "--at-once", "--accounts", &accounts]);
        command.arg("--data").arg(data.path());
        run(command, "")
    };
    let kept = format!("sqlite:{}", data.path().join("kept.db").display());
    let first = rotate(kept.clone());
    assert_ne!(first.code, 0, "there is no key yet: {first:?}");
    let done = rotate(kept);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.contains("a new key"), "{done:?}");
    // Nobody listens there.
    let away = rotate("postgres://nobody@127.0.0.1:1/nothing".to_owned());
    assert_eq!((away.code, away.stdout.as_str()), (1, ""), "{away:?}");
    let told = "gateways with `token_keys = \"database\"` still sign with the old one";
    assert!(away.stderr.contains(told), "{away:?}");
}

#[test]
fn a_data_directory_that_cannot_be_read_is_not_said_to_be_empty() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("itself");
    std::os::unix::fs::symlink(&data, &data).unwrap();
    for args in [["user", "list"], ["key", "list"]] {
        let mut command = Command::new(binary());
        command.args(args).arg("--data").arg(&data);
        let listed = run(command, "");
        let told = format!("the data directory {} cannot be read", data.display());
        assert_eq!(listed.code, 1, "{listed:?}");
        assert!(listed.stderr.contains(&told), "{listed:?}");
    }
}

#[test]
fn a_data_directory_that_is_not_there_is_made_for_a_new_user_alone_and_that_is_said() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("mistyped");
    let command = |args: &[&str], input: &str| {
        let mut command = Command::new(binary());
        command.args(args).arg("--data").arg(&data);
        run(command, input)
    };
    let told = format!(
        "there are no accounts in the data directory {}",
        data.display()
    );
    let look = [
        &["user", "list"][..],
        &["user", "disable", "ann"],
        &["user", "passwd", "ann"],
        &["user", "role", "ann", "admin"],
        &["key", "list"],
        &["key", "create", "ann"],
        &["token", "revoke", "0123456789abcdef0123456789abcdef"],
    ];
    for args in look {
        let done = command(args, PASSWORD);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (1, ""),
            "{args:?}: {done:?}"
        );
        assert!(done.stderr.contains(&told), "{args:?}: {}", done.stderr);
        assert!(!data.exists(), "{args:?}");
    }
    let made = command(&["user", "create", "ann"], PASSWORD);
    assert_eq!(made.code, 0, "{made:?}");
    let said = format!("Made a new data directory, {}.", data.display());
    assert!(made.stderr.contains(&said), "{made:?}");
    let again = command(&["user", "create", "bob"], PASSWORD);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{again:?}");
    // A directory of something else is no data directory either.
    std::fs::remove_file(data.join("tollgate.db")).unwrap();
    assert!(command(&["user", "list"], "").stderr.contains(&told));
    let made = command(&["user", "create", "ann"], PASSWORD);
    assert!(made.stderr.contains("Made a new database in"), "{made:?}");
}

#[test]
fn commands_work_on_the_database_that_the_running_gateway_uses() {
    let place = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", place.path().join("other.db").display());
    let gateway = launch()
        .preset("random-number")
        .option("--accounts", &url)
        .start();
    let other = gateway.data().path().join("tollgate.db");
    let done = gateway.command(&["user", "create", "ann"], PASSWORD);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let key = gateway.command(&["key", "create", "ann"], "");
    assert_eq!(key.code, 0, "{key:?}");
    log_in(&gateway, "ann");
    assert!(!other.exists(), "a database that no gateway reads");
    let memory = launch()
        .preset("random-number")
        .option("--accounts", "sqlite::memory:")
        .start();
    let done = memory.command(&["user", "create", "ann"], PASSWORD);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("its own memory"), "{}", done.stderr);
}

#[test]
fn without_a_gateway_commands_work_on_the_database_that_the_rules_name() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let rules = "[accounts]\nurl = \"sqlite:other.db\"\n";
    std::fs::write(place.path().join("tollgate.toml"), rules).unwrap();
    let command = |args: &[&str], variable: Option<(&str, &str)>| {
        let mut command = Command::new(binary());
        command.current_dir(place.path()).envs(variable).args(args);
        command.arg("--data").arg(&data);
        run(command, PASSWORD)
    };
    let list = command(&["user", "list"], None);
    assert_eq!(list.code, 1, "{list:?}");
    assert!(
        list.stderr.contains("other.db, which is not there"),
        "{list:?}"
    );
    let made = command(&["user", "create", "ann"], None);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stderr.contains("as tollgate.toml says"), "{made:?}");
    assert!(data.join("other.db").exists() && !data.join("tollgate.db").exists());
    assert_eq!(command(&["user", "list"], None).stdout.lines().count(), 2);
    let preset = Some(("TOLLGATE_PRESET", "random-number"));
    assert_eq!(command(&["user", "list"], preset).code, 1);
    std::fs::write(place.path().join("mine.toml"), "").unwrap();
    let named = Some(("TOLLGATE_RULES", "mine.toml"));
    assert_eq!(command(&["user", "list"], named).code, 1);
    std::fs::write(place.path().join("tollgate.toml"), "[accounts]\nurl = 1\n").unwrap();
    assert_eq!(command(&["user", "list"], None).code, 2);
}
