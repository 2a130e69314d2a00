//! The fifth system with its accounts in a server, alone and as two gateways on one database.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tollgate_testkit::client::Call;
use tollgate_testkit::database::{Database, Engine, PASSWORD};
use tollgate_testkit::gateway::{DataDir, Gateway, Launch};
use tollgate_testkit::process::{Done, HEARD_WITHIN, eventually, run, within};

use crate::support::{Key, Person, binary, join, launch, log_in, pick, preset, sign_up, statuses};

fn on(database: &Database) -> Launch {
    launch()
        .preset("per-api-key")
        .option("--accounts", database.url())
}

/// A key made over HTTP.
fn key_of(gateway: &Gateway, person: &Person) -> Key {
    let create = Call::post("/keys").json(&json!({ "action": "create", "name": "laptop" }));
    let made = gateway.call(&person.with_cookie(create));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    Key {
        id: made["id"].as_str().unwrap().to_owned(),
        secret: made["secret"].as_str().unwrap().to_owned(),
    }
}

/// A command of the binary on this database, with a data directory of its own.
fn command(database: &Database, args: &[&str], data: &Path) -> Done {
    let mut command = Command::new(binary());
    command
        .env("TOLLGATE_ACCOUNTS", database.url())
        .args(args)
        .arg("--data")
        .arg(data);
    run(command, "")
}

fn users_keys_and_usage_survive_a_restart(engine: Engine) {
    let database = Database::new(engine);
    let mut gateway = on(&database).start();
    gateway.process().line(|line| line.contains("tg_"));
    let key = key_of(&gateway, &join(&gateway, "ann"));
    let answers = statuses(&gateway, &key.get("/limit"), 12);
    assert_eq!(answers, [[200; 10].as_slice(), &[429; 2]].concat());
    eventually("the usage to be written", || {
        let counted = "SELECT SUM(allowed), SUM(denied) FROM u.usage WHERE key_id = 'KEY'";
        (database.ask(&counted.replace("KEY", &key.id)) == "10\t2").then_some(())
    });
    let said = [gateway.process().stdout(), gateway.process().stderr()].concat();
    assert!(!said.iter().any(|line| line.contains(PASSWORD)), "{said:?}");
    let data = gateway.data().clone();
    assert!(gateway.stop().success());

    let mut again = on(&database).data(&data).start();
    again.process().line(|line| line.contains("listens"));
    let monitored = again.call(&key.get(&format!("/monitor/keys/{}", key.id)));
    assert_eq!(
        pick(&monitored.json(), &["allowed", "denied"]),
        json!({ "allowed": 10, "denied": 2 })
    );
    assert_eq!(again.call(&key.get("/limit")).status, 429);
    let taken =
        Call::post("/signup").json(&json!({ "username": "ANN", "password": "correct horse" }));
    assert_eq!(again.call(&taken).status, 409);
    let elsewhere = DataDir::new();
    let listed = command(&database, &["key", "list", "ann"], elsewhere.path());
    assert!(listed.stdout.contains(&key.id), "{listed:?}");
}

fn a_key_revoked_on_one_gateway_is_refused_by_the_other_within_two_seconds(engine: Engine) {
    let database = Database::new(engine);
    let (one, two) = (on(&database).start(), on(&database).start());
    let person = join(&one, "ann");
    let [revoked, kept] = [(); 2].map(|()| key_of(&one, &person));
    for gateway in [&one, &two] {
        for key in [&revoked, &kept] {
            assert_eq!(gateway.call(&key.get("/limit")).status, 200);
        }
    }
    // A session of one is a session of the other: it is in the database.
    let revoke = Call::post("/keys").json(&json!({ "action": "revoke", "id": revoked.id }));
    assert_eq!(two.call(&person.with_cookie(revoke)).status, 204);
    assert_eq!(two.call(&revoked.get("/limit")).status, 401, "at once");
    let heard = within(HEARD_WITHIN, || {
        one.advance(1.0);
        one.call(&revoked.get("/limit")).status == 401
    });
    assert!(heard, "the revoked key still passes");
    for gateway in [&one, &two] {
        gateway.advance(1.0);
        assert_eq!(gateway.call(&kept.get("/limit")).status, 200);
    }
}

#[test]
fn the_log_of_changes_is_shown_without_names_where_nobody_knows_them() {
    let database = Database::new(Engine::Postgres);
    let mut gateway = on(&database).start();
    // By then everything is made that a start makes.
    gateway.process().line(|line| line.contains("tg_"));
    key_of(&gateway, &join(&gateway, "ann"));
    let log = || gateway.admin(&Call::get("/audit"));
    let names = |log: serde_json::Value| log["names"].as_object().unwrap().len();
    eventually("the names to be found in time", || {
        (names(log().json()) > 0).then_some(())
    });
    database.ask("ALTER TABLE u.api_keys RENAME TO hidden");
    let unnamed = log();
    assert_eq!(unnamed.status, 200, "{}", unnamed.text());
    let unnamed = unnamed.json();
    assert!(!unnamed["entries"].as_array().unwrap().is_empty());
    assert_eq!(names(unnamed), 0);
}

fn a_token_holds_at_every_gateway_that_shares_its_keys_until_they_are_rotated(engine: Engine) {
    let database = Database::new(engine);
    let start = |keys: &str| {
        let gateway = launch().preset("random-number");
        let gateway = gateway.option("--accounts", database.url());
        gateway.option("--token-keys", keys).start()
    };
    let (one, two, alone) = (start("database"), start("database"), start("file"));
    let person = join(&one, "ann");
    let look = person.get("/see_remaining_limits");
    let answers = [&one, &two, &alone].map(|gateway| gateway.call(&look).status);
    assert_eq!(answers, [200, 200, 403], "the third has keys of its own");
    // By whoever knows the database, with no data directory of these gateways.
    let elsewhere = DataDir::new();
    let rotated = command(
        &database,
        &["token", "rotate", "--at-once"],
        elsewhere.path(),
    );
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(rotated.stdout.contains("all gateways"), "{rotated:?}");
    for gateway in [&one, &two] {
        let heard = within(HEARD_WITHIN, || gateway.call(&look).status == 403);
        assert!(heard, "the old key is still believed");
    }
    let again = log_in(&two, "ann").get("/see_remaining_limits");
    assert_eq!(one.call(&again).status, 200);
}

#[test]
fn a_token_holds_at_every_gateway_that_shares_its_keys_in_postgresql() {
    a_token_holds_at_every_gateway_that_shares_its_keys_until_they_are_rotated(Engine::Postgres);
}

#[test]
fn a_token_holds_at_every_gateway_that_shares_its_keys_in_mariadb() {
    a_token_holds_at_every_gateway_that_shares_its_keys_until_they_are_rotated(Engine::MariaDb);
}

#[test]
fn users_keys_and_usage_are_kept_in_postgresql() {
    users_keys_and_usage_survive_a_restart(Engine::Postgres);
}

#[test]
fn users_keys_and_usage_are_kept_in_mariadb() {
    users_keys_and_usage_survive_a_restart(Engine::MariaDb);
}

#[test]
fn a_key_revoked_beside_another_gateway_on_postgresql_is_refused_there_within_two_seconds() {
    a_key_revoked_on_one_gateway_is_refused_by_the_other_within_two_seconds(Engine::Postgres);
}

#[test]
fn a_key_revoked_beside_another_gateway_on_mariadb_is_refused_there_within_two_seconds() {
    a_key_revoked_on_one_gateway_is_refused_by_the_other_within_two_seconds(Engine::MariaDb);
}

fn is_up_to_date(said: &str) -> bool {
    said.starts_with("The accounts are up to date already, at version ")
}

#[test]
fn migrate_brings_the_tables_up_to_date_and_says_what_it_did() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let (database, data) = (Database::new(engine), DataDir::new());
        let migrate = || command(&database, &["migrate"], data.path());
        let first = migrate();
        assert_eq!(first.code, 0, "{first:?}");
        let said = first.stdout.trim();
        assert!(
            said.starts_with("The accounts are up to date now, at version ")
                && said.contains(". Done: 1 init, "),
            "{said}"
        );
        let second = migrate();
        assert_eq!(second.code, 0, "{second:?}");
        assert!(is_up_to_date(&second.stdout), "{second:?}");
    }
}

#[test]
fn migrate_makes_a_file_too_and_a_gateway_finds_its_work_done() {
    let gateway = preset("per-api-key");
    let done = gateway.command(&["migrate"], "");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(is_up_to_date(&done.stdout), "{done:?}");
    sign_up(&gateway, "ann");
    let data = DataDir::new();
    let mut command = Command::new(binary());
    command.arg("migrate").arg("--data").arg(data.path());
    assert!(run(command, "").stdout.contains("Done: 1 init, "));
    assert!(data.path().join("tollgate.db").is_file());
}

#[test]
fn a_url_that_names_no_database_is_refused_wherever_it_is_given() {
    let data = DataDir::new();
    let given = |args: &[&str]| {
        let mut command = Command::new(binary());
        command
            .current_dir(data.path())
            .args(args)
            .args(["--accounts", "oracle://ann:s3cr3t@h/x", "--data"])
            .arg(data.path());
        run(command, "")
    };
    for args in [
        &["serve", "--preset", "per-api-key"][..],
        &["migrate"],
        &["user", "list"],
        &["key", "list"],
    ] {
        let done = given(args);
        assert_eq!(done.code, 2, "{done:?}");
        for word in [
            "--accounts",
            "`oracle:`",
            "sqlite:FILE",
            "postgres://",
            "mysql://",
        ] {
            assert!(done.stderr.contains(word), "{done:?}");
        }
        assert!(!done.stderr.contains("s3cr3t"), "{done:?}");
    }
    let mut help = Command::new(binary());
    help.env("TOLLGATE_ACCOUNTS", "mysql://ann:s3cr3t@h/x");
    help.args(["serve", "--help"]);
    let help = run(help, "");
    assert!(help.stdout.contains("TOLLGATE_ACCOUNTS"), "{help:?}");
    assert!(!help.stdout.contains("s3cr3t"), "{help:?}");
}

#[test]
fn a_server_that_refuses_ends_the_start_with_the_reason() {
    let database = Database::new(Engine::Postgres);
    for (from, to) in [("/t_", "/no_such_"), ("tollgate:", "nobody:")] {
        let url = database.url().replacen(from, to, 1);
        let refused = launch()
            .preset("per-api-key")
            .option("--accounts", url)
            .refused();
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("cannot open the accounts database"),
            "{refused:?}"
        );
        assert!(!refused.stderr.contains("%40"), "{refused:?}");
    }
}
