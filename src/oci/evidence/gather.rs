//! The results of a search: possible signatures, and notes about what could not be read.

use crate::domain::verify::evidence::{Content, Evidence, Found, SimpleSigning};
use crate::oci::error::OciError;
use crate::oci::limits::MAX_EVIDENCE_BYTES;
use crate::oci::reference::Digest;

/// The place of a possible signature.
pub(super) struct Lead {
    pub place: String,
    pub digest: Digest,
    pub size: u64,
    pub form: Form,
}

impl Lead {
    /// Its size, in bytes.
    fn weight(&self) -> u64 {
        let appended = match &self.form {
            Form::SimpleSigning(known) => {
                let more = [&known.certificate, &known.chain, &known.bundle, &known.timestamp];
                known.signature.len() + more.into_iter().flatten().map(String::len).sum::<usize>()
            }
            Form::Bundle => 0,
        };
        self.size.saturating_add(appended as u64)
    }

    /// Whether both are the same signature, found twice.
    fn is(&self, other: &Self) -> bool {
        self.digest == other.digest && self.size == other.size && self.form == other.form
    }
}

/// The meaning of the bytes.
#[derive(PartialEq, Eq)]
pub(super) enum Form {
    /// The payload; everything else is known.
    SimpleSigning(Box<SimpleSigning>),
    Bundle,
}

impl Form {
    pub fn with(self, bytes: &[u8]) -> Content {
        match self {
            Self::SimpleSigning(known) => {
                Content::SimpleSigning(SimpleSigning { payload: bytes.to_vec(), ..*known })
            }
            Self::Bundle => Content::Bundle(bytes.to_vec()),
        }
    }
}

/// Results, and notes about what could not be read.
pub(super) struct Gathered<T> {
    pub things: Vec<T>,
    pub notes: Notes,
}

/// What could not be read, and why.
#[derive(Default)]
pub(super) struct Notes {
    texts: Vec<String>,
    /// The failure that a retry may cure; a refusal rather than an outage.
    setback: Option<OciError>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { things: Vec::new(), notes: Notes::default() }
    }
}

impl<T> Gathered<T> {
    /// Both, these results first.
    pub fn and(mut self, other: Self) -> Self {
        self.things.extend(other.things);
        self.notes.extend(other.notes);
        self
    }
}

impl Notes {
    pub fn note(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    /// Records something that could not be read.
    pub fn missed(&mut self, place: &str, error: OciError) {
        self.note(format!("{place}: {error}"));
        // A retry may succeed, also with other credentials.
        if matches!(error, OciError::Unavailable { .. } | OciError::Denied { .. }) {
            self.setback = worse(self.setback.take(), Some(error));
        }
    }

    pub fn extend(&mut self, other: Self) {
        self.texts.extend(other.texts);
        self.setback = worse(self.setback.take(), other.setback);
    }
}

impl Gathered<Lead> {
    /// Each signature once, at its first place, up to the size limit. Small ones come
    /// first, so that a few large ones do not displace those of the usual size.
    pub fn affordable(self) -> Self {
        let Self { things, mut notes } = self;
        let mut leads: Vec<Lead> = Vec::new();
        for lead in things {
            if !leads.iter().any(|other| other.is(&lead)) {
                leads.push(lead);
            }
        }
        let mut order: Vec<usize> = (0..leads.len()).collect();
        order.sort_by_key(|&n| leads[n].weight());
        let mut total: u64 = 0;
        let mut fits = vec![false; leads.len()];
        for n in order {
            total = total.saturating_add(leads[n].weight());
            fits[n] = total <= MAX_EVIDENCE_BYTES;
        }
        let mut kept = Vec::new();
        for (lead, fits) in leads.into_iter().zip(fits) {
            if fits {
                kept.push(lead);
            } else {
                notes.note(format!(
                    "{}: skipped, the signatures would exceed {MAX_EVIDENCE_BYTES} bytes",
                    lead.place
                ));
            }
        }
        Self { things: kept, notes }
    }

    /// Their size, in bytes.
    pub fn weight(&self) -> u64 {
        self.things.iter().map(Lead::weight).sum()
    }
}

impl Gathered<Found> {
    /// The evidence, with the failure that prevented reading a part of it.
    ///
    /// # Errors
    /// When nothing was found, and something could not be read.
    pub fn evidence(self) -> Result<Evidence, OciError> {
        match self.notes.setback {
            Some(error) if self.things.is_empty() => Err(error),
            setback => {
                let setback = setback.map(|error| (error.reason(), error.to_string()));
                Ok(Evidence { found: self.things, skipped: self.notes.texts, setback })
            }
        }
    }
}

fn is_outage(error: &OciError) -> bool {
    matches!(error, OciError::Unavailable { .. })
}

/// The refusal rather than the outage, else the first.
pub(super) fn worse(first: Option<OciError>, second: Option<OciError>) -> Option<OciError> {
    match (&first, &second) {
        (Some(OciError::Unavailable { .. }), Some(other)) if !is_outage(other) => second,
        (None, _) => second,
        _ => first,
    }
}
