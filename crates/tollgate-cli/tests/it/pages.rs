//! The third system: the same in a browser, as two processes. What needs a browser is in `tests/browser`.

use serde_json::json;
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{eventually, free_address};
use tollgate_testkit::upstream::Upstream;

use crate::support::{
    PASSWORD, Person, QUOTA_EXCEEDED, join, launch, rate_limit, statuses, window,
};

/// The preset in front of an upstream that the test watches.
fn watched() -> (Gateway, Upstream) {
    let upstream = Upstream::recording();
    let gateway = launch().preset("pages").upstream(&upstream.url()).start();
    (gateway, upstream)
}

fn page(person: &Person, target: &str) -> Call {
    person.with_cookie(Call::get(target).browser())
}

#[test]
fn the_number_api_is_a_process_of_its_own_with_its_docs_and_its_log_shows_each_call() {
    let address = free_address();
    let mut gateway = launch()
        .preset("pages")
        .upstream(&format!("demo:random@{address}"))
        .start();
    let ann = join(&gateway, "ann");
    assert_eq!(
        statuses(&gateway, &ann.get("/call_api"), 6),
        [200, 200, 200, 200, 200, 403]
    );
    let calls = |gateway: &mut Gateway| {
        let lines = gateway.process().stderr();
        lines
            .iter()
            .filter(|line| line.ends_with("GET /random -> 200"))
            .count()
    };
    eventually("five calls in the number API's log", || {
        (calls(&mut gateway) == 5).then_some(())
    });
    // "Try it out" of its page calls /random by the document that it reads.
    let docs = Call::get("/docs").send(address);
    assert_eq!(
        (docs.status, docs.expect("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        docs.text().contains("data-openapi=\"/openapi.json\""),
        "{}",
        docs.text()
    );
    let openapi = Call::get("/openapi.json").send(address).json();
    assert!(openapi["paths"]["/random"]["get"].is_object());
    let direct = Call::get("/random?min=3&max=3").send(address);
    assert_eq!(
        (direct.status, direct.json()),
        (200, json!({ "random": 3 }))
    );
    eventually("the direct call in the log", || {
        (calls(&mut gateway) == 6).then_some(())
    });
    // It ends with the gateway that started it.
    gateway.stop();
    eventually("the number API to end", || {
        Connection::try_open(address, None).is_err().then_some(())
    });
}

#[test]
fn a_person_signs_up_logs_in_sees_the_number_and_logs_out_by_pages_and_forms() {
    let (gateway, _upstream) = watched();
    for path in ["/signup", "/login"] {
        let form = gateway.call(&Call::get(path).browser());
        assert_eq!(
            (form.status, form.expect("content-type")),
            (200, "text/html; charset=utf-8")
        );
        assert!(form.text().contains("<form method=\"post\""));
        assert!(
            form.text().contains("name=\"username\"") && form.text().contains("name=\"password\"")
        );
        assert!(
            form.expect("content-security-policy")
                .contains("default-src 'none'")
        );
    }
    let form = [("username", "ann"), ("password", PASSWORD)];
    let signed_up = gateway.call(&Call::post("/signup").form(&form).browser());
    assert_eq!(
        (signed_up.status, signed_up.expect("location")),
        (303, "/login")
    );
    let logged_in = gateway.call(&Call::post("/login").form(&form).browser());
    assert_eq!(
        (logged_in.status, logged_in.expect("location")),
        (303, "/call_api")
    );
    let session = logged_in.cookie("session").unwrap().0;
    let ann = Person {
        token: String::new(),
        session,
    };
    let number = gateway.call(&page(&ann, "/call_api"));
    assert_eq!(number.status, 200);
    let html = number.text();
    assert!(html.contains("<p class=\"number\">7</p>"), "{html}");
    assert!(html.contains("Logged in as") && html.contains("ann"));
    // What is left and when it resets, and where the page asks again to stay live.
    assert!(html.contains("data-remaining=\"/see_remaining_limits\""));
    assert!(
        html.contains("data-window=\"minute\" data-resets-in=\"60\""),
        "{html}"
    );
    assert!(
        html.contains("<b>4</b> of <span>5</span> left")
            && html.contains("<b>299</b> of <span>300</span> left")
    );
    assert!(html.contains("<form method=\"post\" action=\"/logout\">"));
    let out = gateway.call(&ann.with_cookie(Call::post("/logout").form(&[]).browser()));
    assert_eq!((out.status, out.expect("location")), (303, "/"));
    let refused = gateway.call(&page(&ann, "/call_api"));
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("href=\"/login\""),
        "a way to log in again"
    );
    assert!(
        !refused.text().contains("data-wait"),
        "a missing log-in is no wait"
    );
}

#[test]
fn a_wrong_form_comes_back_with_what_was_wrong_the_name_and_no_password() {
    let (gateway, _upstream) = watched();
    join(&gateway, "ann");
    for (path, form, status, said) in [
        (
            "/signup",
            [("username", "ann"), ("password", "staple battery")],
            409,
            "taken",
        ),
        (
            "/signup",
            [("username", "bob"), ("password", "tiny-pw")],
            422,
            "8 characters",
        ),
        (
            "/login",
            [("username", "ann"), ("password", "staple battery")],
            401,
            "wrong",
        ),
    ] {
        let answer = gateway.call(&Call::post(path).form(&form).browser());
        assert_eq!(answer.status, status, "{path}");
        let html = answer.text();
        assert!(
            html.contains("role=\"alert\"") && html.contains(said),
            "{html}"
        );
        assert!(html.contains(&format!("value=\"{}\"", form[0].1)), "{html}");
        assert!(!html.contains(form[1].1), "{html}");
    }
}

#[test]
fn after_five_a_403_page_counts_down_and_the_lock_ends_by_itself() {
    let (gateway, _upstream) = watched();
    let ann = join(&gateway, "ann");
    assert_eq!(statuses(&gateway, &page(&ann, "/call_api"), 5), [200; 5]);
    let refused = gateway.call(&page(&ann, "/call_api"));
    assert_eq!(
        (refused.status, refused.expect("content-type")),
        (403, "text/html; charset=utf-8")
    );
    assert_eq!(refused.retry_after(), Some(60));
    let html = refused.text();
    assert!(html.contains("<title>403 Forbidden"), "{html}");
    assert!(
        html.contains("data-wait=\"60\"") && html.contains("<b>60 s</b>"),
        "{html}"
    );
    gateway.advance(59.0);
    let refused = gateway.call(&page(&ann, "/call_api"));
    assert!(refused.text().contains("data-wait=\"1\"") && refused.text().contains("<b>1 s</b>"));
    gateway.advance(1.0);
    assert_eq!(gateway.call(&page(&ann, "/call_api")).status, 200);
}

#[test]
fn refreshing_during_the_lock_does_not_extend_it() {
    let (gateway, upstream) = watched();
    let ann = join(&gateway, "ann");
    assert_eq!(statuses(&gateway, &page(&ann, "/call_api"), 5), [200; 5]);
    for second in 0..60 {
        let refused = gateway.call(&page(&ann, "/call_api"));
        assert_eq!(
            (refused.status, refused.retry_after()),
            (403, Some(60 - second))
        );
        gateway.advance(1.0);
    }
    assert_eq!(gateway.call(&page(&ann, "/call_api")).status, 200);
    assert_eq!(upstream.count(), 6);
}

#[test]
fn the_pages_assets_and_the_pages_around_the_number_do_not_count() {
    let (gateway, upstream) = watched();
    let ann = join(&gateway, "ann");
    for path in [
        "/assets/style.css",
        "/assets/app.js",
        "/assets/icon.svg",
        "/",
        "/docs",
        "/keys",
        "/see_remaining_limits",
    ] {
        assert_eq!(statuses(&gateway, &page(&ann, path), 6), [200; 6], "{path}");
    }
    let left = gateway.call(&ann.get("/see_remaining_limits")).json();
    assert_eq!(
        (&left["minute"], &left["hour"]),
        (&window(5, 0, None), &window(300, 0, None))
    );
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_prefetch_is_503_with_an_empty_body_and_neither_charged_nor_called() {
    let (gateway, upstream) = watched();
    let ann = join(&gateway, "ann");
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let answer = gateway.call(&page(&ann, "/call_api").field(name, value));
        assert_eq!(
            (answer.status, answer.body.len()),
            (503, 0),
            "{name}: {value}"
        );
    }
    let answer = gateway.call(&page(&ann, "/call_api"));
    assert_eq!(
        rate_limit(&answer)["per-user.minute"].0,
        4,
        "the first of five"
    );
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_head_is_answered_with_fields_alone_and_neither_charged_nor_called() {
    let (gateway, upstream) = watched();
    let ann = join(&gateway, "ann");
    let head = ann.with_cookie(Call::new("HEAD", "/call_api"));
    for _ in 0..3 {
        let answer = gateway.call(&head);
        assert_eq!(answer.status, 200);
        // Nothing is used, so there is no instant at which more will remain.
        assert_eq!(rate_limit(&answer)["per-user.minute"], (5, None));
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(statuses(&gateway, &page(&ann, "/call_api"), 5), [200; 5]);
    let answer = gateway.call(&head);
    assert_eq!(
        (answer.status, answer.body.len()),
        (403, 0),
        "what a GET would get"
    );
    assert_eq!(
        gateway.call(&Call::new("HEAD", "/call_api")).status,
        403,
        "nobody gets fields"
    );
    assert_eq!(upstream.count(), 5);
}

#[test]
fn what_reaches_the_number_api_is_always_counted() {
    let (gateway, upstream) = watched();
    let ann = join(&gateway, "ann");
    let calls = [
        page(&ann, "/call_api"),
        page(&ann, "/call_api").field("sec-purpose", "prefetch"),
        ann.with_cookie(Call::new("HEAD", "/call_api")),
        ann.with_cookie(Call::new("OPTIONS", "/call_api")),
        ann.with_cookie(Call::post("/call_api")),
        page(&ann, "/CALL_API/"),
        page(&ann, "//call_api"),
        page(&ann, "/x/../call_api"),
        page(&ann, "/%63all_api"),
        page(&ann, "/call_api?x=1"),
        page(&ann, "/call_api"),
        page(&ann, "/call_api"),
    ];
    for call in &calls {
        gateway.call(call);
        let left = gateway.call(&ann.get("/see_remaining_limits")).json();
        assert_eq!(left["minute"]["used"], upstream.count(), "{call:?}");
    }
    assert_eq!(upstream.count(), 5);
    assert!(
        upstream
            .received()
            .iter()
            .all(|received| received.method == "GET")
    );
}

#[test]
fn the_same_url_answers_a_json_client_with_a_problem() {
    let (gateway, _upstream) = watched();
    let ann = join(&gateway, "ann");
    let json_client = ann.with_cookie(Call::get("/call_api").field("accept", "application/json"));
    assert_eq!(statuses(&gateway, &json_client, 5), [200; 5]);
    let refused = gateway.call(&json_client);
    assert_eq!(
        (refused.status, refused.expect("content-type")),
        (403, "application/problem+json")
    );
    assert_eq!(refused.json()["type"], QUOTA_EXCEEDED);
    let browser = gateway.call(&page(&ann, "/call_api"));
    assert_eq!(browser.expect("content-type"), "text/html; charset=utf-8");
}
