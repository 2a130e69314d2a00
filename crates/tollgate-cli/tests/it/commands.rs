//! The commands beside `serve`, what `serve` makes of its flags, and exit codes: 0 fine, 1 failed, 2 usage or
//! configuration.

mod limits;
mod validate;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{Done, Process, eventually, free_address, run};
use tollgate_testkit::upstream::Upstream;

use crate::support::{
    binary, join, launch, new_key, new_user, pick, preset, root, statuses, window,
};

const PRESETS: [&str; 5] = [
    "random-number",
    "hello-by-ip",
    "pages",
    "hourly-module",
    "per-api-key",
];

fn tollgate(directory: &Path, args: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.current_dir(directory).args(args);
    run(command, "")
}

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(name).join("tollgate.toml")).unwrap()
}

/// The windows that `limit show --json` prints, as a page of what remains has them.
fn shown(gateway: &Gateway, args: &[&str]) -> Value {
    let done = gateway.command(&[&["limit", "show", "--json"], args].concat(), "");
    assert_eq!(done.code, 0, "{done:?}");
    let mut windows = serde_json::from_str::<Value>(&done.stdout).unwrap()["windows"].take();
    for window in windows.as_object_mut().unwrap().values_mut() {
        *window = pick(window, &["limit", "used", "remaining", "resets_in"]);
    }
    windows
}

#[test]
fn a_right_file_is_valid_and_a_wrong_one_shows_every_mistake_and_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.toml");
    for name in PRESETS {
        std::fs::write(&file, example(name)).unwrap();
        let done = tollgate(directory.path(), &["validate", "rules.toml"]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{name}");
        assert!(done.stdout.contains("rules.toml"), "{}", done.stdout);
    }
    let wrong = "[limits.a]\nkey = \"usr\"\nquotas = [\"5 per minut\"]\n[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"x\" }\n";
    std::fs::write(&file, wrong).unwrap();
    let done = tollgate(directory.path(), &["validate", "rules.toml"]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    for part in [
        " --> rules.toml:2:7\n",
        "  |       ^^^^^\n",
        "did you mean `user`?",
        " --> rules.toml:3:18\n",
        "  |                  ^^^^^\n",
        "did you mean `minute`?",
    ] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    let served = tollgate(directory.path(), &["serve", "--rules", "rules.toml"]);
    assert_eq!(
        (served.code, served.stderr),
        (2, done.stderr),
        "serve says the same"
    );
}

#[test]
fn a_limit_that_no_route_charges_is_pointed_out() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[limits.used]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n\
                [limits.forgotten]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n\
                [[routes]]\nmatch = \"GET /\"\nlimits = [\"used\"]\nrespond = { text = \"x\" }\n";
    std::fs::write(directory.path().join("rules.toml"), text).unwrap();
    let done = tollgate(directory.path(), &["validate", "rules.toml"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("`forgotten`"), "{}", done.stderr);
    assert!(!done.stderr.contains("`used`"), "{}", done.stderr);
}

#[test]
fn what_is_no_rules_file_is_refused_and_never_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::write(at("binary"), b"\xff\xfe[\0r\0").unwrap();
    std::fs::write(at("huge"), vec![b'#'; (4 << 20) + 1]).unwrap();
    std::fs::write(at("empty"), "").unwrap();
    let fifo = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(fifo.success());
    for (name, why) in [
        ("missing", "cannot be read"),
        ("folder", "no regular file"),
        ("pipe", "no regular file"),
        ("binary", "not UTF-8 at byte 0"),
        ("huge", "longer than 4194304 bytes"),
        ("empty", "there is no `[[routes]]`"),
    ] {
        let done = tollgate(directory.path(), &["validate", name]);
        assert_eq!(done.code, 2, "{name}: {done:?}");
        assert!(done.stderr.contains(why), "{name}: {}", done.stderr);
        assert!(done.stderr.len() < 4_096);
    }
}

#[test]
fn init_writes_the_rules_of_a_preset_once_and_serve_then_reads_them() {
    for name in PRESETS {
        let directory = tempfile::tempdir().unwrap();
        let done = tollgate(directory.path(), &["init", name]);
        assert_eq!(done.code, 0, "{done:?}");
        let written = std::fs::read_to_string(directory.path().join("tollgate.toml")).unwrap();
        assert_eq!(written, example(name), "{name}");
        for next in ["tollgate serve ", "tollgate validate "] {
            assert!(done.stdout.contains(next), "{}", done.stdout);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(tollgate(directory.path(), &["init"]).code, 0);
    let file = directory.path().join("tollgate.toml");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        example("random-number")
    );
    std::fs::write(&file, example("hourly-module")).unwrap();
    assert_eq!(tollgate(directory.path(), &["validate"]).code, 0);
    let again = tollgate(directory.path(), &["init"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("stays as it is"), "{}", again.stderr);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        example("hourly-module")
    );
    assert_eq!(tollgate(directory.path(), &["init", "teapot"]).code, 2);

    let address = free_address();
    let mut command = Command::new(binary());
    command
        .current_dir(directory.path())
        .args(["serve", "--listen", &address.to_string()]);
    let process = Process::spawn(command);
    let line = process.line(|line| line.contains("listens"));
    assert!(
        line.contains(&address.to_string()) && line.contains("./tollgate.toml"),
        "{line}"
    );
    assert_eq!(Call::get("/").send(address).text(), "Hello, World!");
}

#[test]
fn every_preset_starts_with_one_command_and_says_what_it_is() {
    for name in PRESETS {
        let mut launching = launch().preset(name);
        if name == "pages" {
            launching = launching.upstream(&format!("demo:random@{}", free_address()));
        }
        let mut gateway = launching.start();
        let line = gateway
            .process()
            .line(|line| line.starts_with("Tollgate listens"));
        assert!(line.contains(&format!("the preset {name}")), "{line}");
        assert!(line.contains(&gateway.address().to_string()), "{line}");
        let path = match name {
            "random-number" | "pages" => "/login",
            "hello-by-ip" => "/get-auth-token",
            "per-api-key" => "/docs",
            _ => "/",
        };
        assert_eq!(gateway.get(path).status, 200, "{name}");
    }
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut command = Command::new(binary());
    command
        .current_dir(directory.path())
        .args(["serve", "--listen", &address.to_string()]);
    let process = Process::spawn(command);
    let line = process.line(|line| line.contains("listens"));
    assert!(
        line.contains("the preset random-number"),
        "without any other word: {line}"
    );
}

#[test]
fn a_preset_is_its_rules_file_and_nothing_else() {
    let embedded = preset("per-api-key");
    let from_file = launch().rules(&example("per-api-key")).start();
    for gateway in [&embedded, &from_file] {
        new_user(gateway, "ann");
        let key = new_key(gateway, "ann", &[]);
        assert_eq!(statuses(gateway, &key.get("/limit"), 11)[9..], [200, 429]);
    }
    let [one, other] =
        [&embedded, &from_file].map(|gateway| gateway.get("/docs/openapi.json").json());
    assert_eq!(one, other);
    let document = one["paths"].as_object().unwrap();
    assert!(document.contains_key("/limit"), "{document:?}");
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_flag() {
    let directory = tempfile::tempdir().unwrap();
    for (args, named) in [
        (&["serve", "--lisen", "x"][..], "--lisen"),
        (&["serve", "--listen", "nowhere"], "--listen"),
        (&["serve", "--listen", "localhost:9000"], "127.0.0.1:9000"),
        (&["serve", "--resp", "localhost:6380"], "127.0.0.1:6380"),
        (&["serve", "--resp", "0.0.0.0:6380"], "--resp"),
        (&["serve", "--listen", "127.0.0.1:70000"], "--listen"),
        (&["serve", "--preset", "teapot"], "--preset"),
        (&["serve", "--upstream", "ftp://x"], "--upstream"),
        (
            &["serve", "--upstream", "http://127.0.0.1:99999"],
            "--upstream",
        ),
        (&["serve", "--limit", "5 per minute"], "--upstream"),
        (&["serve", "--rules", "a", "--preset", "pages"], "--preset"),
        (
            &[
                "serve",
                "--upstream",
                "http://127.0.0.1:1",
                "--limit",
                "5 per minut",
            ],
            "did you mean `minute`?",
        ),
        (
            &[
                "serve",
                "--upstream",
                "http://127.0.0.1:1",
                "--limit",
                "5 per minute by usr",
            ],
            "did you mean `user`?",
        ),
        (
            &[
                "serve",
                "--upstream",
                "http://127.0.0.1:1",
                "--limit",
                "5 per minute by user",
            ],
            "asks nobody",
        ),
        (&["serve", "--rules", "missing.toml"], "missing.toml"),
        (&["key", "create", "ann", "--quota", "5 per minut"], "minut"),
        (&["limit", "reset", "per-user"], "--all"),
        (&["user", "plan", "ann"], "--none"),
        (&["nothing"], "nothing"),
        (&[], "serve"),
    ] {
        let done = tollgate(directory.path(), args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.stderr.contains(named), "{args:?}: {}", done.stderr);
    }
    let help = tollgate(directory.path(), &["--help"]);
    assert!(help.code == 0 && help.stdout.contains("serve"));
    assert_eq!(tollgate(directory.path(), &["--version"]).code, 0);
}

#[test]
fn what_is_wrong_with_a_limit_of_a_flag_is_told_of_the_flag_and_of_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let serve = ["serve", "--upstream", "http://127.0.0.1:1"];
    for (limits, told) in [
        (
            &["7 per minute", "5 per minut"][..],
            "error: --limit or TOLLGATE_LIMIT, \"5 per minut\": expected a unit of time",
        ),
        (
            &["5 per minute by usr"],
            "\"5 per minute by usr\": `usr` is no part of a key\n = help: did you mean `user`?",
        ),
        (
            &["5 per minute", "5 per minute"],
            "`5 per minute` is among the limits",
        ),
        (&["per-user"], "there is no limit `per-user`"),
        (&["5 per minute by user"], "`tollgate init`"),
    ] {
        let mut args = serve.to_vec();
        args.extend(limits.iter().flat_map(|limit| ["--limit", limit]));
        let done = tollgate(directory.path(), &args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.stderr.contains(told), "{args:?}: {}", done.stderr);
        for file in ["-->", "limits = ["] {
            assert!(!done.stderr.contains(file), "{args:?}: {}", done.stderr);
        }
    }
}

#[test]
fn a_flag_can_be_an_environment_variable_and_a_wrong_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let upstream = Upstream::recording();
    let mut command = Command::new(binary());
    command
        .current_dir(directory.path())
        .arg("serve")
        .env("TOLLGATE_LISTEN", address.to_string())
        .env("TOLLGATE_UPSTREAM", upstream.url())
        .env("TOLLGATE_LIMIT", "2 per minute")
        .env("TOLLGATE_DATA", directory.path().join("data"));
    let process = Process::spawn(command);
    process.line(|line| line.contains("listens"));
    let statuses: Vec<u16> = (0..3)
        .map(|_| Call::get("/").send(address).status)
        .collect();
    assert_eq!(statuses, [200, 200, 429]);
    assert!(directory.path().join("data/admin.sock").exists());
    let mut command = Command::new(binary());
    command
        .current_dir(directory.path())
        .arg("serve")
        .env("TOLLGATE_LISTEN", "abc");
    let done = run(command, "");
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("--listen") && done.stderr.contains("abc"),
        "{}",
        done.stderr
    );
}

#[test]
fn health_is_0_while_the_gateway_is_ready_and_1_when_there_is_none() {
    let gateway = preset("hourly-module");
    let done = gateway.command(&["health"], "");
    assert_eq!(done.code, 0, "{done:?}");
    let data = gateway.data().clone();
    gateway.stop();
    for args in [&["health"][..], &["limit", "show", "hourly", "127.0.0.1"]] {
        let mut command = Command::new(binary());
        command.args(args).arg("--data").arg(data.path());
        let done = run(command, "");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(
            done.stderr.contains("no gateway is running")
                && done.stderr.contains("`--data` or TOLLGATE_DATA"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn the_number_api_alone_answers_and_ends_when_it_is_told_to() {
    let address = free_address();
    let mut command = Command::new(binary());
    command.args(["demo-api", "--listen", &address.to_string()]);
    let mut process = Process::spawn(command);
    process.line(|line| line.contains(&address.to_string()));
    for _ in 0..10 {
        let answer = Call::get("/random?min=1&max=6").send(address);
        let number = answer.json()["random"].as_i64().unwrap();
        assert!((1..=6).contains(&number), "{number}");
    }
    for wrong in ["/random?min=2&max=1", "/random?min=x", "/random?max=1e9"] {
        let answer = Call::get(wrong).send(address);
        assert_eq!(
            (answer.status, answer.expect("content-type")),
            (422, "application/problem+json")
        );
    }
    assert_eq!(Call::get("/livez").send(address).text(), "ok");
    assert_eq!(Call::get("/nothing").send(address).status, 404);
    let taken = tollgate(
        Path::new("/"),
        &["demo-api", "--listen", &address.to_string()],
    );
    assert_eq!(taken.code, 1, "{taken:?}");
    process.terminate();
    assert!(process.wait().success());
    eventually("the port to be free", || {
        Connection::try_open(address, None).is_err().then_some(())
    });
}

#[test]
fn completions_name_every_command_for_each_shell_and_no_other_shell_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let help = tollgate(directory.path(), &["--help"]).stdout;
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.collect();
    assert!(commands.contains(&"serve"), "{help}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let done = tollgate(directory.path(), &["completions", shell]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{shell}");
        for command in &commands {
            assert!(done.stdout.contains(command), "{shell}: {command}");
        }
    }
    let done = tollgate(directory.path(), &["completions", "cmd"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("possible values"), "{}", done.stderr);
}
