//! The verbs about the program itself.

use clap::Args;

use super::PageArgs;

/// `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// How it is printed.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Of `version`.
pub(super) const VERSION: &str = "\
Print the version of this program.

Reads nothing and writes nothing; the cluster is not asked.

Exit codes: 0.";

/// Of `version`.
pub(super) const VERSION_EXAMPLES: &str = "\
Examples:
  supercargo version

  # The number alone
  supercargo version -o json | jq -r .version";

/// Of `completion`.
pub(super) const COMPLETION: &str = "\
Print a script that lets a shell complete verbs and flags.

Reads nothing; writes the script to stdout.

Exit codes: 0; 2 for a shell that is not known.";

/// Of `completion`.
pub(super) const COMPLETION_EXAMPLES: &str = "\
Examples:
  # bash, in this shell and in those to come
  source <(supercargo completion bash)
  echo 'source <(supercargo completion bash)' >> ~/.bashrc

  # zsh
  supercargo completion zsh > \"${fpath[1]}/_supercargo\"

  # fish
  supercargo completion fish > ~/.config/fish/completions/supercargo.fish

  # PowerShell
  supercargo completion powershell | Out-String | Invoke-Expression";

/// Of `crd`.
pub(super) const CRD: &str = "\
Print the CustomResourceDefinition of OCIArtifactRelease as YAML.

Reads nothing; writes the definition to stdout. It is the one that this version of the operator wants.

Exit codes: 0; 1 when stdout does not take it.";

/// Of `crd`.
pub(super) const CRD_EXAMPLES: &str = "\
Examples:
  # Install or upgrade it
  supercargo crd | kubectl apply --server-side -f -";

/// Of `controller`.
pub(super) const CONTROLLER: &str = "\
Run the operator in a cluster.

Reads the OCIArtifactReleases of the cluster that the pod is in, or that $KUBECONFIG names; writes what their artifacts say, their \
status, their inventories, events, and a Lease by which several replicas agree on one that works. Logs go to stderr; metrics and probes \
are served on --metrics-addr.

Exit codes: 0 after SIGTERM or Ctrl-C; 1 when it cannot start or has lost its lease.";

/// Of `controller`.
pub(super) const CONTROLLER_EXAMPLES: &str = "\
Examples:
  # In a cluster: config/default holds everything
  kubectl apply -k config/default

  # On one's own machine, for two namespaces
  supercargo controller --watch-namespaces apps,infra --leader-election-namespace default";
