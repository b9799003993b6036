//! The fields of a kustomization that name files.

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Files with manifests, or directories with a kustomization.
    Resources,
    /// Directories with a kustomization.
    Directories,
    /// Files.
    Files,
    /// Files, or documents.
    FilesOrDocuments,
    /// Configurations of generators, transformers and validators: documents, files or directories.
    Plugins,
    /// Mappings that name files in these fields: `path`, `files`, `envs`, `env`.
    Mappings,
    /// Charts.
    Charts,
}

/// What a field names; fields that name nothing are absent.
pub(super) const FIELDS: &[(&str, Meaning)] = &[
    ("resources", Meaning::Resources),
    ("bases", Meaning::Resources),
    ("components", Meaning::Directories),
    ("crds", Meaning::Files),
    ("configurations", Meaning::Files),
    ("patchesStrategicMerge", Meaning::FilesOrDocuments),
    ("generators", Meaning::Plugins),
    ("transformers", Meaning::Plugins),
    ("validators", Meaning::Plugins),
    ("patches", Meaning::Mappings),
    ("patchesJson6902", Meaning::Mappings),
    ("replacements", Meaning::Mappings),
    ("configMapGenerator", Meaning::Mappings),
    ("secretGenerator", Meaning::Mappings),
    ("openapi", Meaning::Mappings),
    ("helmCharts", Meaning::Charts),
    ("helmChartInflationGenerator", Meaning::Charts),
    ("helmGlobals", Meaning::Charts),
];
