//! Notes for people, each reported once.

use crate::api::reason::Reason;
use crate::domain::outcome::Note;

/// Notes to report, and those that were.
#[derive(Default)]
pub struct Notes {
    /// The notes of the next outcome that reports any.
    waiting: Vec<Note>,
    /// The last reported note of each reason.
    reported: Vec<Note>,
}

impl Notes {
    /// Reports a note once, however often the run is repeated. What was already `reported` by a
    /// previous process is not reported again.
    pub fn once(&mut self, reason: Reason, message: String, reported: bool) {
        let note = Note { reason, message };
        if !reported && !self.reported.contains(&note) {
            self.reported.retain(|reported| reported.reason != reason);
            self.reported.push(note.clone());
            self.waiting.push(note);
        }
    }

    /// Takes the notes to report now.
    pub fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_note_is_reported_once() {
        let mut notes = Notes::default();
        let check = |notes: &mut Notes, message: &str, reported: bool, expected: &[&str]| {
            notes.once(Reason::TagMoved, message.to_owned(), reported);
            let found: Vec<String> = notes.take().into_iter().map(|note| note.message).collect();
            assert_eq!(found, expected, "{message}");
        };
        check(&mut notes, "a", true, &[]);
        check(&mut notes, "a", false, &["a"]);
        check(&mut notes, "a", false, &[]);
        check(&mut notes, "b", false, &["b"]);
        check(&mut notes, "a", false, &["a"]);
    }
}
