//! Which manifest of an image index is the configuration.

use std::collections::HashSet;

use super::layout::{INDEX_TYPES, Index, RawDescriptor, digest, shown};
use crate::domain::message::List;
use crate::oci::error::OciError;
use crate::oci::reference::Digest;

/// The annotation by which a publisher marks the configuration.
const MARK: &str = "supercargo.dev/content";
/// What tools call configuration in the type of an artifact.
const CONFIGURATION: [&str; 3] = [
    "application/vnd.cncf.flux.config.v1+json",
    "application/vnd.timoni.config.v1+json",
    "application/vnd.cncf.helm.config.v1+json",
];
/// The beginnings of the types of what is attached to an image: signatures, attestations, SBOMs.
const ATTACHED: [&str; 6] = [
    "application/vnd.dev.cosign.",
    "application/vnd.dev.sigstore.",
    "application/vnd.cncf.notary.",
    "application/vnd.in-toto",
    "application/vnd.cyclonedx",
    "application/spdx",
];
/// How many manifests a message lists.
const LISTED: usize = 4;

/// The manifest that was chosen.
#[derive(Debug)]
pub(in crate::oci) struct Child {
    pub digest: Digest,
    /// Which one, and why that one, for people.
    pub chosen: String,
}

impl Index {
    /// The manifest with the configuration, by the first of these rules that leaves exactly one: it is
    /// marked with our annotation, whatever else is said of it; it is the only one that is not attached to another; it has the
    /// platform by which Kustomizer marks configuration; its type is one of configuration; it is the
    /// only one without a platform.
    pub fn content(&self) -> Result<Child, OciError> {
        let candidates: Vec<&RawDescriptor> = self.0.iter().filter(|child| !is_attached(child)).collect();
        let marked = |child: &RawDescriptor| child.annotation(MARK) == Some("true");
        let kustomizer = |child: &RawDescriptor| platform(child) == ("kustomizer", "yaml");
        let configuration = |child: &RawDescriptor| {
            child.artifact_type.as_deref().is_some_and(|stated| CONFIGURATION.contains(&stated))
        };
        let bare = |child: &RawDescriptor| platform(child) == ("", "");
        type Rule<'r> = (&'r dyn Fn(&RawDescriptor) -> bool, &'r str);
        let rules: [Rule<'_>; 4] = [
            (&|_| true, "it is the only one with content"),
            (&kustomizer, "its platform is kustomizer/yaml"),
            (&configuration, "its artifact type is one of configuration"),
            (&bare, "it is the only one without a platform"),
        ];
        let chosen = match only(self.0.iter(), &marked) {
            Some(chosen) => Some((chosen, "it is marked with supercargo.dev/content")),
            None => {
                let found = |rule: &dyn Fn(&RawDescriptor) -> bool| only(candidates.iter().copied(), rule);
                rules.iter().find_map(|(rule, why)| Some((found(*rule)?, *why)))
            }
        };
        let Some((chosen, why)) = chosen else {
            return Err(self.ambiguous(&candidates));
        };
        if INDEX_TYPES.contains(&chosen.media_type.as_str()) {
            return Err(OciError::invalid("it is an image index within an image index"));
        }
        let digest = digest(&chosen.digest)?;
        let chosen = format!("{digest} of {} manifests: {why}", self.0.len());
        Ok(Child { digest, chosen })
    }

    fn ambiguous(&self, candidates: &[&RawDescriptor]) -> OciError {
        let mut seen = HashSet::new();
        let candidates: Vec<_> =
            candidates.iter().filter(|child| seen.insert(child.digest.as_str())).collect();
        if candidates.is_empty() {
            return OciError::invalid(format!(
                "it is an image index of {} manifests without content",
                self.0.len()
            ));
        }
        let listed = List::Names.few_as(&candidates, LISTED, |child| described(child));
        OciError::invalid(format!(
            "it is an image index with {} manifests, and none is marked as the configuration: {listed}; set ref.digest to \
             the digest of one, or annotate one with supercargo.dev/content: \"true\"",
            candidates.len(),
        ))
    }
}

/// The manifest of those that a rule takes, if it is one; an index may list it several times.
fn only<'d>(
    listed: impl Iterator<Item = &'d RawDescriptor>,
    rule: &dyn Fn(&RawDescriptor) -> bool,
) -> Option<&'d RawDescriptor> {
    let mut found = listed.filter(|child| rule(child));
    let first = found.next()?;
    found.all(|other| other.digest == first.digest).then_some(first)
}

/// The operating system and the architecture, empty if it has no platform.
fn platform(child: &RawDescriptor) -> (&str, &str) {
    child.platform.as_ref().map_or(("", ""), |platform| (&platform.os, &platform.architecture))
}

/// Whether it is attached to another manifest: a provenance of BuildKit, a signature, an SBOM.
fn is_attached(child: &RawDescriptor) -> bool {
    let stated = child.artifact_type.as_deref().unwrap_or_default();
    child.annotation("vnd.docker.reference.type").is_some()
        || platform(child) == ("unknown", "unknown")
        || ATTACHED.iter().any(|beginning| stated.starts_with(beginning))
}

/// A manifest for a message.
fn described(child: &RawDescriptor) -> String {
    let (os, architecture) = platform(child);
    let what = match (os, child.artifact_type.as_deref()) {
        ("", Some(stated)) if !stated.is_empty() => shown(stated),
        ("", _) => "no platform".to_owned(),
        _ => shown(&format!("{os}/{architecture}")),
    };
    format!("{} ({what})", shown(&child.digest))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::artifact::layout::Document;

    fn digest_of(n: usize) -> String {
        format!("sha256:{n:064x}")
    }

    fn child(n: usize, extra: &Value) -> Value {
        let mut child = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(n), "size": 1,
        });
        for (key, value) in extra.as_object().unwrap() {
            child[key] = value.clone();
        }
        child
    }

    fn content(children: &[Value]) -> Result<Child, OciError> {
        let children: Vec<Value> = children.iter().enumerate().map(|(n, extra)| child(n, extra)).collect();
        let index = json!({"schemaVersion": 2, "manifests": children}).to_string();
        let Ok(Document::Index(index)) = Document::parse(index.as_bytes()) else { panic!("no index") };
        index.content()
    }

    #[test]
    fn an_index_has_one_content() {
        let check = |children: &[&Value], expected: Result<usize, &str>| {
            let children: Vec<Value> = children.iter().map(|child| (*child).clone()).collect();
            match (content(&children), expected) {
                (Ok(found), Ok(n)) => assert_eq!(found.digest.as_str(), digest_of(n), "{children:?}"),
                (Err(e), Err(says)) => assert!(e.to_string().contains(says), "{e}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}: {children:?}"),
            }
        };
        let platform =
            |os: &str, architecture: &str| json!({"platform": {"os": os, "architecture": architecture}});
        let (amd, arm) = (platform("linux", "amd64"), platform("linux", "arm64"));
        let (ours, unknown) = (platform("kustomizer", "yaml"), platform("unknown", "unknown"));
        let typed = |stated: &str| json!({"artifactType": stated});
        let plain = json!({});
        let provenance = json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}});
        let (flux, signature) =
            (typed(CONFIGURATION[0]), typed("application/vnd.dev.sigstore.bundle.v0.3+json"));
        let mut marked = amd.clone();
        marked["annotations"] = json!({MARK: "true"});
        let mut unmarked = amd.clone();
        unmarked["annotations"] = json!({MARK: "false"});
        check(&[&plain], Ok(0));
        check(&[&amd, &provenance, &unknown, &signature], Ok(0));
        check(&[&provenance, &amd], Ok(1));
        check(&[&amd, &ours], Ok(1));
        check(&[&amd, &arm, &flux], Ok(2));
        check(&[&amd, &plain, &arm], Ok(1));
        check(&[&amd, &ours, &plain, &flux], Ok(1));
        check(&[&plain, &plain, &flux], Ok(2));
        check(&[&arm, &marked, &ours, &flux], Ok(1));
        check(&[&arm, &unmarked, &ours], Ok(2));
        // The same manifest for several platforms is one, and a mark counts whatever the platform is.
        let same = |child: &Value| {
            let mut child = child.clone();
            child["digest"] = digest_of(7).into();
            child
        };
        check(&[&same(&amd), &same(&arm)], Ok(7));
        check(&[&same(&amd), &same(&arm), &provenance], Ok(7));
        check(&[&same(&amd), &same(&arm), &plain], Ok(2));
        check(&[&same(&amd), &same(&arm), &ours, &ours, &flux, &flux], Err("with 5 manifests"));
        let mut attached = unknown.clone();
        attached["annotations"] = json!({MARK: "true"});
        check(&[&amd, &arm, &attached, &ours], Ok(2));
        check(&[&amd, &attached, &attached], Ok(0));
        // The whole list is in the message, up to a limit.
        check(
            &[&amd, &arm],
            Err("index with 2 manifests, and none is marked as the configuration: sha256:0"),
        );
        check(&[&amd, &arm], Err(&format!("(linux/amd64), {} (linux/arm64); set ref.digest", digest_of(1))));
        check(&[&marked, &marked], Err("2 manifests"));
        check(&[&ours, &ours], Err("(kustomizer/yaml)"));
        check(&[&flux, &flux], Err("(application/vnd.cncf.flux.config.v1+json)"));
        check(&[&plain, &plain, &plain, &plain, &plain, &plain], Err("(no platform) and 2 more; set"));
        check(&[], Err("0 manifests without content"));
        check(&[&provenance, &signature], Err("2 manifests without content"));
        let nested = json!({"mediaType": INDEX_TYPES[0]});
        check(&[&nested], Err("within an image index"));
        check(&[&amd, &nested], Err("within an image index"));
        let bad = json!({"digest": "sha256:../../x"});
        check(&[&bad], Err("malformed"));
        let escape = json!({"artifactType": "\u{1b}[2J", "digest": "x\u{7}"});
        let other = json!({"artifactType": "\u{1b}[2J", "digest": "y\u{7}"});
        check(&[&escape, &other], Err("x ([2J), y ([2J)"));
    }

    #[test]
    fn the_choice_says_why() {
        let chosen = content(&[json!({"platform": {"os": "linux"}}), json!({})]).unwrap().chosen;
        assert_eq!(chosen, format!("{} of 2 manifests: it is the only one without a platform", digest_of(1)));
    }
}
