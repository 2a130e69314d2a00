//! Which crate may depend on which. Any other arrow fails.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

const ARROWS: [(&str, &[&str]); 9] = [
    ("tollgate", &[]),
    ("tollgate-tower", &["tollgate"]),
    ("tollgate-rules", &["tollgate"]),
    ("tollgate-accounts", &["tollgate"]),
    ("tollgate-redis", &["tollgate"]),
    (
        "tollgate-gateway",
        &[
            "tollgate",
            "tollgate-accounts",
            "tollgate-rules",
            "tollgate-tower",
        ],
    ),
    (
        "tollgate-cli",
        &[
            "tollgate",
            "tollgate-accounts",
            "tollgate-gateway",
            "tollgate-redis",
            "tollgate-rules",
            "tollgate-service",
        ],
    ),
    (
        "tollgate-service",
        &[
            "tollgate",
            "tollgate-accounts",
            "tollgate-gateway",
            "tollgate-rules",
            "tollgate-tower",
        ],
    ),
    ("tollgate-testkit", &["tollgate"]),
];

#[test]
fn crates_depend_on_each_other_downward_only() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(
        packages.len(),
        ARROWS.len(),
        "a crate came or went: say here what it may depend on"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = ARROWS
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("`{name}` is not listed"))
            .1;
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        // What tests depend on binds nobody else.
        for dependency in dependencies.filter(|dependency| dependency["kind"] != "dev") {
            let to = dependency["name"].as_str().unwrap();
            assert!(
                !to.starts_with("tollgate") || allowed.contains(&to),
                "{name} -> {to} is an arrow that is not drawn"
            );
        }
    }
}
