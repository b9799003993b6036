//! The closed set of reasons, shared by conditions, events and metric labels.

use std::fmt;

/// What the controller does next about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Try again by itself, after `retryInterval` and then with backoff.
    Retry,
    /// Something outside has to appear or change and is watched; also retried.
    Wait,
    /// A person has to change something: the condition `Stalled` is true. The
    /// release is looked at again at its interval, or when its spec changes.
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
        /// Why a condition is what it is. The names are part of the API: they
        /// stand in conditions, in events and in metric labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for documentation and metrics.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The CamelCase word of the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What follows from a failure for this reason. Reasons that are
            /// not failures say `Wait`.
            pub fn disposition(self) -> Disposition {
                match self { $(Self::$name => Disposition::$disposition,)* }
            }
        }
    };
}

reasons! {
    // Good news and progress.
    /// The revision is applied, and healthy where `wait` asks for it.
    ReconciliationSucceeded => Wait,
    /// A run is under way and waits for something.
    Progressing => Wait,
    /// `spec.suspend` is true.
    Suspended => Wait,
    /// Every object of the revision is healthy.
    Healthy => Wait,
    /// No object differs from what was applied.
    InSync => Wait,
    /// Objects differed from what was applied and were put back.
    DriftCorrected => Wait,
    /// The artifact is signed by whom the spec and the administrator want.
    Verified => Wait,
    /// Nobody asks for a signature.
    NotVerified => Wait,
    /// A tag names another digest than before.
    TagMoved => Wait,
    /// The range's newest tag is older than before, and the release went back to it.
    Downgraded => Wait,
    /// An inventory that the command line wrote was taken over.
    InventoryAdopted => Wait,
    /// The release is going away, and so are its objects.
    Deleting => Wait,

    // The spec and what it names.
    /// The spec contradicts itself in a way the schema cannot say.
    InvalidSpec => Stalled,
    /// A Secret that the spec names does not exist.
    SecretNotFound => Wait,
    /// A Secret that the spec names does not hold what it should.
    SecretInvalid => Stalled,
    /// The release names a registry that the administrator does not allow.
    RegistryNotAllowed => Stalled,
    /// The ServiceAccount of the release does not exist.
    ServiceAccountNotFound => Stalled,
    /// The identity of the release may not do what the revision needs. Rights are
    /// granted elsewhere and nobody tells of it, and an API server that has just
    /// started refuses for a moment what it will allow: so it is tried again.
    AccessDenied => Retry,

    // The registry and the artifact.
    /// The registry does not answer, or answers that it cannot now.
    RegistryUnavailable => Retry,
    /// The registry refuses the credentials, or wants some.
    AuthenticationFailed => Retry,
    /// There is no such repository, tag or digest.
    ArtifactNotFound => Retry,
    /// No tag satisfies `ref.semver` and `ref.semverFilter`.
    NoMatchingTag => Retry,
    /// The registry sent bytes of another digest than it was asked for.
    DigestMismatch => Retry,
    /// The reference names something that is not a configuration artifact.
    ArtifactInvalid => Stalled,
    /// The artifact is larger than a limit.
    ArtifactTooLarge => Stalled,
    /// The artifact holds no object; approval is needed before all are removed.
    ArtifactEmpty => Stalled,

    /// The range's newest tag is older than what is applied; that stays.
    DowngradeRefused => Wait,

    // Trust.
    /// The artifact has no signature.
    SignatureMissing => Retry,
    /// It has signatures, and none of them is valid for it.
    SignatureInvalid => Retry,
    /// It has valid signatures, and none by whom the spec or the administrator wants.
    SignerUntrusted => Retry,
    /// The administrator wants every artifact verified, and nothing says by whose signature.
    VerificationRequired => Stalled,
    /// Container images of the artifact are not signed as the spec wants.
    ImageNotVerified => Retry,

    // The documents.
    /// A document is not a valid Kubernetes manifest.
    ManifestInvalid => Stalled,
    /// The path holds a kustomization that was not built before the push.
    KustomizationNotBuilt => Stalled,
    /// A patch of the spec does not apply to the objects of the artifact.
    PatchFailed => Stalled,

    // The cluster.
    /// The API server does not answer.
    ApiServerUnavailable => Retry,
    /// The dry run was refused; nothing was written.
    PreflightFailed => Retry,
    /// A Job that has to be made anew has not ended yet.
    JobRunning => Wait,
    /// Another release owns an object of this one.
    OwnershipConflict => Stalled,
    /// Objects could not be applied after the dry run had passed.
    ApplyFailed => Retry,
    /// The inventory cannot be read or written.
    InventoryInvalid => Stalled,
    /// Objects that left the revision could not be deleted.
    PruneFailed => Retry,
    /// An object has failed, by the rules of its kind.
    HealthCheckFailed => Retry,
    /// Objects were not healthy in time.
    HealthTimeout => Retry,
    /// Objects of an applied revision were healthy and are not any more.
    Unhealthy => Wait,
    /// A newer revision or spec ended the wait for health.
    HealthSuperseded => Wait,
    /// Objects differ from what was applied, and `drift.mode` is `Report`.
    DriftDetected => Wait,
    /// Another writer keeps changing what is put back.
    Contested => Wait,
    /// Deleted objects are still terminating.
    TerminationPending => Retry,
}

impl Reason {
    /// Whether it says that the registry does not give what the spec asks for.
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

    /// The reason that a condition names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// Whether it says that signatures were looked for, and are not as they are
    /// wanted.
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
