//! The number API in Python behind the gateway: any HTTP server can stand there by its URL.

use std::path::PathBuf;
use std::process::Command;

use tollgate_testkit::client::Call;
use tollgate_testkit::process::{Process, eventually, free_address};

use crate::support::{join, launch, root, statuses};

/// Python with FastAPI and uvicorn.
pub(crate) fn python() -> PathBuf {
    let venv =
        std::env::var_os("TOLLGATE_VENV").map_or_else(|| root().join("target/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(
        python.exists(),
        "there is no {}: `make test` installs FastAPI there (or point TOLLGATE_VENV to an environment that has it)",
        python.display()
    );
    python
}

#[test]
fn the_same_api_in_fastapi_stands_behind_the_gateway_and_sees_just_what_was_let_through() {
    let address = free_address();
    let mut command = Command::new(python());
    command
        .current_dir(root().join("examples/random-number/fastapi"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .args([
            "-m",
            "uvicorn",
            "main:app",
            "--host",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
        ]);
    let mut api = Process::spawn(command);
    eventually("FastAPI to answer", || {
        assert!(api.ended().is_none(), "{}", api.log());
        let answer = Call::get("/livez").try_send(address).ok()?;
        (answer.text() == "ok").then_some(())
    });
    let gateway = launch()
        .preset("random-number")
        .upstream(&format!("http://{address}/random"))
        .start();
    let ann = join(&gateway, "ann");
    let answer = gateway.call(&ann.get("/call_api?min=4&max=4"));
    assert_eq!(
        (answer.status, answer.json()["random"].as_i64()),
        (200, Some(4))
    );
    assert_eq!(
        statuses(&gateway, &ann.get("/call_api"), 5),
        [200, 200, 200, 200, 403]
    );
    let wrong = gateway.call(&Call::get("/call_api"));
    assert_eq!(wrong.status, 403);
    // Its log has one line for each call that the gateway made, and none for those that it refused.
    let calls = || {
        let lines = api.stdout();
        lines
            .iter()
            .filter(|line| line.contains("GET /random"))
            .count()
    };
    eventually("five calls in FastAPI's log", || {
        (calls() == 5).then_some(())
    });
    gateway.advance(60.0);
    let refused = gateway.call(&ann.get("/call_api?min=2&max=1"));
    assert_eq!(
        (refused.status, refused.expect("content-type")),
        (422, "application/problem+json")
    );
    eventually("the sixth call in FastAPI's log", || {
        (calls() == 6).then_some(())
    });

    // Its own page really calls it, and loads nothing from elsewhere.
    let docs = Call::get("/docs").send(address);
    assert_eq!(docs.status, 200);
    let page = docs.text();
    assert!(
        page.contains("/openapi.json") && page.contains("tryItOutEnabled"),
        "{page}"
    );
    assert!(
        !page.contains("https://") && !page.contains("http://"),
        "{page}"
    );
    for path in [
        "/swagger-ui/swagger-ui-bundle.js",
        "/swagger-ui/swagger-ui.css",
    ] {
        assert_eq!(Call::get(path).send(address).status, 200, "{path}");
    }
    let openapi = Call::get("/openapi.json").send(address).json();
    assert!(openapi["paths"]["/random"]["get"].is_object(), "{openapi}");
}
