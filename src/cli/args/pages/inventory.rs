//! Help for the verbs on inventories.

use super::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        path: "build",
        long: "\
Reads files, directories, stdin and overlays; with -k, runs the kustomize or kubectl on PATH. Writes the objects as YAML or, with -o json, as a List to stdout. With -a, pushes them as push artifact does; build inventory -a pulls artifacts instead and prints what apply would \
send. The cluster is not asked.

Exit codes: 0; 1 when something cannot be read or pushed; 2 when nothing is named.",
        examples: "\
Examples:
  # See what an overlay makes
  supercargo build -k ./overlays/dist

  # Build and publish
  supercargo build -k ./overlays/dist -a oci://ghcr.io/acme/app-config:v1.0.0

  # What an apply of an artifact with a patch would send
  supercargo build inventory app -a oci://ghcr.io/acme/app-config:v1.0.0 -p safe-to-evict.yaml",
    },
    Page {
        path: "apply",
        long: "\
Reads manifests from files, overlays, stdin and artifacts. Everything is sent to the API server as a dry run first; when anything is \
refused, nothing is written. Then the objects are applied in stages, and the inventory, the ConfigMap inv-NAME, records them before they \
are created. With --prune, what the inventory names and the manifests do not any more is deleted. An object without a namespace gets \
that of -n, otherwise that of the kubeconfig's context. Only the Namespace that --create-namespace makes is written before the dry run, \
which needs it. With --key or --certificate-identity every artifact has to be signed so, and is otherwise not even read.

Exit codes: 0; 1 when something was refused, has failed or was not ready in time; 2 when the arguments make no sense or nothing is named; \
130 after Ctrl-C: what was applied stays, and the inventory names it.",
        examples: "\
Examples:
  # Install an artifact and wait until it is ready
  supercargo apply -i app -a oci://ghcr.io/acme/app-config:v1.0.0 --wait --prune

  # The same, only if we have signed it
  supercargo apply -i app -a oci://ghcr.io/acme/app-config:v1.0.0 --wait --prune --verify --key cosign.pub

  # Manifests of another tool
  cue cmd ymldump ./deploy | supercargo apply -i app -f -

  # An overlay, with a patch, in a namespace that may not exist
  supercargo apply -i app -n apps --create-namespace -k ./overlays/prod -p safe-to-evict.yaml

  # Only ask the API server
  supercargo apply -i app -f ./deploy --dry-run",
    },
    Page {
        path: "diff",
        long: "\
Reads manifests as apply does, and asks the API server by dry runs what they would change; writes nothing to the cluster. Values of \
Secrets are masked. Artifacts are verified first where --key or --certificate-identity is given. It works where the Namespace or the CustomResourceDefinition of an object does not exist yet.

Exit codes: those of kubectl diff: 0 when nothing differs, 1 when something does, 2 when it cannot be told.",
        examples: "\
Examples:
  # What would an upgrade change?
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.1.0 | supercargo diff -i app --prune -f-

  # The same, without the pipe
  supercargo diff -i app --prune -a oci://ghcr.io/acme/app-config:v1.1.0

  # In a script: has somebody changed something?
  supercargo diff -i app -a oci://ghcr.io/acme/app-config:v1.0.0 >/dev/null || echo drifted",
    },
    Page {
        path: "diff release",
        long: "\
Resolves, verifies, pulls and renders the artifact as the spec of the release says (path, patches, images, namespaces, labels), and asks \
the API server by dry runs what an apply would change and what it would prune. It does so with your own rights and not with \
those of the release's account, and reads the Secrets that the spec names; the administrator's rules, such as a trust policy, do not count here. Writes nothing \
to the cluster, and works while the release is suspended. Values of Secrets are masked.

Exit codes: those of kubectl diff: 0 when nothing differs, 1 when something does, 2 when it cannot be told.",
        examples: "\
Examples:
  # Would a run change something now?
  supercargo diff release demo-app -n apps

  # What would an upgrade change, and delete?
  supercargo diff release demo-app -n apps --to 1.1.0",
    },
    Page {
        path: "delete",
        long: "\
Reads the inventory and deletes the objects in it, in the reverse order of an apply, then the inventory. An object that carries the labels \
of another owner, or the annotation supercargo.dev/prune: disabled, stays and is told. The inventory of an OCIArtifactRelease is \
refused, so delete the release; while that is suspended, --force-inventory deletes what the inventory names all the same.

Exit codes: 0; 1 when something could not be deleted or was not gone in time; 2 when the arguments make no sense; 130 after Ctrl-C: what is \
left is in the inventory.",
        examples: "\
Examples:
  # Uninstall, and wait until everything is gone
  supercargo delete -i app

  # Do not wait
  supercargo delete -i app --wait=false",
    },
    Page {
        path: "get inventories",
        long: "\
Reads the inventories, ConfigMaps named inv-NAME, of all namespaces, or of one with -n. Writes nothing to the cluster.

With -o wide, it shows the artifacts too.

Exit codes: 0, also when there are none; 1 when the cluster cannot be asked, or there is none of the NAME that is given.",
        examples: "\
Examples:
  # What was installed here, from where and when?
  supercargo get inventories

  # In one namespace
  supercargo get inventories -n apps -o wide",
    },
    Page {
        path: "inspect inventory",
        long: "\
Reads an inventory and prints where its manifests come from, when they were applied, and every object in it. Writes nothing to \
the cluster.

Exit codes: 0; 1 when it is not there or cannot be read.",
        examples: "\
Examples:
  supercargo inspect inventory app -n apps

  # Only the objects
  supercargo inspect inventory app -o json | jq -r '.resources[].object'",
    },
    Page {
        path: "adopt inventory",
        long: "\
Reads the inventory that Kustomizer 1 or 2 has written and every object in it. Writes our labels, our field manager and our inventory, \
and nothing else: no object is deleted, restarted or changed in what it does.

Exit codes: 0; 1 when there is no such inventory, or something could not be taken over.",
        examples: "\
Examples:
  # See what would happen
  supercargo adopt inventory app --inventory-namespace default --dry-run

  # Take over; from now on apply and diff with -i app
  supercargo adopt inventory app --inventory-namespace default",
    },
    Page {
        path: "adopt flux kustomization",
        long: "\
Reads a Kustomization of Flux and its OCIRepository. Writes the OCIArtifactRelease that replaces them and takes their objects over: no \
object is deleted or restarted. The release goes to stdout. The Kustomization is left suspended, and its deletion leaves the objects.

Exit codes: 0; 1 when something of the Kustomization has no counterpart, or could not be taken over; 130 after Ctrl-C. The same command
goes on where one ended.",
        examples: "\
Examples:
  # See the release, and what would be taken over
  supercargo adopt flux kustomization app -n flux-system --dry-run

  # Do it
  supercargo adopt flux kustomization app -n flux-system",
    },
];
