//! The closed set of reasons, shared by conditions, events and metric labels.

use std::fmt;

/// What the controller does next about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Retried automatically, after `retryInterval` and then with backoff.
    Retry,
    /// Something outside must appear or change, and is watched; also retried.
    Wait,
    /// A person must change something: the condition `Stalled` is true. The
    /// release is reconciled again at its interval, or when its spec changes.
    Stalled,
}

impl Disposition {
    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Wait => "wait",
            Self::Stalled => "stalled",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $disposition:ident,)*) => {
        /// Why a condition has its status. The names are part of the API: they
        /// appear in conditions, in events and in metric labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for documentation and metrics.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The CamelCase word of the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The next step after a failure with this reason. Reasons that are
            /// not failures have `Wait`.
            pub fn disposition(self) -> Disposition {
                match self { $(Self::$name => Disposition::$disposition,)* }
            }
        }
    };
}

reasons! {
    // Success and progress.
    /// The revision is applied, and healthy if `wait` is set.
    ReconciliationSucceeded => Wait,
    /// A run is in progress and waits for something.
    Progressing => Wait,
    /// `spec.suspend` is true.
    Suspended => Wait,
    /// Every object of the revision is healthy.
    Healthy => Wait,
    /// No object differs from what was applied.
    InSync => Wait,
    /// Objects differed from what was applied, and drift was corrected.
    DriftCorrected => Wait,
    /// The artifact has the signatures required by the spec and the administrator.
    Verified => Wait,
    /// Verification is off.
    NotVerified => Wait,
    /// A tag names a different digest than before.
    TagMoved => Wait,
    /// A tag does not name the digest that the spec has with it; the digest is applied.
    TagMismatch => Wait,
    /// The range's newest tag is older than before, and the release was downgraded to it.
    Downgraded => Wait,
    /// An inventory of the command line was adopted.
    InventoryAdopted => Wait,
    /// The release and its objects are being deleted.
    Deleting => Wait,
    /// A step of the revision is run.
    StepStarted => Wait,
    /// A step of the revision has succeeded.
    StepSucceeded => Wait,
    /// A person has requested something of the release on the page.
    Requested => Wait,
    /// A receiver of notifications that the release names cannot be notified.
    NotificationFailed => Wait,

    // The spec and what it names.
    /// The spec is contradictory in a way that the schema cannot check.
    InvalidSpec => Stalled,
    /// An expression of the spec reads a field that the schema of the kind does not have.
    InvalidCELExpression => Stalled,
    /// A Secret that the spec names does not exist.
    SecretNotFound => Wait,
    /// A Secret that the spec names has invalid content.
    SecretInvalid => Stalled,
    /// A ConfigMap that the spec names does not exist.
    ConfigMapNotFound => Wait,
    /// The release names a registry that the administrator does not allow.
    RegistryNotAllowed => Stalled,
    /// The namespace has more releases or objects than the administrator allows.
    QuotaExceeded => Wait,
    /// The ServiceAccount of the release does not exist.
    ServiceAccountNotFound => Stalled,
    /// The identity of the release lacks rights that the revision needs. Rights are
    /// granted elsewhere without a notification, and an API server that has just
    /// started refuses for a moment what it will allow: so it is retried.
    AccessDenied => Retry,

    // The registry and the artifact.
    /// The registry does not answer, or answers with a temporary error.
    RegistryUnavailable => Retry,
    /// The registry rejects the credentials, or requires some.
    AuthenticationFailed => Retry,
    /// The repository, tag or digest does not exist.
    ArtifactNotFound => Retry,
    /// No tag satisfies `ref.semver` and `ref.semverFilter`.
    NoMatchingTag => Retry,
    /// The registry sent content with a different digest than requested.
    DigestMismatch => Retry,
    /// The reference names something that is not a configuration artifact.
    ArtifactInvalid => Stalled,
    /// The artifact is larger than a limit.
    ArtifactTooLarge => Stalled,
    /// The artifact contains no objects; removing all objects needs approval.
    ArtifactEmpty => Stalled,

    /// A new revision would remove more than is allowed without approval.
    PruneNotApproved => Stalled,
    /// The deletion of the release waits for approval.
    DeletionNotApproved => Stalled,
    /// A new revision waits for a window of the schedule.
    OutsideWindow => Wait,
    /// A new revision is younger than the spec allows.
    RevisionTooYoung => Wait,
    /// A revision has failed, and the last healthy one is applied again.
    RolledBack => Stalled,
    /// A revision has failed, and nothing more is written.
    Frozen => Stalled,

    /// The plan of a new revision waits for the approval of a person.
    ApprovalRequired => Wait,
    /// The range's newest tag is older than the applied revision, which is kept.
    DowngradeRefused => Wait,

    // Trust.
    /// The artifact has no signature.
    SignatureMissing => Retry,
    /// The artifact has signatures, but none of them is valid for it.
    SignatureInvalid => Retry,
    /// The artifact has valid signatures, but none of a trusted signer.
    SignerUntrusted => Retry,
    /// The administrator requires verification, and no signers are configured.
    VerificationRequired => Stalled,
    /// Container images of the artifact lack the signatures required by the spec.
    ImageNotVerified => Retry,

    // The documents.
    /// A document is not a valid Kubernetes manifest.
    ManifestInvalid => Stalled,
    /// A kustomization uses what is not built, such as a remote base or a plugin.
    KustomizationRefused => Stalled,
    /// The build of a kustomization has failed, or has exceeded a limit.
    BuildFailed => Stalled,
    /// The administrator does not allow builds, or they cannot be confined here.
    BuildNotAllowed => Stalled,
    /// A build could not be run to its end.
    BuildUnavailable => Retry,
    /// A patch of the spec does not apply to the objects of the artifact.
    PatchFailed => Stalled,
    /// A variable in an object cannot be replaced.
    SubstitutionFailed => Stalled,

    // Other releases.
    /// A dependency of the release is not ready; a new revision waits for it.
    DependencyNotReady => Wait,
    /// A dependency is in another namespace, which the administrator does not allow.
    DependencyNotAllowed => Stalled,
    /// Another release has not had the revision, healthy, for long enough.
    PromotionPending => Wait,
    /// The release depends on itself, directly or through other releases.
    DependencyCycle => Stalled,
    /// The release is deleted after the releases that depend on it and are being deleted.
    DependentsDeleting => Wait,

    // The cluster.
    /// The API server does not answer.
    ApiServerUnavailable => Retry,
    /// Another cluster, which the spec names, does not answer or rejects the credentials.
    ClusterUnreachable => Retry,
    /// The dry run was refused; nothing was written.
    PreflightFailed => Retry,
    /// A Job that must be recreated has not ended yet.
    JobRunning => Wait,
    /// Another release owns an object of this one.
    OwnershipConflict => Stalled,
    /// Objects could not be applied after a successful dry run.
    ApplyFailed => Retry,
    /// A step of the revision has failed, has timed out, or its outcome is unknown. It is not run
    /// again until a person asks for it.
    StepFailed => Stalled,
    /// The inventory cannot be read or written.
    InventoryInvalid => Stalled,
    /// Objects that are no longer in the revision could not be deleted.
    PruneFailed => Retry,
    /// An object has failed, according to the rules of its kind.
    HealthCheckFailed => Retry,
    /// Objects were not healthy in time.
    HealthTimeout => Retry,
    /// Objects of an applied revision are no longer healthy.
    Unhealthy => Wait,
    /// A newer revision or spec ended the wait for health.
    HealthSuperseded => Wait,
    /// Objects differ from what was applied, and `drift.mode` is `Report`.
    DriftDetected => Wait,
    /// Another writer repeatedly reverts drift corrections.
    Contested => Wait,
    /// Deleted objects are still terminating.
    TerminationPending => Retry,
}

impl Reason {
    /// Whether a new revision waits for a time, or for another release to have it.
    pub fn is_of_arrival(self) -> bool {
        matches!(self, Self::OutsideWindow | Self::RevisionTooYoung | Self::PromotionPending)
    }

    /// Whether it says that an API server gives no answer.
    pub fn is_without_answer(self) -> bool {
        matches!(self, Self::ApiServerUnavailable | Self::ClusterUnreachable)
    }

    /// Whether it says that the artifact cannot be fetched from the registry.
    pub fn is_about_source(self) -> bool {
        matches!(
            self,
            Self::RegistryUnavailable
                | Self::AuthenticationFailed
                | Self::ArtifactNotFound
                | Self::NoMatchingTag
                | Self::DigestMismatch
        )
    }

    /// Whether it says that the wait for health has failed.
    pub fn is_of_health_wait(self) -> bool {
        matches!(self, Self::HealthCheckFailed | Self::HealthTimeout)
    }

    /// Whether we write its messages ourselves, and quote neither pods nor what an API server says of
    /// the content of an object.
    pub fn is_in_own_words(self) -> bool {
        self.is_about_source()
            || self.is_distrust()
            || self.is_without_answer()
            || self.is_of_arrival()
            || matches!(
                self,
                Self::ReconciliationSucceeded
                    | Self::Healthy
                    | Self::InSync
                    | Self::Verified
                    | Self::NotVerified
                    | Self::TagMoved
                    | Self::TagMismatch
                    | Self::Downgraded
                    | Self::InventoryAdopted
                    | Self::Suspended
                    | Self::Deleting
                    | Self::SecretNotFound
                    | Self::SecretInvalid
                    | Self::ConfigMapNotFound
                    | Self::InvalidSpec
                    | Self::RegistryNotAllowed
                    | Self::QuotaExceeded
                    | Self::ServiceAccountNotFound
                    | Self::ApprovalRequired
                    | Self::DowngradeRefused
                    | Self::PruneNotApproved
                    | Self::DeletionNotApproved
                    | Self::DependencyNotReady
                    | Self::DependencyNotAllowed
                    | Self::DependencyCycle
                    | Self::DependentsDeleting
                    | Self::InventoryInvalid
                    | Self::OwnershipConflict
            )
    }

    /// The reason that a condition names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// Whether it says that signatures were checked, and required ones are
    /// missing.
    pub fn is_distrust(self) -> bool {
        matches!(
            self,
            Self::SignatureMissing
                | Self::SignatureInvalid
                | Self::SignerUntrusted
                | Self::VerificationRequired
                | Self::ImageNotVerified
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
