//! Who has to have signed an artifact, and the images that it runs; what an
//! encrypted one is read with.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::object_reference::LocalObjectReference;

/// Who has to have signed the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secretRef), (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0), (has(self.authorities) && size(self.authorities) > 0)].filter(x, x).size() == 1").message("verify needs exactly one of secretRef, matchOIDCIdentity and authorities"))]
#[x_kube(validation = Rule::new("!has(self.trustedRootSecretRef) || (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0)").message("verify.trustedRootSecretRef belongs to matchOIDCIdentity; with authorities it stands in each of them"))]
#[x_kube(validation = Rule::new("!has(self.threshold) || ((has(self.authorities) && size(self.authorities) > 0) && self.threshold <= size(self.authorities))").message("verify.threshold counts authorities: it cannot be more than there are"))]
pub struct Verify {
    /// Who makes the signatures. There is one: cosign.
    #[serde(default)]
    pub provider: VerifyProvider,
    /// A Secret of public keys in PEM, each under a name that ends in .pub. A signature by one of them is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Identities of keyless signatures. A signature by one of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "matchOIDCIdentity")]
    #[schemars(length(max = 32))]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// A Secret with a trusted root under trusted_root.json: that of a private Sigstore, or a newer one of the public good instance. Without it the public good instance is trusted, as it was when this program was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
    /// Several who have to sign, in place of the above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.filter(b, b.name == a.name).size() == 1)").message("verify.authorities have names of their own"))]
    pub authorities: Vec<Authority>,
    /// How many of the authorities have to have signed. All, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub threshold: Option<i32>,
    /// Refuses signatures that were made for another repository. Copies of an artifact in another registry, with their signatures, are such.
    #[serde(default)]
    pub match_reference: bool,
    /// Which container images of the artifact's objects have to be signed. Without it none is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<VerifyImages>,
}

/// Who makes signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerifyProvider {
    /// Sigstore's cosign.
    #[default]
    #[serde(rename = "cosign")]
    Cosign,
}

/// One of several who have to sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) != ((has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0))").message("an authority needs exactly one of secretRef and matchOIDCIdentity"))]
#[x_kube(validation = Rule::new("!has(self.trustedRootSecretRef) || (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0)").message("trustedRootSecretRef belongs to matchOIDCIdentity"))]
pub struct Authority {
    /// What it is called in status and messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// A Secret of public keys in PEM, each under a name that ends in .pub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Identities of keyless signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "matchOIDCIdentity")]
    #[schemars(length(max = 32))]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// A Secret with a trusted root under trusted_root.json: that of a private Sigstore, or a newer one of the public good instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
}

/// Who a keyless signature is by. Both are regular expressions that have to match whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OidcIdentity {
    /// The issuer of the identity, such as https://token\.actions\.githubusercontent\.com.
    #[schemars(length(min = 1, max = 512))]
    pub issuer: String,
    /// The subject alternative name of the certificate: a mail address, or the URL of a workflow.
    #[schemars(length(min = 1, max = 512))]
    pub subject: String,
}

/// Which container images have to be signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyImages {
    /// Enforce: nothing is applied unless all are. Warn: an event says which are not, and those stay as they are.
    #[serde(default)]
    pub mode: ImageMode,
    /// Who has to have signed which images. The first that matches counts; an image that none matches is refused, unless it is exempt.
    #[schemars(length(min = 1, max = 64))]
    pub policies: Vec<ImagePolicy>,
    /// Images that need no signature: patterns like those of the policies, looked at before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub exempt: Vec<ImagePattern>,
}

/// What an image without a signature leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImageMode {
    /// Nothing is applied.
    #[default]
    Enforce,
    /// An event.
    Warn,
}

/// Who has to have signed images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.secretRef) && (has(self.matchOIDCIdentity) && size(self.matchOIDCIdentity) > 0))").message("a policy of images has secretRef or matchOIDCIdentity, not both; with neither, the artifact's signers are meant"))]
pub struct ImagePolicy {
    /// Repositories, such as ghcr.io/acme/*. A star stands for any characters, slashes included.
    pub r#match: ImagePattern,
    /// A Secret of public keys in PEM, each under a name that ends in .pub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Identities of keyless signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "matchOIDCIdentity")]
    #[schemars(length(max = 32))]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// A Secret with a trusted root under trusted_root.json: that of a private Sigstore, or a newer one of the public good instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
}

/// Repositories of images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ImagePattern(#[schemars(length(min = 1, max = 512))] pub String);

/// What an encrypted artifact is read with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// How artifacts are encrypted. There is one way: age.
    #[serde(default)]
    pub provider: DecryptionProvider,
    /// A Secret of age identities (AGE-SECRET-KEY-1…), one a line, under names of your choice.
    pub secret_ref: LocalObjectReference,
}

/// How artifacts are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecryptionProvider {
    /// age-encryption.org/v1.
    #[default]
    #[serde(rename = "age")]
    Age,
}
