//! What a person reads while the cluster changes, and why it ended.

use std::sync::{Mutex, PoisonError};

use crate::cli::{CliError, Printer};
use crate::domain::outcome::{ObjectFailure, Outcome, Verdict};
use crate::pipeline::progress::{Event, Progress};

/// Tells a run's events to a person.
pub(super) struct Narrator<'a, 'b> {
    printer: Mutex<&'a mut Printer<'b>>,
}

impl<'a, 'b> Narrator<'a, 'b> {
    /// Over a printer, until the run is over.
    pub fn new(printer: &'a mut Printer<'b>) -> Self {
        Self { printer: Mutex::new(printer) }
    }

    fn say(&self, text: &str) {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner).say(text);
    }
}

impl Progress for Narrator<'_, '_> {
    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Object(id, change) => self.say(&format!("{id} {}", change.as_str())),
            Event::AwaitsHealth => self.say("waiting for resources to become ready..."),
            Event::Healthy => self.say("all resources are ready"),
            Event::AwaitsTermination => self.say("waiting for resources to be terminated..."),
            Event::Pending(pending) => {
                let pending: Vec<(String, String)> =
                    pending.iter().map(|(id, why)| (id.to_string(), (*why).to_owned())).collect();
                let printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
                printer.progress().waiting(&pending);
            }
        }
    }
}

/// How a run ended, for a person; `interrupted` says what to do after Ctrl-C.
pub(super) fn conclude(
    outcome: &Outcome,
    printer: &mut Printer<'_>,
    interrupted: &str,
) -> Result<(), CliError> {
    printer.progress().clear();
    for note in &outcome.notes {
        printer.say(&format!("warning: {}", note.message));
    }
    match &outcome.verdict {
        Verdict::Ready { .. } => Ok(()),
        Verdict::Failed { message, .. } => {
            let headline = outcome.headline.as_deref().unwrap_or(message);
            Err(CliError::Failed(with_failures(headline, outcome.headline.is_some(), &outcome.failures)))
        }
        Verdict::Suspended | Verdict::Superseded => Err(CliError::Interrupted(interrupted.to_owned())),
    }
}

/// A headline and every failure on a line of its own.
pub(in crate::cli) fn with_failures(headline: &str, list: bool, failures: &[ObjectFailure]) -> String {
    if !list || failures.is_empty() {
        return headline.to_owned();
    }
    let mut text = format!("{headline}:");
    for failure in failures {
        text.push_str(&format!("\n  {}: {}", failure.id, failure.message));
    }
    text
}
