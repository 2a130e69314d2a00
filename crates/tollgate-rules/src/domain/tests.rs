use super::*;

fn entry(text: &str) -> Entry {
    match text.split_once('=') {
        Some((key, value)) => Entry {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        },
        None => Entry {
            key: text.to_owned(),
            value: None,
        },
    }
}

fn domain(descriptors: &[&[&str]]) -> Domain {
    let mut domain = Domain::new("d", Decide::Apart, OnError::Open);
    for words in descriptors {
        let entries: Vec<Entry> = words.iter().map(|word| entry(word)).collect();
        let descriptor = Descriptor {
            index: 0,
            label: label(&entries),
            measured: Vec::new(),
            name: String::new(),
            rate: DescriptorRate::None,
            replaces: Vec::new(),
            metadata: Vec::new(),
        };
        domain.insert(&entries, descriptor).unwrap();
    }
    domain
}

fn found<'d>(domain: &'d Domain, asked: &[(&'static str, &'static str)]) -> Option<&'d str> {
    let found = domain.find(asked.iter().copied());
    found.map(|descriptor| descriptor.label.as_str())
}

#[test]
fn the_exact_value_comes_before_a_pattern_and_a_pattern_before_any_value() {
    let domain = domain(&[&["a"], &["a=x*"], &["a=*y"], &["a=xx"]]);
    for (value, label) in [
        ("xx", "a=xx"),
        ("xy", "a=x*"),
        ("zy", "a=*y"),
        ("z", "a"),
        ("", "a"),
    ] {
        let asked = domain.find([("a", value)]);
        assert_eq!(asked.unwrap().label, label, "{value}");
    }
    assert_eq!(found(&domain, &[("b", "xx")]), None);
}

#[test]
fn a_descriptor_is_met_by_as_many_entries_as_it_has_in_their_order() {
    let domain = domain(&[&["a", "b=1"], &["c"]]);
    assert_eq!(found(&domain, &[("a", "x"), ("b", "1")]), Some("a/b=1"));
    assert_eq!(found(&domain, &[("a", "x")]), None);
    assert_eq!(found(&domain, &[("b", "1"), ("a", "x")]), None);
    assert_eq!(found(&domain, &[("c", "x"), ("b", "1")]), None);
    assert_eq!(found(&domain, &[]), None);
}

#[test]
fn a_value_that_is_met_is_not_left_for_a_more_general_one() {
    let domain = domain(&[&["a", "b"], &["a=x", "c"]]);
    assert_eq!(found(&domain, &[("a", "x"), ("b", "1")]), None);
    assert_eq!(found(&domain, &[("a", "y"), ("b", "1")]), Some("a/b"));
}

#[test]
fn a_key_and_its_value_are_not_mistaken_for_a_longer_key() {
    let domain = domain(&[&["a=b_c"], &["a_b"]]);
    assert_eq!(found(&domain, &[("a", "b_c")]), Some("a=b_c"));
    assert_eq!(found(&domain, &[("a_b", "c")]), Some("a_b"));
    assert_eq!(found(&domain, &[("a_b_c", "")]), None);
}

#[test]
fn every_text_makes_a_name_of_a_policy_and_two_texts_make_two() {
    let long = "k=".to_owned() + &"v".repeat(5_000);
    let texts = ["plain", "with space", "with\"quote", "ä", "ö", &long];
    let mut names: Vec<String> = texts.iter().map(|text| policy_prefix("d", text)).collect();
    assert_eq!(names[0], "d/plain");
    for name in &names {
        Policy::new(&format!("{name}.minute"), "5 per minute".parse().unwrap()).unwrap();
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), texts.len());
}
