//! Takes the values of Secrets out of texts that others have written, such as the message of a pod.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use super::forms::{Forms, LIMITS};
use super::known::KnownTexts;
use crate::domain::release::inputs::RenderInputs;

/// A value that is not shown.
const MASK: &str = "*****";
/// What stands for a whole text.
const UNKNOWN: &str = "(hidden: the operator does not have the values of Secrets in memory)";
/// The same.
const TOO_MANY: &str =
    "(hidden: the Secrets that the spec names have too many values to look for in messages)";

/// The texts that are never shown. Its `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    hidden: KnownTexts,
    /// Nothing of a text is shown, but this.
    instead: Option<&'static str>,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("count", &self.hidden.texts().len()).finish()
    }
}

static NOTHING: LazyLock<Arc<Redaction>> = LazyLock::new(Arc::default);

impl Redaction {
    /// One that is kept. All that hide nothing are the same one.
    pub fn shared(self) -> Arc<Self> {
        if self.is_empty() { Arc::clone(&NOTHING) } else { Arc::new(self) }
    }

    /// Of the values of the Secrets among the inputs.
    pub fn of(inputs: &RenderInputs) -> Self {
        let mut forms = Forms::new(LIMITS);
        inputs.secret_values().for_each(|value| forms.add(value));
        Self::of_forms(forms)
    }

    /// The same, and more values.
    #[must_use]
    pub fn and(&self, values: impl IntoIterator<Item = String>) -> Self {
        let mut forms = Forms::new(LIMITS);
        values.into_iter().for_each(|value| forms.add(value.as_bytes()));
        self.union(&Self::of_forms(forms))
    }

    fn of_forms(forms: Forms) -> Self {
        let Some(texts) = forms.into_texts() else { return Self::instead(TOO_MANY) };
        Self { hidden: KnownTexts::new(texts.into_iter().map(Arc::from).collect()), instead: None }
    }

    fn instead(words: &'static str) -> Self {
        Self { hidden: KnownTexts::default(), instead: Some(words) }
    }

    /// Hides every text: the values are not known.
    pub fn of_everything() -> Self {
        Self::instead(UNKNOWN)
    }

    /// Hides what either of them hides.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if let Some(words) = self.instead.or(other.instead) {
            return Self::instead(words);
        }
        for (one, more) in [(self, other), (other, self)] {
            if one.is_empty() || one == more {
                return more.clone();
            }
        }
        let both: BTreeSet<Arc<str>> =
            self.hidden.texts().iter().chain(other.hidden.texts()).cloned().collect();
        match LIMITS.admit(both.len(), both.iter().map(|text| text.len()).sum()) {
            true => Self { hidden: KnownTexts::new(both), instead: None },
            false => Self::instead(TOO_MANY),
        }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.hidden.texts().is_empty() && self.instead.is_none()
    }

    /// Whether every text is hidden.
    pub fn hides_all(&self) -> bool {
        self.instead.is_some()
    }

    /// Whether the text has what is hidden, as a whole.
    pub fn meets(&self, text: &str) -> bool {
        self.hides_all() || self.hidden.is_in(text)
    }

    /// About how much memory it takes, in bytes.
    pub fn bytes(&self) -> u64 {
        self.hidden.bytes()
    }

    /// Replaces them. Others cut what they quote, such as the kubelet and the API server, and so do we:
    /// what is left of a value where a text was cut is replaced, too.
    pub fn redact(&self, text: &mut String) {
        if text.is_empty() {
            return;
        }
        if let Some(words) = self.instead {
            words.clone_into(text);
            return;
        }
        let (mut shown, mut end) = (String::new(), 0);
        for place in self.hidden.find(text) {
            shown.push_str(text.get(end..place.start).unwrap_or_default());
            shown.push_str(MASK);
            end = place.end;
        }
        if end > 0 {
            shown.push_str(text.get(end..).unwrap_or_default());
            *text = shown;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::known::PART_BYTES;
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
        assert_eq!(text, UNKNOWN);
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

    #[test]
    fn a_value_of_marks_and_dots_is_hidden_wherever_it_is_cut() {
        let check = |value: &str| {
            let redaction = of(value);
            let parts: Vec<&str> =
                value.char_indices().filter_map(|(at, _)| value.get(at..at + PART_BYTES)).collect();
            let letters: Vec<String> = parts.into_iter().map(str::to_owned).collect();
            for (at, _) in value.char_indices().chain([(value.len(), 'x')]) {
                let (begin, end) = value.split_at(at);
                for (before, shown, after) in [
                    ("says: ", begin, ""),
                    ("says: ", begin, "…"),
                    ("says: ", begin, " ..."),
                    ("", end, " (x)"),
                    ("…", end, " (x)"),
                    ("says: ", value, "; \"again\""),
                ] {
                    let mut text = format!("{before}{shown}{after}");
                    redaction.redact(&mut text);
                    let rest = text.strip_prefix(before).unwrap_or(&text);
                    let rest = rest.strip_suffix(after).unwrap_or(rest).trim_end();
                    assert!(letters.iter().all(|part| !rest.contains(part)), "{value:?} {shown:?}: {text:?}");
                }
            }
        };
        check("Server=db.example;Database=shop;User Id=app;Password=hunter2");
        let alphabet = ['a', ';', '"', '\'', '\n', '.', '…', 'b'];
        let mut seed = 7_usize;
        for _ in 0..3000 {
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed >> 33
            };
            let length = 4 + next() % 20;
            let value: String = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
            check(&value);
        }
    }

    #[test]
    fn a_message_takes_little_time_however_many_values_there_are() {
        let lines = |count: usize| (0..count).map(|n| format!("{n:08}\n")).collect::<String>();
        let many = of(&lines(15_000));
        assert!(!many.hides_all());
        let began = std::time::Instant::now();
        for _ in 0..100 {
            let mut text = format!("{} 00014999 {}", "0000".repeat(60), "it's; \"x\" ".repeat(30));
            many.redact(&mut text);
            assert!(!text.contains("14999"), "{text}");
        }
        // It takes a hundredth of it, even in a build for tests.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
        let mut text = "anything".to_owned();
        of(&lines(116_000)).redact(&mut text);
        assert_eq!(text, TOO_MANY);
        assert!(many.union(&of(&lines(30_000)[135_000..])).hides_all());
    }

    #[test]
    fn programs_quote_values_in_json() {
        let check = |value: &str, text: &str, expected: &str| {
            let mut found = text.to_owned();
            of(value).redact(&mut found);
            assert_eq!(found, expected);
        };
        check("a&b<c>", r#"{"m":"no a\u0026b\u003cc\u003e here"}"#, r#"{"m":"no ***** here"}"#);
        check("pässword", r#"{"m":"no p\u00e4ssword here"}"#, r#"{"m":"no ***** here"}"#);
        check("a/b/c", r#"{"m":"no a\/b\/c here"}"#, r#"{"m":"no ***** here"}"#);
    }
}
