//! Help for the verbs on releases.

use super::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        path: "get releases",
        long: "\
Reads OCIArtifactReleases of the cluster and writes nothing to it. READY, REASON and MESSAGE are those \
of the release's Ready condition, REVISION is the last one of which every object was applied, SUSPENDED whether spec.suspend is true. With -o json or yaml the objects \
themselves are printed, as kubectl takes them: one that was asked for by name as it is, several as a List.

Exit codes: 0, also when there are none; 1 when one that was named is not there, or the cluster cannot be asked.",
        examples: "\
Examples:
  # The releases of the current namespace
  supercargo get releases

  # Those of all namespaces, with drift, verification and source
  supercargo get releases -A -o wide

  # The names of those that are not ready
  supercargo get releases -A --no-headers | awk '$3 != \"True\" {print $1 \"/\" $2}'

  # A copy for another cluster
  supercargo get releases demo-app -o yaml > demo-app.yaml

  # See what happens while an upgrade goes on
  supercargo get releases --watch",
    },
    Page {
        path: "status release",
        long: "\
Reads the release, its inventory (the ConfigMap inv-NAME) and every object in it, with your own rights: an object that you \
may not read is shown as Unknown. Below a workload that is not ready stand its ReplicaSets and pods, with why they wait. \
Writes nothing to the cluster.

Exit codes: 0, whatever the state of the release; 1 when it is not there or cannot be read. With --exit-status also 1 when \
it is not Ready.",
        examples: "\
Examples:
  # Why is it not ready?
  supercargo status release demo-app

  # In a script: stop unless it is ready
  supercargo status release demo-app --exit-status

  # The objects that are not as they should be, by jq
  supercargo status release demo-app -o json | jq -r '.objects[] | select(.health != \"Current\") | .object'",
    },
    Page {
        path: "reconcile release",
        long: "\
Sets the annotation supercargo.dev/reconcile-at of each release to the present time and waits until its status says that \
the operator has acted on it. A suspended release is worked on once and stays suspended.

Exit codes: 0 when every release is Ready, or was only asked (--wait=false); 1 when one is not Ready, is not there, or the time \
was over; 130 when Ctrl-C ended the wait, which does not end the work of the operator.",
        examples: "\
Examples:
  # Fetch what the tag stands for by now
  supercargo reconcile release demo-app

  # Everything in a namespace, in the background
  supercargo reconcile release --all -n apps --wait=false

  # One that takes long
  supercargo reconcile release demo-app --timeout 20m",
    },
    Page {
        path: "suspend release",
        long: "\
Sets spec.suspend. What is applied stays as it is, also where somebody changes it: drift is not corrected. A run that is under way \
ends first. If the release itself comes out of Git or another release, set spec.suspend there, or it may be set back.

Exit codes: 0 when all are suspended, also those that were; 1 when one is not there or may not be changed.",
        examples: "\
Examples:
  # Change something by hand for a while
  supercargo suspend release demo-app

  # The whole namespace
  supercargo suspend release --all -n apps",
    },
    Page {
        path: "resume release",
        long: "\
Sets spec.suspend to false and asks for a run, as reconcile does.

Exit codes: those of reconcile.",
        examples: "\
Examples:
  # Go on, and see that all is well
  supercargo resume release demo-app

  # Go on without waiting
  supercargo resume release demo-app --wait=false",
    },
];
