//! The alert rules, their tests and their pages: what belongs together is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use supercargo::api::reason::{Disposition, Reason};

use crate::none;
use crate::source::{relative, root, walk};

const RULES: &str = "charts/supercargo/rules/supercargo.yaml";
const SEVERITIES: &[&str] = &["critical", "warning", "info"];

fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

/// Every alert by its name.
pub fn alerts() -> BTreeMap<String, Value> {
    let file = yaml(RULES);
    let rules = list(&file, "groups").flat_map(|group| list(group, "rules").cloned());
    let alerts: BTreeMap<String, Value> =
        rules.filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule))).collect();
    assert!(alerts.len() > 10, "{RULES} has {} alerts", alerts.len());
    alerts
}

#[test]
fn alerts_say_what_a_woken_person_needs() {
    let mut found = Vec::new();
    for (name, rule) in alerts() {
        let annotation = |key: &str| rule["annotations"][key].as_str().unwrap_or_default();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                found.push(format!("{name}: {what}"));
            }
        };
        must(name.starts_with("Supercargo"), "its name does not say whose it is");
        must(
            rule["labels"]["severity"].as_str().is_some_and(|s| SEVERITIES.contains(&s)),
            "severity is critical, warning or info",
        );
        must(!annotation("summary").is_empty(), "no summary");
        must(annotation("description").len() > 80, "the description does not say what to do");
        must(
            annotation("runbook_url") == format!("docs/runbooks/{name}.md"),
            "runbook_url is not docs/runbooks/<its name>.md",
        );
    }
    none(found, "complete these alerts");
}

#[test]
fn alerts_are_tested_firing_and_quiet() {
    let mut files = Vec::new();
    walk(&root().join("tests/alerts"), &mut files);
    let mut seen: BTreeSet<(String, bool)> = BTreeSet::new();
    for file in &files {
        for test in list(&yaml(&relative(file)), "tests") {
            for check in list(test, "alert_rule_test") {
                let fires = list(check, "exp_alerts").next().is_some();
                seen.insert((check["alertname"].as_str().unwrap_or_default().to_owned(), fires));
            }
        }
    }
    let alerts = alerts();
    let lacks = |fires: bool, what: &str| -> Vec<String> {
        let untested = alerts.keys().filter(|name| !seen.contains(&((*name).clone(), fires)));
        untested.map(|name| format!("{name} is not tested {what}")).collect()
    };
    let mut found = [lacks(true, "firing"), lacks(false, "quiet")].concat();
    let gone = seen.iter().filter(|(name, _)| !alerts.contains_key(name));
    found.extend(gone.map(|(name, _)| format!("{name} is tested and does not exist")));
    none(found, "add a test to tests/alerts");
}

/// The reasons that an alert's expression lists.
fn reasons(alert: &str) -> BTreeSet<String> {
    let alerts = alerts();
    let expression = alerts[alert]["expr"].as_str().unwrap();
    let (_, rest) = expression.split_once("supercargo_release_ready{reason").unwrap();
    rest.split('"').nth(1).unwrap().split('|').map(str::to_owned).collect()
}

#[test]
fn alerts_list_the_reasons_that_they_are_about() {
    let all = |holds: fn(&Reason) -> bool| -> BTreeSet<String> {
        Reason::ALL.iter().filter(|r| holds(r)).map(ToString::to_string).collect()
    };
    let stalled = all(|r| r.disposition() == Disposition::Stalled);
    let refused = all(|r| r.is_distrust() && r.disposition() != Disposition::Stalled);
    assert_eq!(reasons("SupercargoReleaseStalled"), stalled);
    assert_eq!(reasons("SupercargoVerificationRefused"), refused);
    let awaited = BTreeSet::from([Reason::DependencyNotReady.to_string()]);
    assert_eq!(reasons("SupercargoDependencyNotReady"), awaited);
    // A new revision that waits for a time, a person or another release is as the spec wants it.
    let arrival = all(|r| r.is_of_arrival() || *r == Reason::ApprovalRequired);
    assert_eq!(reasons("SupercargoReleaseNotReady"), &(&(&stalled | &refused) | &awaited) | &arrival);
}

/// A page that answers by the label `reason` answers each that the alert fires for.
#[test]
fn the_page_of_a_stalled_release_tells_every_reason() {
    let name = "SupercargoReleaseStalled";
    let page = fs::read_to_string(root().join(format!("docs/runbooks/{name}.md"))).unwrap();
    let causes = page.split_once("## Causes and what to do").map_or("", |(_, rest)| rest);
    let rows = causes.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let told: BTreeSet<String> =
        rows.flat_map(|(reasons, _)| reasons.split(", ")).map(str::to_owned).collect();
    none(
        reasons(name).difference(&told).map(|reason| format!("{name}.md says nothing of {reason}")).collect(),
        "say in the table of the page what to do",
    );
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    const PARTS: &[&str] = &["## Meaning", "## Impact", "## See", "## Causes and what to do", "## Silence"];
    let pages: BTreeMap<String, String> = fs::read_dir(root().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (relative(&path), fs::read_to_string(&path).unwrap()))
        .collect();
    let index = &pages["docs/runbooks/README.md"];
    let alerts = alerts();
    let mut found = Vec::new();
    for (name, rule) in &alerts {
        let path = format!("docs/runbooks/{name}.md");
        let Some(page) = pages.get(&path) else {
            found.push(format!("{path} does not exist"));
            continue;
        };
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        let after = rule["for"].as_str();
        let head = match after {
            Some(after) => format!("# {name}\n\nSeverity {severity}, after {after}.\n"),
            None => format!("# {name}\n\nSeverity {severity}, at once.\n"),
        };
        if !page.starts_with(&head) {
            found.push(format!("{path} does not begin with {head:?}"));
        }
        found.extend(
            PARTS.iter().filter(|p| !page.contains(*p)).map(|part| format!("{path} has no part {part}")),
        );
        if !index.contains(&format!("| [{name}]({name}.md) | {severity} | {} |", after.unwrap_or("0m"))) {
            found.push(format!("docs/runbooks/README.md does not list {name} as it is"));
        }
    }
    let of_nothing = pages.keys().filter(|path| {
        let name = path.trim_start_matches("docs/runbooks/").trim_end_matches(".md");
        name != "README" && !alerts.contains_key(name)
    });
    found.extend(of_nothing.map(|path| format!("{path} is about no alert")));
    none(found, "alerts and their pages do not fit together");
}
