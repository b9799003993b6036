//! The kinds of senders, and how each proves who it is.

/// A kind of sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// CNCF distribution, the registry.
    Distribution,
    /// Docker Hub.
    DockerHub,
    /// GitHub's packages.
    GitHub,
    /// Harbor.
    Harbor,
    /// Quay.
    Quay,
    /// Azure Container Registry.
    Acr,
    /// Any other sender, with our own format.
    Generic,
}

/// How a sender proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderProof {
    /// `Authorization: Bearer SECRET`.
    Bearer,
    /// A secret path.
    Path,
    /// GitHub's signature over the body.
    HubSignature,
    /// Our signature over a time and the body.
    TimedSignature,
}

impl Sender {
    /// All of them, with their names in the configuration.
    pub const ALL: [(Self, &str); 7] = [
        (Self::Distribution, "distribution"),
        (Self::DockerHub, "dockerhub"),
        (Self::GitHub, "github"),
        (Self::Harbor, "harbor"),
        (Self::Quay, "quay"),
        (Self::Acr, "acr"),
        (Self::Generic, "generic"),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(sender, _)| *sender == self).map_or("", |(_, name)| name)
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(sender, _)| *sender)
    }

    /// How it proves who it is.
    pub fn proof(self) -> SenderProof {
        match self {
            Self::Distribution | Self::Harbor | Self::Acr => SenderProof::Bearer,
            Self::DockerHub | Self::Quay => SenderProof::Path,
            Self::GitHub => SenderProof::HubSignature,
            Self::Generic => SenderProof::TimedSignature,
        }
    }

    /// Whether two pushes never have the same delivery. Quay sends neither the time nor
    /// the digest: a push of the same tag looks like the one before.
    pub fn is_distinct(self) -> bool {
        self != Self::Quay
    }
}
