//! The values that metric labels may have. Every label is one of these enums, a `Reason`, or
//! bounded by a count: with a label that a tenant can choose, the tenant could fill the memory of
//! the process and of Prometheus.

use crate::api::reason::Disposition;
use crate::domain::notify::receiver::ReceiverType;
use crate::domain::webhook::receiver::Sender;

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident => $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// Every value, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// The label's value.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl Label for $name {
            const ALL: &'static [Self] = $name::ALL;

            fn as_str(self) -> &'static str {
                $name::as_str(self)
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}

/// A closed set of label values whose positions are those of its `ALL`.
pub(super) trait Label: Copy + 'static {
    const ALL: &'static [Self];
    fn as_str(self) -> &'static str;
    fn index(self) -> usize;
}

labels! {
    /// The phases of a run that take time.
    Phase {
        /// Reference to digest.
        Resolve => "resolve",
        /// Manifest and layer, from the cache or the registry.
        Pull => "pull",
        /// Signature evidence.
        Verify => "verify",
        /// The build of a kustomization, and the wait for its turn.
        Build => "build",
        /// Documents to objects.
        Render => "render",
        /// The plan.
        Plan => "plan",
        /// The dry run of all of it.
        Preflight => "preflight",
        /// The writes.
        Apply => "apply",
        /// The wait for health, that of definitions between the writes included.
        Health => "health",
        /// The deletion of objects that left the revision.
        Prune => "prune",
        /// The whole run.
        Total => "total",
    }
    /// What ended a wait for health without success.
    VerdictSource {
        /// The status of an object.
        Object => "object",
        /// The pods of a workload, before the workload says it.
        Pods => "pods",
        /// The timeout of the release.
        Timeout => "timeout",
    }
    /// What a release waits for before it follows its spec or its registry.
    WaitingGate {
        /// A plan that a person has to approve.
        Approval => "approval",
        /// Dependencies that are not ready.
        Dependencies => "dependencies",
        /// Releases that depend on this one and are deleted first.
        Dependents => "dependents",
        /// A newest tag that is older than what is applied.
        Downgrade => "downgrade",
        /// A newest revision that has failed.
        Quarantine => "quarantine",
        /// The end of its suspension.
        Suspend => "suspend",
        /// A window of the schedule.
        Window => "window",
        /// The age of a new revision.
        Age => "age",
        /// Another release, which has to have the revision first.
        Promotion => "promotion",
        /// Room in the quota of its namespace.
        Quota => "quota",
    }
    /// The `Ready` condition of a release, or its suspension.
    ReadyState {
        /// `Ready=True`.
        Ready => "True",
        /// `Ready=False`.
        NotReady => "False",
        /// `Ready=Unknown`, or no condition yet.
        Unknown => "Unknown",
        /// `spec.suspend` is true, with any `Ready`.
        Suspended => "Suspended",
    }
    /// The result for an object, in the words of the output.
    Action {
        /// It did not exist.
        Created => "created",
        /// It differed.
        Configured => "configured",
        /// It did not differ.
        Unchanged => "unchanged",
        /// It left the revision and was deleted.
        Pruned => "pruned",
        /// It could not be applied or deleted.
        Failed => "failed",
    }
    /// A verb of the Kubernetes API.
    Verb {
        /// Read of one object.
        Get => "get",
        /// Read of many.
        List => "list",
        /// A watch was opened.
        Watch => "watch",
        /// POST.
        Create => "create",
        /// PUT.
        Update => "update",
        /// PATCH other than apply.
        Patch => "patch",
        /// Server-side apply.
        Apply => "apply",
        /// Server-side apply as a dry run.
        DryRun => "dry_run",
        /// DELETE.
        Delete => "delete",
        /// Discovery and the like.
        Other => "other",
    }
    /// A method of a registry request.
    Method {
        /// HEAD.
        Head => "HEAD",
        /// GET.
        Get => "GET",
        /// POST.
        Post => "POST",
        /// PUT.
        Put => "PUT",
        /// PATCH.
        Patch => "PATCH",
        /// DELETE.
        Delete => "DELETE",
        /// Another one.
        Other => "other",
    }
    /// The result of a verification.
    Verification {
        /// Every policy is satisfied.
        Verified => "verified",
        /// A policy is not satisfied.
        Refused => "refused",
        /// The signatures could not be read.
        Unknown => "unknown",
    }
    /// What became of the run of a step.
    StepResult {
        /// It was started.
        Started => "started",
        /// It has succeeded.
        Succeeded => "succeeded",
        /// It has failed.
        Failed => "failed",
        /// It took too long.
        TimedOut => "timed_out",
        /// Its object was deleted before the outcome was recorded.
        Unknown => "unknown",
        /// A person has said that it counts as done.
        Skipped => "skipped",
    }
    /// What became of a release whose new revision has failed.
    RollbackResult {
        /// The last healthy revision is applied again.
        RolledBack => "rolled_back",
        /// Nothing more is written.
        Frozen => "frozen",
    }
    /// How a release has changed its owner.
    Handover {
        /// This replica has taken it from one that is gone.
        Taken => "taken",
        /// This replica has given it to another one.
        Given => "given",
    }
    /// The result of loading a new version of a file.
    Load {
        /// It was loaded.
        Loaded => "loaded",
        /// It is invalid; the previous one stays in use.
        Failed => "failed",
    }
    /// The result of a lookup in the content cache.
    CacheResult {
        /// The content.
        Hit => "hit",
        /// No such content.
        Miss => "miss",
        /// The content, but other bytes than its digest says; it was dropped.
        Corrupt => "corrupt",
    }
    /// The result of a build.
    BuildResult {
        /// The program has built it.
        Built => "built",
        /// The output was known.
        Cached => "cached",
        /// It cannot be built.
        Failed => "failed",
        /// It uses what is not built.
        Refused => "refused",
        /// Builds are not allowed, or were not possible.
        Unavailable => "unavailable",
    }
    /// The result of a webhook request.
    WebhookResult {
        /// It is authentic, and releases were triggered.
        Accepted => "accepted",
        /// It is authentic, and no release follows its repository or tag.
        Ignored => "ignored",
        /// Its signature, token or path is wrong or missing.
        Unauthorized => "unauthorized",
        /// It does not have the format of its sender, or was not received in time.
        Malformed => "malformed",
        /// It is too large.
        TooLarge => "too_large",
        /// It is a duplicate delivery.
        Replayed => "replayed",
        /// There were too many, of its sender or of all.
        Throttled => "throttled",
        /// It is authentic, and the API server did not answer in time.
        Failed => "failed",
    }
    /// What became of a notification.
    NewsResult {
        /// The receiver has accepted it.
        Delivered => "delivered",
        /// The receiver did not accept it; it is sent again.
        Retried => "retried",
        /// The receiver refuses it for good.
        Refused => "refused",
        /// It was too old when the receiver was back.
        Expired => "expired",
        /// Too many were waiting.
        Dropped => "dropped",
    }
}

/// The label for the sender of a webhook; `unknown` for an unknown sender.
pub fn sender(sender: Option<Sender>) -> &'static str {
    sender.map_or("unknown", Sender::as_str)
}

/// Every type of receiver of notifications.
pub fn receiver_types() -> Vec<&'static str> {
    ReceiverType::ALL.iter().map(|known| known.as_str()).collect()
}

/// Every value of that label, each once.
pub fn senders() -> Vec<&'static str> {
    Sender::ALL.iter().map(|(known, _)| Some(*known)).chain([None]).map(sender).collect()
}

impl Method {
    /// The label for the name of an HTTP method, which HTTP clients have a type
    /// of their own for.
    pub fn named(name: &str) -> Self {
        Self::ALL.iter().copied().find(|method| method.as_str() == name).unwrap_or(Self::Other)
    }
}

/// How a run of a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunResult {
    /// As it should.
    Success,
    /// With a failure, by how it is handled.
    Failure(Disposition),
}

impl RunResult {
    /// Every value of the label.
    pub fn words() -> Vec<&'static str> {
        let failures = [Disposition::Retry, Disposition::Wait, Disposition::Stalled].map(Self::Failure);
        std::iter::once(Self::Success).chain(failures).map(Self::as_str).collect()
    }

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(disposition) => disposition.as_str(),
        }
    }
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// No answer: no connection, a timeout, a broken body.
    Nothing,
}

impl Answer {
    /// Every value of the label, each once.
    pub fn words() -> Vec<&'static str> {
        let mut words: Vec<&str> = (0..=600).map(|code| Self::Status(code).as_str()).collect();
        words.push(Self::Nothing.as_str());
        words.sort_unstable();
        words.dedup();
        words
    }

    /// The status code, if there was an answer.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            Self::Nothing => None,
        }
    }

    /// The label's value: the status if it is a common one, else its class. The server chooses the
    /// number, so not every one is a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Status(200) => "200",
            Self::Status(201) => "201",
            Self::Status(202) => "202",
            Self::Status(304) => "304",
            Self::Status(307) => "307",
            Self::Status(400) => "400",
            Self::Status(401) => "401",
            Self::Status(403) => "403",
            Self::Status(404) => "404",
            Self::Status(409) => "409",
            Self::Status(410) => "410",
            Self::Status(422) => "422",
            Self::Status(429) => "429",
            Self::Status(500) => "500",
            Self::Status(502) => "502",
            Self::Status(503) => "503",
            Self::Status(504) => "504",
            Self::Status(100..=199) => "1xx",
            Self::Status(200..=299) => "2xx",
            Self::Status(300..=399) => "3xx",
            Self::Status(400..=499) => "4xx",
            Self::Status(500..=599) => "5xx",
            Self::Status(_) => "invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_all() {
        fn check<L: Label>() {
            for (position, label) in L::ALL.iter().enumerate() {
                assert_eq!(label.index(), position, "{}", label.as_str());
            }
        }
        check::<Phase>();
        check::<ReadyState>();
        check::<Action>();
        check::<Verb>();
        check::<Method>();
        check::<CacheResult>();
        check::<BuildResult>();
        check::<Verification>();
        check::<Load>();
        check::<WebhookResult>();
        check::<NewsResult>();
    }

    #[test]
    fn methods_are_found_by_name() {
        assert_eq!(Method::named("GET"), Method::Get);
        assert_eq!(Method::named("BREW"), Method::Other);
    }

    #[test]
    fn answers_are_few() {
        let words = Answer::words();
        assert!(words.len() < 30, "{words:?}");
        assert!((0..=u16::MAX).all(|n| words.contains(&Answer::Status(n).as_str())));
        assert!(words.contains(&"none"));
        assert_eq!(Answer::Status(404).as_str(), "404");
        assert_eq!(Answer::Status(418).as_str(), "4xx");
    }
}
