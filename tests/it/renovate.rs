//! The configuration of Renovate in docs/releases.md finds what the page shows, and writes it back.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

#[test]
fn renovate_finds_the_tag_and_the_digest_of_the_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/releases.md")).unwrap();
    let blocks = |kind: &str| -> Vec<String> {
        let fence = format!("\n```{kind}\n");
        page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
    };
    let json = blocks("json").into_iter().find(|block| block.contains("customManagers")).unwrap();
    let config: Value = serde_json::from_str(&json).unwrap();
    let manager = &config["customManagers"][0];
    let finds = Regex::new(manager["matchStrings"][0].as_str().unwrap()).unwrap();
    let yaml = blocks("yaml").into_iter().find(|block| block.contains("# renovate: artifact=")).unwrap();
    let found = finds.captures(&yaml).unwrap();
    let (name, value) = (&found["depName"], &found["currentValue"]);
    assert_eq!((name, value), ("ghcr.io/acme/app-config", "1.0.0"));
    let digest = &found["currentDigest"];
    assert!(
        yaml.contains(&format!("tag: {value}@{digest}\n"))
            || yaml.ends_with(&format!("tag: {value}@{digest}"))
    );
    // A tag that has no digest yet is found, too.
    let bare = yaml.replace(&format!("@{digest}"), "");
    let found = finds.captures(&bare).unwrap();
    assert!(&found["currentValue"] == "1.0.0" && found.name("currentDigest").is_none());
    // What it writes has the indentation of the page, and is found again.
    let template = manager["autoReplaceStringTemplate"].as_str().unwrap();
    let other = format!("sha256:{}", "b".repeat(64));
    let written = template
        .replace("{{{depName}}}", name)
        .replace("{{{newValue}}}", "1.1.0")
        .replace("{{#if newDigest}}", "")
        .replace("{{/if}}", "")
        .replace("{{{newDigest}}}", &other);
    let updated = yaml.replace(&finds.captures(&yaml).unwrap()[0], &written);
    assert!(updated.contains(&format!("    tag: 1.1.0@{other}")), "{updated}");
    assert_eq!(&finds.captures(&updated).unwrap()["currentDigest"], other);
    assert_eq!(updated.lines().count(), yaml.lines().count());
}
