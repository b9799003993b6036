//! What has made an artifact, as far as its manifest says: for people.

use std::fmt;

/// The annotation with the name of a file or directory that is a layer.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// The annotation of a layer that says what Timoni has put into it.
const TIMONI_CONTENT: &str = "sh.timoni.content.type";

/// What has made an artifact, as far as its manifest says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArtifactKind {
    /// Supercargo.
    Supercargo,
    /// Kustomizer.
    Kustomizer,
    /// Flux.
    Flux,
    /// Timoni: files, which may be manifests.
    Timoni,
    /// Timoni: a module, which has to be built.
    TimoniModule,
    /// Helm: a chart, which has to be rendered.
    Helm,
    /// A container engine, or a tool that makes images.
    Docker,
    /// The same, with the media types of OCI.
    Image,
    /// ORAS, or a tool that names its layers alike.
    Files,
    /// Another tool.
    #[default]
    Other,
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supercargo => "an artifact of Supercargo",
            Self::Kustomizer => "an artifact of Kustomizer",
            Self::Flux => "an artifact of Flux",
            Self::Timoni => "an artifact of Timoni",
            Self::TimoniModule => "a Timoni module",
            Self::Helm => "a Helm chart",
            Self::Docker => "a Docker image",
            Self::Image => "an OCI image",
            Self::Files => "an artifact of files (ORAS)",
            Self::Other => "an artifact of another tool",
        })
    }
}

/// What a manifest says of what has made it.
pub(super) struct Marks<'a, N, L> {
    /// The type of the artifact, and that of its config.
    pub types: [&'a str; 2],
    /// Whether it has an annotation.
    pub is_noted: N,
    /// The value of an annotation of a layer, of each layer that has it.
    pub of_layers: L,
}

impl ArtifactKind {
    pub(super) fn of<'a, I: Iterator<Item = &'a str>>(
        marks: &Marks<'_, impl Fn(&str) -> bool, impl Fn(&'static str) -> I>,
    ) -> Self {
        let Marks { types, is_noted, of_layers } = marks;
        let is_typed = |wanted: &str| types.contains(&wanted);
        match () {
            () if is_typed("application/vnd.cncf.helm.config.v1+json") => Self::Helm,
            () if is_typed("application/vnd.timoni.config.v1+json") => {
                match of_layers(TIMONI_CONTENT).any(|content| content == "module") {
                    true => Self::TimoniModule,
                    false => Self::Timoni,
                }
            }
            () if is_typed("application/vnd.cncf.flux.config.v1+json") => Self::Flux,
            () if is_noted("supercargo.dev/checksum") => Self::Supercargo,
            () if is_noted("kustomizer.dev/checksum") => Self::Kustomizer,
            () if of_layers(TITLE).next().is_some() => Self::Files,
            () if is_typed("application/vnd.docker.container.image.v1+json") => Self::Docker,
            () if is_typed("application/vnd.oci.image.config.v1+json") => Self::Image,
            () => Self::Other,
        }
    }
}
