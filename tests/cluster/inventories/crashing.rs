//! Whatever is killed while it writes has left an inventory that names all it
//! has written, and the next run finishes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::{Profiles, Proxy, story};

use super::hand::{Hand, config_map};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

/// How long a write may take to come.
const HELD: Duration = Duration::from_secs(20);

fn secret(name: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{v: '1'}}\n---\n")
}

/// One person's app, by the number of the case.
struct Case<'a> {
    hand: &'a Hand,
    proxy: &'a Proxy,
    name: String,
}

impl Case<'_> {
    fn set(&self, upgraded: bool) -> String {
        let (value, last) = if upgraded { ("2", "new") } else { ("1", "old") };
        let name = &self.name;
        config_map(&format!("{name}-a"), value)
            + &secret(&format!("{name}-b"))
            + &config_map(&format!("{name}-{last}"), "1")
    }

    fn wanted(&self, upgraded: bool) -> BTreeSet<String> {
        let last = if upgraded { "new" } else { "old" };
        [("a", "ConfigMap"), ("b", "Secret"), (last, "ConfigMap")]
            .map(|(n, kind)| format!("NS_{}-{n}__{kind}", self.name))
            .into()
    }

    async fn named(&self) -> BTreeSet<String> {
        self.hand.named(&self.name).await.into_iter().collect()
    }

    fn labelled(&self) -> BTreeSet<String> {
        let selector = format!("supercargo.dev/name={}", self.name);
        let list = self.hand.story.kubectl(&["get", "configmaps,secrets", "-l", &selector, "-o", "json"], "");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let id = |item: &Value| {
            let text =
                |pointer: &str| item.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned();
            format!("NS_{}__{}", text("/metadata/name"), text("/kind"))
        };
        list["items"].as_array().expect("items").iter().map(id).collect()
    }

    /// Runs it through the proxy, and kills it at a write, if it comes to that.
    fn kill_at(&self, arguments: &[&str], nth: u64, moment: Moment) -> bool {
        self.proxy.hold_from(nth, moment, Seen::writes);
        let mut child = self.hand.start(arguments);
        let held =
            self.proxy.wait_held(if nth > 9 { Duration::from_secs(2) } else { HELD }, moment).is_some();
        drop(child.kill());
        drop(child.wait());
        self.proxy.discard();
        self.proxy.pass_all();
        held
    }

    async fn nothing_leaked(&self, what: &str) {
        let (labelled, named) = (self.labelled(), self.named().await);
        let leaked: Vec<_> = labelled.difference(&named).collect();
        assert!(leaked.is_empty(), "{what}: leaked {leaked:?}, the inventory names {named:?}");
    }
}

#[story]
async fn b4_killed_at_each_write_nothing_leaks_and_the_next_run_finishes() {
    let hand = Hand::begin("hand-b4").await;
    let proxy = Proxy::before_api_server(hand.bed());
    hand.file_as_is("proxy", &proxy.kubeconfig(&hand.bed().admin_kubeconfig()));
    // An install has five writes, an upgrade with what leaves six, a deletion at
    // least five.
    for (nth, moment) in (1..=5).flat_map(|n| [(n, Moment::Before), (n, Moment::After)]) {
        let name = format!("app-{nth}-{moment:?}").to_lowercase();
        let case = Case { hand: &hand, proxy: &proxy, name };
        let what = &case.name;
        let (one, two) = (format!("{what}.1"), format!("{what}.2"));
        hand.file(&one, &case.set(false));
        hand.file(&two, &case.set(true));
        let apply = |file: &str| ["apply", "-i", what, "--prune", "-f", file].map(str::to_owned);
        let through = |arguments: &[String]| -> Vec<String> {
            arguments.iter().cloned().chain(["--kubeconfig".into(), "proxy".into()]).collect()
        };
        for (file, upgraded) in [(&one, false), (&two, true)] {
            let arguments = through(&apply(file));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            assert!(case.kill_at(&arguments, nth, moment), "{file}: write {nth} did not come");
            case.nothing_leaked(file).await;
            hand.does(&["apply", "-i", what, "--prune", "-f", file], "");
            assert_eq!(
                (case.labelled(), case.named().await),
                (case.wanted(upgraded), case.wanted(upgraded)),
                "{file}"
            );
        }
        let delete = ["delete", "-i", what, "--kubeconfig", "proxy"];
        case.kill_at(&delete, nth, moment);
        case.nothing_leaked("delete").await;
        if hand.config_map(&format!("inv-{what}")).await.is_some() {
            hand.does(&["delete", "-i", what], "");
        }
        assert_eq!((case.labelled(), case.named().await), (BTreeSet::new(), BTreeSet::new()), "{what}");
    }
}
