//! Metrics that nobody records are zeros that look like good news: every recording
//! method has a caller outside of its room.

use crate::none;
use crate::source::{Source, sources};

/// Called inside of `observe`, and by whom.
const INSIDE: &[(&str, &str)] = &[("expose", "the server of /metrics")];

/// The methods that others may call, of every `impl Metrics`.
fn methods(source: &Source) -> Vec<String> {
    let blocks = source.product.split("\nimpl Metrics {").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("\n}").next());
    let name = |rest: &str| rest.split('(').next().map(str::to_owned);
    blocks.flat_map(|block| block.split("    pub fn ").skip(1).filter_map(name)).collect()
}

/// Those without a caller in that code.
fn uncalled(methods: &[String], code: &[String]) -> Vec<String> {
    let called = |name: &str| {
        let calls = [format!(".{name}("), format!("Metrics::{name}(")];
        code.iter().any(|code| calls.iter().any(|call| code.contains(call)))
    };
    methods.iter().filter(|name| !called(name)).cloned().collect()
}

#[test]
fn every_metric_is_recorded_by_somebody() {
    let methods: Vec<String> = sources("src/observe/metrics").iter().flat_map(methods).collect();
    assert!(methods.len() > 15, "src/observe/metrics is not read: {methods:?}");
    let callers = sources("src").into_iter().filter(|source| source.room() != "observe");
    let code: Vec<String> = callers.map(|source| source.product).collect();
    let mut found = uncalled(&methods, &code);
    found.retain(|name| !INSIDE.iter().any(|(inside, _)| inside == name));
    none(found, "nothing outside of src/observe calls these methods of Metrics; record, or take them out");
}

#[test]
fn a_method_without_a_caller_is_found() {
    let text = "impl Metrics {\n    pub fn one(&self) {\n    }\n\n    pub fn two(&self) {\n    }\n\n    fn own(&self) {\n    }\n}\n";
    let text = format!("//! Doc.\n{text}impl Other {{\n    pub fn three(&self) {{\n    }}\n}}\n");
    let methods = methods(&Source::new("src/observe/metrics/a.rs", &text));
    assert_eq!(methods, ["one", "two"]);
    let code = ["metrics.one(1); metrics.two_more(); // metrics.two()".to_owned()];
    let code = code.map(|text| Source::new("src/cli/a.rs", &text).product);
    assert_eq!(uncalled(&methods, &code), ["two"]);
}
