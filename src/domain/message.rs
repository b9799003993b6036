//! Lists in messages: the first few of the items, and how many more there are. No
//! other place joins them. Also errors with their causes.

pub mod printable;

use std::fmt::Display;

/// An error and everything that caused it, in one line. A cause that the text has already is left out.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// How a list is written in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `a, b and 4 more`: of names.
    Names,
    /// `a; b and 4 more`: of items with commas.
    Phrases,
    /// `a; b; and 4 more`: of items that could be sentences.
    Clauses,
}

impl List {
    /// At most so many of the items, and how many more there are.
    pub fn few<T: Display>(self, items: impl IntoIterator<Item = T>, most: usize) -> String {
        self.few_as(items, most, |item| item.to_string())
    }

    /// The same for items that have to be formatted. Those that are not shown are only
    /// counted.
    pub fn few_as<T>(
        self,
        items: impl IntoIterator<Item = T>,
        most: usize,
        write: impl FnMut(T) -> String,
    ) -> String {
        let mut items = items.into_iter();
        let shown: Vec<String> = items.by_ref().take(most).map(write).collect();
        self.with_more(shown, items.count())
    }

    /// All of the items, and how many more exist.
    pub fn with_more<T: Display>(self, shown: impl IntoIterator<Item = T>, more: usize) -> String {
        let (between, before_more) = match self {
            Self::Names => (", ", " "),
            Self::Phrases => ("; ", " "),
            Self::Clauses => ("; ", "; "),
        };
        let shown: Vec<String> = shown.into_iter().map(|item| item.to_string()).collect();
        let mut list = shown.join(between);
        if let Some(more) = and_more(more) {
            list.push_str(before_more);
            list.push_str(&more);
        }
        list
    }
}

/// `and 4 more`, for a list that has a line for each item; nothing where no more exist.
pub fn and_more(count: usize) -> Option<String> {
    (count > 0).then(|| format!("and {count} more"))
}

/// The name that is written nearly as this one, for a message about a name that does not exist.
pub fn closest<'n>(names: impl IntoIterator<Item = &'n str>, name: &str) -> Option<&'n str> {
    let close = names.into_iter().filter_map(|known| Some((distance(known, name)?, known))).min();
    close.map(|(_, known)| known)
}

/// In how many letters two names differ, but for their case; none for names that are not alike.
fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    if a.len().max(b.len()) > 64 {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    let allowed = if a.len().min(b.len()) > 3 { 2 } else { 1 };
    Some(row[b.len()]).filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_where_it_is_long() {
        let check = |list: List, items: &[&str], most: usize, expected: &str| {
            assert_eq!(list.few(items, most), expected, "{list:?} {items:?} {most}");
        };
        check(List::Names, &[], 3, "");
        check(List::Names, &["a"], 3, "a");
        check(List::Names, &["a", "b", "c"], 3, "a, b, c");
        check(List::Names, &["a", "b", "c", "d"], 3, "a, b, c and 1 more");
        check(List::Names, &["a", "b", "c"], 1, "a and 2 more");
        check(List::Phrases, &["a, b", "c"], 2, "a, b; c");
        check(List::Phrases, &["a, b", "c", "d", "e"], 2, "a, b; c and 2 more");
        check(List::Clauses, &["a: x", "b: y"], 2, "a: x; b: y");
        check(List::Clauses, &["a: x", "b: y", "c: z"], 2, "a: x; b: y; and 1 more");
    }

    #[test]
    fn items_that_are_not_shown_are_not_written() {
        let mut written = 0;
        let list = List::Names.few_as(1..=100, 2, |n| {
            written += 1;
            format!("<{n}>")
        });
        assert_eq!((list.as_str(), written), ("<1>, <2> and 98 more", 2));
    }

    #[test]
    fn the_rest_may_be_known_by_its_number_alone() {
        let check = |list: List, shown: &[&str], more: usize, expected: &str| {
            assert_eq!(list.with_more(shown, more), expected, "{list:?} {shown:?} {more}");
        };
        check(List::Names, &["a", "b"], 0, "a, b");
        check(List::Names, &["a", "b"], 4, "a, b and 4 more");
        check(List::Clauses, &["a", "b"], 4, "a; b; and 4 more");
        assert_eq!(and_more(0), None);
        assert_eq!(and_more(4).as_deref(), Some("and 4 more"));
    }
}
