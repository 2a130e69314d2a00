//! Answers to clients that want no body.

use super::*;

fn call(path: &str, cost: u64) -> Call {
    let call = Call::post(path).json(&per_user("ann", cost));
    call.field("prefer", "return=minimal")
}

#[test]
fn who_prefers_little_hears_a_yes_without_a_body_and_with_the_same_fields() {
    let service = Service::usual();
    let mut connection = Connection::open(service.address);
    let allowed = call("/v1/check", 3).over(&mut connection);
    assert_eq!((allowed.status, allowed.text()), (204, String::new()));
    assert_eq!(allowed.expect("preference-applied"), "return=minimal");
    assert_eq!(
        (
            allowed.field("content-type"),
            allowed.field("content-length")
        ),
        (None, None)
    );

    let peeked = call("/v1/peek", 2).over(&mut connection);
    assert_eq!(peeked.status, 204);
    let denied = call("/v1/check", 3).over(&mut connection);
    assert_eq!(
        (denied.status, &denied.json()["reason"]),
        (429, &json!("denied"))
    );
    assert_eq!(denied.field("preference-applied"), None);

    // The fields are those of the whole answer.
    let whole = Call::post("/v1/peek").json(&per_user("ann", 2));
    let whole = whole.over(&mut connection);
    assert_eq!(
        (whole.status, whole.field("preference-applied")),
        (200, None)
    );
    for name in [
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-remaining",
        "cache-control",
    ] {
        assert_eq!(peeked.expect(name), whole.expect(name));
    }
}

#[test]
fn what_cannot_be_said_without_a_body_has_one() {
    let service = Service::usual();
    let reserved =
        Call::post("/v1/reserve").json(&json!({ "limit": "tokens", "key": "ann", "cost": 400 }));
    let reserved = reserved
        .field("prefer", "return=minimal")
        .send(service.address);
    assert_eq!(
        (reserved.status, reserved.field("preference-applied")),
        (200, None)
    );
    assert!(reserved.json()["receipt"].is_string());

    let each = json!({ "requests": [per_user("ann", 1), per_user("bob", 9)] });
    let each = Call::post("/v1/check")
        .json(&each)
        .field("prefer", "return=minimal");
    let each = each.send(service.address);
    assert_eq!(
        (each.status, &each.json()["answers"][1]["allowed"]),
        (200, &json!(false))
    );

    let never = call("/v1/check?status=200", 6).send(service.address);
    assert_eq!(
        (never.status, &never.json()["allowed"]),
        (200, &json!(false))
    );
    let wrong = call("/v1/check", 1 << 60).send(service.address);
    assert_eq!(
        (wrong.status, wrong.expect("content-type")),
        (422, "application/problem+json")
    );
}
