//! Help for the verbs on inventories.

use super::page::Page;

pub(super) const PAGES: &[Page] = &[
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
