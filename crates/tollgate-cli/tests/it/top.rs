//! `tollgate top`: on a terminal, and without one.

mod terminal;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::Value;
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::{DataDir, Gateway};
use tollgate_testkit::process::{Done, eventually, run};

use crate::support::{Key, binary, launch, new_key, new_user, preset, statuses};
use terminal::Terminal;

/// A name that turns the text behind it, has wide characters, and ends in a combining one.
const ODD: &str = "ci\u{fff9}漢字e\u{301}";

/// Ten allowed, one denied, three without a key.
fn busy() -> (Gateway, Key) {
    let gateway = preset("per-api-key");
    new_user(&gateway, "ann");
    let key = new_key(&gateway, "ann", &["--name", ODD]);
    assert_eq!(statuses(&gateway, &key.get("/limit"), 11)[9..], [200, 429]);
    assert_eq!(statuses(&gateway, &Call::get("/limit"), 3), [401; 3]);
    (gateway, key)
}

/// What it prints, once it knows of the requests.
fn printed(gateway: &Gateway, args: &[&str], known: impl Fn(&Done) -> bool) -> String {
    eventually("the requests to be counted", || {
        let done = gateway.command(&[&["top"], args].concat(), "");
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        known(&done).then_some(done.stdout)
    })
}

#[test]
fn once_it_prints_everything_as_text_that_no_name_can_disturb() {
    let (gateway, _) = busy();
    gateway.advance(75.0);
    // Without a terminal it is the same without the flag.
    for args in [["--once"].as_slice(), &[]] {
        let page = printed(&gateway, args, |done| done.stdout.contains(" 10 "));
        let unfit = |char: char| char != '\n' && (char.is_control() || char == '\u{fff9}');
        assert!(!page.contains(unfit), "{page:?}");
        let line = |wanted: &str| {
            let line = page.lines().find(|line| line.contains(wanted));
            let line = line.unwrap_or_else(|| panic!("no {wanted}: {page}"));
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(
            page.starts_with("Tollgate  2027-01-15 08:01:15 UTC\n"),
            "{page}"
        );
        assert!(line("database").starts_with("accounts database up usage: "));
        assert!(line("GET /limit").starts_with("GET /limit - - 10 1 3 0 "));
        let caller = line("ann / ci\u{fffd}漢字e\u{301} ");
        assert!(caller.ends_with(" 10 1 10 1 min ago"), "{caller}");
        assert_eq!(
            line("address 127.0.0.1"),
            "address 127.0.0.1 - - - 3 0 75 %"
        );
    }
}

#[test]
fn as_json_it_is_what_the_admin_socket_says_with_odd_characters_as_numbers() {
    let (gateway, key) = busy();
    let json = printed(&gateway, &["--json"], |_| true);
    assert!(!json.contains('\u{fff9}'), "{json}");
    let shown: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(shown["overview"]["totals"]["denied"], 1);
    assert_eq!(shown["overview"]["accounts"]["away_for_s"], Value::Null);
    let mut keys = shown["callers"]["keys"].as_array().unwrap().iter();
    let named = keys.find(|one| one["id"] == key.id.as_str()).unwrap();
    assert_eq!((&named["name"], &named["denied"]), (&ODD.into(), &1.into()));
    assert_eq!(shown["heavy"]["denied"]["callers"][0]["id"], "127.0.0.1");
}

#[test]
fn without_accounts_there_are_no_callers_and_it_says_so() {
    let rules = "[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"hello\" }\n";
    let gateway = launch().rules(rules).start();
    let page = printed(&gateway, &["--once"], |_| true);
    assert!(page.contains("(these rules have no accounts)"), "{page}");
    let json: Value = serde_json::from_str(&printed(&gateway, &["--json"], |_| true)).unwrap();
    assert_eq!(json["callers"]["error"], "these rules have no accounts");
}

#[test]
fn without_a_gateway_it_says_where_it_looked_and_exits_with_1() {
    let data = DataDir::new();
    for flags in [[].as_slice(), &["--once"], &["--json"]] {
        let mut command = Command::new(binary());
        command
            .arg("top")
            .args(flags)
            .arg("--data")
            .arg(data.path());
        let done = run(command, "");
        assert_eq!((done.code, done.stdout.as_str()), (1, ""));
        let why = format!(
            "error: no gateway is running with the data directory {}: ",
            data.path().display()
        );
        assert!(done.stderr.starts_with(&why), "{}", done.stderr);
    }
}

#[test]
fn what_is_no_answer_is_said_and_exits_with_1() {
    for (answer, why) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "the gateway's answer cannot be read",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "the gateway's answer cannot be read",
        ),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\nno.\n", "no."),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
            "the answer cannot be read",
        ),
        ("what?", "the gateway broke off"),
    ] {
        let data = DataDir::new();
        let listener = UnixListener::bind(data.path().join("admin.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut command = Command::new(binary());
        command.args(["top", "--once", "--data"]).arg(data.path());
        let done = run(command, "");
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{answer}");
        assert!(
            done.stderr.starts_with(&format!("error: {why}")),
            "{}",
            done.stderr
        );
    }
}

/// The words of a line that begins with this.
fn words<'l>(line: &'l str, name: &str) -> Option<Vec<&'l str>> {
    let line = line.trim_start().strip_prefix(name)?;
    Some(line.split_whitespace().collect())
}

#[test]
fn a_terminal_shows_what_goes_on_and_is_given_back_as_it_was() {
    let (gateway, key) = busy();
    let mut terminal = Terminal::top(gateway.data());
    terminal.shows("[1 Routes] 2 API keys  3 Top callers   sorted by requests/s");
    let denied = |times: &'static str| {
        move |line: &str| {
            words(line, "GET /limit").is_some_and(|words| words.get(3) == Some(&times))
        }
    };
    terminal.shows_line("one denial", denied("1"));
    assert_eq!(gateway.call(&key.get("/limit")).status, 429);
    terminal.shows_line("two denials", denied("2"));
    terminal.keys("2");
    terminal.shows(" 1 Routes [2 API keys] 3 Top callers   sorted by rate");
    terminal.shows("ann / ci\u{fffd}漢");
    terminal.keys("s");
    terminal.shows("sorted by denied");
    terminal.keys("\t");
    terminal.shows("address 127.0.0.1");
    terminal.resize(60);
    terminal.shows("It has 60 x 24.");
    terminal.resize(80);
    terminal.shows("address 127.0.0.1");
    terminal.keys("p");
    terminal.shows("PAUSED");
    terminal.keys("?");
    terminal.shows(" q, Esc, Ctrl-C        quit");
    terminal.keys("q");
    terminal.was_left_as_it_was(0);
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let (gateway, _) = busy();
    let terminal = Terminal::top(gateway.data());
    terminal.shows("sorted by");
    terminal.terminate();
    terminal.was_left_as_it_was(0);
}

#[test]
fn a_gateway_that_goes_away_is_missed_and_found_again() {
    let (gateway, _) = busy();
    let (data, address) = (gateway.data().clone(), gateway.address());
    let mut terminal = Terminal::top(&data);
    terminal.shows("[1 Routes]");
    assert!(gateway.stop().success());
    terminal.shows("AWAY, trying again: ");
    terminal.shows("GET /limit");
    let gateway = launch()
        .preset("per-api-key")
        .data(&data)
        .listen(address)
        .start();
    terminal.shows_no("AWAY");
    assert_eq!(statuses(&gateway, &Call::get("/limit"), 2), [401; 2]);
    let total =
        |line: &str| words(line, "unauthenticated").is_some_and(|words| words.get(2) == Some(&"2"));
    terminal.shows_line("two without a key since the start", total);
    terminal.keys("\u{3}");
    terminal.was_left_as_it_was(0);
}

#[test]
fn where_all_streams_are_taken_it_asks_each_second() {
    let gateway = preset("per-api-key");
    let socket = gateway.data().path().join("admin.sock");
    let streams = std::iter::repeat_with(|| {
        let mut stream = Connection::unix(&socket).unwrap();
        stream.send(&Call::get("/monitor/live"));
        let is_open = stream.head().unwrap().status == 200;
        is_open.then_some(stream)
    });
    let streams: Vec<Connection> = streams.map_while(|stream| stream).collect();
    assert_eq!(streams.len(), 16);
    let mut terminal = Terminal::top(gateway.data());
    terminal.shows("[1 Routes]");
    assert_eq!(gateway.get("/limit").status, 401);
    let total =
        |line: &str| words(line, "unauthenticated").is_some_and(|words| words.get(2) == Some(&"1"));
    terminal.shows_line("one without a key since the start", total);
    terminal.keys("q");
    terminal.was_left_as_it_was(0);
}
