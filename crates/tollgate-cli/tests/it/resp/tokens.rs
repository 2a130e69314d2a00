//! Who may ask.

use tollgate_testkit::redis::Reply;

use super::{Client, Service};
use crate::support::launch;

const TOKEN: &str = "0123456789abcdef";

fn guarded() -> Service {
    Service::start(launch().rules(&format!("[service]\ntoken = \"{TOKEN}\"\n")))
}

#[test]
fn without_the_token_nothing_is_told_and_nothing_is_counted() {
    let service = guarded();
    let mut client = service.connect();
    for words in [
        "PING",
        "INFO",
        "CL.THROTTLE ann 0 1 10",
        "COMMAND",
        "CLIENT ID",
        "DEL ann",
        "NONSENSE",
    ] {
        assert_eq!(
            client.error(words),
            "NOAUTH Authentication required.",
            "{words}"
        );
    }
    assert!(client.error("HELLO 3").starts_with("NOAUTH "));
    assert!(
        client
            .error(&format!("AUTH {TOKEN}x"))
            .starts_with("WRONGPASS ")
    );
    assert_eq!(
        client.ask(&format!("AUTH {TOKEN}")),
        Reply::Status("OK".into())
    );
    assert_eq!(client.integers("CL.THROTTLE ann 0 1 10")[0], 0);
    client.ask("RESET");
    assert!(
        client.error("PING").starts_with("NOAUTH "),
        "as if it had just come"
    );
    assert_eq!(
        client
            .ask(&format!("HELLO 3 AUTH default {TOKEN} SETNAME w"))
            .items()[5],
        Reply::Integer(3)
    );
    // A pipeline goes on behind the password in it.
    let mut other = service.connect();
    other.send(format!("PING\r\nAUTH anybody {TOKEN}\r\nPING\r\n").as_bytes());
    other.expect(b"-NOAUTH Authentication required.\r\n+OK\r\n+PONG\r\n");
    let log = service.gateway.stop();
    assert!(log.success());
}

#[test]
fn whoever_guesses_is_cut_off() {
    let service = guarded();
    let mut client = service.connect();
    let guesses: String = (0..20)
        .map(|guess| format!("AUTH guess-{guess}\r\n"))
        .collect();
    client.send(guesses.as_bytes());
    let answers = String::from_utf8(client.rest()).unwrap();
    assert_eq!(answers.matches("WRONGPASS").count(), 8);
    let mut large = service.connect();
    large.send(b"*3\r\n$4\r\nAUTH\r\n$100000\r\n");
    assert_eq!(
        large.rest(),
        b"-ERR Protocol error: invalid bulk length\r\n",
        "strangers have little room"
    );
}

#[test]
fn a_password_that_nobody_asked_for_is_said_to_be_one() {
    let service = Service::alone();
    let mut client: Client = service.connect();
    for words in ["AUTH secret", "AUTH me secret", "HELLO 3 AUTH me secret"] {
        assert!(
            client
                .error(words)
                .starts_with("ERR AUTH <password> called without any password")
        );
    }
    assert_eq!(client.ask("PING"), Reply::Status("PONG".into()));
}

#[test]
fn an_address_that_others_reach_needs_a_token_or_the_word_that_it_is_meant() {
    let refused = launch().option("--resp", "0.0.0.0:0").refused();
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("nobody needs a token there"),
        "{}",
        refused.stderr
    );
    let short = launch()
        .option("--resp", "127.0.0.1:0")
        .option("--service-token", "short-secret")
        .refused();
    assert_eq!(short.code, 2);
    assert!(!short.stderr.contains("short-secret"), "{}", short.stderr);
    launch()
        .option("--resp", "0.0.0.0:0")
        .option("--service-token", TOKEN)
        .start();
    launch()
        .rules("[service]\nresp = \"0.0.0.0:0\"\nopen = true\n")
        .start();
}
