//! What a person requests of a release by annotations, where its revisions are from, and what it
//! reads for them.

use jiff::Timestamp;

use super::approval::ApprovalPolicy;
use super::guards::Guards;
use super::guards::windows::WindowState;
use super::spec::Release;

impl Release {
    /// Whether a person requests a run that has not been `handled` yet. A removed
    /// annotation requests nothing: a tool that replaces the object removes it.
    pub fn is_asked(&self, handled: Option<&str>) -> bool {
        self.reconcile_at.is_some() && self.reconcile_at.as_deref() != handled
    }

    /// Whether a person asks to try the quarantined revision with that digest, in a way that has not
    /// been `handled` yet.
    pub fn retries(&self, digest: &str, handled: Option<&str>) -> bool {
        let retry = self.retry.as_deref().filter(|retry| Some(*retry) != handled);
        retry.is_some_and(|retry| retry.split('@').next() == Some(digest))
    }

    /// The repository, without `oci://`.
    pub fn repository(&self) -> &str {
        self.url.trim_start_matches("oci://")
    }

    /// Whether no window is open.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        self.guards.windows.state(now, self.timeout) != WindowState::Open
    }

    /// Whether a revision that is new would have to wait: for its age, for other releases, for a window,
    /// or for a person.
    pub fn holds_back(&self, digest: &str, now: Timestamp) -> bool {
        let Guards { minimum_age, promotion, .. } = &self.guards;
        let is_closed = self.is_closed(now) && self.override_window.as_deref() != Some(digest);
        let has_person = self.approval != ApprovalPolicy::Automatic;
        let has_gate = is_closed || minimum_age.is_some() || !promotion.is_empty();
        has_person || self.pin.is_none() && has_gate
    }

    /// Whether it names the Secret for trust or for decryption.
    pub fn trusts_with(&self, secret: &str) -> bool {
        self.identity_secret.as_deref() == Some(secret)
            || self.verify.as_ref().is_some_and(|v| v.secrets().contains_key(secret))
    }
}
