//! Takes the values of Secrets out of texts that others have written, such as the message of a pod.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::release::inputs::RenderInputs;

/// Shorter values are in many texts by chance, in bytes.
const TELLING_BYTES: usize = 4;
/// The same for a single line of a longer value.
const TELLING_LINE: usize = 8;
/// A longer value is a file, which no message quotes as a whole.
const MAX_BYTES: usize = 16 << 10;
/// A value that is not shown.
const MASK: &str = "*****";
/// What stands for a whole text.
const ALL: &str = "(hidden: the operator does not have the values of Secrets in memory)";
/// The shortest part of a value that is looked for where a text was cut, in bytes.
const PART_BYTES: usize = 4;
/// The most places where a text may be cut.
const MAX_CUTS: usize = 64;

/// The texts that are never shown. Its `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// The longest first.
    hidden: Vec<Arc<str>>,
    /// Nothing of a text is shown.
    hides_all: bool,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("count", &self.hidden.len()).finish()
    }
}

impl Redaction {
    /// Of the values of the Secrets among the inputs.
    pub fn of(inputs: &RenderInputs) -> Self {
        let mut hidden = BTreeSet::new();
        inputs.secret_values().for_each(|value| add(&mut hidden, value));
        Self::of_texts(hidden)
    }

    /// The same, and more values.
    #[must_use]
    pub fn and(&self, values: impl IntoIterator<Item = String>) -> Self {
        let mut hidden = BTreeSet::new();
        values.into_iter().for_each(|value| add(&mut hidden, value.as_bytes()));
        self.union(&Self::of_texts(hidden))
    }

    fn of_texts(hidden: BTreeSet<String>) -> Self {
        let hidden = hidden.into_iter().filter(|text| text.len() >= TELLING_BYTES).map(Arc::from);
        Self { hidden: longest_first(hidden.collect()), hides_all: false }
    }

    /// Hides every text: the values are not known.
    pub fn of_everything() -> Self {
        Self { hidden: Vec::new(), hides_all: true }
    }

    /// Hides what either of them hides.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let both: BTreeSet<Arc<str>> = self.hidden.iter().chain(&other.hidden).cloned().collect();
        let hides_all = self.hides_all || other.hides_all;
        Self { hidden: longest_first(both.into_iter().collect()), hides_all }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty() && !self.hides_all
    }

    /// About how much memory it takes, in bytes.
    pub fn bytes(&self) -> u64 {
        self.hidden.iter().map(|text| text.len() as u64 + 64).sum()
    }

    /// Replaces them. Others cut what they quote, such as the kubelet and the API server, and so do we:
    /// what is left of a value where a text was cut is replaced, too.
    pub fn redact(&self, text: &mut String) {
        if self.hides_all && !text.is_empty() {
            ALL.clone_into(text);
            return;
        }
        for hidden in &self.hidden {
            if text.contains(&**hidden) {
                *text = text.replace(&**hidden, MASK);
            }
        }
        for (at, least) in ends(text).into_iter().rev() {
            let left = |hidden: &Arc<str>| left_at_end(&text[..at], hidden, least);
            if let Some(part) = self.hidden.iter().map(left).max().filter(|part| *part > 0) {
                text.replace_range(at - part..at, MASK);
            }
        }
        for (at, least) in beginnings(text).into_iter().rev() {
            let left = |hidden: &Arc<str>| left_at_beginning(&text[at..], hidden, least);
            if let Some(part) = self.hidden.iter().map(left).max().filter(|part| *part > 0) {
                text.replace_range(at..at + part, MASK);
            }
        }
    }
}

/// A value in every form that a message has.
fn add(hidden: &mut BTreeSet<String>, value: &[u8]) {
    if !(TELLING_BYTES..=MAX_BYTES).contains(&value.len()) {
        return;
    }
    hidden.insert(STANDARD.encode(value));
    let Ok(text) = std::str::from_utf8(value) else { return };
    let joined: String = text.chars().filter(|c| *c != '\n').collect();
    for text in [text, text.trim(), &joined] {
        let quoted = format!("{text:?}");
        hidden.insert(quoted[1..quoted.len() - 1].to_owned());
        hidden.insert(text.to_owned());
    }
    let lines = text.lines().map(str::trim).filter(|line| line.len() >= TELLING_LINE);
    hidden.extend(lines.map(str::to_owned));
}

fn longest_first(mut hidden: Vec<Arc<str>>) -> Vec<Arc<str>> {
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    hidden
}

/// How large a part of a value has to be, so that it is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Least {
    /// A few bytes: the text was cut here.
    Few,
    /// Half of it: the text may have been cut here.
    Half,
}

impl Least {
    fn of(self, hidden: &str) -> usize {
        match self {
            Self::Few => PART_BYTES,
            Self::Half => PART_BYTES.max(hidden.len() / 2),
        }
    }
}

/// Where a text was cut at its end, or may have been, in order: before an ellipsis, at the end, and where
/// a quote ends.
fn ends(text: &str) -> Vec<(usize, Least)> {
    let cut = text.match_indices('…').chain(text.match_indices("..."));
    let cut = cut.map(|(at, _)| (text[..at].trim_end().len(), Least::Few));
    let quotes = text.match_indices(['"', '\'', '`', ';', '\n']).map(|(at, _)| (at, Least::Half));
    let mut found: Vec<_> = cut.take(MAX_CUTS).chain(quotes.take(MAX_CUTS)).collect();
    found.push((text.trim_end().len(), Least::Few));
    in_order(found)
}

/// The same for what comes before a text.
fn beginnings(text: &str) -> Vec<(usize, Least)> {
    let cut = text.match_indices('…').chain(text.match_indices("..."));
    let cut = cut.map(|(at, dots)| (at + dots.len(), Least::Few));
    let quotes = text.match_indices(['"', '\'', '`', '\n']).map(|(at, mark)| (at + mark.len(), Least::Half));
    let mut found: Vec<_> = cut.take(MAX_CUTS).chain(quotes.take(MAX_CUTS)).collect();
    found.push((0, Least::Few));
    in_order(found)
}

fn in_order(mut found: Vec<(usize, Least)>) -> Vec<(usize, Least)> {
    found.sort_by_key(|(at, least)| (*at, *least == Least::Half));
    found.dedup_by_key(|(at, _)| *at);
    found
}

/// How many bytes at the end of a text are the beginning of a value; 0 for too few of them.
fn left_at_end(text: &str, hidden: &str, least: Least) -> usize {
    let most = hidden.len().min(text.len());
    let (hidden_bytes, text) = (&hidden.as_bytes()[..most], &text.as_bytes()[text.len() - most..]);
    let part = shared(hidden_bytes.iter().copied(), text.iter().copied());
    if part < least.of(hidden) { 0 } else { part }
}

/// How many bytes at the beginning of a text are the end of a value; 0 for too few of them.
fn left_at_beginning(text: &str, hidden: &str, least: Least) -> usize {
    let most = hidden.len().min(text.len());
    let (hidden_bytes, text) = (&hidden.as_bytes()[hidden.len() - most..], &text.as_bytes()[..most]);
    let part = shared(hidden_bytes.iter().rev().copied(), text.iter().rev().copied());
    if part < least.of(hidden) { 0 } else { part }
}

/// The length of the longest beginning of `a` that is an end of `b`, in time linear in both.
fn shared(a: impl Iterator<Item = u8>, b: impl Iterator<Item = u8>) -> usize {
    let a: Vec<u8> = a.collect();
    let step = |borders: &[usize], mut length: usize, byte: u8| {
        while length > 0 && a.get(length) != Some(&byte) {
            length = borders[length - 1];
        }
        if a.get(length) == Some(&byte) { length + 1 } else { length }
    };
    let mut borders = vec![0; a.len()];
    for n in 1..a.len() {
        borders[n] = step(&borders, borders[n - 1], a[n]);
    }
    b.fold(0, |length, byte| step(&borders, length, byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::post_build::InputKind;
    use crate::domain::release::inputs::InputData;
    use crate::domain::verify::text::printable;

    fn of(value: &str) -> Redaction {
        let data = InputData(BTreeMap::from([("k".to_owned(), value.as_bytes().to_vec())]));
        Redaction::of(&RenderInputs::new(BTreeMap::from([((InputKind::Secret, "s".to_owned()), data)])))
    }

    #[test]
    fn wherever_a_text_is_cut_no_part_of_a_value_is_left() {
        let (value, others) = ("s3cr3t-pässword-9", "the container says: ");
        let redaction = of(value);
        let check = |shown: &str| {
            let mut found = shown.to_owned();
            redaction.redact(&mut found);
            for (at, _) in value.char_indices() {
                let part: String = value[at..].chars().take(PART_BYTES).collect();
                assert!(part.chars().count() < PART_BYTES || !found.contains(&part), "{shown} {found}");
            }
        };
        for (at, _) in value.char_indices().chain([(value.len(), 'x')]) {
            let (begin, end) = value.split_at(at);
            check(&format!("{others}{begin}"));
            check(&format!("{others}{begin}…"));
            check(&format!("Pod a: {others}{begin}…; Pod b: {others}{begin}…"));
            check(&format!("{others}{begin} ..."));
            check(end);
            check(&format!("{end} is not valid"));
            check(&format!("…{end} is not valid"));
            if begin.len() >= value.len() / 2 {
                check(&format!("its last line: \"{begin}\""));
                check(&format!("{others}{begin}; its pods have failed"));
            }
            if end.len() >= value.len() / 2 {
                check(&format!("its last line: \"{end} again\""));
            }
        }
    }

    #[test]
    fn the_cuts_of_our_own_messages_leave_no_part_of_a_value() {
        let value = "s3cr3t-password-9";
        let redaction = of(value);
        for before in 0..700 {
            let said = format!("{}{value}", "x".repeat(before));
            let line = crate::domain::health::early::report::log_line(&said).unwrap_or_default();
            for mut text in [printable(&said, 512), line] {
                redaction.redact(&mut text);
                assert!(!text.contains("s3cr"), "{before}: {text}");
            }
        }
    }

    #[test]
    fn words_of_a_text_that_begin_like_a_value_stay() {
        let check = |text: &str| {
            let mut found = text.to_owned();
            of("https://user:pw@db.example/shop").redact(&mut found);
            assert_eq!(found, text);
        };
        check("\"https\" and `https://` are not https://db.example, as he says");
        check("the user of https: it is 3; 4");
    }

    #[test]
    fn several_are_hidden_together_or_everything() {
        let (before, now) = (of("hunter2"), of("correct horse"));
        let mut text = "hunter2, correct horse".to_owned();
        now.union(&before).redact(&mut text);
        assert_eq!(text, "*****, *****");
        assert_eq!(now.union(&now).bytes(), now.bytes());
        let mut text = "anything".to_owned();
        now.union(&Redaction::of_everything()).redact(&mut text);
        assert_eq!(text, ALL);
    }

    #[test]
    fn values_are_found_in_every_form_that_a_message_has() {
        let inputs = |kind: InputKind, value: &str| {
            let data = InputData(BTreeMap::from([("k".to_owned(), value.as_bytes().to_vec())]));
            RenderInputs::new(BTreeMap::from([((kind, "s".to_owned()), data)]))
        };
        let check = |value: &str, text: &str, expected: &str| {
            let mut found = text.to_owned();
            Redaction::of(&inputs(InputKind::Secret, value)).redact(&mut found);
            assert_eq!(found, expected);
        };
        check("hunter2", "exec: \"hunter2\": not found", "exec: \"*****\": not found");
        check("hunter2\n", "exec: \"hunter2\": not found", "exec: \"*****\": not found");
        check("a\"b\\c\nd", "Invalid value: \"a\\\"b\\\\c\\nd\"", "Invalid value: \"*****\"");
        check("first line\nsecond line\n", "says second line", "says *****");
        check("first line\nsecond line\n", "says first linesecond line", "says *****");
        check("hunter2", "has aHVudGVyMg==", "has *****");
        // It is no secret, and in every other word.
        check("on", "not connected", "not connected");
        let mut text = "hunter2".to_owned();
        let open = Redaction::of(&inputs(InputKind::ConfigMap, "hunter2"));
        open.redact(&mut text);
        assert!(open.is_empty() && text == "hunter2");
        assert!(!format!("{:?}", Redaction::of(&inputs(InputKind::Secret, "hunter2"))).contains("hunter2"));
    }
}
