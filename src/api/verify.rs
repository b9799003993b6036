//! Required signers of an artifact and of its images, and the keys to decrypt
//! an artifact.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::object_reference::LocalObjectReference;

/// Required signers of the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secretRef), (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0), (has(self.authorities) && size(self.authorities) > 0)].filter(x, x).size() == 1").message("verify needs exactly one of secretRef, matchOIDCIdentity and authorities"))]
#[x_kube(validation = Rule::new("!has(self.trustedRootSecretRef) || (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0)").message("verify.trustedRootSecretRef needs matchOIDCIdentity; with authorities, set it in each of them"))]
#[x_kube(validation = Rule::new("!has(self.threshold) || ((has(self.authorities) && size(self.authorities) > 0) && self.threshold <= size(self.authorities))").message("verify.threshold must not be greater than the number of authorities"))]
pub struct Verify {
    /// Provider of the signatures. Only cosign is supported.
    #[serde(default)]
    pub provider: VerifyProvider,
    /// Secret with public keys in PEM, under names that end in .pub. A signature by one of them is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Identities of keyless signatures. A signature by one of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "matchOIDCIdentity")]
    #[schemars(length(max = 32))]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// Secret with a trusted root under trusted_root.json, of a private Sigstore or a newer one of the public good instance. Default: the public good root built into this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
    /// Several required signers, instead of the fields above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.filter(b, b.name == a.name).size() == 1)").message("verify.authorities must have different names"))]
    pub authorities: Vec<Authority>,
    /// Number of authorities that must have signed (default: all).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub threshold: Option<i32>,
    /// Rejects signatures that were made for another repository, such as those of an artifact copied to another registry.
    #[serde(default)]
    pub match_reference: bool,
    /// Required signers of the container images in the artifact. If not set, images are not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<VerifyImages>,
}

/// Provider of signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerifyProvider {
    /// Sigstore's cosign.
    #[default]
    #[serde(rename = "cosign")]
    Cosign,
}

/// One of several required signers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) != ((has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0))").message("an authority needs exactly one of secretRef and matchOIDCIdentity"))]
#[x_kube(validation = Rule::new("!has(self.trustedRootSecretRef) || (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0)").message("trustedRootSecretRef needs matchOIDCIdentity"))]
pub struct Authority {
    /// Name in status and messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Secret with public keys in PEM, under names that end in .pub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Identities of keyless signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "matchOIDCIdentity")]
    #[schemars(length(max = 32))]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// Secret with a trusted root under trusted_root.json, of a private Sigstore or a newer one of the public good instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
}

/// Identity of a keyless signature. Both are regular expressions that must match the whole value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OidcIdentity {
    /// Issuer of the identity, such as https://token\.actions\.githubusercontent\.com.
    #[schemars(length(min = 1, max = 512))]
    pub issuer: String,
    /// Subject alternative name of the certificate: an email address, or the URL of a workflow.
    #[schemars(length(min = 1, max = 512))]
    pub subject: String,
}

/// Required signers of container images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyImages {
    /// Enforce: nothing is applied unless all images are verified. Warn: an event reports unverified images, which are applied unchanged.
    #[serde(default)]
    pub mode: ImageMode,
    /// Required signers by image. The first matching policy applies; an image without a matching policy is refused, unless it is exempt.
    #[schemars(length(min = 1, max = 64))]
    pub policies: Vec<ImagePolicy>,
    /// Images that need no signature: patterns as in the policies, evaluated before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub exempt: Vec<ImagePattern>,
}

/// Handling of unverified images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImageMode {
    /// Nothing is applied.
    #[default]
    Enforce,
    /// An event reports them.
    Warn,
}

/// Required signers of images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.secretRef) && (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0))").message("an image policy must not have both secretRef and matchOIDCIdentity; with neither, the artifact's signers are required"))]
pub struct ImagePolicy {
    /// Repositories, such as ghcr.io/acme/*. A star matches any characters, including slashes.
    pub r#match: ImagePattern,
    /// Secret with public keys in PEM, under names that end in .pub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Identities of keyless signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "matchOIDCIdentity")]
    #[schemars(length(max = 32))]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// Secret with a trusted root under trusted_root.json, of a private Sigstore or a newer one of the public good instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
}

/// Pattern for repositories of images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ImagePattern(#[schemars(length(min = 1, max = 512))] pub String);

/// Keys to decrypt the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// Encryption of the artifact. Only age is supported.
    #[serde(default)]
    pub provider: DecryptionProvider,
    /// Secret with age identities (AGE-SECRET-KEY-1…), one per line, under any names.
    pub secret_ref: LocalObjectReference,
}

/// Encryption of artifacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecryptionProvider {
    /// age-encryption.org/v1.
    #[default]
    #[serde(rename = "age")]
    Age,
}
