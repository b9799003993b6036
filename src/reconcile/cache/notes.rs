//! What a person is to be told, each thing once.

use crate::api::reason::Reason;
use crate::domain::outcome::Note;

/// What is to be told, and what was.
#[derive(Default)]
pub struct Notes {
    /// What the next outcome that says anything tells.
    waiting: Vec<Note>,
    /// The last of each reason that was told.
    told: Vec<Note>,
}

impl Notes {
    /// Tells something once, however often the run is repeated. What was `told` by a
    /// process before this one is not told again.
    pub fn once(&mut self, reason: Reason, message: String, told: bool) {
        let note = Note { reason, message };
        if !told && !self.told.contains(&note) {
            self.told.retain(|told| told.reason != reason);
            self.told.push(note.clone());
            self.waiting.push(note);
        }
    }

    /// Takes what is to be told now.
    pub fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_once() {
        let mut notes = Notes::default();
        let check = |notes: &mut Notes, message: &str, told: bool, expected: &[&str]| {
            notes.once(Reason::TagMoved, message.to_owned(), told);
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
