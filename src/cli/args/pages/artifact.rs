//! Help for the verbs on artifacts.

use super::page::Page;

pub(super) const PAGES: &[Page] = &[
    Page {
        path: "push artifact",
        long: "\
Reads files, directories, stdin and overlays; with -k, runs the kustomize or kubectl on PATH. Writes one OCI image with one layer to the \
registry. The same input gives the same digest where SOURCE_DATE_EPOCH or --created is set. The objects are printed to stdout, the digest \
to stderr.

Exit codes: 0; 1 when the input is not right, or the registry does not take it; 2 when the URL has no tag or nothing is named.",
        examples: "\
Examples:
  # A directory
  supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f ./deploy

  # The output of another tool
  helm template app ./chart | supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f -

  # Encrypted for the owners of some age keys
  supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f ./deploy --age-recipients team.txt

  # An overlay, with where it comes from
  supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -k ./overlays/dist \\
    --source https://github.com/acme/app --revision main@sha1:2c9f34a",
    },
    Page {
        path: "pull artifact",
        long: "\
Reads the artifact from the registry, checks every digest, and writes its manifests to stdout as YAML. Without a tag it is latest. \
Artifacts of Kustomizer, Flux and Supercargo can be read. With --key or --certificate-identity nothing is read of it, let alone printed, before \
its signature is verified; what is pulled is the digest that was.

Exit codes: 0; 1 when it is not there, may not be read, is not an artifact, or is not signed as asked for; 2 for a URL that is none.",
        examples: "\
Examples:
  # Look at it
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0

  # Only if we have signed it
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 --verify --key cosign.pub

  # One that is encrypted
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 --age-identities my-key.txt

  # Compare with the cluster
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 | supercargo diff -i app -f-",
    },
    Page {
        path: "tag artifact",
        long: "\
Reads the manifest of the artifact and writes it under other tags of the same repository. Nothing is pulled or pushed but that, and \
signatures, which go by digest, stay valid.

Exit codes: 0; 1 when it is not there, or the registry does not take it; 2 for a URL or tag that is none.",
        examples: "\
Examples:
  supercargo tag artifact oci://ghcr.io/acme/app-config:v1.0.0 latest v1",
    },
    Page {
        path: "list artifacts",
        long: "\
Reads the tags of a repository; writes nothing. Tags of signatures are left out.

Exit codes: 0; 1 when the registry cannot be asked; 2 for a URL or range that is none.",
        examples: "\
Examples:
  supercargo list artifacts oci://ghcr.io/acme/app-config

  # The newest of a range first
  supercargo list artifacts oci://ghcr.io/acme/app-config --semver '>=1.0.0 <2.0.0'",
    },
    Page {
        path: "verify artifact",
        long: "\
Asks the registry once which digest the tag names, reads the signatures that cosign has put beside that digest (the tag sha256-….sig, and \
Sigstore bundles among its referrers), and verifies them without cosign. Prints who has signed it, how, and when, where a log or a \
timestamp proves that. With --images it then does the same for every container image that the manifests name, and prints each with \
the digest that was verified. --creds and --insecure are for the registry of the artifact; other registries are reached with the \
credentials of this machine, or of pull Secrets in the artifact.

Keys: --key, as `cosign sign --key` made the signature. Otherwise an identity: --certificate-identity and --certificate-oidc-issuer, both, or \
their -regexp forms, which have to match the whole text.

Exit codes: 0 when everything is signed as asked for; 1 when something is not, stderr says what and why; 2 when nobody is named who has to \
have signed, or the flags contradict each other.",
        examples: "\
Examples:
  # By a key
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub

  # The artifact, and all images that it runs but those of others
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub \\
    --images --image-exempt 'docker.io/library/*'

  # By a workflow, without a key
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 \\
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0 \\
    --certificate-oidc-issuer https://token.actions.githubusercontent.com

  # By two of three people
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key ann.pub --key ben.pub --key eve.pub --threshold 2",
    },
    Page {
        path: "inspect artifact",
        long: "\
Reads the artifact from the registry and prints by what and when it was built, its checksum, its objects and their container images; \
with --key or --certificate-identity, who has signed it, too, and nothing of one that is not signed so.

Exit codes: 0; 1 when it is not there, may not be read, is not an artifact, or is not signed as asked for; 2 for a URL that is none.",
        examples: "\
Examples:
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0

  # Who has signed it?
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub

  # Hand every image in it to another program
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0 --container-images | xargs -n1 trivy image",
    },
    Page {
        path: "diff artifact",
        long: "\
Reads both artifacts from their registries and compares them object by object: order and formatting make no difference. Values of Secrets \
are masked. --creds is for one registry: two are logged in to with docker or podman. With --key or --certificate-identity both have to be \
signed so, before anything of either is printed.

Exit codes: those of kubectl diff: 0 when nothing differs, 1 when something does, 2 when it cannot be told.",
        examples: "\
Examples:
  supercargo diff artifact oci://ghcr.io/acme/app-config:v1.0.0 oci://ghcr.io/acme/app-config:v1.1.0",
    },
];
