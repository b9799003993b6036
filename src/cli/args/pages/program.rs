//! Help for the verbs about the program itself.

use super::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        path: "crd",
        long: "\
Reads nothing; writes the definition to stdout. It is the one that this version of the operator wants.

Exit codes: 0; 1 when stdout does not take it.",
        examples: "\
Examples:
  # Install or upgrade it
  supercargo crd | kubectl apply --server-side -f -",
    },
    Page {
        path: "controller",
        long: "\
Reads the OCIArtifactReleases of the cluster that the pod is in, or that $KUBECONFIG names; writes what their artifacts say, their \
status, their inventories, events, and a Lease by which several replicas agree on one that works. Logs go to stderr; metrics and probes \
are served on --metrics-addr.

Exit codes: 0 after SIGTERM or Ctrl-C; 1 when it cannot start or has lost its lease.",
        examples: "\
Examples:
  # In a cluster: the definition first, then everything else
  kubectl apply --server-side -f config/crd
  kubectl apply --server-side -k config/default

  # On one's own machine, for two namespaces
  supercargo controller --watch-namespaces apps,infra --leader-election-namespace default",
    },
    Page {
        path: "completion",
        long: "\
Reads nothing; writes the script to stdout.

Exit codes: 0; 2 for a shell that is not known.",
        examples: "\
Examples:
  # bash, in this shell and in those to come
  source <(supercargo completion bash)
  echo 'source <(supercargo completion bash)' >> ~/.bashrc

  # zsh
  supercargo completion zsh > \"${fpath[1]}/_supercargo\"

  # fish
  supercargo completion fish > ~/.config/fish/completions/supercargo.fish

  # PowerShell
  supercargo completion powershell | Out-String | Invoke-Expression",
    },
    Page {
        path: "version",
        long: "\
Reads nothing and writes nothing; the cluster is not asked.

Exit codes: 0.",
        examples: "\
Examples:
  supercargo version

  # The number alone
  supercargo version -o json | jq -r .version",
    },
];
