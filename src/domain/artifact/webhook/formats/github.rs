//! GitHub's packages: the events `package` and `registry_package`, which differ
//! in the name of one field, and the `ping` of a new webhook. The kind of event is
//! taken from the body, which is signed, not from the header, which is not.

use serde::Deserialize;

use super::reading::{Malformed, Pushed, Reading, without_tag};

#[derive(Deserialize)]
struct Hook {
    #[serde(default)]
    action: String,
    #[serde(alias = "registry_package")]
    package: Option<Package>,
    zen: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    package_type: String,
    package_version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    package_url: String,
    container_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    tag: Option<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: Option<String>,
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let Hook { action, package, zen } = reading.json()?;
    let Some(package) = package else {
        reading.ignore(match zen {
            Some(_) => "it is a ping",
            None => "it is not about a package",
        });
        return Ok(());
    };
    if !["published", "updated"].contains(&action.as_str()) {
        reading.ignore("a package was neither published nor updated");
        return Ok(());
    }
    if !["container", "docker"].contains(&package.package_type.to_ascii_lowercase().as_str()) {
        reading.ignore("a package is not a container image");
        return Ok(());
    }
    let Package { name, namespace, package_version, .. } = package;
    let (url, tag) = match package_version {
        Some(Version { package_url, container_metadata }) => {
            (package_url, container_metadata.and_then(|metadata| metadata.tag?.name))
        }
        None => (String::new(), None),
    };
    // Owners may have capital letters, repositories may not.
    let repository = match without_tag(&url) {
        "" => format!("ghcr.io/{namespace}/{name}"),
        url => url.to_owned(),
    };
    reading.push_to(&repository.to_ascii_lowercase(), Pushed { tag: tag.as_deref(), digest: None })
}
