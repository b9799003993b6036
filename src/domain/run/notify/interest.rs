//! Which notifications a receiver wants.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::situation::NewsKind;
use crate::domain::manifest::patch::selector::Selector;

/// Which notifications a receiver wants, and of which releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The outcomes.
    pub kinds: BTreeSet<NewsKind>,
    /// The namespaces; all when absent.
    pub namespaces: Option<BTreeSet<String>>,
    /// The labels of the releases.
    pub selector: Option<Selector>,
}

impl Interest {
    /// Whether it concerns a release.
    pub fn concerns(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let here = self.namespaces.as_ref().is_none_or(|known| known.contains(namespace));
        here && self.selector.as_ref().is_none_or(|selector| {
            let labels: Map<String, Value> =
                labels.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
            selector.matches(Some(&labels))
        })
    }

    /// Whether it wants such a notification.
    pub fn wants(&self, kind: NewsKind) -> bool {
        self.kinds.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_hears_of_its_releases_only() {
        let check = |namespaces: Option<&[&str]>, selector: Option<&str>, expected: [bool; 2]| {
            let interest = Interest {
                kinds: BTreeSet::new(),
                namespaces: namespaces.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
                selector: selector.map(|text| Selector::parse(text).unwrap()),
            };
            let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
            let found = ["apps", "other"].map(|namespace| interest.concerns(namespace, &labels));
            assert_eq!(found, expected, "{namespaces:?} {selector:?}");
        };
        check(None, None, [true, true]);
        check(Some(&["apps"]), None, [true, false]);
        check(None, Some("team=web"), [true, true]);
        check(None, Some("team=shop"), [false, false]);
        check(Some(&["apps"]), Some("team"), [true, false]);
    }
}
