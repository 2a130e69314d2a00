use super::*;

fn shown(url: &str) -> String {
    url.parse::<Location>().unwrap().to_string()
}

#[test]
fn every_form_is_read_and_shown_without_its_secrets() {
    for (url, expected) in [
        ("redis://localhost", "redis://localhost:6379"),
        ("REDIS://localhost:1/3", "redis://localhost:1/3"),
        ("valkeys://:pw@10.0.0.1/", "rediss://10.0.0.1:6379"),
        ("redis://[::1]:7/0", "redis://[::1]:7"),
        ("redis://[2001:db8::1]", "redis://[2001:db8::1]:6379"),
        (
            "redis+cluster://u:p@a:1,b:2,c",
            "redis+cluster://a:1,b:2,c:6379",
        ),
        (
            "rediss+sentinel://:p@a,b:2/main/4",
            "rediss+sentinel://a:26379,b:2/main/4",
        ),
        (
            "redis+unix:///run/redis.sock?db=2",
            "redis+unix:///run/redis.sock?db=2",
        ),
        ("redis+unix:///r.sock?db=0", "redis+unix:///r.sock"),
    ] {
        assert_eq!(shown(url), expected);
    }
}

#[test]
fn users_and_passwords_are_decoded_and_may_hold_what_has_a_meaning_in_urls() {
    let location: Location = "redis://app:p%40ss%3Aw%2Frd:@h".parse().unwrap();
    assert_eq!(location.user.as_deref(), Some("app"));
    assert_eq!(location.password, Some(Secret("p@ss:w/rd:".to_owned())));
    let location: Location = "redis://:only@h".parse().unwrap();
    assert_eq!(
        (location.user, location.password),
        (None, Some(Secret("only".to_owned())))
    );
    let location: Location = "redis+unix://:pw@/run/my%20redis.sock".parse().unwrap();
    assert_eq!(location.nodes, [Address::Unix("/run/my redis.sock".into())]);
    let location: Location = "rediss://h?ca=/etc/ca%2Bown.pem".parse().unwrap();
    assert_eq!(location.authorities, Some("/etc/ca+own.pem".into()));
}

#[test]
fn what_is_no_place_is_refused_with_what_was_expected_and_without_its_secrets() {
    let nodes = vec!["a"; NODES_MAX + 1].join(",");
    for url in [
        "localhost:6379",
        "user:hush@localhost",
        "hush://localhost",
        "http://hush@h",
        "redis://",
        "redis://:hush@",
        "redis://hush@h",
        "redis://:hush/hush@h",
        "redis://:hush@h:0",
        "redis://:hush@h:65536",
        "redis://:hush@h:1:2",
        "redis://:hush@[::1",
        "redis://:hush@[h]",
        "redis://:hush@[::1]6380",
        "redis://:hush@[::1]:",
        "redis+cluster://:hush@[::1]6380,[::1]:6381",
        "redis://:hush@h/x",
        "redis://:hush@h/1/2",
        "redis://:hush@h/-1",
        "redis://:hush%@h",
        "redis://:hush%zz@h",
        "redis://:hush%ff@h",
        "redis://:hush@a,b",
        "redis://h?hush=1",
        "redis://h?ca=/hush.pem",
        "redis+cluster://:hush@a:1/2",
        "redis+sentinel://:hush@a:1",
        "redis+unix://:hush@h/path",
        "redis+unix://",
        &format!("redis+cluster://{nodes}"),
    ] {
        let error = url.parse::<Location>().unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("; expected redis"), "{url}: {text}");
        assert!(!text.contains("hush"), "{url}: {text}");
    }
}

#[test]
fn no_form_of_a_location_shows_its_secrets() {
    let location: Location = "redis://user:hush@h".parse().unwrap();
    let text = format!("{location} {location:?} {:?}", location.password);
    assert!(!text.contains("hush") && !text.contains("user"), "{text}");
}
