//! What is sent to an open page: the blocks that have changed since the last time, and no others.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

/// A part of a page that is replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name on the page.
    pub key: String,
    /// Its HTML: one element, with the name as `data-key`.
    pub html: String,
    /// What is read aloud when it changes; empty for nothing.
    pub news: String,
}

/// Blocks in their order, in an element of the page that has their name as `data-blocks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The name of the element.
    pub name: &'static str,
    /// The blocks.
    pub blocks: Vec<Block>,
}

/// What has changed in one list of blocks.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Change {
    /// The name of the element.
    name: &'static str,
    /// The names of all its blocks, if there are others than before, or in another order.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<String>>,
    /// The changed blocks.
    set: BTreeMap<String, String>,
}

/// What has changed on a page.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Delta {
    changes: Vec<Change>,
    /// What is read aloud.
    news: Vec<String>,
    /// Whether it only brings a page up to what it has missed.
    late: bool,
}

impl Delta {
    /// The same for a page that was not looked at: nothing of it is news.
    #[must_use]
    pub fn late(self) -> Self {
        Self { news: Vec::new(), late: true, ..self }
    }
}

/// The most sentences that are read aloud for one change.
const MAX_NEWS: usize = 3;

/// What an open page shows.
#[derive(Debug, Default)]
pub struct OpenPage(BTreeMap<&'static str, (Vec<String>, BTreeMap<String, u64>)>);

impl OpenPage {
    /// A number for all that a page shows: another one means that it shows something else.
    pub fn digest(lists: &[Blocks]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for Blocks { name, blocks } in lists {
            name.hash(&mut hasher);
            blocks.iter().for_each(|block| (&block.key, &block.html).hash(&mut hasher));
        }
        hasher.finish()
    }

    /// What has changed; none when nothing has.
    pub fn update(&mut self, lists: Vec<Blocks>) -> Option<Delta> {
        let (mut changes, mut news) = (Vec::new(), Vec::new());
        for Blocks { name, blocks } in lists {
            // The page may show blocks of it that have gone since.
            let is_new = !self.0.contains_key(name);
            let (order, hashes) = self.0.entry(name).or_default();
            let (new_order, mut new_hashes) =
                (blocks.iter().map(|b| b.key.clone()).collect(), BTreeMap::new());
            let mut set = BTreeMap::new();
            for block in blocks {
                let hash = hash(&block.html);
                new_hashes.insert(block.key.clone(), hash);
                if hashes.get(&block.key) != Some(&hash) {
                    set.insert(block.key, block.html);
                    news.push(block.news);
                }
            }
            *hashes = new_hashes;
            let is_other = is_new || *order != new_order;
            *order = new_order;
            if is_other || !set.is_empty() {
                changes.push(Change { name, order: is_other.then(|| order.clone()), set });
            }
        }
        news.retain(|news| !news.is_empty());
        news.truncate(MAX_NEWS);
        (!changes.is_empty()).then_some(Delta { changes, news, late: false })
    }
}

fn hash(html: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    html.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_page_hears_first_that_a_list_has_become_empty() {
        let empty = || vec![Blocks { name: "notes", blocks: Vec::new() }];
        let mut shown = OpenPage::default();
        let first = shown.update(empty()).map(|delta| json!(delta));
        let change = json!({"name": "notes", "order": [], "set": {}});
        assert_eq!(first, Some(json!({"changes": [change], "news": [], "late": false})));
        assert_eq!(shown.update(empty()), None);
    }

    #[test]
    fn only_what_changes_is_sent() {
        let mut shown = OpenPage::default();
        let mut check = |blocks: &[(&str, &str)], expected: Value| {
            let block = |(key, html): &(&str, &str)| Block {
                key: (*key).into(),
                html: (*html).into(),
                news: format!("{key} is {html}"),
            };
            let list = Blocks { name: "rows", blocks: blocks.iter().map(block).collect() };
            let delta = shown.update(vec![list]);
            assert_eq!(delta.map_or(Value::Null, |delta| json!(delta)), expected, "{blocks:?}");
        };
        let first = json!({"changes": [{"name": "rows", "order": ["a", "b"], "set": {"a": "1", "b": "2"}}],
            "news": ["a is 1", "b is 2"], "late": false});
        check(&[("a", "1"), ("b", "2")], first);
        check(&[("a", "1"), ("b", "2")], Value::Null);
        check(
            &[("a", "1"), ("b", "3")],
            json!({"changes": [{"name": "rows", "set": {"b": "3"}}], "news": ["b is 3"], "late": false}),
        );
        check(
            &[("b", "3"), ("a", "1")],
            json!({"changes": [{"name": "rows", "order": ["b", "a"], "set": {}}], "news": [], "late": false}),
        );
        check(
            &[("b", "3")],
            json!({"changes": [{"name": "rows", "order": ["b"], "set": {}}], "news": [], "late": false}),
        );
        check(&[], json!({"changes": [{"name": "rows", "order": [], "set": {}}], "news": [], "late": false}));
    }
}
